"""A stream's step as a graph of few operators, with the numbers of `HeyJetsonStreamingEncoder.step`.

A step is short, so that its cost is the number of operators and the weights that they read, not the products. Hence:

- Masks. Everything up to the recurrences looks back only, and what follows the last sound reaches no frame that holds
  some: one mask before the lookahead does. It is a comparison with numbers of samples that are known beforehand.
- Convolutions are matrix products of all frames, whose weights the runtime lays out once, not of each stream's alone.
- Recurrences are read time first, as runtimes want them, without reordering between the layers.
- What a norm adds is added by the biases of what reads it.
- Lookahead and attention share one record of which frames held sound. Keys and values are kept as attention reads them.

States are the fewest tensors that do: one for all cells of one width.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from nemo.collections.asr.modules import ConvASRDecoder
from torch import Tensor, nn

from custom_modules.attention import MASKED, LeftContextAttention
from custom_modules.convolution import ConvolutionLayer
from custom_modules.frontend import LOG_GUARD, LogMel
from custom_modules.lookahead import Lookahead
from custom_modules.normalisation import MaskedBatchNorm, NoNorm
from custom_modules.recurrent import RecurrentStack
from custom_modules.state import named, part_of
from custom_modules.streaming import HeyJetsonStreamingEncoder
from experiments.export.folded import FoldedFourier

SOUND = "sound"  # the state that says which frames held some
State = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]


class Affine(nn.Module):
    """A normalisation with fixed statistics: x [..., H] → x * scale + shift."""

    def __init__(self, norm: MaskedBatchNorm):
        super().__init__()
        scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
        self.register_buffer("scale", scale)
        self.register_buffer("shift", norm.bias.detach() - norm.running_mean * scale)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale if self.shift is None else x * self.scale + self.shift


class Unmasked(nn.Module):
    """A normalisation that needs no mask, without one."""

    def __init__(self, norm: nn.Module):
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x, None)


def plain(norm: nn.Module) -> nn.Module:
    """A normalisation as it is in evaluation."""
    if isinstance(norm, NoNorm):
        return nn.Identity()
    return Affine(norm) if isinstance(norm, MaskedBatchNorm) else Unmasked(norm)


class StepConvolution(nn.Module):
    """`ConvolutionLayer.step` as one product: x [B, T, D] and state → [B, T / stride, filters] and the next state.

    Args:
        layer: causal.
        frames: T.
    """

    def __init__(self, layer: ConvolutionLayer, frames: int):
        super().__init__()
        self.span, self.inputs = layer.span, layer.inputs
        self.frames = frames // layer.stride
        weight = layer.convolution.weight.detach()  # [filters, D, kernel]
        self.kernel = weight.shape[2]
        self.linear = nn.Linear(self.kernel * self.inputs, len(weight))
        self.linear.weight.data = weight.transpose(1, 2).reshape(len(weight), -1).contiguous()
        bias = layer.convolution.bias
        self.linear.bias.data = weight.new_zeros(len(weight)) if bias is None else bias.detach().clone()
        taps = torch.arange(self.kernel) * layer.convolution.dilation[0]
        self.register_buffer("places", torch.arange(self.frames)[:, None] * layer.stride + taps)  # [T', kernel]
        self.activation, self.norm, self.residual = layer.activation, plain(layer.norm), layer.residual
        self.fold()

    def fold(self) -> None:
        """relu(a) * scale + shift is max(a * scale + shift, shift) where no scale is negative: its product and sum are
        done by the layer's own."""
        self.register_buffer("least", None)
        if not isinstance(self.activation, nn.ReLU) or not isinstance(self.norm, Affine):
            return
        scale, shift = self.norm.scale, self.norm.shift
        if bool((scale < 0).any()):
            return
        self.linear.weight.data = self.linear.weight.data * scale[:, None]
        self.linear.bias.data = self.linear.bias.data * scale + shift
        self.least = shift.clone()

    def shapes(self) -> Shapes:
        """Of the state, without the batch."""
        return {"past": (self.span, self.inputs)} if self.span else {}

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        seen = torch.cat([state["past"], x], dim=1) if self.span else x
        rows = seen[:, self.places].reshape(-1, self.kernel * self.inputs)
        y = self.linear(rows)
        y = self.norm(self.activation(y)) if self.least is None else torch.maximum(y, self.least)
        y = y.reshape(-1, self.frames, self.linear.out_features)
        if self.residual:
            y = y + x
        return y, {"past": seen[:, -self.span :]} if self.span else {}


