"""Normalisation that padding cannot touch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation whose statistics are taken over real frames only.

    Shapes: x [B, T, H], mask [B, T, 1] → [B, T, H].
    """

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if not self.training:
            scale = self.weight * torch.rsqrt(self.running_var + self.eps)
            return (x - self.running_mean) * scale + self.bias
        frames = x.reshape(-1, x.shape[2])
        real = mask.reshape(-1).nonzero()[:, 0]
        normalised = super().forward(frames.index_select(0, real))
        return normalised.new_zeros(frames.shape).index_copy(0, real, normalised).reshape(x.shape)


class MaskedLayerNorm(nn.LayerNorm):
    """Layer normalisation with the same call as `MaskedBatchNorm`; each frame is normalised alone."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().forward(x)


class NoNorm(nn.Module):
    """No normalisation, with the same call."""

    def __init__(self, _features: int):
        super().__init__()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return x


KINDS = {"batch": MaskedBatchNorm, "layer": MaskedLayerNorm, "none": NoNorm}


def make_norm(kind: str, features: int) -> nn.Module:
    """A normalisation by its name in conf: `batch`, `layer` or `none`."""
    if kind not in KINDS:
        raise ValueError(f"Unknown normalisation {kind!r}; choose one of {', '.join(KINDS)}.")
    return KINDS[kind](features)
