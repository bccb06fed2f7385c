"""What a model costs on the device, beside a peer, in one run: speed on one core, size, memory, start-up, last word.

    python benchmarks/device.py                                  # encoders of conf/ with drawn weights, PocketSphinx
    python benchmarks/device.py bundles/synthetic bundles/digits # bundles of one's own, PocketSphinx
    python benchmarks/device.py bundles/synthetic --manifest data/synthetic/test.jsonl      # and who writes it right
    python benchmarks/device.py bundles/synthetic --peers        # beam searches alone, on data/synthetic/test.jsonl

Prints the rows of benchmarks/RESULTS.md. What is run over and over finds the processor's caches full; so a clip that
comes after a pause, and a stream that is fed as one speaks, stand beside it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from heyjetson.pace import Feed, cost, feed_of  # noqa: E402

RATE = 16000
DRAWN = {
    "hey_jetson": ("fp32", "int8"),
    "hey_jetson_gru": ("fp32", "int8"),
    "hey_jetson_small": ("fp32", "int8"),
    "hey_jetson_streaming": ("fp32", "int8"),
    "nemo_jasper_4x1": ("fp32",),
    "nemo_quartznet": ("fp32",),
}
COLUMNS = {
    "model, MB": ".1f",
    "3 s clip, ms": ".1f",
    "the same, each after a pause": ".1f",
    "RTF, 10 s clip": ".4f",
    "load, s": ".2f",
    "first result, s": ".2f",
    "peak MiB": ".0f",
    "last sample to final text, ms": ".1f",
    "as a stream, % of a core, back to back": ".2f",
    "the same, in real time": ".2f",
}
PAUSE = 0.5  # seconds, in which other programs have the caches
LIVE = 5.0  # seconds that a stream is fed
# PocketSphinx's own process, so that its memory is its own.
PEER = """
import re, sys, time
started = time.perf_counter()
from pocketsphinx import Decoder
decoder = Decoder(samprate=16000, loglevel="FATAL")
loaded = time.perf_counter() - started
decoder.start_utt(); decoder.process_raw(bytes(96000), full_utt=True); decoder.end_utt()
first = time.perf_counter() - started
print(loaded, first, int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024)
"""


def drawn_bundles(folder: Path) -> dict[str, Path]:
    """Bundles of the project's encoders with drawn weights: what they cost does not depend on what they learned."""
    from hydra import compose, initialize_config_dir

    from experiments.cli.log_levels import set_log_levels
    from experiments.export.bundle import ExportOptions, export_bundle
    from experiments.paths import CONF
    from experiments.training.fit import model_config

    set_log_levels()
    from custom_modules.model import SpeechModel

    bundles = {}
    for name, precisions in DRAWN.items():
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose("train", [f"encoder={name}"])
        model = SpeechModel(model_config(cfg)).eval()
        nemo = folder / "drawn.nemo"
        model.save_to(str(nemo))
        for precision in precisions:
            bundles[f"{name}, {precision}"] = folder / f"{name}-{precision}"
            options = ExportOptions(precision=precision, seconds=[1.0], batch_sizes=[1])
            export_bundle(model, nemo, bundles[f"{name}, {precision}"], options)
    return bundles


def row(name: str, figures: dict[str, float | None]) -> None:
    """Print a row of the table: each figure by the format of its column, `–` where there is none."""
    shown = ["–" if figures[column] is None else f"{figures[column]:{form}}" for column, form in COLUMNS.items()]
    print(f"| {' | '.join([name, *shown])} |", flush=True)


def after_a_pause(transcribe: Callable[[np.ndarray], object], clip: np.ndarray, repeats: int) -> float:
    """Median seconds to transcribe a clip [S] where nothing has run for a while."""
    spent = []
    for _ in range(repeats):
        time.sleep(PAUSE)
        started = time.perf_counter()
        transcribe(clip)
        spent.append(time.perf_counter() - started)
    return statistics.median(spent)


def as_a_stream(feed: Feed, clip: np.ndarray) -> tuple[float, float]:
    """Percent of a core, back to back and in real time."""
    found = cost(feed, clip, RATE, LIVE)
    return found.back_to_back * 100, found.live * 100


def measure_bundle(name: str, folder: Path, clip: np.ndarray, repeats: int) -> None:
    """The row of a bundle."""
    from heyjetson import Bundle, Engine
    from heyjetson.measure import real_time_factor, start_up, stepping

    engine = Engine(Bundle(folder), threads=1)
    short, long = (real_time_factor(engine, clip[: seconds * RATE], repeats) for seconds in (3, 10))
    start = start_up(folder)
    assert not start.torch, "the device side imported torch"
    cold = after_a_pause(lambda samples: engine.transcribe(samples, RATE), clip[: 3 * RATE], repeats)
    final, live = None, (None, None)
    if engine.bundle.streams:
        final = stepping(engine, clip[: 3 * RATE], repeats).final * 1000
        stream = engine.stream(RATE)
        live = as_a_stream(feed_of(stream), clip)
    size = engine.bundle.graph.stat().st_size / 1e6
    figures = (size, short * 3000, cold * 1000, long, start.loaded, start.first, start.peak, final, *live)
    row(name, dict(zip(COLUMNS, figures, strict=True)))