class StepRecurrence(nn.Module):
    """`RecurrentStack.step` for GRU and LSTM layers, time first: x [T, B, H] and state → [T, B, H'], the next state.

    Args:
        stack: in one direction.
    """

    def __init__(self, stack: RecurrentStack):
        super().__init__()
        cells = [copy.deepcopy(layer.cell) for layer in stack.forwards]
        for cell in cells:
            cell.batch_first = False
        self.cells = nn.ModuleList(cells)
        self.norms = nn.ModuleList(plain(norm) for norm in stack.norms)
        self.last_norm = nn.Identity() if stack.last_norm is None else plain(stack.last_norm)
        self.norm_first, self.around = stack.norm_first, [stack._has_way_around(i) for i in range(len(cells))]
        self.kinds = ("hidden", "cell") if cells and cells[0].mode == "LSTM" else ("hidden",)
        self.register_buffer("shift", None)
        if cells and not self.norm_first and all(isinstance(norm, Affine) for norm in self.norms):
            self.shift = self.fold()

    def fold(self) -> Tensor:
        """Leave out what the norms add: each cell's bias does it for its input, and the last sum [H'] for the rest."""
        shift = self.norms[0].shift.new_zeros(())
        for i, (cell, norm) in enumerate(zip(self.cells, self.norms, strict=True)):
            if i:
                cell.bias_ih_l0.data += cell.weight_ih_l0.detach() @ shift
            shift = norm.shift + shift if self.around[i] and i else norm.shift
            norm.shift = None
        return shift

    def shapes(self) -> Shapes:
        """Of the state, without the batch: all layers in one."""
        return {kind: (len(self.cells), self.cells[0].hidden_size) for kind in self.kinds} if len(self.cells) else {}

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if not len(self.cells):
            return self.last_norm(x), {}
        # [B, layers, H] → [1, B, H] for each layer
        before = [state[kind].transpose(0, 1).split(1) for kind in self.kinds]
        after: list[list[Tensor]] = [[] for _ in self.kinds]
        for i, (cell, norm) in enumerate(zip(self.cells, self.norms, strict=True)):
            given = tuple(part[i] for part in before)
            y, last = cell(norm(x) if self.norm_first else x, given if len(given) == 2 else given[0])
            for part, value in zip(after, last if len(given) == 2 else (last,), strict=True):
                part.append(value)
            y = y if self.norm_first else norm(y)
            x = y + x if self.around[i] else y
        following = {kind: torch.cat(part).transpose(0, 1) for kind, part in zip(self.kinds, after, strict=True)}
        return self.last_norm(x if self.shift is None else x + self.shift), following


class StepLookahead(nn.Module):
    """`Lookahead.step` without its masks: x [B, T, H], zero where there is no sound, and state → the same, late.

    Args:
        lookahead: that sees at least one frame.
        frames: T.
    """

    def __init__(self, lookahead: Lookahead, frames: int):
        super().__init__()
        self.ahead, self.features, self.frames = lookahead.frames, lookahead.features, frames
        assert lookahead.weight is not None  # it sees ahead
        weight = lookahead.weight.detach()[:, 0].t().contiguous()  # [frames + 1, H]
        weight[0] += 1.0  # the residual
        self.register_buffer("weight", weight)
        self.register_buffer("places", torch.arange(frames)[:, None] + torch.arange(self.ahead + 1))

    def shapes(self) -> Shapes:
        """Of the state, without the batch."""
        return {"waiting": (self.ahead, self.features)}

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        seen = torch.cat([state["waiting"], x], dim=1)
        return (seen[:, self.places] * self.weight).sum(dim=2), {"waiting": seen[:, self.frames :]}


