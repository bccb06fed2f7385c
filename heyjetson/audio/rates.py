"""Sample rates."""

from __future__ import annotations

import numpy as np

from heyjetson.errors import AudioError

LOWEST_RATE, HIGHEST_RATE = 8000, 192000  # hertz of a live source


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Change the sample rate of a whole clip [S]."""
    if rate <= 0:
        raise AudioError(f"The sample rate must be positive, found {rate}.")
    if rate == wanted:
        return samples
    import soxr

    return soxr.resample(samples, rate, wanted)