def pocketsphinx() -> Callable[[np.ndarray], str]:
    """PocketSphinx with its own English model, from samples [S] at 16 kHz to text."""
    from pocketsphinx import Decoder

    decoder = Decoder(samprate=float(RATE), loglevel="FATAL")

    def transcribe(samples: np.ndarray) -> str:
        decoder.start_utt()
        decoder.process_raw((samples * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        heard = decoder.hyp()
        return heard.hypstr if heard else ""

    return transcribe


def measure_peer(clip: np.ndarray, repeats: int) -> None:
    """The row of PocketSphinx."""
    import pocketsphinx as package

    transcribe = pocketsphinx()
    times = []
    for seconds in (3, 10):
        spent = []
        for _ in range(max(repeats // 3, 3)):
            started = time.perf_counter()
            transcribe(clip[: seconds * RATE])
            spent.append(time.perf_counter() - started)
        times.append(statistics.median(spent))
    cold = after_a_pause(transcribe, clip[: 3 * RATE], max(repeats // 3, 3))
    decoder = package.Decoder(samprate=float(RATE), loglevel="FATAL")
    decoder.start_utt()
    live = as_a_stream(lambda samples: decoder.process_raw(samples.tobytes()), clip)
    done = subprocess.run([sys.executable, "-c", PEER], capture_output=True, text=True, check=True)
    loaded, first, peak = map(float, done.stdout.split())
    size = sum(path.stat().st_size for path in Path(package.get_model_path()).rglob("*") if path.is_file()) / 1e6
    figures = (size, times[0] * 1000, cold * 1000, times[1] / 10, loaded, first, peak, None, *live)
    row("PocketSphinx 5, its English model", dict(zip(COLUMNS, figures, strict=True)))


def compare_texts(bundles: dict[str, Path], manifest: Path) -> None:
    """Word error rates of the bundles and of PocketSphinx on the same recordings."""
    from experiments.evaluation.evaluate import evaluate_bundle
    from experiments.evaluation.report import Report, make_row
    from heyjetson.audio import load
    from manifests import read_manifest

    print(f"\n| on {manifest.name} | WER | CER | real-time factor |\n|---|---|---|---|")
    reports = {name: evaluate_bundle(folder, manifest) for name, folder in bundles.items()}
    transcribe, rows, spent = pocketsphinx(), [], 0.0
    for utterance in read_manifest(manifest):
        samples = load(utterance.audio, RATE)
        started = time.perf_counter()
        text = transcribe(samples)
        spent += time.perf_counter() - started
        rows.append(make_row(utterance, text))
    reports["PocketSphinx"] = Report(str(manifest), "PocketSphinx", rows, spent)
    for name, report in reports.items():
        totals = report.totals()
        print(f"| {name} | {totals['wer']:.1%} | {totals['cer']:.1%} | {totals['real_time_factor']:.4f} |")


def main() -> None:
    """Measure and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", type=Path, help="bundles (default: conf/'s encoders with drawn weights)")
    parser.add_argument("--manifest", type=Path, help="compare what is written, on these recordings")
    parser.add_argument("--clip", type=Path, help="recording of 10 s or more (default: noise)")
    parser.add_argument("--repeats", type=int, default=15, help="runs a figure is the median of (default 15)")
    parser.add_argument("--peers", action="store_true", help="beam searches on the same log-probabilities alone")
    given = parser.parse_args()
    if given.peers:
        from benchmarks.decoders import compare

        bundle = given.bundles[0] if given.bundles else ROOT / "bundles" / "synthetic"
        compare(bundle, given.manifest or ROOT / "data" / "synthetic" / "test.jsonl")
        return
    if given.clip:
        from heyjetson.audio import load

        clip = load(given.clip, RATE)[: 10 * RATE]
    else:
        clip = (0.1 * np.random.default_rng(0).standard_normal(10 * RATE)).astype(np.float32)
    with tempfile.TemporaryDirectory() as temporary:
        bundles = {str(path): path for path in given.bundles} or drawn_bundles(Path(temporary))
        print(f"| one core | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}")
        for name, folder in bundles.items():
            measure_bundle(name, folder, clip, given.repeats)
        measure_peer(clip, given.repeats)
        if given.manifest:
            compare_texts(bundles, given.manifest)


if __name__ == "__main__":
    main()
