"""Recordings from files and streams of bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import soundfile

from heyjetson.audio.channels import to_mono
from heyjetson.audio.rates import resample
from heyjetson.errors import AudioError

Source = str | os.PathLike[str] | BinaryIO


@dataclass(frozen=True)
class Sound:
    """What a file holds, or a segment of it.

    Args:
        samples: [S, C] float32, full scale is 1.
        rate: hertz.
        reader: libsndfile, PyAV or ffmpeg.
        missing: seconds that the file says it has and that are not there; 0 where it is whole.
        notes: sentences a user should read: what is missing, what a header said wrongly, what was mended.
    """

    samples: np.ndarray
    rate: int
    reader: str = "libsndfile"
    missing: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / self.rate


def read_sound(source: Source, *, offset: float = 0.0, duration: float | None = None) -> Sound:
    """Read a recording with all its channels at its own sample rate.

    Args:
        source: wav, flac, ogg, mp3, … by path, or opened.
        offset: seconds before the segment that is wanted.
        duration: seconds of it; to the end when None.

    Raises:
        AudioError: the file is missing, cannot be decoded, is empty, or ends before the segment does.
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
    start = round(offset * rate)
    end = len(samples) if duration is None else start + round(duration * rate)
    if not 0 <= start < end <= len(samples) + round(0.01 * rate):
        raise AudioError(
            f"{name} lasts {len(samples) / rate:.2f} s and has no segment of {start / rate:.2f} to {end / rate:.2f} s. "
            "Correct its offset and duration."
        )
    return Sound(samples[start:end], rate)


def read(
    source: Source, *, channels: str = "mix", offset: float = 0.0, duration: float | None = None
) -> tuple[np.ndarray, int]:
    """Read a recording as mono at its own sample rate; see `read_sound`.

    Args:
        source: wav, flac, ogg, mp3, … by path, or opened.
        channels: see `to_mono`.
        offset: seconds before the segment that is wanted.
        duration: seconds of it; to the end when None.

    Returns:
        samples [S] float32 and their rate, hertz.
    """
    sound = read_sound(source, offset=offset, duration=duration)
    return to_mono(sound.samples, channels), sound.rate


def load(
    source: Source, sample_rate: int, *, channels: str = "mix", offset: float = 0.0, duration: float | None = None
) -> np.ndarray:
    """Read a recording as mono at a sample rate, [S] float32; see `read`."""
    samples, rate = read(source, channels=channels, offset=offset, duration=duration)
    return resample(samples, rate, sample_rate)
