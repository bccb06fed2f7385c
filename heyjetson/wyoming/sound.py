"""The sound of Wyoming's clients as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from wyoming.audio import AudioFormat

from heyjetson.audio.rates import HIGHEST_RATE, LOWEST_RATE
from heyjetson.errors import AudioError

CHANNELS = 8


@dataclass(frozen=True)
class SoundFormat:
    """How a client sends its samples.

    Args:
        rate: hertz.
        width: bytes of a sample, 1 to 4; one byte has no sign, as in wav files.
        channels: how many.

    Raises:
        AudioError: they cannot be used.
    """

    rate: int
    width: int
    channels: int

    def __post_init__(self) -> None:
        bounds = {"rate": (LOWEST_RATE, HIGHEST_RATE), "width": (1, 4), "channels": (1, CHANNELS)}
        for name, (lowest, highest) in bounds.items():
            value = getattr(self, name)
            if type(value) is not int or not lowest <= value <= highest:
                raise AudioError(
                    f"The {name} of the sound must lie between {lowest} and {highest}, found {value!s:.40}."
                )

    @classmethod
    def of(cls, told: AudioFormat) -> SoundFormat:
        """That of an event."""
        return cls(told.rate, told.width, told.channels)

    def samples(self, sound: bytes) -> np.ndarray:
        """Little-endian PCM as [S, channels], int16 or float32.

        Raises:
            AudioError: a part of a sample.
        """
        if len(sound) % (self.width * self.channels):
            raise AudioError(
                f"A chunk of sound must hold whole samples of {self.channels} x {self.width} bytes, found {len(sound)}."
            )
        numbers: np.ndarray
        if self.width == 2:
            numbers = np.frombuffer(sound, "<i2").astype(np.int16, copy=False)
        elif self.width == 4:
            numbers = np.frombuffer(sound, "<i4").astype(np.float32) / 2**31
        elif self.width == 1:
            numbers = (np.frombuffer(sound, np.uint8).astype(np.float32) - 128) / 128
        else:  # the upper bytes of 32 bits
            padded = np.zeros((len(sound) // 3, 4), np.uint8)
            padded[:, 1:] = np.frombuffer(sound, np.uint8).reshape(-1, 3)
            numbers = padded.view("<i4")[:, 0].astype(np.float32) / 2**31
        return numbers.reshape(-1, self.channels)
