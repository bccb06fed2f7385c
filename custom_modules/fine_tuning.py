"""Which parts of a trained model go on learning, and how fast."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from torch import nn


def layer_of(model: nn.Module, name: str) -> tuple[str, int]:
    """The layer a parameter belongs to: the module that holds it in a list, or a part without lists.

    Lists of one length side by side, such as both directions of a recurrence and their norms, are one stack.

    Args:
        model: that has the parameter.
        name: of the parameter, as `named_parameters` gives it.
    """
    parts = name.split(".")
    for i, part in enumerate(parts):
        if part.isdigit():
            holder = model.get_submodule(".".join(parts[:i]))
            if isinstance(holder, nn.ModuleList):
                return f"{'.'.join(parts[: i - 1])}[{len(holder)}]", int(part)
            return ".".join(parts[:i]), int(part)
    return ".".join(parts[:2]), 0


def depths(model: nn.Module) -> dict[str, int]:
    """How many layers lie between each parameter and the output: 0 for the decoder.

    Args:
        model: with a `decoder`, and an `encoder` whose parameters come in the order in which sound meets them; what
            else it has counts with the lowest layer.
    """
    names = [name for name, _ in model.named_parameters()]
    layers: dict[tuple[str, int], int] = {}
    for name in names:
        if begins_with(name, "encoder"):
            layers.setdefault(layer_of(model, name), len(layers))
    above = {name: len(layers) - layers[layer_of(model, name)] for name in names if begins_with(name, "encoder")}
    return {name: 0 if begins_with(name, "decoder") else above.get(name, len(layers)) for name in names}


def parameter_groups(
    model: nn.Module, lr: float, layer_decay: float = 1.0, lr_scales: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """Parameter groups for the optimiser, fastest first.

    Args:
        model: whose parameters are grouped.
        lr: rate of a parameter at scale 1.
        layer_decay: the rate of each layer over that of the layer above it.
        lr_scales: further factors by beginnings of parameter names; the longest that fits counts.

    Returns:
        one group when all learn alike, else one for each rate.
    """
    if layer_decay == 1.0 and not lr_scales:
        return [{"params": list(model.parameters())}]
    depth = depths(model)
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        fitting = [prefix for prefix in lr_scales or {} if begins_with(name, prefix)]
        factor = lr_scales[max(fitting, key=len)] if lr_scales and fitting else 1.0
        groups.setdefault(factor * layer_decay ** depth[name], []).append(parameter)
    return [  # a chart of the rates needs a name of its own for each
        {"params": groups[scale], "lr": lr * scale, "name": f"{i} x{scale:.3g}"}
        for i, scale in enumerate(sorted(groups, reverse=True))
    ]


def begins_with(name: str, prefix: str) -> bool:
    """Whether a dotted name is `prefix` or lies below it.

    >>> begins_with("encoder.dense.0.weight", "encoder.dense"), begins_with("encoder.dense2.bias", "encoder.dense")
    (True, False)
    """
    return name == prefix or name.startswith(prefix + ".")


def require_something_to_learn(model: nn.Module, freeze: Sequence[str], unfreeze_at: float | None) -> None:
    """Refuse to freeze what does not exist, or everything.

    Args:
        model: whose parts are named.
        freeze: dotted names of modules.
        unfreeze_at: share of the budget after which they learn.

    Raises:
        ValueError: says what is wrong and what there is.
    """
    if unfreeze_at is not None and not (freeze and 0.0 < unfreeze_at < 1.0):
        raise ValueError(
            f"unfreeze_at is the share of the budget, between 0 and 1, after which the parts in freeze learn; found "
            f"unfreeze_at={unfreeze_at} with freeze={list(freeze)}."
        )
    modules = [name for name, module in model.named_modules() if name and any(True for _ in module.parameters())]
    for part in freeze:
        _require_known("freeze", part, modules)
    if not any(
        parameter.requires_grad and not any(begins_with(name, part) for part in freeze)
        for name, parameter in model.named_parameters()
    ):
        raise ValueError(f"freeze={list(freeze)} leaves nothing to learn. Leave out at least the decoder.")


def require_rates(model: nn.Module, layer_decay: float, lr_scales: Mapping[str, float]) -> None:
    """Refuse factors of the learning rate that make no sense or belong to nothing.

    Raises:
        ValueError: says what is wrong and what there is.
    """
    if not 0.0 < layer_decay <= 1.0:
        raise ValueError(f"optim.layer_decay is above 0 and at most 1; found {layer_decay}.")
    parts = {name for name, _ in model.named_parameters()} | {name for name, _ in model.named_modules() if name}
    for part, factor in lr_scales.items():
        _require_known("optim.lr_scales", part, sorted(parts))
        if not (isinstance(factor, int | float) and factor >= 0.0):
            raise ValueError(f"optim.lr_scales gives {part} the factor {factor!r}; it must be a number from 0 on.")


def _require_known(key: str, part: str, known: Sequence[str]) -> None:
    if part not in known:
        near = difflib.get_close_matches(part, known, 3, 0.4) or [name for name in known if "." not in name]
        raise ValueError(f"{key} names {part}, which is no part of this model. The nearest are: {', '.join(near)}.")


class Freezing(Callback):
    """Keeps the weights and the batch-norm statistics of some parts as they are, to the end or for a while.

    The parts run as in evaluation: without dropout, and with the statistics they came with.

    Args:
        parts: dotted names of modules.
        unfreeze_at: share of the budget after which they learn as well; None for never.
    """

    def __init__(self, parts: Sequence[str], unfreeze_at: float | None = None):
        self.parts = list(parts)
        self.unfreeze_at = unfreeze_at
        self.modules: list[nn.Module] = []
        self.held: list[nn.Parameter] = []

    def setup(self, trainer: pl.Trainer, model: Any, stage: str) -> None:
        if stage != "fit":
            return
        self.modules = [model.get_submodule(part) for part in self.parts]
        found = {id(p): p for module in self.modules for p in module.parameters() if p.requires_grad}
        self.held = list(found.values())
        total = model.num_weights
        for parameter in self.held:
            parameter.requires_grad = False
        if trainer.is_global_zero:
            until = f" for the first {self.unfreeze_at:.0%} of the run" if self.unfreeze_at else ""
            print(f"Frozen{until}: {', '.join(self.parts)}, {total - model.num_weights:,} of {total:,} parameters.")

    def on_train_batch_start(self, trainer: pl.Trainer, model: Any, batch: Any, batch_idx: int) -> None:
        if self.unfreeze_at is not None and self.modules and model.budget_used() >= self.unfreeze_at:
            for module in self.modules:
                module.train()
            self._release()
            if trainer.is_global_zero:
                print(f"Step {trainer.global_step}: {', '.join(self.parts)} learn from here on.", flush=True)
        for module in self.modules:  # whoever calls train() on the model would wake them
            module.eval()

    def on_fit_end(self, trainer: pl.Trainer, model: Any) -> None:
        self._release()

    def on_exception(self, trainer: pl.Trainer, model: Any, exception: BaseException) -> None:
        self._release()

    def _release(self) -> None:
        for parameter in self.held:
            parameter.requires_grad = True
        self.modules, self.held = [], []
