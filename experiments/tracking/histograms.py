"""Histograms of gradients and parameters.

`wandb.watch` sees no parameters here, since Lightning calls `training_step` and never the model itself, and what it
raises in its hooks ends the training.
"""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from experiments.training.best_effort import BestEffort

KINDS = (None, "gradients", "parameters", "all")
BINS = 32


def histogram(values: Tensor) -> Any:
    """A W&B histogram of a tensor's finite values; None where there are none."""
    import wandb

    values = values.detach().float().flatten()
    values = values[torch.isfinite(values)].cpu()
    if not len(values):
        return None
    low, high = float(values.min()), float(values.max())
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    counts = [int(count) for count in torch.histc(values, BINS, low, high)]
    edges = [float(f"{edge:.5g}") for edge in torch.linspace(low, high, BINS + 1).tolist()]  # W&B stores them as text
    return wandb.Histogram(np_histogram=(counts, edges))


class Histograms(Callback):
    """Log histograms of what moves a model, before the gradient is clipped.

    Args:
        kind: gradients, parameters, or all.
        every: steps between them.
        forgive: failures.
    """

    def __init__(self, kind: str, every: int, forgive: BestEffort):
        self.kind, self.every, self.forgive = kind, every, forgive

    def on_before_optimizer_step(self, trainer: pl.Trainer, model: pl.LightningModule, optimizer: Any) -> None:
        """Log them where it is their step; a failure is said and forgiven."""
        if not trainer.is_global_zero or not trainer.logger or trainer.global_step % self.every:
            return
        with self.forgive("histograms"):
            found = {}
            for name, parameter in model.named_parameters():
                if self.kind in ("gradients", "all") and parameter.grad is not None:
                    found[f"gradients/{name}"] = histogram(parameter.grad)
                if self.kind in ("parameters", "all") and parameter.requires_grad:
                    found[f"parameters/{name}"] = histogram(parameter)
            found = {name: value for name, value in found.items() if value is not None}
            trainer.logger.log_row(found, trainer.global_step)  # type: ignore[attr-defined]
