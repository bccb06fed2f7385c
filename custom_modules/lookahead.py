"""A convolution that looks a few frames ahead: what a unidirectional model sees of the future."""

from __future__ import annotations

import torch
from nemo.core.classes import typecheck
from torch import Tensor, nn
from torch.nn import functional

from custom_modules.frontend import frame_mask
from custom_modules.ports import FrameModule


class Lookahead(FrameModule):
    """Each feature of a frame becomes a weighted sum of itself and of the frames that follow (row convolution: Amodei
    et al., "Deep Speech 2", 2016), with a residual, so that it begins as the identity.

    Args:
        features: H, in and out.
        frames: how many of the frames that follow are seen; 0 sees none and costs nothing.

    Shapes: audio_signal [B, T, H], length [B] → [B, T, H], [B].
    """

    def __init__(self, features: int, frames: int):
        super().__init__()
        if frames < 0:
            raise ValueError(f"encoder.lookahead must be 0 or more frames, found {frames}.")
        self.frames = frames
        self.features = features
        self.weight = nn.Parameter(torch.zeros(features, 1, frames + 1)) if frames else None

    @typecheck()
    def forward(self, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        if self.weight is None:
            return audio_signal, length
        mask = frame_mask(length, audio_signal.shape[1])
        return self._convolve(functional.pad(audio_signal, (0, 0, 0, self.frames)), mask), length

    def _convolve(self, seen: Tensor, mask: Tensor) -> Tensor:
        """Frames and those that follow [B, T + frames, H] with the mask [B, T] of the former → [B, T, H]."""
        ahead = functional.conv1d(seen.transpose(1, 2), self.weight, groups=self.features).transpose(1, 2)
        return (seen[:, : mask.shape[1]] + ahead) * mask[..., None].to(seen.dtype)

    def initial_state(self) -> dict[str, tuple[int, ...]]:
        """Shapes, without the batch, of what a stream keeps between its steps; all begin with zeros."""
        return {"waiting": (self.frames, self.features), "mask": (self.frames,)} if self.frames else {}

    def step(self, x: Tensor, mask: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The next frames of a stream, `frames` late: the first ones to come out hold no sound, and say so.

        Args:
            x: [B, T, H], zero where there is no sound.
            mask: [B, T], 1 where there is sound.
            state: of the step before.

        Returns:
            y [B, T, H], its mask and the next state.
        """
        if not self.frames:
            return x, mask, {}
        count = x.shape[1]
        seen = torch.cat([state["waiting"], x], dim=1)
        masks = torch.cat([state["mask"], mask], dim=1)
        following = {"waiting": seen[:, count:], "mask": masks[:, count:]}
        return self._convolve(seen, masks[:, :count]), masks[:, :count], following
