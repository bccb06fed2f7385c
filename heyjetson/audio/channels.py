"""One channel out of several."""

from __future__ import annotations

import numpy as np

from heyjetson.errors import AudioError

CHANNELS = ("mix", "first", "second")


def to_mono(samples: np.ndarray, channels: str = "mix") -> np.ndarray:
    """One channel of sound: [S] or [S, C] of int16 or floats → [S] float32 within [-1, 1].

    Args:
        samples: of one or more channels.
        channels: mix (their mean), first, second, or the number of one, from 1.

    Raises:
        AudioError: wrong shape, no such channel, or values that are not numbers.
    """
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2):
        raise AudioError(f"Samples must be [S] or [S, channels], found shape {samples.shape}.")
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples.astype(np.float32) / float(np.iinfo(samples.dtype).max + 1)
    samples = samples.astype(np.float32, copy=False)
    if samples.ndim == 2:
        samples = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if not np.isfinite(samples).all():
        raise AudioError("The samples hold NaN or infinity: the source that made them is broken.")
    return samples
