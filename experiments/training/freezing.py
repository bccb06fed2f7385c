"""Parts of a model that keep their weights, to the end of a run or for a while."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from torch import nn

from custom_modules.optimisation import begins_with, require_known

LOG = logging.getLogger(__name__)


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
        require_known("freeze", part, modules)
    if not any(
        parameter.requires_grad and not any(begins_with(name, part) for part in freeze)
        for name, parameter in model.named_parameters()
    ):
        raise ValueError(f"freeze={list(freeze)} leaves nothing to learn. Leave out at least the decoder.")


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
            LOG.info(f"Frozen{until}: {', '.join(self.parts)}, {total - model.num_weights:,} of {total:,} parameters.")

    def on_train_batch_start(self, trainer: pl.Trainer, model: Any, batch: Any, batch_idx: int) -> None:
        if self.unfreeze_at is not None and self.modules and model.budget_used() >= self.unfreeze_at:
            for module in self.modules:
                module.train()
            self._release()
            if trainer.is_global_zero:
                LOG.info(f"Step {trainer.global_step}: {', '.join(self.parts)} learn from here on.")
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
