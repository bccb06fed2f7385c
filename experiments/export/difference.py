"""How far two outputs are from each other, given how many digits a number has."""

from __future__ import annotations

import numpy as np

REACH = 10.0  # largest number of a frame beyond which its differences are counted in proportion


def largest_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference; infinity where shapes differ or a number is none.

    float32 has seven digits. A frame whose log-probabilities reach to -250 comes from sums of that size, and torch
    itself is then 1e-3 from what it gives in float64.

    Args:
        found: [..., V].
        expected: the same shape.

    >>> round(largest_difference(np.array([[-0.001, -9.0]]), np.array([[0.0, -9.0]])), 6)
    0.001
    >>> round(largest_difference(np.array([[-0.001, -250.0]]), np.array([[0.0, -250.0]])), 6)
    4e-05
    """
    if found.shape != expected.shape:
        return float("inf")
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    reach = np.abs(expected).max(axis=-1, keepdims=True, initial=0.0) if expected.ndim else np.abs(expected)
    difference = np.abs(found - expected) / np.maximum(reach / REACH, 1)
    # NaN is a failure, and no comparison with NaN is true.
    return float(difference.max(initial=0.0)) if np.isfinite(difference).all() else float("inf")
