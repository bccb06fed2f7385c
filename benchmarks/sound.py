"""What reading a recording costs: `heyjetson.audio` beside a bare call of soundfile, side by side.

    python benchmarks/sound.py                # a minute
    python benchmarks/sound.py --repeat 5     # a glance

Processor time of one reading, the least of several rounds in turn, and the rows of benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from heyjetson.audio import measure, read_sound

RATE = 16000
SEGMENT = (432.1, 3.0)  # offset and duration, seconds


def cost(call: Callable[[], object], times: int) -> float:
    """Milliseconds of processor time of one call."""
    started = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - started) / times * 1000


def bare(path: Path, offset: float = 0.0, duration: float | None = None) -> np.ndarray:
    """All or a segment of a recording by soundfile alone."""
    frames = -1 if duration is None else round(duration * RATE)
    return soundfile.read(path, frames, round(offset * RATE), dtype="float32", always_2d=True)[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=25, help="rounds, of which the least is taken")
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    print("| reading | soundfile, ms | heyjetson.audio, ms | times |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for seconds, times in ((1, 200), (20, 20), (600, 1)):
            sound = generator.standard_normal(seconds * RATE).cumsum()
            sound /= np.abs(sound).max()
            for kind in ("wav", "flac"):
                path = Path(folder) / f"{seconds}.{kind}"
                soundfile.write(path, sound, RATE)
                rows = [(f"{seconds} s of {kind}", lambda p=path: bare(p), lambda p=path: read_sound(p))]
                if seconds == 600:
                    rows.append(
                        (
                            f"3 s out of {seconds} s of {kind}",
                            lambda p=path: bare(p, *SEGMENT),
                            lambda p=path: read_sound(p, offset=SEGMENT[0], duration=SEGMENT[1]),
                        )
                    )
                    rows.append(
                        (
                            f"the length of {seconds} s of {kind}",
                            lambda p=path: soundfile.info(p),
                            lambda p=path: measure(p),
                        )
                    )
                for name, before, after in rows:
                    pairs = [(cost(before, times), cost(after, times)) for _ in range(options.repeat)]
                    old, new = (min(column) for column in zip(*pairs, strict=True))
                    print(f"| {name} | {old:.3f} | {new:.3f} | {new / old:.2f} |", flush=True)


if __name__ == "__main__":
    main()
