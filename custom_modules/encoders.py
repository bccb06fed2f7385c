"""The encoders of Hey, Jetson!: dilated convolutions, recurrences, attention, time-distributed dense layers."""

from __future__ import annotations

from collections.abc import Sequence

from nemo.core.classes import typecheck
from torch import Tensor, nn

from custom_modules.attention import make_attention
from custom_modules.convolution import ConvolutionStack, make_activation
from custom_modules.dropout import UtteranceDropout
from custom_modules.frontend import frame_mask
from custom_modules.ports import SpectrogramEncoder
from custom_modules.recurrent import RecurrentStack


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


class HeyJetsonEncoder(SpectrogramEncoder):
    """Convolutions → recurrences → attention → dense.

    Args:
        feat_in: D, features a frame.
        convolution: arguments of `ConvolutionStack`.
        recurrent: arguments of `RecurrentStack`.
        attention: `kind`, `heads`, `residual` and `dropout`; see `custom_modules.attention`.
        dense: arguments of `TimeDistributedDense`.

    Shapes: audio_signal [B, D, T], length [B] → outputs [B, H, T'], encoded_lengths [B], T' = ceil(T / subsampling).

    >>> import torch
    >>> encoder = HeyJetsonEncoder(
    ...     feat_in=8,
    ...     convolution=dict(filters=4, kernels=[3, 3], strides=[2, 1], dilations=[1, 2]),
    ...     recurrent=dict(layers=1, hidden=4), attention=dict(kind="multiplicative"), dense=dict(units=[6]))
    >>> outputs, lengths = encoder(audio_signal=torch.zeros(2, 8, 11), length=torch.tensor([11, 7]))
    >>> outputs.shape, lengths
    (torch.Size([2, 6, 6]), tensor([6, 4]))
    """

    def __init__(self, feat_in: int, convolution: dict, recurrent: dict, attention: dict, dense: dict):
        super().__init__()
        self.convolution = ConvolutionStack(feat_in, **convolution)
        self.recurrent = RecurrentStack(self.convolution.feat_out, **recurrent)
        options = {"kind": "none", "heads": 4, "residual": False, "dropout": 0.0} | dict(attention)
        self.attention = make_attention(features=self.recurrent.feat_out, **options)
        self.dense = TimeDistributedDense(self.recurrent.feat_out, **dense)
        self.subsampling_factor = self.convolution.subsampling_factor
        self._feat_in = feat_in
        self._feat_out = self.dense.feat_out

    @typecheck()
    def forward(self, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        x = audio_signal.transpose(1, 2)  # [B, T, D]
        x, length = self.convolution(audio_signal=x, length=length)
        x, length = self.recurrent(audio_signal=x, length=length)
        if self.attention is not None:
            x, length = self.attention(audio_signal=x, length=length)
        x = self.dense(x)
        x = x * frame_mask(length, x.shape[1])[..., None].to(x.dtype)
        return x.transpose(1, 2), length
