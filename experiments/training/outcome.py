"""How a training ended: whether it diverged, what is left of it, and what its record begins with."""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import lightning.pytorch as pl
from omegaconf import DictConfig, open_dict

from experiments.data.preflight import run_dir
from experiments.data.unreadable import Unreadable
from experiments.errors import ConfigError
from experiments.tracking.loggers import close, git_state, log_end, log_results, wandb_origin
from experiments.training.averaging import weights_of
from experiments.training.checkpoints import damage, read_checkpoint
from experiments.training.diverged import DivergedError
from experiments.training.divergence import METRICS, Divergence
from experiments.training.history import RunHistory
from manifests import ManifestError
from manifests.show import from_here, typed
from manifests.whole import NoRoomError, whole_file

LOG = logging.getLogger(__name__)

Result = TypeVar("Result")
CALLED = {"wer": "WER", "cer": "CER", "miss": "false rejects"}


def finishing(task: Callable[..., Result]) -> Callable[..., Result]:
    """Have what comes after a training say how it is done again, where its recordings or the disk fail."""

    @functools.wraps(task)
    def run(*arguments: Any) -> Result:
        try:
            return task(*arguments)
        except (ManifestError, NoRoomError) as error:
            close(1)
            raise ConfigError(
                f"{error} The training itself is over and kept; when that is fixed, finish with: python train.py "
                f"{typed(run_dir(), 'resume=')}"
            ) from error

    return run


def finish_run(
    cfg: DictConfig,
    model: Any,
    trainer: pl.Trainer,
    folder: Path,
    measure: str,
    facts: Callable[[dict[str, Any]], dict[str, Any]],
    test: Callable[[dict[str, Any]], None],
    show: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """End a run: best weights, `model.nemo`, tests, `metrics.json`, trackers.

    Args:
        cfg: the whole configuration.
        model: that was trained.
        trainer: of the run.
        folder: of the run.
        measure: what the best weights have least of, a key of `CALLED`.
        facts: what else model.nemo says of its run; it may add to the metrics.
        test: adds to the metrics when model.nemo is written.
        show: prints them.

    Returns:
        what metrics.json holds.
    """
    metrics = so_far(model, trainer)
    metrics["best_step"], metrics[f"validation_{measure}"] = restore_best(model, trainer, CALLED[measure])
    model.eval()
    record = {
        "name": cfg.name,
        "folder": folder.name,
        "git": git_state(),
        "wandb": wandb_origin(trainer.logger, cfg.name),
        **facts(metrics),
    }
    record |= {key: value for key, value in metrics.items() if key not in ("test", "calibration", "diverged")}
    with open_dict(model.cfg):
        model.cfg.run = record
    nemo = folder / "model.nemo"
    model.save_to(str(nemo))
    test(metrics)
    write_metrics(folder, metrics)
    log_results(trainer.logger, folder, cfg.name, metrics, record)
    show(metrics)
    print(f"model   {from_here(nemo)}\nmetrics {from_here(folder / METRICS)}")
    end(trainer, metrics["best_step"])
    return metrics


def restore_best(model: Any, trainer: pl.Trainer, called: str = "WER") -> tuple[int, float | None]:
    """Put the weights of the best validation into the model.

    Returns:
        the step they are of, and their validation WER, or what else is `called`; the last step and None when no
        validation finished.
    """
    path = best_weights(trainer)
    if path is None:
        LOG.info("No validation finished: the last weights are kept, not the best.")
        return trainer.global_step, None
    if fault := damage(path):
        LOG.info(f"The best weights, {path}, are damaged ({fault}): the last are kept.")
        return trainer.global_step, None
    state = read_checkpoint(path)
    model.load_state_dict(weights_of(state))
    best = float(trainer.checkpoint_callbacks[0].best_model_score)
    if best == float("inf"):  # see `Resumption`
        LOG.info(f"No validation like the present ones finished: the weights of step {state['global_step']} are kept.")
        return int(state["global_step"]), None
    LOG.info(f"Best weights: step {state['global_step']}, validation {called} {best:.2%}.")
    return int(state["global_step"]), best


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
        LOG.info(f"{left_out} utterances could not be read any more and were left out: left_out.jsonl lists them.")
    error = diverged(trainer)
    if error is None:
        return metrics
    metrics["diverged"] = error.record
    if trainer.logger:
        log_end(trainer.logger, {"diverged": error.step}, error.step)
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
    again = "start anew."
    if any((run_dir() / "checkpoints").glob("*.ckpt")):
        command = f"python train.py {typed(run_dir(), 'resume=')} optim.lr=…"
        again = f"start anew, or go on from the last checkpoint: {command}"
    raise DivergedError(
        f"{error} {kept} Lower optim.lr or trainer.gradient_clip_val, raise optim.sched.warmup_ratio, or look at what "
        f"was heard there; then {again}",
        error.step,
        error.record,
    )


def best_weights(trainer: pl.Trainer) -> Path | None:
    """The checkpoint of the best validation; None when none finished."""
    path = trainer.checkpoint_callbacks[0].best_model_path
    return Path(path) if path and Path(path).exists() else None
