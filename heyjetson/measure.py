"""What a bundle costs on this device: time, start-up, memory, and how soon the last word is there."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heyjetson.engine import Engine

STARTS = 3
_START = """
import re, sys, time
started = time.perf_counter()
from heyjetson import Bundle, Engine
engine = Engine(Bundle(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
loaded = time.perf_counter() - started
import numpy
engine.transcribe(numpy.zeros(3 * engine.bundle.sample_rate, numpy.float32), engine.bundle.sample_rate)
first = time.perf_counter() - started
try:  # ru_maxrss would begin with the peak of the process that started this one
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
except (OSError, TypeError):
    peak = float("nan")
print(loaded, first, peak, int("torch" in sys.modules))
"""


@dataclass(frozen=True)
class Start:
    """A new process, best of a few.

    Args:
        loaded: seconds to import and load.
        first: seconds to the first result, of 3 s of silence.
        peak: MiB of memory at most until then.
        torch: whether torch was imported.
    """

    loaded: float
    first: float
    peak: float
    torch: bool


@dataclass(frozen=True)
class Stepping:
    """A stream's times.

    Args:
        step: median seconds of a step.
        slowest: 99th percentile.
        final: median seconds from the last sample to the final text.
        real_time_factor: all of it over the sound's length.
    """

    step: float
    slowest: float
    final: float
    real_time_factor: float


def start_up(bundle: Path, threads: int = 1, provider: str = "auto") -> Start:
    """Load a bundle and transcribe in new processes."""
    runs = []
    for _ in range(STARTS):
        command = [sys.executable, "-c", _START, str(bundle.absolute()), str(threads), provider]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        loaded, first, peak, torch = map(float, done.stdout.split())
        runs.append(Start(loaded, first, peak, bool(torch)))
    return min(runs, key=lambda run: run.first)


def real_time_factor(engine: Engine, clip: np.ndarray, repeats: int) -> float:
    """Median time to transcribe a clip [S] at the engine's rate, from sound to text, over the clip's length."""
    rate = engine.bundle.sample_rate
    engine.transcribe(clip, rate)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        engine.transcribe(clip, rate)
        times.append(time.perf_counter() - started)
    return float(np.median(times)) / (len(clip) / rate)


def stepping(engine: Engine, clip: np.ndarray, repeats: int) -> Stepping:
    """Times of a stream that is fed a clip [S] in its own steps."""
    size = engine.bundle.manifest["shift_samples"]
    steps, finals, totals = [], [], []
    for _ in range(repeats + 1):
        stream = engine.stream()
        begun = time.perf_counter()
        for start in range(0, len(clip), size):
            started = time.perf_counter()
            stream.feed(clip[start : start + size])
            stream.partial()
            steps.append(time.perf_counter() - started)
        started = time.perf_counter()
        stream.finish()
        ended = time.perf_counter()
        finals.append(ended - started)
        totals.append(ended - begun)
    seconds = len(clip) / engine.bundle.sample_rate
    warm = len(steps) // (repeats + 1)  # the first pass is warm-up
    return Stepping(
        float(np.median(steps[warm:])),
        float(np.percentile(steps[warm:], 99)),
        float(np.median(finals[1:])),
        float(np.median(totals[1:])) / seconds,
    )
