"""GRU and LSTM layers with other activations than tanh and sigmoid, which no library has a fused kernel for.

The cells are Keras's (2.2.4): one bias; the GRU's reset gate is applied before its matrix. The loop over time is
compiled, in both ways: its gradient is written out, so that no graph is built for every frame and each weight's
gradient is one product over all frames. Both directions of a layer run in one loop. On one CPU core a GRU layer trains
as fast as torch's own or faster. An exported graph holds plain GRU and LSTM operators, which know these activations.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh"}  # by their names in ONNX
GATES = {"hard_sigmoid": "HardSigmoid", "sigmoid": "Sigmoid"}
PARTS = {"gru": 3, "lstm": 4}


def _gate(x: Tensor, hard: bool) -> Tensor:
    return torch.clamp(x * 0.2 + 0.5, 0.0, 1.0) if hard else torch.sigmoid(x)


def _gate_slope(y: Tensor, hard: bool) -> Tensor:
    return torch.logical_and(y > 0, y < 1) * 0.2 if hard else y * (1 - y)


def _squash(x: Tensor, relu: bool) -> Tensor:
    return torch.relu(x) if relu else torch.tanh(x)


def _slope(y: Tensor, relu: bool) -> Tensor:
    return (y > 0).to(y.dtype) if relu else 1 - y * y


def _gru(
    given: Tensor, to_gates: Tensor, to_new: Tensor, mask: Tensor | None, relu: bool, hard: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """given [D, T, B, 3H] → states [D, T, B, H], gates z and r [D, T, B, 2H], candidates [D, T, B, H]."""
    size = given.shape[3] // 3
    h = torch.zeros_like(given[:, 0, :, :size])
    states: list[Tensor] = []
    gates: list[Tensor] = []
    news: list[Tensor] = []
    for t in range(given.shape[1]):
        now = given[:, t]
        seen = h if mask is None else h * mask
        zr = _gate(torch.baddbmm(now[:, :, : 2 * size], seen, to_gates), hard)
        reset = zr[:, :, size:] * seen
        new = _squash(torch.baddbmm(now[:, :, 2 * size :], reset, to_new), relu)
        h = torch.lerp(new, h, zr[:, :, :size])
        states.append(h)
        gates.append(zr)
        news.append(new)
    return torch.stack(states, 1), torch.stack(gates, 1), torch.stack(news, 1)


def _gru_back(
    wanted: Tensor,
    states: Tensor,
    gates: Tensor,
    news: Tensor,
    to_gates: Tensor,
    to_new: Tensor,
    mask: Tensor | None,
    relu: bool,
    hard: bool,
) -> Tensor:
    """Gradient of the states [D, T, B, H] → of what was given, [D, T, B, 3H]."""
    size = states.shape[3]
    carry = torch.zeros_like(wanted[:, 0])
    from_gates, from_new = to_gates.transpose(1, 2), to_new.transpose(1, 2)
    found = wanted.new_empty(gates.shape[:3] + [gates.shape[3] + size])
    gate_slopes, new_slopes = _gate_slope(gates, hard), _slope(news, relu) * (1 - gates[:, :, :, :size])
    for back in range(wanted.shape[1]):
        t = wanted.shape[1] - 1 - back
        zr, new = gates[:, t], news[:, t]
        z, r = zr[:, :, :size], zr[:, :, size:]
        before = states[:, t - 1] if t > 0 else torch.zeros_like(carry)
        seen = before if mask is None else before * mask
        total = wanted[:, t] + carry
        at_new = total * new_slopes[:, t]
        at_reset = torch.bmm(at_new, from_new)
        at_gates = torch.cat([total * (before - new), at_reset * seen], 2) * gate_slopes[:, t]
        of_seen = torch.baddbmm(at_reset * r, at_gates, from_gates)
        carry = total * z + (of_seen if mask is None else of_seen * mask)
        found[:, t, :, : 2 * size] = at_gates
        found[:, t, :, 2 * size :] = at_new
    return found


def _lstm(
    given: Tensor, to_gates: Tensor, mask: Tensor | None, relu: bool, hard: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """given [D, T, B, 4H] → states [D, T, B, H], gates i, o and f [D, T, B, 3H], candidates and cells [D, T, B, H]."""
    size = given.shape[3] // 4
    h = torch.zeros_like(given[:, 0, :, :size])
    c = h
    states: list[Tensor] = []
    gates: list[Tensor] = []
    news: list[Tensor] = []
    cells: list[Tensor] = []
    for t in range(given.shape[1]):
        now = torch.baddbmm(given[:, t], h if mask is None else h * mask, to_gates)
        iof = _gate(now[:, :, : 3 * size], hard)
        new = _squash(now[:, :, 3 * size :], relu)
        c = iof[:, :, 2 * size :] * c + iof[:, :, :size] * new
        h = iof[:, :, size : 2 * size] * _squash(c, relu)
        states.append(h)
        gates.append(iof)
        news.append(new)
        cells.append(c)
    return torch.stack(states, 1), torch.stack(gates, 1), torch.stack(news, 1), torch.stack(cells, 1)


def _lstm_back(
    wanted: Tensor,
    gates: Tensor,
    news: Tensor,
    cells: Tensor,
    to_gates: Tensor,
    mask: Tensor | None,
    relu: bool,
    hard: bool,
) -> Tensor:
    """Gradient of the states [D, T, B, H] → of what was given, [D, T, B, 4H]."""
    size = news.shape[3]
    carry = torch.zeros_like(wanted[:, 0])
    carry_cell = carry
    from_gates = to_gates.transpose(1, 2)
    found = wanted.new_empty(gates.shape[:3] + [gates.shape[3] + size])
    shown = _squash(cells, relu)
    slopes = torch.cat([_gate_slope(gates, hard), _slope(news, relu)], 3)
    shown_slopes = _slope(shown, relu) * gates[:, :, :, size : 2 * size]
    for back in range(wanted.shape[1]):
        t = wanted.shape[1] - 1 - back
        iof = gates[:, t]
        before = cells[:, t - 1] if t > 0 else torch.zeros_like(carry)
        total = wanted[:, t] + carry
        cell = carry_cell + total * shown_slopes[:, t]
        parts = [cell * news[:, t], total * shown[:, t], cell * before, cell * iof[:, :, :size]]
        at = torch.cat(parts, 2) * slopes[:, t]
        carry_cell = cell * iof[:, :, 2 * size :]
        of_seen = torch.bmm(at, from_gates)
        carry = of_seen if mask is None else of_seen * mask
        found[:, t] = at
    return found


@functools.cache
def _compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.compile, its successor, unrolls the loop for every length anew
        return torch.jit.script(loop)


class _Loop(torch.autograd.Function):
    """x [D, T, B, I], weights [D, G, I] and [D, G, H], bias [D, G], mask [D, B, H] → states [D, T, B, H]."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        recurrent: Tensor,
        bias: Tensor,
        mask: Tensor | None,
        cell: str,
        activation: str,
        gates: str,
    ) -> Tensor:
        size = recurrent.shape[2]
        if torch.onnx.is_in_onnx_export():  # the operator below stands for it; a compiled function cannot be traced
            return x.new_zeros(*x.shape[:3], size)
        ctx.kind = cell, activation == "relu", gates == "hard_sigmoid"
        given = torch.baddbmm(bias[:, None], x.flatten(1, 2), weight.transpose(1, 2)).unflatten(1, x.shape[1:3])
        # A GRU's third part sees the state behind its reset gate.
        split = 2 * size if cell == "gru" else 4 * size
        parts = [part.transpose(1, 2).contiguous() for part in recurrent.split(split, dim=1)]
        kept = _compiled(_gru if cell == "gru" else _lstm)(given, *parts, mask, *ctx.kind[1:])
        ctx.save_for_backward(x, weight, recurrent, mask, *kept)
        return kept[0]

    @staticmethod
    def backward(ctx: Any, *wanted: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, recurrent, mask, states, *kept = ctx.saved_tensors
        cell, relu, hard = ctx.kind
        size = recurrent.shape[2]
        split = 2 * size if cell == "gru" else 4 * size
        parts = [part.transpose(1, 2).contiguous() for part in recurrent.split(split, dim=1)]
        if cell == "gru":
            found = _compiled(_gru_back)(wanted[0], states, *kept, *parts, mask, relu, hard)
        else:
            found = _compiled(_lstm_back)(wanted[0], *kept, *parts, mask, relu, hard)
        seen = torch.cat([torch.zeros_like(states[:, :1]), states[:, :-1]], 1)
        if mask is not None:
            seen = seen * mask[:, None]
        rows = found.flatten(1, 2).transpose(1, 2)  # [D, G, T * B]
        of_recurrent = torch.bmm(rows[:, :split], seen.flatten(1, 2))
        if cell == "gru":
            reset = kept[0][..., size:] * seen
            of_recurrent = torch.cat([of_recurrent, torch.bmm(rows[:, split:], reset.flatten(1, 2))], 1)
        of_x = torch.bmm(rows.transpose(1, 2), weight).unflatten(1, x.shape[1:3]) if ctx.needs_input_grad[0] else None
        return of_x, torch.bmm(rows, x.flatten(1, 2)), of_recurrent, rows.sum(2), None, None, None, None

    @staticmethod
    def symbolic(
        g: Any, x: Any, weight: Any, recurrent: Any, bias: Any, mask: Any, cell: str, activation: str, gates: str
    ):
        """One operator of one direction: dropout is off, and D is 1."""
        size = recurrent.type().sizes()[2]
        one = g.op("Constant", value_t=torch.tensor([0]))
        zeros = g.op("Constant", value_t=torch.zeros(1, PARTS[cell] * size))
        both = g.op("Concat", bias, zeros, axis_i=1)
        squashes = [ACTIVATIONS[activation]] * (1 if cell == "gru" else 2)
        options = {"hidden_size_i": size, "activations_s": [GATES[gates], *squashes], "outputs": PARTS[cell] - 1}
        y = g.op(cell.upper(), g.op("Squeeze", x, one), weight, recurrent, both, **options)[0]
        return g.op("Transpose", y, perm_i=[1, 0, 2, 3])


class LoopedRecurrence(nn.Module):
    """All directions of one layer.

    Args:
        inputs: features in.
        hidden: features of each direction.
        cell: `gru` or `lstm`.
        directions: 1 or 2; the caller reverses the second's input and output.
        activation: `relu` or `tanh`.
        gates: `hard_sigmoid`, Keras's piecewise linear one, or `sigmoid`.
        recurrent_dropout: share of the state hidden from the gates, the same for all frames of an utterance.

    Shapes: [directions, B, T, inputs] → [directions, B, T, hidden].

    >>> LoopedRecurrence(8, 4, "gru", 2)(torch.zeros(2, 3, 5, 8)).shape
    torch.Size([2, 3, 5, 4])
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        cell: str,
        directions: int = 1,
        activation: str = "relu",
        gates: str = "hard_sigmoid",
        recurrent_dropout: float = 0.0,
    ):
        super().__init__()
        for name, value, choices in (("cell", cell, PARTS), ("activation", activation, ACTIVATIONS)):
            if value not in choices:
                raise ValueError(f"Unknown recurrent {name} {value!r}; choose one of {', '.join(choices)}.")
        if gates not in GATES:
            raise ValueError(f"Unknown recurrent gates {gates!r}; choose one of {', '.join(GATES)}.")
        self.kind = cell, activation, gates
        self.hidden = hidden
        self.recurrent_dropout = recurrent_dropout
        self.weight_ih = nn.Parameter(torch.empty(directions, PARTS[cell] * hidden, inputs))
        self.weight_hh = nn.Parameter(torch.empty(directions, PARTS[cell] * hidden, hidden))
        self.bias = nn.Parameter(torch.zeros(directions, PARTS[cell] * hidden))
        for direction in range(directions):
            nn.init.xavier_uniform_(self.weight_ih.data[direction])
            nn.init.orthogonal_(self.weight_hh.data[direction])
        if cell == "lstm":
            self.bias.data[:, 2 * hidden : 3 * hidden] = 1.0  # remember, until told to forget

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # a state without an upper bound leaves half precision soon
            x = x.to(self.bias.dtype).transpose(1, 2)
            weights = self.weight_ih, self.weight_hh, self.bias
            if not torch.onnx.is_in_onnx_export():
                mask = None
                if self.training and self.recurrent_dropout > 0:
                    mask = nn.functional.dropout(x.new_ones(len(x), x.shape[2], self.hidden), self.recurrent_dropout)
                return _Loop.apply(x, *weights, mask, *self.kind).transpose(1, 2)
            ones = [_Loop.apply(*(part[i : i + 1] for part in (x, *weights)), None, *self.kind) for i in range(len(x))]
            return torch.cat(ones).transpose(1, 2)

    def initial_state(self) -> dict[str, tuple[int, ...]]:
        """Refuse to stream: these cells are kept for comparisons."""
        raise ValueError(
            "A stream needs encoder.recurrent.activation=tanh and encoder.recurrent.gates=sigmoid; other cells cannot."
        )
