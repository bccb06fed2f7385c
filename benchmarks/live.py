"""What does a stream cost as it is lived? Share of a core in real time, beside the same sound back to back.

    python benchmarks/live.py bundles/streaming wake/                # bundles that stream, triggers; PocketSphinx
    python benchmarks/live.py wake/ --clip speech.wav --seconds 10

Every bundle is run as it is, with `--threads 2`, and with its state handed over at each step as until 2026-11-28. Each
is a process of its own; they take turns, and the medians are printed: rows of benchmarks/RESULTS.md. Processor time is
counted, of all threads, so that other work on the machine weighs only by the caches it takes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from heyjetson import Bundle, Engine, Trigger, frames  # noqa: E402
from heyjetson.pace import Feed, share  # noqa: E402
from heyjetson.steps import FedSteps  # noqa: E402

RATE = 16000
PEER = "PocketSphinx 5, one key phrase"


def stream_of(folder: Path, threads: int, bound: bool) -> Feed:
    """The `feed` of a new stream of a bundle.

    Args:
        folder: of the bundle.
        threads: asked for.
        bound: as it is; else as it was, with the state handed over at each step and threads that spin.
    """
    import onnxruntime

    bundle = Bundle(folder)
    engine: Any = Trigger(bundle, threads) if bundle.is_trigger else Engine(bundle, threads)
    if not bound:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        engine.session = onnxruntime.InferenceSession(str(bundle.graph), options, providers=["CPUExecutionProvider"])
    make: Callable[..., Any] = frames.make_steps
    frames.make_steps = make if bound else FedSteps  # type: ignore[assignment]
    stream = engine.stream(RATE)
    frames.make_steps = make
    if bundle.is_trigger:
        return stream.feed

    def feed(samples: np.ndarray) -> None:
        stream.feed(samples)
        stream.partial()

    return feed


def pocketsphinx() -> Feed:
    """PocketSphinx listening for a word, by its own English model."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=float(RATE), loglevel="FATAL", keyphrase="computer", kws_threshold=1e-20, lm=None)
    decoder.start_utt()
    return lambda samples: decoder.process_raw((samples * 32767).astype("<i2").tobytes())


def serve(given: argparse.Namespace) -> None:
    """Be one of the processes: a turn for each line of standard input, its two figures as a line of JSON."""
    folder, threads, bound = given.worker
    feed: Feed = lambda samples: None  # noqa: E731
    if folder == PEER:
        feed = pocketsphinx()
    elif folder:
        feed = stream_of(Path(folder), int(threads), bool(int(bound)))
    sound = 0.05 * np.random.default_rng(0).standard_normal(10 * RATE).astype(np.float32)
    if given.clip:
        from heyjetson.audio import load

        sound = load(given.clip, RATE)
    share(feed, sound, RATE, 1.0, paced=False)  # warm-up
    for _ in sys.stdin:
        tight = share(feed, sound, RATE, given.seconds, paced=False)
        print(json.dumps([share(feed, sound, RATE, given.seconds), tight]), flush=True)


def main() -> None:
    """Measure in turn and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", type=Path, help="folders of bundles that stream")
    parser.add_argument("--clip", type=Path, help="recording to feed (default: noise)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a turn (default 3)")
    parser.add_argument("--rounds", type=int, default=5, help="turns that a figure is the median of (default 5)")
    parser.add_argument("--no-peer", action="store_true", help="leave PocketSphinx out")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        return serve(given)
    if not given.bundles:
        parser.error("give at least one bundle")
    rows = {"nothing, only waking up": ("", 1, 1)}
    for folder in given.bundles:
        for threads in (1, 2):
            for bound in (0, 1):
                name = f"{folder.name}, {threads} thread{'s' if threads > 1 else ''}{'' if bound else ', as it was'}"
                rows[name] = (str(folder.resolve()), threads, bound)
    if not given.no_peer:
        rows[PEER] = (PEER, 1, 1)
    options = ["--seconds", str(given.seconds)] + (["--clip", str(given.clip.resolve())] if given.clip else [])
    workers = {
        name: subprocess.Popen(
            [sys.executable, __file__, *options, "--worker", *map(str, row)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name, row in rows.items()
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
