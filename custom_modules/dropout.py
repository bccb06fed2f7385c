"""Dropout that keeps its mask for a whole utterance."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class UtteranceDropout(nn.Dropout):
    """Drop the same features at every frame of an utterance (variational dropout: Gal and Ghahramani, 2016).

    A mask drawn for every frame lets a recurrence average the noise away; and drawing it takes a CPU as long as a
    convolution.

    Shapes: [B, T, H] → [B, T, H].
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return x * functional.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.p)
