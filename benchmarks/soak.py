"""An hour of sound through one stream: is its memory flat?

    python benchmarks/soak.py bundles/streaming --folder RECORDINGS      # one after the other, with pauses
    python benchmarks/soak.py bundles/streaming --folder RECORDINGS --hours 8 --lm --gate 10

Prints resident memory every five minutes of sound and the rows of benchmarks/RESULTS.md; exits with 1 when memory grew
by more than 2 MiB after the first tenth.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import cycle
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

PAUSE = 1.5  # seconds between recordings
GROWTH = 2.0  # MiB


def resident() -> float:
    """MiB of this process that lie in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main() -> int:
    """Feed, watch, report."""
    from heyjetson import Bundle, EndpointRules, Engine
    from heyjetson.audio import load

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="recordings, anywhere below it")
    parser.add_argument("--hours", type=float, default=1.0, help="of sound (default 1)")
    parser.add_argument("--lm", action="store_true", help="with the bundle's language model")
    parser.add_argument("--gate", type=float, help="decibels; see heyjetson listen --help")
    given = parser.parse_args()
    engine = Engine(Bundle(given.bundle))
    rate = engine.bundle.sample_rate
    paths = sorted(path for path in given.folder.rglob("*") if path.suffix in (".wav", ".flac"))[:500]
    stream = engine.stream(rules=EndpointRules(gate=given.gate), scorer="bundle" if given.lm else None)
    rng = np.random.default_rng(0)
    readings: list[tuple[float, float]] = []
    utterances = words = 0
    busy, slowest, next_reading = 0.0, 0.0, 0.0
    for path in cycle(paths):
        samples = np.concatenate([load(path, rate), np.zeros(int(PAUSE * rate), np.float32)])
        samples += 0.0003 * rng.standard_normal(len(samples)).astype(np.float32)
        chunk = int(rng.integers(1, rate // 2))
        for start in range(0, len(samples), chunk):
            begun = time.perf_counter()
            ended = stream.feed(samples[start : start + chunk])
            stream.partial()
            spent = time.perf_counter() - begun
            busy, slowest = busy + spent, max(slowest, spent)
            utterances += len(ended)
            words += sum(len(result.words) for result in ended)
        if stream.seconds >= next_reading:
            readings.append((stream.seconds / 60, resident()))
            print(f"{readings[-1][0]:6.1f} min  {readings[-1][1]:6.1f} MiB  {utterances} utterances", flush=True)
            next_reading += 300
        if stream.seconds >= given.hours * 3600:
            break
    readings.append((stream.seconds / 60, resident()))
    settled = next(memory for minute, memory in readings if minute >= readings[-1][0] / 10)
    grown = readings[-1][1] - settled
    columns = "minutes | utterances | words | MiB after a tenth | MiB at the end | real-time factor | slowest feed, ms"
    print(f"| bundle | {columns} |\n|---|---|---|---|---|---|---|---|")
    print(
        f"| {given.bundle.name} | {readings[-1][0]:.0f} | {utterances} | {words} | {settled:.1f} | "
        f"{readings[-1][1]:.1f} | {busy / stream.seconds:.4f} | {slowest * 1000:.0f} |"
    )
    return int(grown > GROWTH)


if __name__ == "__main__":
    sys.exit(main())
