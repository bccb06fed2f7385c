"""What silence around the words, and a pause between them, costs a model in errors.

    python benchmarks/silence.py bundles/synthetic --manifest data/synthetic/test.jsonl
    python benchmarks/silence.py bundles/old bundles/new --manifest data/digits/test_seen.jsonl --clips 100

To each clip are added 0.5 s before it, behind it, and on both sides: of zeros, of white noise at -60 dB of full scale,
and of room tone, brown noise at -50 dB. Two clips are joined with 2 s of each in between. Prints the rows of
benchmarks/RESULTS.md: WER with its 95 % interval, and how many times that of the clips as they are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from experiments.evaluation.report import word_errors  # noqa: E402
from heyjetson import Bundle, Engine  # noqa: E402
from heyjetson.significance import Interval, wer_interval  # noqa: E402
from manifests import read_manifest  # noqa: E402
from manifests.acoustics import coloured_noise  # noqa: E402
from manifests.convert import sound_of  # noqa: E402

AROUND, PAUSE = 0.5, 2.0  # seconds
BETWEEN = {"nothing between two": 0.0, "2 s between two": PAUSE}
ROWS = ("as they are", "0.5 s before", "0.5 s behind", "0.5 s on both sides", *BETWEEN)
FILLS = {"zeros": (-np.inf, 0.0), "noise, -60 dB": (-60.0, 0.0), "room tone, -50 dB": (-50.0, 2.0)}  # level, 1/f slope
Clip = tuple[np.ndarray, str]  # [S] float32, and what is said


def filler(name: str, rate: int, seed: int) -> Callable[[float], np.ndarray]:
    """Makes so many seconds of one of `FILLS`."""
    level, slope = FILLS[name]
    drawn = np.random.default_rng(seed)

    def make(seconds: float) -> np.ndarray:
        if not np.isfinite(level) or not round(seconds * rate):
            return np.zeros(round(seconds * rate), np.float32)
        noise = coloured_noise(drawn, round(seconds * rate), slope)
        noise *= 10 ** (level / 20)
        return noise.astype(np.float32)

    return make


def placed(clips: list[Clip], row: str, make: Callable[[float], np.ndarray]) -> list[Clip]:
    """Clips as one of `ROWS` has them."""
    if row in BETWEEN:
        pairs = zip(clips[0::2], clips[1::2], strict=False)
        return [(np.concatenate([a, make(BETWEEN[row]), b]), f"{said} {more}") for (a, said), (b, more) in pairs]
    none = np.zeros(0, np.float32)
    sides = {"as they are": (), "0.5 s before": (0,), "0.5 s behind": (1,), "0.5 s on both sides": (0, 1)}[row]
    return [
        (np.concatenate([make(AROUND) if 0 in sides else none, clip, make(AROUND) if 1 in sides else none]), said)
        for clip, said in clips
    ]


def measured(engine: Engine, clips: list[Clip]) -> Interval:
    """WER of what a bundle hears in some clips."""
    found = [word_errors(said, engine.transcribe(clip, engine.bundle.sample_rate).text) for clip, said in clips]
    return wer_interval([one.count for one in found], [one.total for one in found])


def opened(bundle: Path, manifest: Path, clips: int | None, threads: int) -> tuple[Engine, list[Clip]]:
    """A bundle, and the first clips of a test set at its rate."""
    engine = Engine(Bundle(bundle), threads)
    return engine, [(sound_of(one, engine.bundle.sample_rate), one.text) for one in read_manifest(manifest)[:clips]]


def asked(description: str | None) -> argparse.Namespace:
    """What the command line says: bundles, manifest, clips, threads."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path, help="folders that export.py made")
    parser.add_argument("--manifest", type=Path, required=True, help="a test set")
    parser.add_argument("--clips", type=int, help="only so many, from its beginning")
    parser.add_argument("--threads", type=int, default=1, help="of each bundle (default 1)")
    return parser.parse_args()


def table(bundle: Path, manifest: Path, clips: int | None, threads: int) -> str:
    """Rows of Markdown for a bundle."""
    engine, chosen = opened(bundle, manifest, clips, threads)
    rate = engine.bundle.sample_rate
    plain = measured(engine, chosen)
    lines = [
        f"| {bundle}, {manifest.name} | {' | '.join(FILLS)} |",
        f"|{'---|' * (len(FILLS) + 1)}",
        f"| {ROWS[0]} | {' | '.join([str(plain)] * len(FILLS))} |",
    ]
    for row in ROWS[1:]:
        cells = []
        for seed, name in enumerate(FILLS):
            found = measured(engine, placed(chosen, row, filler(name, rate, seed)))
            times = found.rate / plain.rate if plain.rate else float(found.rate > 0) + 1
            cells.append(f"{found}, {times:.2f} times")
        lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print a Markdown table for each bundle."""
    given = asked(__doc__)
    for bundle in given.bundles:
        print(table(bundle, given.manifest, given.clips, given.threads), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
