"""GRU layers whose gates see the input alone (minGRU: Feng et al., "Were RNNs All We Needed?", 2024).

    z_t = sigmoid(W_z x_t + b_z),  g_t = tanh(W_g x_t + b_g),  h_t = h_{t-1} + z_t (g_t - h_{t-1})

All products of a layer, of both directions, are one matrix product over all frames; what is left for the loop over time
is one interpolation a frame, whose gradient is written out. In padding z is 0 and the state stays as it is: the
backward direction, which begins there, comes out of it with the zeros it began with, and nothing has to be reversed.

An exported graph and a GPU's step hold no loop: states of runs of frames are joined by a tree of elementwise operators.
Its height bounds the length of a graph's clip, and beyond it the graph fails rather than answer wrongly.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

MEMORY = 2.0  # biases of z are drawn from 0 down to minus this: a state moves by half to an eighth of the way
BRANCHES = 8  # runs that the tree joins at once
SHORTEST = BRANCHES**3  # frames of a clip that every exported tree has room for


class _Scan(torch.autograd.Function):
    """Given [B, T, 2 * D * H] (z of each direction, then g of each) and mask [B, T, 1] → states [B, T, D * H].

    One loop serves both directions: what reads backwards lies turned about beside what does not.
    """

    @staticmethod
    def forward(ctx: Any, given: Tensor, mask: Tensor, directions: int) -> Tensor:
        width = given.shape[2] // 2
        given = given.transpose(0, 1)  # a frame of all utterances lies together
        z = _turned(torch.sigmoid(given[..., :width]).mul_(mask.transpose(0, 1)), directions)
        g = _turned(given[..., width:], directions).tanh_()
        h = torch.empty_like(g)
        last = g.new_zeros(g.shape[1:])
        for now, at_z, at_g in zip(h.unbind(0), z.unbind(0), g.unbind(0), strict=True):
            last = torch.lerp(last, at_g, at_z, out=now)
        ctx.save_for_backward(z, g, h)
        ctx.directions = directions
        return _turned(h, directions).transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, wanted: Tensor) -> tuple[Tensor, None, None]:
        z, g, h = ctx.saved_tensors
        keep = 1 - z
        total = _turned(wanted.transpose(0, 1), ctx.directions)
        of, kept = total.unbind(0), keep.unbind(0)
        for t in range(len(of) - 2, -1, -1):  # what later frames want of it
            of[t].addcmul_(kept[t + 1], of[t + 1])
        before = functional.pad(h[:-1], (0, 0, 0, 0, 1, 0))
        total.mul_(z)
        at_z = torch.sub(g, before, out=before).mul_(total).mul_(keep)
        at_g = torch.addcmul(total, total * g, g, value=-1)
        found = torch.cat([_turned(at_z, ctx.directions), _turned(at_g, ctx.directions)], dim=2)
        return found.transpose(0, 1), None, None


def _turned(x: Tensor, directions: int) -> Tensor:
    """A copy of [T, B, D * H] in which the second direction's frames lie in the other order."""
    x = x.clone(memory_format=torch.contiguous_format)
    if directions == 2:
        half = x.shape[2] // 2
        x[..., half:] = x[..., half:].flip(0)
    return x


def tree_scan(kept: Tensor, added: Tensor, levels: int) -> Tensor:
    """States h_t = kept_t * h_{t-1} + added_t, from h = 0, by elementwise operators: a tree of runs (Blelloch, 1990).

    Args:
        kept: share of the state that each frame keeps, [N, T, H].
        added: what it adds, [N, T, H].
        levels: of the tree; it holds `BRANCHES ** levels` frames.

    Returns:
        [N, T, H].

    Raises:
        RuntimeError: T is larger than the tree.
    """
    frames = kept.shape[1]
    runs = (frames + BRANCHES - 1) // BRANCHES if levels > 1 else 1
    shape = kept.shape[0], runs, BRANCHES, kept.shape[2]
    whole = (frames + BRANCHES - 1) // BRANCHES * BRANCHES
    kept, added = (functional.pad(x, (0, 0, 0, BRANCHES - 1))[:, :whole].reshape(shape) for x in (kept, added))
    keeps, adds = list(kept.split(1, dim=2)), list(added.split(1, dim=2))
    for i in range(1, BRANCHES):  # of all frames of a run up to each
        adds[i] = keeps[i] * adds[i - 1] + adds[i]
        keeps[i] = keeps[i] * keeps[i - 1]
    states = torch.cat(adds, dim=2)
    if levels > 1:
        ends = tree_scan(keeps[-1].flatten(1, 2), adds[-1].flatten(1, 2), levels - 1)
        carried = functional.pad(ends, (0, 0, 1, 0))[:, :-1]  # none into the first run
        states = states + torch.cat(keeps, dim=2) * carried[:, :, None]
    return states.reshape(shape[0], whole, shape[3])[:, :frames]


