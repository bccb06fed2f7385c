"""The encoders of Hey, Jetson!: dilated convolutions, recurrences, attention, time-distributed dense layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from nemo.core.classes import typecheck
from torch import Tensor, nn

from custom_modules.attention import make_attention
from custom_modules.convolution import ConvolutionStack, make_activation
from custom_modules.dropout import UtteranceDropout
from custom_modules.frames import stack_frames
from custom_modules.frontend import frame_mask
from custom_modules.ports import SpectrogramEncoder
from custom_modules.recurrent import RecurrentStack
from custom_modules.stem import SpectralStem


class TimeDistributedDense(nn.Sequential):
    """Dense layers applied to every frame alone.

    Args:
        feat_in: features in.
        units: width of each layer.
        activation: after each layer; without one, two layers are one (the original's mistake).
        dropout: share of outputs set to zero in training.

    Shapes: [B, T, feat_in] → [B, T, units[-1]].
    """

    def __init__(self, feat_in: int, units: Sequence[int], activation: str = "relu", dropout: float = 0.0):
        widths = [feat_in, *units]
        layers: list[nn.Module] = []
        for i in range(len(units)):
            layers += [nn.Linear(widths[i], widths[i + 1]), make_activation(activation), UtteranceDropout(dropout)]
        super().__init__(*layers)
        self.feat_out = widths[-1]


def draw_glorot(module: nn.Module) -> None:
    """Draw a convolution's or a dense layer's weights as Keras does (uniform: Glorot and Bengio, 2010); biases zero."""
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


class HeyJetsonEncoder(SpectrogramEncoder):
    """[Stem →] convolutions → recurrences → attention → dense.

    Args:
        feat_in: D, features a frame.
        convolution: arguments of `ConvolutionStack`.
        recurrent: arguments of `RecurrentStack`.
        attention: `kind`, `heads`, `residual`, `dropout` and `scaled`; see `custom_modules.attention`.
        dense: arguments of `TimeDistributedDense`.
        stack: feature frames that are made one before all else.
        masked: false counts padding as sound, as the original did: what comes out depends on the rest of the batch.
        weights: how convolutions and dense layers are drawn: as `torch` does, or `glorot`, as Keras does.
        stem: arguments of `SpectralStem`, which comes first; None for none.

    Shapes: audio_signal [B, D, T], length [B] → outputs [B, H, T'], encoded_lengths [B], T' = ceil(T / subsampling)
    where convolutions are padded.

    >>> encoder = HeyJetsonEncoder(
    ...     feat_in=8,
    ...     convolution=dict(filters=4, kernels=[3, 3], strides=[2, 1], dilations=[1, 2]),
    ...     recurrent=dict(layers=1, hidden=4), attention=dict(kind="multiplicative"), dense=dict(units=[6]))
    >>> outputs, lengths = encoder(audio_signal=torch.zeros(2, 8, 11), length=torch.tensor([11, 7]))
    >>> outputs.shape, lengths
    (torch.Size([2, 6, 6]), tensor([6, 4]))
    """

    def __init__(
        self,
        feat_in: int,
        convolution: dict,
        recurrent: dict,
        attention: dict,
        dense: dict,
        stack: int = 1,
        masked: bool = True,
        weights: str = "torch",
        stem: dict | None = None,
    ):
        super().__init__()
        if weights not in ("torch", "glorot"):
            raise ValueError(f"encoder.weights must be torch or glorot, found {weights!r}.")
        if stack < 1:
            raise ValueError(f"encoder.stack must be at least 1 frame, found {stack}.")
        self.stack = stack
        self.masked = masked
        self.stem = SpectralStem(feat_in * stack, **stem) if stem else None
        self.convolution = ConvolutionStack(self.stem.feat_out if self.stem else feat_in * stack, **convolution)
        self.recurrent = RecurrentStack(self.convolution.feat_out, **recurrent)
        options: dict[str, Any] = {"kind": "none", "heads": 4, "residual": False, "dropout": 0.0} | dict(attention)
        self.attention = make_attention(features=self.recurrent.feat_out, **options)
        self.dense = TimeDistributedDense(self.recurrent.feat_out, **dense)
        self.subsampling_factor = self.convolution.subsampling_factor * stack
        if self.stem is not None:
            self.subsampling_factor *= self.stem.subsampling_factor
        self._feat_in = feat_in
        self._feat_out = self.dense.feat_out
        if weights == "glorot":
            self.convolution.apply(draw_glorot)
            self.dense.apply(draw_glorot)

    @typecheck()
    def forward(self, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        x = audio_signal.transpose(1, 2)  # [B, T, D]
        if self.stack > 1:
            x, length = stack_frames(x, length, self.stack)
        heard = length if self.masked else torch.zeros_like(length) + x.shape[1]
        if self.stem is not None:
            x, heard = self.stem(audio_signal=x, length=heard)
            length = self.stem.frames(length)
        length = self.convolution.frames(length)
        x, heard = self.convolution(audio_signal=x, length=heard)
        x, heard = self.recurrent(audio_signal=x, length=heard)
        if self.attention is not None:
            x, heard = self.attention(audio_signal=x, length=heard)
        x = self.dense(x)
        x = x * frame_mask(length, x.shape[1])[..., None].to(x.dtype)
        return x.transpose(1, 2), length
