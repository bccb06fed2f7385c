"""Recordings from files: any format libsndfile reads, any sample rate, any number of channels."""

from __future__ import annotations

import os
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from heyjetson.errors import AudioError


def to_mono(samples: np.ndarray) -> np.ndarray:
    """Mean over channels: [S] or [S, C] of int16 or floats → [S] float32 within [-1, 1].

    Raises:
        AudioError: wrong shape, or values that are not numbers.
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


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Change the sample rate of a whole clip [S]."""
    if rate <= 0:
        raise AudioError(f"The sample rate must be positive, found {rate}.")
    return samples if rate == wanted else soxr.resample(samples, rate, wanted)


def read(source: str | os.PathLike[str] | BinaryIO) -> tuple[np.ndarray, int]:
    """Read a recording as mono at its own sample rate.

    Args:
        source: wav, flac, ogg, mp3, … by path, or opened.

    Returns:
        samples [S] float32 and their rate, hertz.

    Raises:
        AudioError: the file is missing, cannot be decoded, or is empty.
    """
    name = str(source) if isinstance(source, str | os.PathLike) else "standard input"
    if isinstance(source, str | os.PathLike) and not os.path.isfile(source):
        raise AudioError(f"There is no file {name}.")
    try:
        samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        reason = str(error).split(": ", 1)[-1].rstrip(".")
        raise AudioError(
            f"{name} cannot be decoded ({reason}). Convert it to wav or flac, or fetch it again."
        ) from None
    if len(samples) == 0:
        raise AudioError(f"{name} holds no samples.")
    return to_mono(samples), rate


def load(path: str | os.PathLike[str], sample_rate: int) -> np.ndarray:
    """Read a recording as mono at a sample rate, [S] float32; see `read`."""
    return resample(*read(path), sample_rate)
