"""Self-attention over the frames of an utterance, written with matmul and softmax so that it exports at any length."""

from __future__ import annotations

import torch
from nemo.core.classes import NeuralModule, typecheck
from torch import Tensor, nn

from custom_modules.frontend import frame_mask
from custom_modules.ports import FrameModule

MASKED = -1.0e4  # far below any score, and still a half-precision number


class MultiplicativeAttention(FrameModule):
    """The attention of Hey, Jetson!: scores `x W x'`, values the inputs themselves (keras-self-attention's
    multiplicative `SeqSelfAttention`). Its additive bias cancels in the softmax and is left out.

    Args:
        features: H, in and out.
        residual: add the input; the original replaced it.
        scaled: divide the scores by the root of the width, so that they do not grow with it (Vaswani et al., 2017).

    Shapes: audio_signal [B, T, H], length [B] → [B, T, H], [B].
    """

    def __init__(self, features: int, residual: bool = False, scaled: bool = False):
        super().__init__()
        self.scale = features**-0.5 if scaled else 1.0
        self.weight = nn.Linear(features, features, bias=False)
        nn.init.xavier_normal_(self.weight.weight)
        self.residual = residual

    @typecheck()
    def forward(self, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        mask = frame_mask(length, audio_signal.shape[1])
        scores = torch.matmul(self.weight(audio_signal) * self.scale, audio_signal.transpose(1, 2))  # [B, T, T]
        shares = scores.masked_fill(~mask[:, None, :], MASKED).softmax(dim=2)
        y = torch.matmul(shares, audio_signal)
        if self.residual:
            y = y + audio_signal
        return y * mask[..., None].to(y.dtype), length


class MultiHeadAttention(FrameModule):
    """Scaled dot-product attention with several heads, pre-normalised and residual (Vaswani et al., 2017).

    Args:
        features: H, in and out.
        heads: must divide `features`.
        dropout: share of the attention's output set to zero in training.

    Shapes: audio_signal [B, T, H], length [B] → [B, T, H], [B].
    """

    def __init__(self, features: int, heads: int = 4, dropout: float = 0.0):
        super().__init__()
        if features % heads:
            raise ValueError(f"encoder.attention.heads={heads} must divide the encoder's width, {features}.")
        self.heads = heads
        self.norm = nn.LayerNorm(features)
        self.project = nn.Linear(features, 3 * features)
        self.stacked_matrices = {"project.weight": 3}  # queries, keys, values
        self.merge = nn.Linear(features, features)
        self.dropout = nn.Dropout(dropout)

    @typecheck()
    def forward(self, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        batch, frames, features = audio_signal.shape
        mask = frame_mask(length, frames)
        projected = self.project(self.norm(audio_signal)).reshape(batch, frames, 3, self.heads, features // self.heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)  # [B, heads, T, H / heads] each
        scores = torch.matmul(query, key.transpose(2, 3)) * (features // self.heads) ** -0.5
        shares = scores.masked_fill(~mask[:, None, None, :], MASKED).softmax(dim=3)
        heard = torch.matmul(shares, value).transpose(1, 2).reshape(batch, frames, features)
        y = audio_signal + self.dropout(self.merge(heard))
        return y * mask[..., None].to(y.dtype), length


class LeftContextAttention(MultiHeadAttention):
    """Multi-head attention of each frame to itself and to the `left` frames before it, so that it can stream.

    Args:
        features: H, in and out.
        left: frames that are looked back at, and kept between the steps of a stream.
        heads: must divide `features`.
        dropout: share of the attention's output set to zero in training.

    Shapes: audio_signal [B, T, H], length [B] → [B, T, H], [B].
    """

    def __init__(self, features: int, left: int, heads: int = 4, dropout: float = 0.0):
        super().__init__(features, heads, dropout)
        if left < 1:
            raise ValueError(f"encoder.attention.left must be at least 1 frame, found {left}.")
        self.features = features
        self.left = left

    @typecheck()
    def forward(self, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        mask = frame_mask(length, audio_signal.shape[1]).to(audio_signal.dtype)
        batch = audio_signal.shape[0]
        start = {name: audio_signal.new_zeros(batch, *shape) for name, shape in self.initial_state().items()}
        return self.step(audio_signal, mask, start)[0], length

    def initial_state(self) -> dict[str, tuple[int, ...]]:
        """Shapes, without the batch, of what a stream keeps between its steps; all begin with zeros."""
        return {"keys": (self.left, self.features), "values": (self.left, self.features), "mask": (self.left,)}

    def step(self, x: Tensor, mask: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The next frames of a stream.

        Args:
            x: [B, T, H].
            mask: [B, T], 1 where there is sound.
            state: of the step before.

        Returns:
            y [B, T, H], the mask and the next state.
        """
        frames = x.shape[1]
        query, key, value = self.project(self.norm(x)).chunk(3, dim=2)
        keys = torch.cat([state["keys"], key], dim=1)
        values = torch.cat([state["values"], value], dim=1)
        masks = torch.cat([state["mask"], mask], dim=1)  # [B, left + T]
        place = torch.arange(frames + self.left, device=x.device) - torch.arange(frames, device=x.device)[:, None]
        allowed = (place >= 0) & (place <= self.left) & (masks[:, None, None, :] > 0)  # [B, 1, T, left + T]
        scores = torch.matmul(self._split(query), self._split(keys).transpose(2, 3))
        shares = (scores * (self.features // self.heads) ** -0.5).masked_fill(~allowed, MASKED).softmax(dim=3)
        heard = torch.matmul(shares, self._split(values)).transpose(1, 2).flatten(2)
        y = (x + self.dropout(self.merge(heard))) * mask[..., None]
        kept = {"keys": keys[:, -self.left :], "values": values[:, -self.left :], "mask": masks[:, -self.left :]}
        return y, mask, kept

    def _split(self, x: Tensor) -> Tensor:
        """[B, T, H] → [B, heads, T, H / heads]."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


KINDS = ("none", "multiplicative", "multi_head")


def make_attention(
    kind: str, features: int, heads: int, residual: bool, dropout: float, scaled: bool = False
) -> NeuralModule | None:
    """An attention by its name in conf: `none`, `multiplicative` or `multi_head`, which is always scaled."""
    if kind not in KINDS:
        raise ValueError(f"Unknown attention {kind!r}; choose one of {', '.join(KINDS)}.")
    if kind == "multiplicative":
        return MultiplicativeAttention(features, residual, scaled)
    return MultiHeadAttention(features, heads, dropout) if kind == "multi_head" else None
