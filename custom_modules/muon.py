"""Muon for the matrices of an encoder, AdamW for the rest, in one optimiser that Lightning and NeMo drive as any other.

Muon (Jordan, 2024, "Muon: an optimizer for hidden layers in neural networks") makes the update of a matrix orthogonal:
all its directions move alike, where Adam moves mostly along a few. torch's own takes matrices alone, so that a model
needs two optimisers; here convolutions are matrices of filters, gates that lie one above another are matrices of their
own, and biases, norms, the first layer and the decoder learn by torch's AdamW.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from nemo.core.config.optimizers import OptimizerParams
from nemo.core.optim.optimizers import register_optimizer
from torch import Tensor, nn

QUINTIC = 3.4445, -4.7750, 2.0315  # Jordan's: brings singular values to between 0.7 and 1.2 in few iterations
ITERATIONS = 5
RMS = 0.2  # of an update over its rate, as AdamW's mostly is, so that both take one rate (Liu et al., 2025)
SMALLEST = 16  # rows and columns; smaller matrices have few directions
STACKED = {nn.GRU: 3, nn.LSTM: 4}  # gates, one above another in torch's weights


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrices, roughly: singular values from 0.7 to 1.2, by Newton and Schulz's iteration.

    Args:
        matrices: [N, rows, columns].

    Returns:
        the same shape, in the type it was computed in.

    >>> found = orthogonal(torch.diag(torch.tensor([4.0, 2.0, 1.0]))[None])
    >>> [round(float(value), 1) for value in torch.linalg.svdvals(found)[0]]
    [1.1, 0.8, 0.7]
    """
    x = matrices.bfloat16() if matrices.is_cuda else matrices.float()
    upright = x.shape[1] > x.shape[2]
    if upright:  # products of the shorter side are the cheaper ones
        x = x.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if upright else x


class Muon(torch.optim.Optimizer):
    """One rate and one weight decay for both; see the module.

    Args:
        params: parameters or groups of them. A group with `stacked` above 0 holds matrices, so many of which lie one
            above another in each parameter; the others learn by AdamW.
        lr: rate; an update's root mean square is 0.2 of it.
        betas: AdamW's.
        eps: AdamW's.
        weight_decay: shrinks a weight by `lr * weight_decay` in each step.
        momentum: of the matrices, in Nesterov's form.
        fused: AdamW's: one kernel for all its parameters.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        fused: bool | None = None,
    ):
        self.adamw = torch.optim.AdamW([torch.zeros(0)], lr, tuple(betas), eps, weight_decay, fused=fused)
        super().__init__(params, {**self.adamw.defaults, "momentum": momentum, "stacked": 0})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["stacked"]:
                self._step_matrices(group)
        # Its groups and their state are this optimiser's own, which loading a checkpoint replaces.
        self.adamw.param_groups = [group for group in self.param_groups if not group["stacked"]]
        self.adamw.state = self.state
        self.adamw.step()
        return loss

    def _step_matrices(self, group: dict[str, Any]) -> None:
        """All matrices of one shape are one product."""
        learning = [parameter for parameter in group["params"] if parameter.grad is not None]
        for shape, alike in groupby(sorted(learning, key=_shape), key=_shape):
            parameters = list(alike)
            wanted = torch.stack([self._direction(parameter, group["momentum"]) for parameter in parameters])
            matrices = wanted.reshape(-1, shape[0] // group["stacked"], shape[1])
            update = orthogonal(matrices) * (RMS * max(matrices.shape[1:]) ** 0.5)
            for parameter, change in zip(parameters, update.reshape(wanted.shape).to(wanted.dtype), strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(change.view_as(parameter), alpha=-group["lr"])

    def _direction(self, parameter: Tensor, momentum: float) -> Tensor:
        """Where Nesterov's momentum points, as a matrix."""
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        gradient = parameter.grad
        assert gradient is not None
        mean = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(mean, momentum).flatten(1)


def _shape(parameter: Tensor) -> tuple[int, int]:
    """Rows and columns of a weight; a filter of a convolution is a row."""
    return parameter.shape[0], parameter[0].numel()


def stacked_matrices(model: nn.Module) -> dict[str, int]:
    """The weights of an encoder that are matrices, and how many lie one above another in each.

    A module says by `stacked_matrices` what its own weights hold. Left out are weights that are no matrices (biases,
    norms, convolutions of each channel by itself) or small ones, as a first layer over one channel is.

    Args:
        model: with an `encoder`.

    Returns:
        names of parameters, as `model.named_parameters()` has them.
    """
    encoder = model.get_submodule("encoder")
    told, found = {}, {}
    for name, module in encoder.named_modules(prefix="encoder"):
        told.update({f"{name}.{weight}": count for weight, count in getattr(module, "stacked_matrices", {}).items()})
        for weight, parameter in module.named_parameters(recurse=False):
            by_channel = parameter.dim() > 2 and parameter.shape[1] == 1
            if parameter.dim() > 1 and not by_channel and min(_shape(parameter)) >= SMALLEST:
                found[f"{name}.{weight}"] = STACKED.get(type(module), 1)
    return {name: told.get(name, count) for name, count in found.items()}


def matrix_groups(model: nn.Module, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Take a model's matrices out of its parameter groups, into groups of their own with the same rates.

    Args:
        model: with an `encoder`.
        groups: of its parameters, with rates and names or without.
    """
    stacked = stacked_matrices(model)
    count = {parameter: stacked.get(name, 0) for name, parameter in model.named_parameters()}
    parted = []
    for group in groups:
        for number in sorted({count[parameter] for parameter in group["params"]}):
            title = "others" if not number else "matrices" if number == 1 else f"{number} matrices each"
            name = f"{group['name']}, {title}" if "name" in group else title
            members = [parameter for parameter in group["params"] if count[parameter] == number]
            parted.append({**group, "params": members, "stacked": number, "name": name})
    return parted


@dataclass
class MuonParams(OptimizerParams):
    """Arguments of `Muon`, for NeMo's registry."""

    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-8
    weight_decay: float = 0.1
    momentum: float = 0.95
    fused: bool | None = None


register_optimizer("muon", Muon, MuonParams())
