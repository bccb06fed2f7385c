"""Convolutions over time and frequency: a voice that is higher shifts along the bands and is still recognised."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from nemo.core.classes import typecheck
from nemo.core.neural_types import NeuralType, SpectrogramType
from torch import Tensor, nn
from torch.nn import functional

from custom_modules.dropout import UtteranceDropout
from custom_modules.frontend import frame_mask
from custom_modules.normalisation import make_norm
from custom_modules.ports import FrameModule
from custom_modules.state import joined_shapes, named, part_of

KERNEL = 3  # frames and bands that a filter spans (VGG: Simonyan and Zisserman, 2015)


class SpectralLayer(nn.Module):
    """A convolution of 3 frames by 3 bands, batch normalisation by channel, relu; residual where the shape allows it.

    Args:
        inputs: channels in.
        filters: channels out.
        bands: F, bands in.
        stride: frames and bands between outputs.
        causal: look only back in time; otherwise the filter is centred.

    Shapes: x [B, T, F, inputs] (zero beyond the lengths), length [B] → [B, T', F', filters], [B].
    """

    def __init__(self, inputs: int, filters: int, bands: int, stride: tuple[int, int], causal: bool):
        super().__init__()
        self.stride = stride[0]
        self.padding = (KERNEL - 1, 0) if causal else (KERNEL // 2, KERNEL // 2)
        self.convolution = nn.Conv2d(inputs, filters, KERNEL, stride, padding=(0, KERNEL // 2), bias=False)
        self.norm = make_norm("batch", filters)
        self.inputs, self.bands = inputs, bands
        self.feat_out = (bands + stride[1] - 1) // stride[1]

    def forward(self, x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        length = self.frames(length)
        padded = functional.pad(x, (0, 0, 0, 0, *self.padding))
        mask = frame_mask(length, (padded.shape[1] - KERNEL) // self.stride + 1)
        return self._convolve(x, padded, mask), length

    def frames(self, length: Tensor) -> Tensor:
        """Frames that come of so many."""
        return torch.div(length + self.stride - 1, self.stride, rounding_mode="floor")

    def _convolve(self, x: Tensor, padded: Tensor, mask: Tensor) -> Tensor:
        """Input, input with its surroundings in time, mask [B, T'] → [B, T', F', filters]."""
        y = self.convolution(padded.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y = functional.relu(self.norm(y, mask[..., None]))
        if y.shape == x.shape:
            y = y + x
        return y * mask[:, :, None, None].to(y.dtype)

    def initial_state(self) -> dict[str, tuple[int, ...]]:
        """Shapes, without the batch, of what a stream keeps between its steps; all begin with zeros."""
        return {"past": (KERNEL - 1, self.bands * self.inputs)}

    def step(self, x: Tensor, mask: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The next frames of a stream, as many as a multiple of the stride; see `ConvolutionLayer.step`."""
        mask = mask[:, :: self.stride]
        past = state["past"].reshape(x.shape[0], KERNEL - 1, self.bands, self.inputs)
        seen = torch.cat([past, x], dim=1)
        return self._convolve(x, seen, mask), mask, {"past": seen[:, 1 - KERNEL :].flatten(2)}


class SpectralStem(FrameModule):
    """Layers over time and frequency, the largest of neighbouring bands, and a dense layer to one vector a frame.

    Args:
        feat_in: D, bands.
        filters: channels of each layer.
        strides: frames and bands between outputs, of each layer; the product over frames is the subsampling factor.
        pool: neighbouring bands of which the largest is kept: what moves within them is not noticed.
        features: width of the dense layer.
        causal: look only back in time.
        dropout: share of the features set to zero in training.

    Shapes: audio_signal [B, T, D], length [B] → [B, T', features], [B].

    >>> stem = SpectralStem(feat_in=8, filters=[4, 4], strides=[[2, 2], [1, 1]], pool=2, features=6)
    >>> outputs, lengths = stem(audio_signal=torch.zeros(2, 11, 8), length=torch.tensor([11, 7]))
    >>> outputs.shape, lengths
    (torch.Size([2, 6, 6]), tensor([6, 4]))
    """

    def __init__(
        self,
        feat_in: int,
        filters: Sequence[int],
        strides: Sequence[Sequence[int]],
        pool: int,
        features: int,
        causal: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        if len(filters) != len(strides) or any(len(stride) != 2 for stride in strides):
            raise ValueError(
                "encoder.stem.filters and strides describe one layer each, a stride as [frames, bands]; "
                f"found {len(filters)} filters and the strides {[list(stride) for stride in strides]}."
            )
        layers, inputs, bands = [], 1, feat_in
        self.subsampling_factor = 1
        for count, (frames, apart) in zip(filters, strides, strict=True):
            layers.append(SpectralLayer(inputs, count, bands, (frames, apart), causal))
            inputs, bands = count, layers[-1].feat_out
            self.subsampling_factor *= frames
        if not 1 <= pool <= bands:
            raise ValueError(f"encoder.stem.pool must lie between 1 and the {bands} bands that are left, found {pool}.")
        self.layers = nn.ModuleList(layers)
        self.pool = pool
        self.project = nn.Linear(bands // pool * inputs, features)
        self.norm = make_norm("batch", features)
        self.dropout = UtteranceDropout(dropout)
        self.feat_out = features

    @property
    def input_types(self):
        return super().input_types | {"audio_signal": NeuralType(("B", "T", "D"), SpectrogramType())}

    @property
    def output_types(self):  # one spectrogram of another: convolutions follow
        return super().output_types | {"outputs": NeuralType(("B", "T", "D"), SpectrogramType())}

    @typecheck()
    def forward(self, audio_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        x = audio_signal[..., None]
        for layer in self.layers:
            x, length = layer(x, length)
        return self._flatten(x, frame_mask(length, x.shape[1])), length

    def frames(self, length: Tensor) -> Tensor:
        """Frames that come of so many feature frames."""
        for layer in self.layers:
            length = layer.frames(length)
        return length

    def _flatten(self, x: Tensor, mask: Tensor) -> Tensor:
        """Channels and bands [B, T, F, C] and mask [B, T] → [B, T, features]."""
        if self.pool > 1:
            x = functional.max_pool2d(x.permute(0, 3, 1, 2), (1, self.pool)).permute(0, 2, 3, 1)
        mask = mask[..., None]
        x = functional.relu(self.norm(self.project(x.flatten(2)), mask))
        return self.dropout(x) * mask.to(x.dtype)

    def initial_state(self) -> dict[str, tuple[int, ...]]:
        """Shapes, without the batch, of what a stream keeps between its steps; all begin with zeros."""
        return joined_shapes(self.layers)

    def step(self, x: Tensor, mask: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The next frames [B, T, D] of a stream, a multiple of the subsampling; see `ConvolutionLayer.step`."""
        x = x[..., None]
        following: dict[str, Tensor] = {}
        for i, layer in enumerate(self.layers):
            x, mask, last = layer.step(x, mask, part_of(state, str(i)))
            following |= named(str(i), last)
        return self._flatten(x, mask), mask, following
