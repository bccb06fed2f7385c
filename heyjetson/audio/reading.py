"""Recordings from files and streams of bytes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import numpy as np
import soundfile

from heyjetson.audio.rates import resample
from heyjetson.audio.sound import Length, Sound, Source
from heyjetson.errors import AudioError

LOG = logging.getLogger(__name__)
BLOCK = 1 << 16  # samples


def read_sound(
    source: Source, *, channels: str | None = None, offset: float = 0.0, duration: float | None = None
) -> Sound:
    """Read a recording at its own sample rate: all of it, or what is there with what is missing said.

    Args:
        source: wav, flac, ogg, mp3, m4a, … by path, as bytes, or opened.
        channels: None keeps them all, [S, C]; otherwise see `to_mono`, [S].
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
    sound = Sound(samples[start:end], rate)
    return sound if channels is None else sound.mono(channels)


def read(
    source: Source, *, channels: str = "mix", offset: float = 0.0, duration: float | None = None
) -> tuple[np.ndarray, int]:
    """Read a recording as mono at its own sample rate; what `read_sound` notes is a warning in the log.

    Args:
        source: see `read_sound`.
        channels: see `to_mono`.
        offset: seconds before the segment that is wanted.
        duration: seconds of it; to the end when None.

    Returns:
        samples [S] float32 and their rate, hertz.

    Raises:
        AudioError: see `read_sound`.
    """
    sound = read_sound(source, channels=channels, offset=offset, duration=duration)
    name = str(source) if isinstance(source, str | os.PathLike) else "standard input"
    for note in sound.notes:
        LOG.warning("%s: %s", name, note)
    return sound.samples, sound.rate


def load(
    source: Source, sample_rate: int, *, channels: str = "mix", offset: float = 0.0, duration: float | None = None
) -> np.ndarray:
    """Read a recording as mono at a sample rate, [S] float32; see `read`."""
    samples, rate = read(source, channels=channels, offset=offset, duration=duration)
    return resample(samples, rate, sample_rate)


def measure(source: Source) -> Length:
    """How long is a recording in truth? From the header where that can be trusted, else by decoding it.

    Args:
        source: see `read_sound`.

    Raises:
        AudioError: see `read_sound`.
    """
    sound = read_sound(source)
    return Length(sound.seconds, sound.rate, sound.channels, sound.missing, sound.notes)


class SoundStream:
    """A recording that is read block by block, for what is too long to be held; made by `open_sound`.

    Attributes:
        rate: hertz.
        channels: how many.
        missing: see `Sound`; known once the blocks are through.
        notes: see `Sound`; complete once the blocks are through.
    """

    def __init__(self, source: Source, offset: float, duration: float | None):
        self._sound = read_sound(source, offset=offset, duration=duration)
        self.rate, self.channels = self._sound.rate, self._sound.channels
        self.missing, self.notes = self._sound.missing, self._sound.notes

    def __enter__(self) -> SoundStream:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def blocks(self, size: int = BLOCK) -> Iterator[np.ndarray]:
        """Blocks [at most `size`, C] float32, none of them empty.

        Raises:
            AudioError: what follows cannot be decoded.
        """
        for start in range(0, len(self._sound.samples), size):
            yield self._sound.samples[start : start + size]


def open_sound(source: Source, *, offset: float = 0.0, duration: float | None = None) -> SoundStream:
    """Open a recording to read it block by block; a context manager. Arguments and errors are those of `read_sound`."""
    return SoundStream(source, offset, duration)
