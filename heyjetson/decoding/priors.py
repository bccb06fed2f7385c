"""How often a model gives each of its outputs, whatever it hears: a language model says that a second time.

Outputs are divided by a power of these (Miao, Gowayyed and Metze, EESEN, 2015), as those of hybrid models are: most of
what a CTC model gives is the blank, and what it is unsure of is left out rather than written.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

SMALLEST = 1e-4  # what hardly occurs where priors are estimated says little about how much rarer it is


@dataclass(frozen=True)
class Priors:
    """Of a model's outputs.

    Args:
        log: V + 1 natural-log probabilities, the blank last.
        scale: power that outputs are divided by; 0 leaves them as they are.
    """

    log: tuple[float, ...]
    scale: float

    def __post_init__(self) -> None:
        if not 0 <= self.scale < math.inf:
            raise ValueError(f"prior_scale must be 0 or more, found {self.scale}")
        if not all(value <= 0 and math.isfinite(value) for value in self.log):
            raise ValueError("priors must be natural logarithms of probabilities, at most 0")

    @classmethod
    def estimate(cls, pieces: Iterable[np.ndarray], blank_id: int, scale: float = 0.0) -> Priors:
        """Mean probabilities.

        Args:
            pieces: natural-log probabilities, [T, V + 1] each, of any speech; one at least.
            blank_id: column of the blank.
            scale: of the priors.
        """
        total, frames = 0.0, 0
        for piece in pieces:
            total, frames = total + np.exp(piece.astype(np.float64)).sum(axis=0), frames + len(piece)
        mean = np.maximum(total / frames, SMALLEST)
        mean = np.append(np.delete(mean, blank_id), mean[blank_id])
        return cls(tuple(np.log(mean / mean.sum()).round(5).tolist()), scale)

    def divide(self, rows: np.ndarray) -> np.ndarray:
        """What outputs say beyond the priors: log-probabilities [T, V + 1], the blank last."""
        rows = rows - self.scale * np.array(self.log)
        most = rows.max(axis=1, keepdims=True)
        return rows - most - np.log(np.exp(rows - most).sum(axis=1, keepdims=True))
