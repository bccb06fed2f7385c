"""What a quieter microphone costs a model in errors.

    python benchmarks/levels.py bundles/synthetic --manifest data/synthetic/test.jsonl
    python benchmarks/levels.py bundles/old bundles/new --manifest data/digits/test_seen.jsonl --clips 100

Each clip is heard as it is, and 10, 20, 30 and 40 dB quieter, rounded to 16 bits as a microphone gives it. Prints the
rows of benchmarks/RESULTS.md: WER with its 95 % interval, and the median peak of the clips in decibels of full scale.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.silence import Clip, asked, measured, opened  # noqa: E402

LEVELS = (0, -10, -20, -30, -40)  # decibels


def at_level(clips: list[Clip], decibels: float) -> list[Clip]:
    """Clips at another level, in steps of 16 bits."""
    gain = 10 ** (decibels / 20)
    return [((np.round(clip * gain * 32768) / 32768).astype(np.float32), said) for clip, said in clips]


def row(bundle: Path, manifest: Path, clips: int | None, threads: int) -> str:
    """A row of Markdown for a bundle."""
    engine, chosen = opened(bundle, manifest, clips, threads)
    peak = np.median([20 * np.log10(max(float(np.abs(clip).max()), 1e-9)) for clip, _ in chosen])
    cells = [str(measured(engine, at_level(chosen, level))) for level in LEVELS]
    return f"| {bundle}, {manifest.name} | {peak:.0f} | {' | '.join(cells)} |"


def main() -> None:
    """Measure and print a Markdown table."""
    given = asked(__doc__)
    heads = ("bundle", "peak, dB of full scale", "as they are", *(f"{-level} dB quieter" for level in LEVELS[1:]))
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}", flush=True)
    for bundle in given.bundles:
        print(row(bundle, given.manifest, given.clips, given.threads), flush=True)


if __name__ == "__main__":
    main()
