"""Dilated convolutions over time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from nemo.core.classes import typecheck
from nemo.core.neural_types import LengthsType, NeuralType, SpectrogramType
from torch import Tensor, nn
from torch.nn import functional

from custom_modules.dropout import UtteranceDropout
from custom_modules.frontend import frame_mask
from custom_modules.normalisation import make_norm
from custom_modules.ports import FrameModule
from custom_modules.state import joined_shapes, named, part_of

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh, "none": nn.Identity}


def make_activation(kind: str) -> nn.Module:
    """An activation by its name in conf."""
    if kind not in ACTIVATIONS:
        raise ValueError(f"Unknown activation {kind!r}; choose one of {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[kind]()


class ConvolutionLayer(nn.Module):
    """Convolution, activation, normalisation, dropout; `ceil(T / stride)` frames come out, fewer if `valid`.

    Args:
        inputs: channels in.
        filters: channels out.
        kernel: frames each filter spans, before dilation.
        stride: frames between outputs.
        dilation: frames between the taps of a filter.
        causal: look only back; otherwise the filter is centred.
        norm: `batch`, `layer` or `none`.
        activation: see `ACTIVATIONS`.
        dropout: share of outputs set to zero in training.
        residual: add the input, where the shape allows it.
        valid: pad nothing, whatever `causal` says: filters only where all of them lies in the utterance.

    Shapes: x [B, T, D] (zero beyond the lengths), length [B] → [B, T', filters], [B].
    """

    def __init__(
        self,
        inputs: int,
        filters: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
        causal: bool = True,
        norm: str = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        residual: bool = False,
        valid: bool = False,
    ):
        super().__init__()
        self.stride = stride
        self.inputs = inputs
        self.span = span = (kernel - 1) * dilation  # frames a filter looks at beside its own
        self.padding = (span, 0) if causal else ((span + 1) // 2, span - (span + 1) // 2)
        if valid:
            self.padding = (0, 0)
        self.convolution = nn.Conv1d(inputs, filters, kernel, stride=stride, dilation=dilation)
        self.activation = make_activation(activation)
        self.norm = make_norm(norm, filters)
        self.dropout = UtteranceDropout(dropout)
        self.residual = residual and inputs == filters and stride == 1 and not (valid and span)

    def forward(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        length = self.frames(length)
        padded = functional.pad(x.transpose(1, 2), self.padding)
        mask = frame_mask(length, (padded.shape[2] - self.span - 1) // self.stride + 1)
        return self._convolve(x, padded, mask), length

    def frames(self, length: Tensor) -> Tensor:
        """How many frames come out of so many."""
        if lost := self.span - sum(self.padding):
            length = (length - lost).clamp(min=0)
        return torch.div(length + self.stride - 1, self.stride, rounding_mode="floor")

    def refine(self, stride: int, times: int) -> None:
        """Another stride, and taps so many times as far apart; see `ConvolutionStack.refine`."""
        self.stride, self.span = stride, self.span * times
        self.padding = (self.padding[0] * times, self.padding[1] * times)
        self.convolution.stride, self.convolution.dilation = (stride,), (self.convolution.dilation[0] * times,)

    def _convolve(self, x: Tensor, padded: Tensor, mask: Tensor) -> Tensor:
        """Input [B, T, D], input with its surroundings [B, D, T + span] and mask [B, T'] → [B, T', filters]."""
        y = self.activation(self.convolution(padded).transpose(1, 2))
        y = self.dropout(self.norm(y, mask[..., None]))
        if self.residual:
            y = y + x
        return y * mask[..., None].to(y.dtype)

    def initial_state(self) -> dict[str, tuple[int, ...]]:
        """Shapes, without the batch, of what a stream keeps between its steps; all begin with zeros."""
        return {"past": (self.span, self.inputs)} if self.span else {}

    def step(self, x: Tensor, mask: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The next frames of a stream, as many as a multiple of the stride.

        Args:
            x: [B, T, D], zero where there is no sound.
            mask: [B, T], which frames hold sound.
            state: of the step before.

        Returns:
            y [B, T / stride, filters], its mask and the next state.
        """
        mask = mask[:, :: self.stride]
        if not self.span:
            return self._convolve(x, x.transpose(1, 2), mask), mask, {}
        seen = torch.cat([state["past"], x], dim=1)
        return self._convolve(x, seen.transpose(1, 2), mask), mask, {"past": seen[:, -self.span :]}


class ConvolutionStack(FrameModule):
    """Convolution layers one after the other.

    Args:
        feat_in: channels in.
        filters: channels of every layer.
        kernels: frames each layer's filters span.
        strides: of each layer; their product is the subsampling factor.
        dilations: of each layer.
        finer: times as many frames come out, of the same weights; see `refine`.
        options: of `ConvolutionLayer`, the same for all.

    Shapes: audio_signal [B, T, D], length [B] → [B, T', filters], [B].
    """

    def __init__(
        self,
        feat_in: int,
        filters: int,
        kernels: Sequence[int],
        strides: Sequence[int],
        dilations: Sequence[int],
        finer: int = 1,
        **options,
    ):
        super().__init__()
        if not len(kernels) == len(strides) == len(dilations):
            raise ValueError(
                "encoder.convolution.kernels, strides and dilations describe one layer each and must be equally long; "
                f"found {len(kernels)}, {len(strides)} and {len(dilations)}."
            )
        channels = [feat_in] + [filters] * len(kernels)
        self.layers = nn.ModuleList(
            ConvolutionLayer(channels[i], filters, kernels[i], strides[i], dilations[i], **options)
            for i in range(len(kernels))
        )
        self.feat_out = channels[-1]
        self.subsampling_factor = 1
        for stride in strides:
            self.subsampling_factor *= stride
        if finer != 1:
            self.refine(finer)

    def refine(self, times: int) -> None:
        """Give so many times as many frames, in place, of the same weights.

        Strides are undone from the last one, and what follows them is dilated by as much: every `times`-th frame is the
        one that was given before, and those between are what would be given if the sound began that much later
        (shift-and-stitch, Long et al., 2015).

        Raises:
            ValueError: the strides do not have this factor.
        """
        layers: list[ConvolutionLayer] = list(self.layers)  # type: ignore[arg-type]
        before, left = [layer.stride for layer in layers], times
        strides = list(before)
        for i in reversed(range(len(layers))):
            undone = math.gcd(before[i], left)
            strides[i], left = before[i] // undone, left // undone
        if left != 1:
            raise ValueError(f"finer must divide the product of encoder.convolution.strides, {before}; found {times}.")
        dilated = 1
        for i, layer in enumerate(layers):
            layer.refine(strides[i], dilated)
            dilated *= before[i] // strides[i]
        self.subsampling_factor //= times

    @property
    def input_types(self):
        return {
            "audio_signal": NeuralType(("B", "T", "D"), SpectrogramType()),
            "length": NeuralType(tuple("B"), LengthsType()),
        }

    @typecheck()
    def forward(self, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.layers:
            audio_signal, length = layer(audio_signal, length)
        return audio_signal, length

    def frames(self, length: Tensor) -> Tensor:
        """How many frames come out of so many."""
        for layer in self.layers:
            length = layer.frames(length)
        return length

    def initial_state(self) -> dict[str, tuple[int, ...]]:
        """Shapes, without the batch, of what a stream keeps between its steps; all begin with zeros."""
        return joined_shapes(self.layers)

    def step(self, x: Tensor, mask: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The next frames of a stream, as many as a multiple of the subsampling; see `ConvolutionLayer.step`."""
        following: dict[str, Tensor] = {}
        for i, layer in enumerate(self.layers):
            x, mask, last = layer.step(x, mask, part_of(state, str(i)))
            following |= named(str(i), last)
        return x, mask, following
