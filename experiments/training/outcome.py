"""How a training ended: whether it diverged, what is left of it, and what its record begins with."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import lightning.pytorch as pl

from experiments.data.preflight import run_dir
from experiments.data.unreadable import Unreadable
from experiments.errors import ConfigError
from experiments.tracking.loggers import close
from experiments.training.diverged import DivergedError
from experiments.training.divergence import METRICS, Divergence
from experiments.training.history import RunHistory
from manifests import ManifestError
from manifests.whole import NoRoomError, whole_file

Result = TypeVar("Result")


def finishing(task: Callable[..., Result]) -> Callable[..., Result]:
    """Have what comes after a training say how it is done again, where its recordings or the disk fail."""

    @functools.wraps(task)
    def run(*arguments: Any) -> Result:
        try:
            return task(*arguments)
        except (ManifestError, NoRoomError) as error:
            close(1)
            raise ConfigError(
                f"{error} The training itself is over and kept; when that is mended, finish with: python train.py "
                f"resume={shown(run_dir())}"
            ) from error

    return run


def so_far(model: Any, trainer: pl.Trainer) -> dict[str, Any]:
    """What metrics.json begins with.

    Raises:
        DivergedError: the training diverged before a validation; metrics.json says so, and there is no model to keep.
    """
    metrics: dict[str, Any] = {
        "parameters": model.num_weights,
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch,
        "seconds": next(one.seconds() for one in trainer.callbacks if isinstance(one, RunHistory)),
        "date": time.strftime("%Y-%m-%d"),
        "test": {},
    }
    left_out = sum(one.count() for one in trainer.callbacks if isinstance(one, Unreadable))
    if left_out:
        metrics["left_out"] = left_out
        print(f"{left_out} utterances could not be read any more and were left out: left_out.jsonl lists them.")
    error = diverged(trainer)
    if error is None:
        return metrics
    metrics["diverged"] = error.record
    if trainer.logger:
        trainer.logger.log_metrics({"diverged": error.step})
    if best_weights(trainer) is None:
        write_metrics(run_dir(), metrics)
        end(trainer, None)
    return metrics


def write_metrics(folder: Path, metrics: dict[str, Any]) -> None:
    """Write metrics.json, whole or not at all.

    Args:
        folder: of the run.
        metrics: what it shall hold.
    """
    with whole_file(folder / METRICS) as part:
        part.write_text(json.dumps(metrics, indent=1))


def diverged(trainer: pl.Trainer) -> DivergedError | None:
    """What ended the training, where it diverged."""
    return next(one.error for one in trainer.callbacks if isinstance(one, Divergence))


def end(trainer: pl.Trainer, best_step: int | None) -> None:
    """Close the trackers of a run.

    Args:
        trainer: of it.
        best_step: whose weights model.nemo holds; None where there is none.

    Raises:
        DivergedError: the training diverged; with what is left of it, and how it goes on.
    """
    error = diverged(trainer)
    close(error.status if error else 0)
    if error is None:
        return
    if best_step is None:
        kept = "No validation had finished before, so there is no model."
    else:
        kept = f"model.nemo holds the best weights from before, of step {best_step}."
    raise DivergedError(
        f"{error} {kept} Lower optim.lr or trainer.gradient_clip_val, raise optim.sched.warmup_ratio, or look at what "
        "was heard there; then start anew, or go on from the last checkpoint: "
        f"python train.py resume={shown(run_dir())} optim.lr=…",
        error.step,
        error.record,
    )


def best_weights(trainer: pl.Trainer) -> Path | None:
    """The checkpoint of the best validation; None when none finished."""
    path = trainer.checkpoint_callbacks[0].best_model_path
    return Path(path) if path and Path(path).exists() else None


def shown(path: Path) -> str:
    """A path as short as it can be typed."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