class GatedRecurrence(nn.Module):
    """All directions of one layer.

    Args:
        inputs: features in.
        hidden: features of each direction.
        directions: 1, or 2 to read from both ends.

    Shapes: x [B, T, inputs], mask [B, T, 1] → [B, T, directions * hidden]; beyond the lengths it is to be masked.

    >>> GatedRecurrence(8, 4, 2)(torch.zeros(3, 5, 8), torch.ones(3, 5, 1)).shape
    torch.Size([3, 5, 8])
    """

    def __init__(self, inputs: int, hidden: int, directions: int = 1):
        super().__init__()
        self.hidden, self.directions = hidden, directions
        self.stacked_matrices = {"linear.weight": 2 * directions}  # gates, for Muon
        self.longest = SHORTEST  # frames of a clip seen so far; an exported graph has room for as many
        self.linear = nn.Linear(inputs, 2 * directions * hidden)
        for gate in self.linear.weight.data.split(hidden):
            nn.init.xavier_uniform_(gate)
        nn.init.zeros_(self.linear.bias)
        self.linear.bias.data[: directions * hidden] = -MEMORY * torch.rand(directions * hidden)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        given = self.linear(x)
        exporting = torch.onnx.is_in_onnx_export()
        if not exporting:
            self.longest = max(self.longest, x.shape[1])
        if exporting or x.device.type != "cpu":  # where a loop would start kernels for every frame
            return self._tree(given.to(self.linear.bias.dtype), mask)
        with torch.autocast(x.device.type, enabled=False):  # many small steps, each of which half precision would round
            given = given.to(self.linear.bias.dtype)
            return _Scan.apply(given, mask.to(given.dtype), self.directions)

    def _tree(self, given: Tensor, mask: Tensor) -> Tensor:
        """The same states without a loop over time."""
        kept, added = self._steps(given, mask)
        if self.directions == 2:
            kept, added = (torch.cat([a, b.flip(1)]) for a, b in (x.chunk(2, dim=2) for x in (kept, added)))
        levels = 1
        while BRANCHES**levels < self.longest:
            levels += 1
        states = tree_scan(kept, added, levels)
        if self.directions == 1:
            return states
        forwards, backwards = states.chunk(2)
        return torch.cat([forwards, backwards.flip(1)], dim=2)

    def _steps(self, given: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The share of the state that each frame keeps, and what it adds, [B, T, directions * hidden] each."""
        z, g = given.chunk(2, dim=2)
        z = torch.sigmoid(z) if mask is None else torch.sigmoid(z) * mask.to(z.dtype)
        return 1 - z, z * torch.tanh(g)

    def initial_state(self) -> dict[str, tuple[int, ...]]:
        """Shapes, without the batch, of what a stream keeps between its steps; all begin with zeros."""
        return {"hidden": (self.hidden,)}

    def step(self, x: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The next frames of a stream, read in one direction: x [B, T, inputs] and state → y [B, T, hidden] and the
        next state."""
        kept, added = self._steps(self.linear(x))
        last, states = state["hidden"], []
        for t in range(x.shape[1]):
            last = kept[:, t] * last + added[:, t]
            states.append(last)
        return torch.stack(states, dim=1), {"hidden": last}
