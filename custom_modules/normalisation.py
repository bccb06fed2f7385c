"""Normalisation that padding cannot touch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class MaskedBatchNorm(nn.modules.batchnorm._NormBase):
    """Batch normalisation whose statistics are taken over real frames only.

    Not one of torch's own: `trainer.sync_batchnorm` would replace those by a module that knows no mask. Instead
    `across_ranks` has the statistics span all processes of a run.

    Shapes: x [B, T, H], or [B, T, F, H] with F bands a frame, mask [B, T, 1] → as x.
    """

    across_ranks = False

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        if not self.training:
            scale = self.weight * torch.rsqrt(self.running_var + self.eps)
            return (x - self.running_mean) * scale + self.bias
        self.num_batches_tracked.add_(1)
        if x.device.type != "cpu" or x.dtype != torch.float32 or self.across_ranks:
            return self._from_sums(x, mask)
        frames = x.reshape(mask.numel(), -1)  # what lies in a frame is moved together
        real = mask.reshape(-1).nonzero()[:, 0]
        picked = frames.index_select(0, real)
        normalised = functional.batch_norm(
            picked.reshape(-1, x.shape[-1]),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=True,
            momentum=self.momentum,
            eps=self.eps,
        )
        return frames.new_zeros(frames.shape).index_copy(0, real, normalised.reshape(picked.shape)).reshape(x.shape)

    def _from_sums(self, x: Tensor, mask: Tensor) -> Tensor:
        """The same without picking out frames, which makes an accelerator's host wait; one exchange between ranks."""
        if x.dim() == 4:
            return self._from_sums(x.flatten(1, 2), mask.repeat_interleave(x.shape[2], 1)).reshape(x.shape)
        real = mask.float()
        # The running mean is near the batch's, so that the difference of squares loses no digits.
        moved = (x.float() - self.running_mean) * real
        sums = torch.cat([real.sum()[None], moved.sum(dim=(0, 1)), moved.square().sum(dim=(0, 1))])
        if self.across_ranks:
            sums = _SumOverRanks.apply(sums)
        count = sums[0]
        mean, square = (sums[1:] / count).chunk(2)
        variance = (square - mean.square()).clamp_min(0.0)
        y = (moved - mean) * torch.rsqrt(variance + self.eps) * self.weight + self.bias
        with torch.no_grad():
            self.running_mean.add_(self.momentum * mean)
            unbiased = variance * count / (count - 1.0).clamp_min(1.0)
            self.running_var.lerp_(unbiased, self.momentum)
        return (y * real).to(x.dtype)


class _SumOverRanks(torch.autograd.Function):
    """The sum of a tensor over all processes, in both directions."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _SumOverRanks.forward(ctx, gradient)


class KerasBatchNorm(MaskedBatchNorm):
    """The same with Keras's defaults: running statistics that move by a hundredth, and a larger epsilon."""

    def __init__(self, features: int):
        super().__init__(features, eps=1e-3, momentum=0.01)


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


KINDS = {"batch": MaskedBatchNorm, "layer": MaskedLayerNorm, "none": NoNorm, "keras_batch": KerasBatchNorm}


def make_norm(kind: str, features: int) -> nn.Module:
    """A normalisation by its name in conf: `batch`, `layer`, `none` or `keras_batch`."""
    if kind not in KINDS:
        raise ValueError(f"Unknown normalisation {kind!r}; choose one of {', '.join(KINDS)}.")
    return KINDS[kind](features)
