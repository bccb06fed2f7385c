"""Where pieces go in a clip so that no two overlap: drawn from the gaps that are left, so it always ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Placement:
    """Where pieces went.

    Args:
        starts: first sample of each piece; None where no gap was long enough.
        left_out: numbers of the pieces without a place.
    """

    starts: list[int | None]
    left_out: list[int]


def place(lengths: Sequence[int], size: int, rng: np.random.Generator, margin: int = 0) -> Placement:
    """Draw a place for each piece in turn, uniformly over all places that are still free.

    Nothing is tried twice: the free places of all gaps are counted, and one of them is drawn.

    Args:
        lengths: samples of each piece, at least 1.
        size: samples of the clip.
        rng: the source of chance; one number is drawn for each piece that fits.
        margin: samples that two pieces are apart, at least.

    Raises:
        ValueError: a length below 1, or a margin below 0.

    >>> place([4, 9, 5], 10, np.random.default_rng(0))
    Placement(starts=[5, None, 0], left_out=[1])
    """
    if margin < 0 or any(length < 1 for length in lengths):
        raise ValueError(f"Lengths must be 1 or more and the margin 0 or more, found {list(lengths)} and {margin}.")
    gaps = [(0, size)]
    starts: list[int | None] = []
    for length in lengths:
        free = [max(high - low - length + 1, 0) for low, high in gaps]
        if not sum(free):
            starts.append(None)
            continue
        drawn = int(rng.integers(sum(free)))
        gap = 0
        while drawn >= free[gap]:
            drawn -= free[gap]
            gap += 1
        low, high = gaps[gap]
        start = low + drawn
        gaps[gap : gap + 1] = [(low, start - margin), (start + length + margin, high)]
        starts.append(start)
    return Placement(starts, [number for number, start in enumerate(starts) if start is None])
