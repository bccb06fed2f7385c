"""What does a graph cost beside another of the same model? Processor time of onnxruntime, one thread, in turns.

    python benchmarks/graphs.py BEFORE/stream.onnx AFTER/stream.onnx --batches 1 4 20
    python benchmarks/graphs.py BEFORE/model.onnx AFTER/model.onnx

Of streams a step, of whole clips ten seconds. "Cold" steps come after other memory has been read, as in real time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

SECONDS, RATE = 10, 16000
OTHER = 4_000_000  # numbers that are read between cold steps


def feed_of(session: Any, batch: int) -> dict[str, np.ndarray]:
    """Noise for every input of a graph."""
    rng = np.random.default_rng(0)
    feed: dict[str, np.ndarray] = {}
    for port in session.get_inputs():
        sizes = [size if isinstance(size, int) else SECONDS * RATE for size in port.shape]
        if not isinstance(port.shape[0], int):
            sizes[0] = batch
        if port.type == "tensor(float)":
            feed[port.name] = (0.1 * rng.standard_normal(sizes)).astype(np.float32)
    feed["length"] = np.full(len(feed["samples"]), feed["samples"].shape[1], np.int64)
    names = {port.name for port in session.get_inputs()}
    return {name: value for name, value in feed.items() if name in names}


def opened(graph: Path, batch: int) -> Callable[[], object]:
    """A call of a graph."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    feed = feed_of(session, batch)
    return lambda: session.run(None, feed)


def main() -> None:
    """Measure in turn and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--batches", type=int, nargs="+", default=[1], help="streams at once, of AFTER (default 1)")
    parser.add_argument("--rounds", type=int, default=40, help="that a figure is the median of (default 40)")
    given = parser.parse_args()
    calls = {"before": (opened(given.before, 1), 1)}
    calls |= {f"after, {count} at once": (opened(given.after, count), count) for count in given.batches}
    hot: dict[str, list[float]] = {name: [] for name in calls}
    cold: dict[str, list[float]] = {name: [] for name in calls}
    other = np.zeros(OTHER, np.float32)
    for _ in range(given.rounds):
        for name, (call, count) in calls.items():
            other += 1
            for times in (cold[name], hot[name]):
                began = time.process_time_ns()
                call()
                times.append((time.process_time_ns() - began) / 1000 / count)
    print("| graph | µs each | ratio | cold, µs | ratio |\n|---|---|---|---|---|")
    for name in calls:
        warm, fresh = float(np.median(hot[name])), float(np.median(cold[name]))
        ratios = (warm / float(np.median(hot["before"])), fresh / float(np.median(cold["before"])))
        print(f"| {name} | {warm:.0f} | {ratios[0]:.2f} | {fresh:.0f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
