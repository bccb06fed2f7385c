"""What is shown around training steps: a bar on a terminal, plain text elsewhere."""

from __future__ import annotations

import logging
import time
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar, Timer
from lightning.pytorch.trainer.states import RunningStage
from rich.console import Console

LOG = logging.getLogger(__name__)

RATES = {"val_wer": "WER", "val_cer": "CER", "val_miss": "missed"}  # shown at each validation


class LatestBest(ModelCheckpoint):
    """Keeps the best weights, and of equally good ones the later, which learned at lower rates.

    Small validation sets are full of ties. Lightning keeps the first, and what is no number where there is no
    other.
    """

    def check_monitor_top_k(self, trainer: pl.Trainer, current: torch.Tensor | None = None) -> bool:
        if current is not None and not trainer.strategy.reduce_boolean_decision(bool(torch.isfinite(current))):
            return False
        equal = current is not None and self.kth_value is not None and bool(current == self.kth_value)
        return super().check_monitor_top_k(trainer, current) or trainer.strategy.reduce_boolean_decision(equal)


class ProcessorTimer(Timer):
    """Ends training after so much of this process's own time, of all its threads together.

    What other programs take of the machine is not counted, and neither is what other processes read.
    """

    began: float | None = None
    ended: float | None = None

    def on_train_start(self, trainer: pl.Trainer, model: Any) -> None:
        self.began, self.ended = time.process_time(), None

    def on_train_end(self, trainer: pl.Trainer, model: Any) -> None:
        self.ended = time.process_time()

    def time_elapsed(self, stage: str = RunningStage.TRAINING) -> float:
        """Seconds of training until now, those before it was continued included."""
        if stage != RunningStage.TRAINING or self.began is None:
            return super().time_elapsed(stage)
        return (self.ended or time.process_time()) - self.began + self._offset


class PlainProgress(Callback):
    """One line every `seconds` where there is no terminal to draw a bar on.

    Args:
        seconds: between lines.
    """

    def __init__(self, seconds: float = 20.0):
        self.seconds = seconds
        self.last = 0.0
        self.loss = float("nan")

    def on_train_batch_end(self, trainer: pl.Trainer, model: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.is_global_zero and time.monotonic() - self.last >= self.seconds:
            self.last = time.monotonic()
            loss = float(outputs["loss"]) if isinstance(outputs, dict) else float(outputs)
            LOG.info(
                f"epoch {trainer.current_epoch}  step {trainer.global_step}  loss {loss:.2f}{_time(trainer)}",
            )

    def on_validation_end(self, trainer: pl.Trainer, model: Any) -> None:
        metrics = trainer.callback_metrics
        if trainer.is_global_zero and (found := [key for key in RATES if key in metrics]):
            rates = "  ".join(f"{RATES[key]} {float(metrics[key]):.1%}" for key in found)
            LOG.info(f"  validation: {rates}{_time(trainer)}")


def _time(trainer: pl.Trainer) -> str:
    for callback in trainer.callbacks:
        if isinstance(callback, Timer):
            gone = callback.time_elapsed()
            left = callback.time_remaining()
            shown = f"  {gone / 60:.1f} min"
            if left is None:
                return shown
            budget = f"{(gone + left) / 60:.1f}"  # which ends between two steps: the last one and what follows go on
            return f"{shown} of {budget}" if left > 0 else f"{shown}, the budget of {budget} is spent"
    return ""


class BarWithErrors(RichProgressBar):
    """Lightning's bar, showing word and character error rates and leaving out the rest."""

    read = 0.0  # when the loss was last looked at
    loss = ""

    def _init_progress(self, trainer: pl.Trainer) -> None:
        """Lightning 2.4 clears a live display where there may be none, which rich 15 takes for an error."""
        clear = Console.clear_live

        def cleared(console: Console) -> None:
            if console._live_stack:
                clear(console)

        Console.clear_live = cleared  # type: ignore[method-assign, assignment]
        try:
            super()._init_progress(trainer)
        finally:
            Console.clear_live = clear  # type: ignore[method-assign]

    def get_metrics(self, trainer: pl.Trainer, pl_module: Any) -> dict[str, Any]:
        """What stands at the right of the bar."""
        logged = trainer.callback_metrics
        shown = {key: f"{float(logged[key]):.1%}" for key in RATES if key in logged}
        if "train_loss" in logged:
            if time.monotonic() - self.read > 0.5:  # reading it has the host wait for its accelerator
                self.read, self.loss = time.monotonic(), f"{float(logged['train_loss']):.2f}"
            shown["loss"] = self.loss
        return shown
