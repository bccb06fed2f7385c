"""How loud a recording is over its time, as it comes in."""

from __future__ import annotations

import math

import numpy as np

BLOCK = 0.01  # seconds
SILENT = -120.0  # decibels of full scale, of what holds no sound at all
FIRST = 256  # blocks that are kept room for at first
SETTLES = 100  # blocks in which a converter's offset from zero is followed


class Loudness:
    """The level of each hundredth of a second of a recording, however its samples are cut, without a constant offset.

    Four bytes are kept for each, until `reset` or `forget`.

    Args:
        rate: hertz.
        ahead: seconds of sound behind the beginning of a frame that are heard before the model gives the frame; with
            whole recordings all of it is.
    """

    def __init__(self, rate: int, ahead: float = math.inf):
        self.rate, self.ahead = rate, ahead
        self.block = max(round(BLOCK * rate), 1)  # samples
        self.reset()

    def reset(self, position: int = 0) -> None:
        """Forget everything; the next sample is number `position`."""
        self._begin = position
        self._rest = np.zeros(0, np.float32)
        self._levels = np.empty(FIRST, np.float32)
        self._count = 0
        self._offset, self._seen = 0.0, 0

    def forget(self, before: float) -> None:
        """Let go of what lies before some second, where that is much."""
        count = min(int((before * self.rate - self._begin) / self.block), self._count)
        if count >= FIRST:
            self._levels = np.concatenate([self._levels[count : self._count], np.empty(FIRST, np.float32)])
            self._begin += count * self.block
            self._count -= count

    @property
    def end(self) -> float:
        """Seconds at which what was heard ends."""
        return (self._begin + self._count * self.block + len(self._rest)) / self.rate

    def hear(self, samples: np.ndarray) -> None:
        """Take the next samples, [S] float32."""
        samples = np.concatenate([self._rest, samples])
        count = len(samples) // self.block
        self._rest = samples[count * self.block :].copy()
        if not count:
            return
        blocks = samples[: count * self.block].astype(np.float64).reshape(count, self.block)
        around = self._offsets(blocks.mean(axis=1))
        levels = 10 * np.log10(np.square(blocks - around[:, None]).mean(axis=1) + 10 ** (SILENT / 10))
        while self._count + count > len(self._levels):
            self._levels = np.concatenate([self._levels, np.empty_like(self._levels)])
        self._levels[self._count : self._count + count] = levels
        self._count += count

    def _offsets(self, means: np.ndarray) -> np.ndarray:
        """What the samples lie around in each block: the mean of all at first, then of the last second or so."""
        found = np.empty_like(means)
        for block, mean in enumerate(means.tolist()):
            self._seen = min(self._seen + 1, SETTLES)
            self._offset += (mean - self._offset) / self._seen
            found[block] = self._offset
        return found

    def between(self, begin: float, end: float) -> tuple[float, np.ndarray]:
        """The whole blocks that lie in a stretch.

        Args:
            begin, end: seconds.

        Returns:
            second at which the first of them begins, and their levels [N] in decibels of full scale.
        """
        first = max(int(np.ceil(round((begin * self.rate - self._begin) / self.block, 6))), 0)
        last = max(min(int(round((end * self.rate - self._begin) / self.block, 6)), self._count), first)
        return (self._begin + first * self.block) / self.rate, self._levels[first:last]
