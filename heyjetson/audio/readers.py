"""What a reader of sound can do, and how it fails."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class UnreadableError(Exception):
    """This reader cannot open the file; another one may.

    Args:
        reason: why, without the file's name.
        unknown: it does not know the format.
    """

    def __init__(self, reason: str, unknown: bool = False):
        super().__init__(reason)
        self.unknown = unknown


class BrokenError(Exception):
    """This reader cannot go on; another one may."""


class Reader(Protocol):
    """A decoder at work on one file.

    Attributes:
        name: libsndfile, PyAV or ffmpeg.
        rate: hertz.
        channels: how many.
        missing: seconds that are known to be missing, once all is read.
        notes: what a user should know, once all is read.
    """

    name: str
    rate: int
    channels: int
    missing: float
    notes: list[str]

    @property
    def frames(self) -> int | None:
        """Of the whole file where that is known without decoding it."""

    def skip(self, count: int) -> int:
        """Leave frames out; how many there were."""

    def read(self, count: int) -> np.ndarray:
        """Frames [at most `count`, C] float32; none at the end.

        Raises:
            BrokenError: what follows cannot be decoded.
        """

    def close(self) -> None:
        """Let go of the decoder, not of the file."""


def decode_past(reader: Reader, count: int) -> int:
    """Leave frames out where a reader cannot seek to those behind them; how many there were."""
    left = count
    while left and len(block := reader.read(min(left, 1 << 16))):
        left -= len(block)
    return count - left
