"""Stochastic depth: in each step of training some residual layers are left out (Huang et al., 2016)."""

from __future__ import annotations

import random

import torch
from torch import nn

LEAST = 0.1  # chance of the topmost layer to run, where half of the layers or fewer do


class StochasticDepth(nn.Module):
    """Draws which layers run. Lower layers run more often, and all of them do at the end of the budget, when what is
    learned is what will be used.

    Draws follow from the seed, the place in the budget and the passes since, and from nothing that the processes of a
    run differ in: all of them leave out the same layers, and so does a run that was continued.

    Args:
        layers: how many.
        share: of the layers that is left out of a step at the start; it falls to 0 in a straight line.
    """

    def __init__(self, layers: int, share: float):
        super().__init__()
        if not 0.0 <= share < 1.0:
            raise ValueError(f"encoder.recurrent.stochastic_depth is a share of the layers below 1, found {share}.")
        self.layers, self.share = layers, share
        self.seed = torch.initial_seed()
        self.used, self.passes = 0.0, 0

    def follow(self, used: float) -> None:
        """Go to a place in the budget, from 0 to 1."""
        self.used, self.passes = used, 0

    def chances(self) -> list[float]:
        """That each layer runs, from the lowest on, in equal steps.

        >>> StochasticDepth(5, 0.4).chances()
        [1.0, 0.8, 0.6, 0.4, 0.2]
        """
        mean = 1.0 - self.share * (1.0 - min(self.used, 1.0))
        top = max(2 * mean - 1, min(LEAST, mean))
        bottom = min(2 * mean - top, 1.0)
        return [round(bottom + (top - bottom) * i / max(self.layers - 1, 1), 9) for i in range(self.layers)]

    def draw(self) -> list[bool]:
        """Whether each layer runs in this pass."""
        if not self.training or not self.share:
            return [True] * self.layers
        drawn = random.Random(f"{self.seed} {self.used!r} {self.passes}")
        self.passes += 1
        return [drawn.random() < chance for chance in self.chances()]
