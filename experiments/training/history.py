"""The curve of a run, kept in its folder whatever logger it has: what sweeps prune by and compare.py draws."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from experiments.training.diverged import DivergedError
from experiments.training.history_reader import HISTORY, read_history

KEPT = ("val_wer", "val_cer", "val_miss", "val_loss", "train_loss")


class RunHistory(Callback):
    """Append one line to `history.jsonl` after each validation.

    A run that is continued drops the points of the steps that it trains again.

    Args:
        folder: of the run.
        clock: seconds that have gone by.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic):
        self.path = folder / HISTORY
        self.earlier: list[dict[str, float]] | None = read_history(folder)
        self.before = self.earlier[-1]["seconds"] if self.earlier else 0.0
        self.clock = clock
        self.start = clock()

    def seconds(self) -> float:
        """Of training until now."""
        return round(self.before + self.clock() - self.start, 2)

    def state_dict(self) -> dict[str, float]:
        """What a checkpoint keeps: validations, of which the curve tells, may lie far before it."""
        return {"seconds": self.seconds()}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Go on from the seconds of a checkpoint; one of an earlier version has none, and the curve's are taken."""
        self.before, self.start = state_dict["seconds"], self.clock()

    def on_train_start(self, trainer: pl.Trainer, model: Any) -> None:
        """The clock starts with the first step; a run that goes on from before it diverged is none that did."""
        self.start = self.clock()
        if trainer.is_global_zero and self.earlier and "diverged" in self.earlier[-1]:
            self.earlier = [one for one in self.earlier if "diverged" not in one]
            self._keep(self.earlier)

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
        if self.earlier is not None:
            self._keep([one for one in self.earlier if one["step"] < point["step"]])
            self.earlier = None
        with self.path.open("a") as file:
            file.write(json.dumps(point) + "\n")

    def _keep(self, points: list[dict[str, float]]) -> None:
        whole = self.path.with_suffix(".part")
        whole.write_text("".join(json.dumps(one) + "\n" for one in points))
        whole.replace(self.path)
