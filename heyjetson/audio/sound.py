"""What is read."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from heyjetson.audio.channels import choose

Source = str | os.PathLike[str] | bytes | BinaryIO


@dataclass(frozen=True)
class Sound:
    """What a file holds, or a segment of it.

    Args:
        samples: [S, C] float32, full scale is 1; [S] where one channel was asked for.
        rate: hertz.
        reader: libsndfile, PyAV, ffmpeg, or wav where no decoder was needed.
        missing: seconds that are known to be missing, at least; 0 where all that the file ever held is there.
        notes: sentences a user should read: what is missing, what a header said wrongly, what was fixed, which
            channel was taken. They do not name the file.
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

    @property
    def channels(self) -> int:
        """How many there are."""
        return 1 if self.samples.ndim == 1 else self.samples.shape[1]

    def mono(self, channels: str = "mix") -> Sound:
        """The same with samples [S]; see `to_mono`. A mix that would cancel is said in its notes."""
        samples, note = choose(self.samples, channels)
        return replace(self, samples=samples, notes=(*self.notes, note) if note else self.notes)


@dataclass(frozen=True)
class Length:
    """How much a file holds, as it would be read.

    Args:
        seconds: its true length.
        rate: hertz.
        channels: how many.
        missing: see `Sound`.
        notes: see `Sound`.
    """

    seconds: float
    rate: int
    channels: int
    missing: float = 0.0
    notes: tuple[str, ...] = ()
