"""How both models learn: rates by layer, and a schedule that follows steps or the clock; and how they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning.pytorch.plugins import MixedPrecision
from omegaconf import open_dict

from custom_modules.depth import StochasticDepth
from custom_modules.fine_tuning import parameter_groups
from custom_modules.nemo_file import NemoFile
from custom_modules.schedule import BudgetAnnealing

if TYPE_CHECKING:
    from nemo.core.classes import ModelPT as Beside
else:
    Beside = object


class OptimisationMixin(Beside):
    """Beside a NeMo model: `optim.layer_decay`, `optim.lr_scales`, and a budget of steps or of `trainer.max_time`."""

    _rates: dict[str, Any] = {"lr": 0.0}

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
        made = super().setup_optimization(config, optim_kwargs)
        with open_dict(self.cfg.optim):  # NeMo keeps what the optimiser got, and asks for it once more
            self.cfg.optim.update(rates)
        return made

    def setup_optimizer_param_groups(self) -> None:
        """Groups by rate; one where all learn alike."""
        self._optimizer_param_groups = parameter_groups(self, **self._rates)

    def on_train_start(self) -> None:
        """Take the place in the budget before the first step as well, which may be the first of a larger budget."""
        super().on_train_start()
        used = self.budget_used()
        if self.trainer.lr_scheduler_configs:  # without a schedule nothing follows later either
            self.follow_budget(used)
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, BudgetAnnealing):
                config.scheduler.follow(used)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Tell a `BudgetAnnealing` how much of the steps or of the time is gone, then step as usual."""
        used = self.budget_used()
        self.follow_budget(used)
        if isinstance(scheduler, BudgetAnnealing):
            scheduler.budget_used = used
        super().lr_scheduler_step(scheduler, metric)

    def follow_budget(self, used: float) -> None:
        """What else changes as the budget is used, from 0 to 1: fewer layers are left out."""
        for module in self.modules():
            if isinstance(module, StochasticDepth):
                module.follow(used)

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
