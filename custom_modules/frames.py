"""Frames made one, and taken apart again."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def stack_frames(x: Tensor, length: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Make one frame of every `count` (Sak et al., 2015); the last one is filled up with zeros.

    Args:
        x: [B, T, D], zero beyond the lengths.
        length: [B].
        count: frames that become one.

    Returns:
        [B, ceil(T / count), count * D] and the new lengths.
    """
    frames = (x.shape[1] + count - 1) // count
    x = functional.pad(x, (0, 0, 0, count - 1))[:, : frames * count]
    length = torch.div(length + count - 1, count, rounding_mode="floor")
    return x.reshape(x.shape[0], frames, count * x.shape[2]), length


def unstack_frames(x: Tensor, frames: int, count: int) -> Tensor:
    """Take frames apart that `stack_frames` made, or that are as wide as such.

    Args:
        x: [B, ceil(frames / count), count * D].
        frames: that there were.
        count: frames that became one.

    Returns:
        [B, frames, D].
    """
    return x.reshape(x.shape[0], x.shape[1] * count, x.shape[2] // count)[:, :frames]
