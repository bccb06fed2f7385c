"""Recordings longer than a graph takes: overlapping chunks, whose log-probabilities are joined where both are sure.

This is NeMo's buffered inference with one difference: chunks are not joined in the middle of what they share, but in
the frame of it that lies deepest in blanks of both, so that no letter is written twice or lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

OVERLAP = 0.8  # seconds that two chunks share; more changed no error (benchmarks/long.py)
GUARD = 0.25  # share of the overlap at either end where a chunk knows too little of what comes before or after
AROUND = 2  # frames on either side of a seam that count for it


def chunks(samples: int, longest: int, overlap: int, grid: int) -> list[tuple[int, int]]:
    """Where chunks of equal length begin and end.

    Args:
        samples: of the recording.
        longest: samples of a chunk at most.
        overlap: samples that two chunks share at least, or a fourth of `longest` where that is less.
        grid: samples of a frame: all begin on it, so that their frames are those of the recording.

    Returns:
        first sample and the one behind the last, of each.
    """
    if samples <= longest:
        return [(0, samples)]
    frames = max((longest - min(overlap, longest // 4)) // grid, 1)  # from one beginning to the next, at most
    last = -(-(samples - longest) // grid)  # frame at which the last one begins
    count = -(-last // frames)
    begins = [index * last // count * grid for index in range(count + 1)]
    return [(begin, min(begin + longest, samples)) for begin in begins]


def joined(parts: Iterable[tuple[int, np.ndarray]], blank_id: int) -> Iterator[tuple[int, np.ndarray]]:
    """The frames of a recording, of the log-probabilities of its chunks.

    Args:
        parts: number of the first frame and log-probabilities [T, V + 1] of each chunk, in their order.
        blank_id: column of the blank.

    Yields:
        number of the first frame and log-probabilities [T, V + 1] of stretches that follow one another.
    """
    begin, held = 0, None  # the stretch that waits for the chunk behind it
    for first, log_probs in parts:
        if held is None:
            begin, held = first, log_probs
            continue
        both = max(first, begin)  # of short chunks three share a frame, and the seam of two may lie within the third
        shared = max(begin + len(held) - both, 0)
        cut = both + seam(held[len(held) - shared :, blank_id], log_probs[both - first :, blank_id][:shared])
        yield begin, held[: cut - begin]
        begin, held = cut, log_probs[cut - first :]
    if held is not None:
        yield begin, held


def seam(left: np.ndarray, right: np.ndarray) -> int:
    """The frame from which on the right one of two chunks is believed.

    Args:
        left, right: [T] log-probabilities of the blank in the frames that both have.

    Returns:
        0 to T: where the frames about it are surest to be blank in both, the middle of such a stretch.
    """
    count = min(len(left), len(right))
    blank = np.pad(left[:count].astype(np.float64) + right[:count], AROUND)
    # Frames on either side of a seam before frame t: t - AROUND to t + AROUND - 1.
    sure = np.convolve(np.maximum(blank, -1e3), np.ones(2 * AROUND), "valid")
    guard = int(GUARD * count)
    inner = sure[guard : len(sure) - guard]
    return guard + _middle(inner)


def _middle(sure: np.ndarray) -> int:
    """The middle of the longest stretch that is as sure as the best, to a thousandth."""
    good = np.flatnonzero(sure >= sure.max() - 1e-3)
    stretches = np.split(good, np.flatnonzero(np.diff(good) > 1) + 1)
    longest = max(stretches, key=len)
    return int(longest[len(longest) // 2])
