"""Self-attention over the frames of an utterance, written with matmul and softmax so that it exports at any length."""

from __future__ import annotations

import torch
from nemo.core.classes import NeuralModule, typecheck
from nemo.core.neural_types import AcousticEncodedRepresentation, LengthsType, NeuralType
from torch import Tensor, nn

from custom_modules.frontend import frame_mask

MASKED = -1.0e4  # far below any score, and still a half-precision number


class _Attention(NeuralModule):
    @property
    def input_types(self):
        return {
            "audio_signal": NeuralType(("B", "T", "D"), AcousticEncodedRepresentation()),
            "length": NeuralType(tuple("B"), LengthsType()),
        }

    @property
    def output_types(self):
        return {
            "outputs": NeuralType(("B", "T", "D"), AcousticEncodedRepresentation()),
            "encoded_lengths": NeuralType(tuple("B"), LengthsType()),
        }


class MultiplicativeAttention(_Attention):
    """The attention of Hey, Jetson!: scores `x W x'`, values the inputs themselves (keras-self-attention's
    multiplicative `SeqSelfAttention`). Its additive bias cancels in the softmax and is left out.

    Args:
        features: H, in and out.
        residual: add the input; the original replaced it.

    Shapes: audio_signal [B, T, H], length [B] → [B, T, H], [B].
    """

    def __init__(self, features: int, residual: bool = False):
        super().__init__()
        self.weight = nn.Linear(features, features, bias=False)
        nn.init.xavier_normal_(self.weight.weight)
        self.residual = residual

    @typecheck()
    def forward(self, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        mask = frame_mask(length, audio_signal.shape[1])
        scores = torch.matmul(self.weight(audio_signal), audio_signal.transpose(1, 2))  # [B, T, T]
        shares = scores.masked_fill(~mask[:, None, :], MASKED).softmax(dim=2)
        y = torch.matmul(shares, audio_signal)
        if self.residual:
            y = y + audio_signal
        return y * mask[..., None].to(y.dtype), length


class MultiHeadAttention(_Attention):
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


KINDS = ("none", "multiplicative", "multi_head")


def make_attention(kind: str, features: int, heads: int, residual: bool, dropout: float) -> NeuralModule | None:
    """An attention by its name in conf: `none`, `multiplicative` or `multi_head`."""
    if kind not in KINDS:
        raise ValueError(f"Unknown attention {kind!r}; choose one of {', '.join(KINDS)}.")
    if kind == "multiplicative":
        return MultiplicativeAttention(features, residual)
    return MultiHeadAttention(features, heads, dropout) if kind == "multi_head" else None
