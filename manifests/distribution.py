"""How a quantity is spread: percentiles and a histogram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 40


@dataclass(frozen=True)
class Distribution:
    """How a quantity is spread.

    Args:
        count: how many values.
        mean, min, p1, p5, median, p95, p99, max: in the quantity's unit; `p5` is the 5th percentile.
        edges: borders of the histogram's bins, equally wide, from the 0.5th to the 99.5th percentile.
        counts: values in each bin; the outermost two also hold what lies beyond.
    """

    count: int
    mean: float
    min: float
    p1: float
    p5: float
    median: float
    p95: float
    p99: float
    max: float
    edges: list[float]
    counts: list[int]

    @staticmethod
    def of(values: np.ndarray) -> Distribution:
        """Describe values.

        Args:
            values: [N] numbers, at least one.
        """
        low, high = (float(one) for one in np.percentile(values, [0.5, 99.5]))
        if high - low <= 1e-6 * max(abs(low), abs(high), 1e-6):  # too close to be told apart by bins
            low, high = low - 0.5, high + 0.5
        counts, edges = np.histogram(np.clip(values, low, high), BINS, (low, high))
        shown = (float(one) for one in np.percentile(values, [0, 1, 5, 50, 95, 99, 100]))
        least, p1, p5, median, p95, p99, most = shown
        return Distribution(
            len(values), float(values.mean()), least, p1, p5, median, p95, p99, most, edges.tolist(), counts.tolist()
        )
