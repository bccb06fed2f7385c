"""The front-end's Fourier transform at half the work: samples that mirror each other share their products.

A Hann window is symmetric, and the phase of a frame does not show in its power. Counted from the window's middle the
cosines are even and the sines odd, so that the sum of two mirrored samples is all that the real part needs, and their
difference all that the imaginary part does. Bins that no mel band reads are left out. The operators are Slice, Gather,
Concat, Add, Sub and MatMul, which TensorRT has.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from custom_modules.frontend import FourierTransform, Frontend


def mirror(fourier: FourierTransform) -> int | None:
    """The number n for which samples i and n - i of a frame have the same weight, or None where the kernels are not
    those of a windowed transform: training moved them."""
    window = len(fourier.hann)
    fresh = FourierTransform(
        window,
        fourier.stride[0],
        fourier.n_fft,
        periodic=bool(fourier.hann[-1] > 1e-9),
        preemphasis=fourier.preemphasis,
    )
    if not torch.allclose(fresh.weight, fourier.weight.detach().cpu(), rtol=0.0, atol=1e-6):
        return None
    return window if fourier.hann[-1] > 1e-9 else window - 1


class FoldedFourier(nn.Module):
    """The power spectrum of `FourierTransform`, folded.

    Args:
        fourier: of a front-end; `mirror` is not None.
        bins: which of its bins are wanted, [K].
        samples: S where it is always the same, and the frames can be picked by their numbers; None where it varies.

    Shapes: samples [B, S] → power [B, K, 1 + (S - window) // hop].
    """

    def __init__(self, fourier: FourierTransform, bins: np.ndarray, samples: int | None = None):
        super().__init__()
        self.window, self.hop = len(fourier.hann), fourier.stride[0]
        self.preemphasis = fourier.preemphasis
        whole = self.window if bool(fourier.hann[-1] > 1e-9) else self.window - 1
        first = np.arange(1, whole // 2 + 1)  # the window begins with zero
        second = whole - first
        weight = (0.5 - 0.5 * np.cos(2 * np.pi * first / whole)) / np.where(first == second, 2, 1)
        angle = 2 * np.pi * np.outer(bins, first - whole / 2) / fourier.n_fft
        self.register_buffer("even", torch.tensor(np.cos(angle) * weight, dtype=torch.float32))
        self.register_buffer("odd", torch.tensor(np.sin(angle) * weight, dtype=torch.float32))
        places = np.stack([first, second])
        if samples is not None:
            places = places[:, :, None] + np.arange(1 + (samples - self.window) // self.hop) * self.hop  # [2, pairs, T]
        self.fixed = samples is not None
        self.register_buffer("first", torch.from_numpy(places[0]))
        self.register_buffer("second", torch.from_numpy(places[1]))

    def forward(self, samples: Tensor) -> Tensor:
        if self.preemphasis:
            # A frame's first sample has no weight, so that the one before the first of all is not missed.
            samples = samples - self.preemphasis * functional.pad(samples, (1, 0))[:, :-1]
        if self.fixed:
            first, second = samples[:, self.first], samples[:, self.second]  # [B, pairs, T]
        else:
            frames = self._frames(samples)
            first, second = frames.index_select(1, self.first), frames.index_select(1, self.second)
        real, imaginary = torch.matmul(self.even, first + second), torch.matmul(self.odd, first - second)
        return real * real + imaginary * imaginary

    def _frames(self, samples: Tensor) -> Tensor:
        """Samples [B, S] → [B, at least window, T]."""
        rows = -(-self.window // self.hop)
        count = torch.div(samples.shape[1] - self.window, self.hop, rounding_mode="floor") + 1
        padded = functional.pad(samples, (0, rows * self.hop - self.window))[:, : (count + rows - 1) * self.hop]
        hops = padded.reshape(samples.shape[0], -1, self.hop).transpose(1, 2)  # [B, hop, T + rows - 1]
        return torch.cat([hops[:, :, row : row + count] for row in range(rows)], dim=1)


def folded(frontend: Any, samples: int | None = None) -> Any:
    """A front-end that gives the same features for half the products; the same one where it cannot be folded.

    Args:
        frontend: in evaluation mode; it stays as it is.
        samples: see `FoldedFourier`.
    """
    if not isinstance(frontend, Frontend) or mirror(frontend.fourier) is None:
        return frontend
    cheap = copy.deepcopy(frontend)
    bins = np.arange(frontend.fourier.bins)
    if (bank := getattr(frontend, "bank", None)) is not None:
        bins = np.flatnonzero((bank[:, :, 0] != 0).any(dim=0).cpu().numpy())
        cheap.bank = nn.Parameter(bank.detach()[:, bins].clone(), requires_grad=False)
    cheap.fourier = FoldedFourier(frontend.fourier, bins, samples)
    return cheap
