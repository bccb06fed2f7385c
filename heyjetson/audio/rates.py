"""Sample rates."""

from __future__ import annotations

import numpy as np

from heyjetson.errors import AudioError

LOWEST_RATE, HIGHEST_RATE = 8000, 192000  # hertz of a live source, and of takes of a word


def rate_fault(rate: int, found: object = None) -> str | None:
    """What is wrong with a sample rate, for behind `The rate `; None where it can be used.

    Args:
        rate: hertz.
        found: what it was read from, for the message; the rate itself when None.

    >>> rate_fault(4000)
    'must be a whole number of hertz from 8000 to 192000, found 4000.'
    """
    if LOWEST_RATE <= rate <= HIGHEST_RATE:
        return None
    shown = repr(rate if found is None else found)
    return f"must be a whole number of hertz from {LOWEST_RATE} to {HIGHEST_RATE}, found {shown}."


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Change the sample rate of a whole clip [S]."""
    if rate <= 0:
        raise AudioError(f"The sample rate must be positive, found {rate}.")
    if rate == wanted:
        return samples
    import soxr

    return soxr.resample(samples, rate, wanted)
