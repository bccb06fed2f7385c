"""How both models learn: rates by layer, and what follows the budget of steps or time; and how they are written."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lightning.pytorch.plugins import MixedPrecision
from omegaconf import open_dict
from torch import nn

from custom_modules.depth import StochasticDepth
from custom_modules.muon import matrix_groups
from custom_modules.nemo_file import NemoFile

if TYPE_CHECKING:
    from nemo.core.classes import ModelPT as Beside
else:
    Beside = object


class OptimisationMixin(Beside):
    """Beside a NeMo model: `optim.layer_decay`, `optim.lr_scales`, and a budget of steps or of `trainer.max_time`."""

    _rates: dict[str, Any] = {"lr": 0.0}
    _by_matrix = False
    _followed = 0.0  # of the budget, where nothing else remembers it

    def save_to(self, save_path: Any) -> None:
        """Write a `.nemo`, whole or not at all."""
        self._save_restore_connector = NemoFile()
        super().save_to(save_path)

    @classmethod
    def restore_from(cls, restore_path: Any, *arguments: Any, **options: Any) -> Any:
        """NeMo's; of the weights nothing is run."""
        options.setdefault("save_restore_connector", NemoFile())
        return super().restore_from(restore_path, *arguments, **options)

    def setup_optimization(self, optim_config: Any = None, optim_kwargs: dict[str, Any] | None = None) -> Any:
        """NeMo's, with a rate for each layer: `optim.layer_decay` and `optim.lr_scales`."""
        config = self._optim_config_copy(optim_config)
        if config is None:
            return super().setup_optimization(optim_config, optim_kwargs)
        with open_dict(config):
            rates = {key: config.pop(key) for key in ("layer_decay", "lr_scales") if key in config}
            if isinstance(getattr(self.trainer, "precision_plugin", None), MixedPrecision) and config.get("fused"):
                config.fused = False  # Lightning does not clip the gradients of a fused optimiser in mixed precision
        self._rates = {"lr": config.lr, **rates}
        self._by_matrix = config.get("name") == "muon"
        made = super().setup_optimization(config, optim_kwargs)
        with open_dict(self.cfg.optim):  # NeMo keeps what the optimiser got, and asks for it once more
            self.cfg.optim.update(rates)
        return made

    def setup_optimizer_param_groups(self) -> None:
        """Groups by rate, and for Muon by matrices; one where all learn alike."""
        groups = parameter_groups(self, **self._rates)
        self._optimizer_param_groups = matrix_groups(self, groups) if self._by_matrix else groups

    def on_train_start(self) -> None:
        """Take the place in the budget before the first step as well, which may be the first of a larger budget."""
        super().on_train_start()
        self._followed = used = self.budget_used()
        self.follow_budget(used)
        for config in self.trainer.lr_scheduler_configs:
            if hasattr(config.scheduler, "follow"):
                config.scheduler.follow(used)

    def on_train_batch_start(self, batch: Any, batch_idx: int, *more: Any) -> Any:
        """Follow the budget where no schedule of the rate does: optim.sched=null."""
        if not self.trainer.lr_scheduler_configs and (used := self.budget_used()) != self._followed:
            self._followed = used
            self.follow_budget(used)
        return super().on_train_batch_start(batch, batch_idx, *more)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Tell a schedule that asks for it how much of the steps or of the time is gone, then step as usual."""
        used = self.budget_used()
        self.follow_budget(used)
        if hasattr(scheduler, "budget_used"):
            scheduler.budget_used = used
        super().lr_scheduler_step(scheduler, metric)

    def follow_budget(self, used: float) -> None:
        """What else changes as the budget is used, from 0 to 1: fewer layers are left out, and what has a `ramp`
        (perturbation, silence, a penalty on delay) grows over that share of it."""
        for module in self.modules():
            if isinstance(module, StochasticDepth):
                module.follow(used)
            elif (ramp := getattr(module, "ramp", 0)) > 0:
                module.strength = min(used / ramp, 1.0)

    def budget_used(self) -> float:
        """Share of the run that is over, by steps or by `trainer.max_time`, whichever is further."""
        from lightning.pytorch.callbacks import Timer

        used = self.trainer.global_step / max(self.trainer.estimated_stepping_batches, 1)
        for callback in self.trainer.callbacks:
            if isinstance(callback, Timer) and callback.time_remaining() is not None:
                elapsed = callback.time_elapsed()
                used = max(used, elapsed / (elapsed + callback.time_remaining()))
        # Ranks must agree on the rate even where their clocks do not.
        return float(self.trainer.strategy.broadcast(used))


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


def require_rates(model: nn.Module, layer_decay: float, lr_scales: Mapping[str, float]) -> None:
    """Refuse factors of the learning rate that make no sense or belong to nothing.

    Raises:
        ValueError: says what is wrong and what there is.
    """
    if not 0.0 < layer_decay <= 1.0:
        raise ValueError(f"optim.layer_decay is above 0 and at most 1; found {layer_decay}.")
    parts = {name for name, _ in model.named_parameters()} | {name for name, _ in model.named_modules() if name}
    for part, factor in lr_scales.items():
        require_known("optim.lr_scales", part, sorted(parts))
        if not (isinstance(factor, int | float) and factor >= 0.0):
            raise ValueError(f"optim.lr_scales gives {part} the factor {factor!r}; it must be a number from 0 on.")


def require_known(key: str, part: str, known: Sequence[str]) -> None:
    if part not in known:
        near = difflib.get_close_matches(part, known, 3, 0.4) or [name for name in known if "." not in name]
        raise ValueError(f"{key} names {part}, which is no part of this model. The nearest are: {', '.join(near)}.")
