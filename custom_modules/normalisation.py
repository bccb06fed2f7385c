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
        weights = mask.to(torch.float32)
        count = weights.sum().clamp_min(1.0)
        values = x.float()
        mean = (values * weights).sum(dim=(0, 1)) / count
        variance = ((values - mean).square() * weights).sum(dim=(0, 1)) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1).clamp_min(1.0), self.momentum)
            self.num_batches_tracked += 1
        return ((values - mean) * torch.rsqrt(variance + self.eps) * self.weight + self.bias).to(x.dtype)


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
