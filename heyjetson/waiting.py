"""Pieces of sound that complete no step: kept as they came, so that almost nothing is touched for them.

In real time a stream finds the processor's caches taken by others each time it wakes. What a piece costs then is not
what is computed but how many functions and arrays are fetched for it, ten times what the same costs back to back.
"""

from __future__ import annotations

import numpy as np

SIXTEEN_BITS = np.dtype(np.int16)


class Waiting:
    """Pieces that are not looked at yet.

    Only 16-bit ones wait: other numbers are checked when they come, so that the one who brings them is told.

    Attributes:
        room: samples that must come before anything can be computed; 0 lets no piece wait.
    """

    def __init__(self) -> None:
        self.room = 0
        self._pieces: list[np.ndarray] = []

    def keeps(self, samples: np.ndarray) -> bool:
        """Whether a piece waits; else it and those before it are to be heard now, see `take`."""
        if type(samples) is not np.ndarray or samples.dtype is not SIXTEEN_BITS or samples.ndim != 1:
            return False
        if len(samples) >= self.room:
            return False
        self.room -= len(samples)
        self._pieces.append(samples.copy())  # whoever records may use the array again
        return True

    def joined(self, samples: np.ndarray) -> np.ndarray:
        """A piece that is to be heard now, with what waited before it where both are alike; else see `take`."""
        if not self._pieces or samples.dtype is not SIXTEEN_BITS or samples.ndim != 1:
            return samples
        whole = np.concatenate([*self._pieces, samples])
        self.clear()
        return whole

    def take(self) -> list[np.ndarray]:
        """What still waits, [S] int16; it waits no longer."""
        held = [np.concatenate(self._pieces)] if self._pieces else []
        self.clear()
        return held

    def clear(self) -> None:
        """Forget them, and let none wait."""
        self._pieces.clear()
        self.room = 0
