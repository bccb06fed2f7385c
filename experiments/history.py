"""The curve of a run, kept in its folder whatever logger it has: what sweeps prune by and compare.py draws."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from experiments.curve import HISTORY, read_history
from experiments.diverged import DivergedError

KEPT = ("val_wer", "val_cer", "val_miss", "val_loss", "train_loss")


class RunHistory(Callback):
    """Append one line to `history.jsonl` after each validation.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path):
        self.path = folder / HISTORY
        earlier = read_history(folder)
        self.before = earlier[-1]["seconds"] if earlier else 0.0
        self.start = time.monotonic()

    def seconds(self) -> float:
        """Of training until now."""
        return round(self.before + time.monotonic() - self.start, 2)

    def on_train_start(self, trainer: pl.Trainer, model: Any) -> None:
        """The clock starts with the first step."""
        self.start = time.monotonic()

    def on_exception(self, trainer: pl.Trainer, model: Any, exception: BaseException) -> None:
        """Write where the run diverged, in place of what it had logged of that step."""
        if trainer.is_global_zero and isinstance(exception, DivergedError):
            self._write({"step": exception.step, "seconds": self.seconds(), "diverged": True})

    def on_validation_end(self, trainer: pl.Trainer, model: Any) -> None:
        """Write the point."""
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        logged = trainer.callback_metrics
        point: dict[str, float] = {
            "step": trainer.global_step,
            "epoch": trainer.current_epoch,
            "seconds": self.seconds(),
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"] if trainer.optimizers else 0.0,
        }
        point |= {key: round(float(logged[key]), 6) for key in KEPT if key in logged}
        self._write(point)

    def _write(self, point: dict[str, float]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(point) + "\n")
