"""Perturbation of the waveform in training: speed, level and colour, drawn for each utterance.

All are vectorised over the batch and need no file access, so they cost a few per cent of a step on a CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def resample(samples: Tensor, length: Tensor, speed: Tensor) -> tuple[Tensor, Tensor]:
    """Play each utterance faster or slower, pitch and formants included, by cubic interpolation (Catmull-Rom).

    Linear interpolation would be a little cheaper, but it puts images of the speech where telephone sound has nothing,
    and a model that trains on them is lost without them.

    Args:
        samples: [B, S], zero beyond each length.
        length: [B] samples.
        speed: [B], above 1 is faster.

    Returns:
        samples: [B, S'].
        length: [B].
    """
    new_length = torch.div(length, speed, rounding_mode="floor").to(length.dtype).clamp_min(1)
    position = torch.outer(speed, torch.arange(int(new_length.max()), dtype=speed.dtype, device=speed.device))
    index = position.int()  # half the traffic of int64
    part = position.sub_(index).view(-1)
    padded = functional.pad(samples, (1, max(int(index[:, -1].max()) + 3 - samples.shape[1], 0)))
    starts = torch.arange(len(samples), dtype=index.dtype, device=index.device) * padded.shape[1]
    rows, flat = (index + starts[:, None]).view(-1), padded.view(-1)
    a, b, c, d = (flat[k:].index_select(0, rows) for k in range(4))
    # b + part / 2 * (c - a + part * (2 a - 5 b + 4 c - d + part * (3 (b - c) + d - a))), in place
    curve = torch.sub(d, a).add_(b, alpha=3).sub_(c, alpha=3).mul_(part)
    curve.add_(a, alpha=2).sub_(b, alpha=5).add_(c, alpha=4).sub_(d).mul_(part).add_(c).sub_(a).mul_(part)
    played = b.add_(curve, alpha=0.5).view(index.shape)
    return played * (torch.arange(played.shape[1], device=length.device) < new_length[:, None]), new_length


class WaveformPerturbation(nn.Module):
    """Speed, level, colour and noise drawn anew for every utterance of every batch.

    Args:
        speed: largest relative change; 0.1 plays at 0.9 to 1.1 times the speed.
        level: largest change of level in decibels, both ways.
        colour: largest coefficient of a one-zero filter that tilts the spectrum, below 1.
        noise: level of the loudest white noise, decibels below the utterance; null for none.
        ramp: share of the budget over which all of these grow from nothing. CTC first has to find out that there are
            letters at all, and finds it sooner in clean speech.
    """

    def __init__(
        self,
        speed: float = 0.0,
        level: float = 0.0,
        colour: float = 0.0,
        noise: float | None = None,
        ramp: float = 0.0,
    ):
        super().__init__()
        if not 0 <= speed < 0.5:
            raise ValueError(f"augment.waveform.speed must be at least 0 and below 0.5, found {speed}.")
        if not 0 <= colour < 1:
            raise ValueError(f"augment.waveform.colour must be at least 0 and below 1, found {colour}.")
        self.speed, self.level, self.colour, self.noise = speed, level, colour, noise
        self.ramp = ramp
        self.strength = 1.0  # share of the ranges in use; the model raises it from 0 as training begins

    def forward(self, samples: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Samples [B, S] and length [B] in and out."""
        size = len(samples)

        def draw(largest: float) -> Tensor:
            largest *= self.strength
            return torch.empty(size, device=samples.device).uniform_(-largest, largest)

        if self.speed:
            samples, length = resample(samples, length, 1 + draw(self.speed))
        if self.colour:
            tilted = samples.clone()
            tilted[:, 1:] -= draw(self.colour)[:, None] * samples[:, :-1]
            samples = tilted
        if self.noise is not None:
            power = samples.square().sum(1) / length
            quieter = torch.empty(size, device=samples.device).uniform_(self.noise, self.noise + 40.0)
            scale = self.strength * (power * 10 ** (-quieter / 10)).sqrt()
            samples = samples + scale[:, None] * torch.randn_like(samples)
        if self.level:
            samples = samples * (10 ** (draw(self.level) / 20))[:, None]
        mask = torch.arange(samples.shape[1], device=samples.device) < length[:, None]
        return samples * mask, length