class StepAttention(nn.Module):
    """`LeftContextAttention.step`: x [B * T, H], which frames hold sound [B, left + T], and state → [B * T, H].

    Args:
        attention: of the encoder.
        frames: T.
    """

    def __init__(self, attention: LeftContextAttention, frames: int):
        super().__init__()
        self.attention = attention
        self.left, self.features, self.heads, self.frames = (
            attention.left, attention.features, attention.heads, frames,
        )  # fmt: skip
        place = torch.arange(frames + self.left) - torch.arange(frames)[:, None]
        near = (place >= 0) & (place <= self.left)
        # Sound is 0 or 1: it passes 0 where a frame is near enough, and 2 nowhere.
        self.register_buffer("bar", torch.where(near, 0.0, 2.0))  # [T, left + T]

    def shapes(self) -> Shapes:
        """Of the state, without the batch."""
        kept = (self.heads, self.left, self.features // self.heads)
        return {"keys": kept, "values": kept}

    def forward(self, x: Tensor, sound: Tensor, state: State) -> tuple[Tensor, State]:
        attention, size = self.attention, self.features // self.heads
        rows = attention.project(attention.norm(x))  # one product for all streams
        split = rows.reshape(-1, self.frames, 3 * self.heads, size).transpose(1, 2)
        query, key, value = split.split(self.heads, dim=1)  # [B, heads, T, size]
        keys = torch.cat([state["keys"], key], dim=2)
        values = torch.cat([state["values"], value], dim=2)
        scores = torch.matmul(query, keys.transpose(2, 3)) * size**-0.5
        allowed = sound.reshape(-1, 1, 1, self.left + self.frames) > self.bar
        shares = torch.where(allowed, scores, scores.new_tensor(MASKED)).softmax(dim=3)
        heard = attention.merge(torch.matmul(shares, values).transpose(1, 2).reshape(-1, self.features))
        return x + heard, {"keys": keys[:, :, self.frames :], "values": values[:, :, self.frames :]}


class StepFrontend(nn.Module):
    """The features of a step, those of padding too: samples [B, S] → [B, T, D].

    Args:
        frontend: folded.
    """

    def __init__(self, frontend: Any):
        super().__init__()
        self.features = frontend
        self.register_buffer("bank", None)
        if type(frontend) is LogMel:
            # log(x) - mean is log(x / exp(mean)): the bands' own weights do that.
            down = torch.exp(-frontend.mean.detach().double())
            self.bank = (frontend.bank.detach()[:, :, 0].t() * down).float()  # [K, D]
            self.register_buffer("guard", (LOG_GUARD * down).float())
            self.register_buffer("sharpness", 1 / frontend.deviation.detach())

    def forward(self, samples: Tensor) -> Tensor:
        if self.bank is None:
            return self.features.normalised(samples).transpose(1, 2)
        fourier = self.features.fourier
        power = fourier.rows(samples) if isinstance(fourier, FoldedFourier) else fourier(samples).transpose(1, 2)
        return torch.log(torch.matmul(power, self.bank) + self.guard) * self.sharpness


class StepEncoder(nn.Module):
    """The step of an encoder in evaluation mode, for pieces of one length.

    Args:
        encoder: whose parameters are used.
        frames: feature frames of a step, a multiple of the subsampling.

    Shapes: features [B, T, D], sound [B, T'] (1 where an output frame holds some), states [B, ...] in the order of
    `shapes` → outputs [B * T', H], valid [B, T'], next states.
    """

    def __init__(self, encoder: HeyJetsonStreamingEncoder, frames: int):
        super().__init__()
        self.stem, self.dense = encoder.stem, encoder.dense
        if self.stem is not None:
            frames //= self.stem.subsampling_factor
        layers = []
        for layer in encoder.convolution.layers:
            layers.append(StepConvolution(layer, frames))
            frames = layers[-1].frames
        self.convolution = nn.ModuleList(layers)
        stack = encoder.recurrent
        # Other cells have steps of their own, of elementwise operators.
        self.fused = all(isinstance(getattr(layer, "cell", None), nn.GRU | nn.LSTM) for layer in stack.forwards)
        self.recurrent = StepRecurrence(stack) if self.fused else stack
        self.lookahead = StepLookahead(encoder.lookahead, frames) if encoder.lookahead.frames else None
        self.attention = None if encoder.attention is None else StepAttention(encoder.attention, frames)
        self.frames, self.width = frames, encoder.recurrent.feat_out
        self.ahead = encoder.lookahead.frames
        self.left = 0 if self.attention is None else self.attention.left

    def shapes(self) -> Shapes:
        """Of the states, without the batch; all begin with zeros."""
        shapes = {} if self.stem is None else named("stem", self.stem.initial_state())
        for i, layer in enumerate(self.convolution):
            shapes |= named(f"convolution_{i}", layer.shapes())
        recurrent: Any = self.recurrent
        shapes |= named("recurrent", recurrent.shapes() if self.fused else recurrent.initial_state())
        for name, part in (("lookahead", self.lookahead), ("attention", self.attention)):
            shapes |= {} if part is None else named(name, part.shapes())
        return shapes | ({SOUND: (self.left + self.ahead,)} if self.left + self.ahead else {})

    def forward(self, features: Tensor, sound: Tensor, states: State) -> tuple[Tensor, Tensor, State]:
        x = features
        after: State = {}
        if self.stem is not None:
            x, _, last = self.stem.step(x, torch.ones(x.shape[:2]), part_of(states, "stem"))
            after |= named("stem", last)
        for i, layer in enumerate(self.convolution):
            x, last = layer(x, part_of(states, f"convolution_{i}"))
            after |= named(f"convolution_{i}", last)
        before = part_of(states, "recurrent")
        if self.fused:
            x, last = self.recurrent(x.transpose(0, 1), before)
            x = x.transpose(0, 1)
        else:
            x, _, last = self.recurrent.step(x, torch.ones(x.shape[:2]), before)
        after |= named("recurrent", last)
        valid = sound
        if self.left + self.ahead:
            known = torch.cat([states[SOUND], sound], dim=1)
            valid, after[SOUND] = known[:, self.left : self.left + self.frames], known[:, self.frames :]
        if self.lookahead is not None:
            x, last = self.lookahead(x * sound[..., None], part_of(states, "lookahead"))
            after |= named("lookahead", last)
        x = x.reshape(-1, self.width)
        if self.attention is not None:
            x, last = self.attention(x, known[:, : self.left + self.frames], part_of(states, "attention"))
            after |= named("attention", last)
        return self.dense(x), valid, after


class StepDecoder(nn.Module):
    """NeMo's CTC decoder, a convolution over single frames, as a product: [N, H] → log-probabilities [N, V + 1].

    Args:
        decoder: of the model.
    """

    def __init__(self, decoder: ConvASRDecoder):
        super().__init__()
        (convolution,) = decoder.decoder_layers
        self.linear = nn.Linear(convolution.in_channels, convolution.out_channels)
        self.linear.weight.data = convolution.weight.detach()[:, :, 0]
        self.linear.bias.data = convolution.bias.detach()
        self.temperature = decoder.temperature

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        return (x if self.temperature == 1.0 else x / self.temperature).log_softmax(dim=1)
