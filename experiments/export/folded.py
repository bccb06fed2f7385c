"""The front-end's Fourier transform at a half or a quarter of its products: samples that mirror each other share them.

A Hann window is symmetric, and the phase of a frame does not show in its power. Counted from the window's middle the
cosines are even and the sines odd, so that the sum of two mirrored samples is all that the real part needs, and their
difference all that the imaginary part does. Once more: cos(pi k - a) is cos(a) for even bins k and -cos(a) for odd
ones, so that half of the sums and differences do for the even bins, and half for the odd ones. Bins that no mel band
reads are left out. The operators are Gather, Slice, Concat, Add, Sub, Mul and MatMul, which TensorRT has.
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
        bins: which of its bins are wanted, [K]; they come out in the order of `order`.
        samples: S where it is always the same; None where it varies. Few frames are folded once, where a second time
            costs more operators than it saves products, and each of their samples is fetched where it is needed.

    Shapes: samples [B, S] → power [B, K, 1 + (S - window) // hop]; by `rows` [B, 1 + (S - window) // hop, K].
    """

    def __init__(self, fourier: FourierTransform, bins: np.ndarray, samples: int | None = None):
        super().__init__()
        self.window, self.hop = len(fourier.hann), fourier.stride[0]
        self.preemphasis = fourier.preemphasis
        whole = mirror(fourier)
        assert whole is not None
        middle, half = whole / 2, fourier.n_fft / 2
        twice = samples is None and fourier.n_fft % 2 == 0
        # Distances from the middle, from 0 or 1/2 on; sample 0 has no weight.
        near = middle - np.arange(whole // 2, 0, -1)
        parts = [bins[bins % 2 == 0], bins[bins % 2 == 1]] if twice else [bins]
        if twice:
            near = near[near <= half / 2]
            far = half - near  # its mirror, where the window reaches so far
        self.twice = twice
        self.order = np.concatenate(parts)
        places, weights = [], []
        for distance in (near, far) if twice else (near,):
            there = distance < middle
            at = np.where(there, middle - distance, 0).astype(np.int64)
            weight = np.where(there, 0.5 - 0.5 * np.cos(2 * np.pi * at / whole), 0.0)
            weight = np.where(distance == 0, weight / 2, weight)
            places.append(at)
            weights.append(np.where(distance == half / 2, weight / 2, weight) if twice else weight)
        first, weight = np.concatenate(places), np.concatenate(weights)
        angles = [2 * np.pi * np.outer(part, near) / fourier.n_fft for part in parts]
        for name, values in (("first", first), ("second", whole - first)):
            self.register_buffer(name, torch.from_numpy(np.minimum(values, self.window - 1)))
        scale = 1.0 if twice else weight  # folded once, the window is part of the kernels
        self.register_buffer("weight", torch.tensor(weight[:, None], dtype=torch.float32))
        for name, wave in (("even", np.cos), ("odd", np.sin)):
            for i, angle in enumerate(angles):
                self.register_buffer(f"{name}{i}", torch.tensor(wave(angle) * scale, dtype=torch.float32))
        self.fixed = samples is not None
        if samples is not None:
            starts = torch.arange(1 + (samples - self.window) // self.hop)[:, None] * self.hop
            self.register_buffer("first", starts + self.first)  # [T, pairs]
            self.register_buffer("second", starts + self.second)
            self.register_buffer("even0", self.even0.t().contiguous())
            self.register_buffer("odd0", self.odd0.t().contiguous())

    def rows(self, samples: Tensor) -> Tensor:
        """The power of each frame where S is always the same; kernels on the right are laid out once by the runtime."""
        samples = self._emphasised(samples)
        first, second = samples[:, self.first], samples[:, self.second]
        return _power(torch.matmul(first + second, self.even0), torch.matmul(first - second, self.odd0))

    def forward(self, samples: Tensor) -> Tensor:
        if self.fixed:
            return self.rows(samples).transpose(1, 2)
        frames = self._varying(self._emphasised(samples))
        first, second = frames.index_select(1, self.first), frames.index_select(1, self.second)
        sums, differences = first + second, first - second
        if not self.twice:
            return _power(torch.matmul(self.even0, sums), torch.matmul(self.odd0, differences))
        count = len(self.weight) // 2
        near, far = (sums * self.weight).split(count, dim=1)
        near_odd, far_odd = (differences * self.weight).split(count, dim=1)
        even = _power(torch.matmul(self.even0, near + far), torch.matmul(self.odd0, near_odd - far_odd))
        odd = _power(torch.matmul(self.even1, near - far), torch.matmul(self.odd1, near_odd + far_odd))
        return torch.cat([even, odd], dim=1)

    def _emphasised(self, samples: Tensor) -> Tensor:
        if not self.preemphasis:
            return samples
        # A frame's first sample has no weight, so that the one before the first of all is not missed.
        return samples - self.preemphasis * functional.pad(samples, (1, 0))[:, :-1]

    def _varying(self, samples: Tensor) -> Tensor:
        """Samples [B, S] → frames [B, at least window, T]."""
        rows = -(-self.window // self.hop)
        count = torch.div(samples.shape[1] - self.window, self.hop, rounding_mode="floor") + 1
        padded = functional.pad(samples, (0, rows * self.hop - self.window))[:, : (count + rows - 1) * self.hop]
        hops = padded.reshape(samples.shape[0], -1, self.hop).transpose(1, 2)  # [B, hop, T + rows - 1]
        return torch.cat([hops[:, :, row : row + count] for row in range(rows)], dim=1)


class Reordered(nn.Module):
    """Bins in another order: [B, K, T] → the same."""

    def __init__(self, order: np.ndarray):
        super().__init__()
        self.register_buffer("order", torch.from_numpy(order))

    def forward(self, power: Tensor) -> Tensor:
        return power.index_select(1, self.order)


def _power(real: Tensor, imaginary: Tensor) -> Tensor:
    return real * real + imaginary * imaginary


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
    cheap.fourier = FoldedFourier(frontend.fourier, bins, samples)
    if bank is not None:
        cheap.bank = nn.Parameter(bank.detach()[:, cheap.fourier.order].clone(), requires_grad=False)
    elif cheap.fourier.twice:
        cheap.fourier = nn.Sequential(cheap.fourier, Reordered(np.argsort(cheap.fourier.order)))
    return cheap
