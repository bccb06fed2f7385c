"""What does a stream cost as it is lived? Share of a core in real time, beside the same sound back to back.

    python benchmarks/live.py bundles/streaming wake/                # bundles that stream, triggers; PocketSphinx
    python benchmarks/live.py wake/ --clip speech.wav --seconds 10
    python benchmarks/live.py wake/ --before ../older old-wake/      # another checkout, with a bundle that it exported

Every bundle is run with one thread and with `--threads 2`, fed by 16-bit pieces as a microphone gives them to its
checkout, and as `heyjetson listen` reads a pipe: what the next step wants at once. Each is a process of its own; they
take turns, and the medians are printed: rows of benchmarks/RESULTS.md. Processor time is counted, of all threads, so
that other work on the machine weighs only by the caches it takes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
CHECKOUT = "HEYJETSON_CHECKOUT"  # tells a worker whose code it runs
sys.path.insert(0, os.environ.get(CHECKOUT, str(ROOT)))

from heyjetson import Bundle, Engine, Trigger  # noqa: E402


def measuring() -> Any:
    """This checkout's `heyjetson.pace`, for streams of another one as well."""
    spec = importlib.util.spec_from_file_location("pace", ROOT / "heyjetson/pace.py")
    assert spec and spec.loader
    module = sys.modules["pace"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pace = measuring()
RATE = 16000
STEP = 0.16  # seconds between the steps of most streams
MICROPHONE, WANTED = "microphone", "wanted"  # how a worker's pieces are cut
PEER = "PocketSphinx 5, one key phrase"


def stream_of(folder: Path, threads: int) -> Any:
    """A new stream of a bundle."""
    bundle = Bundle(folder)
    engine: Any = Trigger(bundle, threads) if bundle.is_trigger else Engine(bundle, threads)
    return engine.stream(RATE)


def pocketsphinx() -> Any:
    """PocketSphinx listening for a word, by its own English model."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=float(RATE), loglevel="FATAL", keyphrase="computer", kws_threshold=1e-20, lm=None)
    decoder.start_utt()
    return lambda samples: decoder.process_raw(samples.tobytes())


def serve(given: argparse.Namespace) -> None:
    """Be one of the processes: a turn for each line of standard input, its two figures as a line of JSON."""
    folder, threads, pieces = given.worker
    feed, wanted = (lambda samples: None), None
    if folder == PEER:
        feed = pocketsphinx()
    elif folder:
        stream = stream_of(Path(folder), int(threads))
        feed = pace.feed_of(stream)
    if pieces == WANTED:
        wanted = (lambda: stream.missing) if folder else (lambda: round(STEP * RATE))
    sound = 0.05 * np.random.default_rng(0).standard_normal(10 * RATE).astype(np.float32)
    if given.clip:
        from heyjetson.audio import load

        sound = load(given.clip, RATE)
    pace.share(feed, sound, RATE, 1.0, paced=False)  # warm-up
    for _ in sys.stdin:
        tight = pace.share(feed, sound, RATE, given.seconds, False, wanted)
        print(json.dumps([pace.share(feed, sound, RATE, given.seconds, True, wanted), tight]), flush=True)


def main() -> None:
    """Measure in turn and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", type=Path, help="folders of bundles that stream")
    parser.add_argument("--clip", type=Path, help="recording to feed (default: noise)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a turn (default 3)")
    parser.add_argument("--rounds", type=int, default=5, help="turns that a figure is the median of (default 5)")
    parser.add_argument("--no-peer", action="store_true", help="leave PocketSphinx out")
    parser.add_argument(
        "--before", nargs=2, type=Path, action="append", default=[], metavar=("CHECKOUT", "BUNDLE"),
        help="another checkout of the project, and a bundle that it exported",
    )  # fmt: skip
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        return serve(given)
    if not given.bundles:
        parser.error("give at least one bundle")
    rows: dict[str, tuple[Path, str | Path, int, str]] = {
        "nothing, only waking up": (ROOT, "", 1, MICROPHONE),
        f"nothing, each {1000 * STEP:.0f} ms": (ROOT, "", 1, WANTED),
    }
    for checkout, folder in given.before:
        rows[f"{folder.name}, by {checkout.name}"] = (checkout.resolve(), folder.resolve(), 1, MICROPHONE)
    for folder in given.bundles:
        rows[f"{folder.name}, one thread, by what is wanted"] = (ROOT, folder.resolve(), 1, WANTED)
        rows[f"{folder.name}, one thread"] = (ROOT, folder.resolve(), 1, MICROPHONE)
        rows[f"{folder.name}, `--threads 2`"] = (ROOT, folder.resolve(), 2, MICROPHONE)
    if not given.no_peer:
        rows[PEER] = (ROOT, PEER, 1, MICROPHONE)
    options = ["--seconds", str(given.seconds)] + (["--clip", str(given.clip.resolve())] if given.clip else [])
    workers = {
        name: subprocess.Popen(
            [sys.executable, __file__, *options, "--worker", str(folder), str(threads), pieces],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {CHECKOUT: str(checkout)},
        )
        for name, (checkout, folder, threads, pieces) in rows.items()
    }  # fmt: skip
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in rows}
    for _ in range(given.rounds):
        for name, worker in workers.items():
            assert worker.stdin and worker.stdout
            print("", file=worker.stdin, flush=True)
            live, tight = json.loads(worker.stdout.readline())
            found[name].append((live, tight))
    for worker in workers.values():
        worker.communicate()
    print("| a stream | % of a core, live | back to back | least, most live |\n|---|---|---|---|")
    for name, rounds in found.items():
        live, tight = (statistics.median(values) * 100 for values in zip(*rounds, strict=True))
        least, most = (pick(value for value, _ in rounds) * 100 for pick in (min, max))
        print(f"| {name} | {live:.2f} | {tight:.2f} | {least:.2f}, {most:.2f} |")


if __name__ == "__main__":
    main()
