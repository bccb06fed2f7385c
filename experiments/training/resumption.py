"""What makes a run that is continued the same run: its place in the epoch, its random states, its validations."""

from __future__ import annotations

import copy
import logging
import random
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch.optim import SGD
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from experiments.training.schedule import BudgetAnnealing

LOG = logging.getLogger(__name__)

KEY = "resumption"
RATES_SO_FAR = {"last_epoch", "_step_count", "_last_lr", "budget_used", "best", "num_bad_epochs", "cooldown_counter"}
PLATEAU = {"best", "num_bad_epochs", "cooldown_counter"}  # of these, what a validation said
PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")
COUNTS = ("ready", "started", "processed", "completed")

warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before the epoch ended")


def random_states() -> dict[str, Any]:
    """States of the generators that training draws from: Python's, NumPy's, torch's and its device's."""
    states = {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def set_random_states(states: dict[str, Any]) -> None:
    """Put the generators of this process where they were.

    Args:
        states: from `random_states`.
    """
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def validated(checkpoint: dict[str, Any]) -> bool:
    """Whether a checkpoint was written after the validation of its step, if there was to be one.

    Args:
        checkpoint: Lightning's; those of earlier versions of this project say so by the name of their best weights.
    """
    if KEY in checkpoint:
        return bool(checkpoint[KEY]["validated"])
    best = [
        state.get("best_model_path", "") for state in checkpoint.get("callbacks", {}).values() if "monitor" in state
    ]
    return any(f"best-step={checkpoint['global_step']}-" in Path(path).name for path in best)


class Resumption(Callback):
    """Has checkpoints say where in the run they are, and has a run go on from there.

    Written are the batches of the epoch that were trained on, what names their order, whether the validation of the
    step is done and what it gave, and the random states of every process. Lightning's counters are set right by them:
    it counts a batch as trained after its checkpoint is written, an epoch that `max_time` or `max_steps` cut off as
    done, and forgets whether the validation was.
    """

    def __init__(self) -> None:
        self.source: Any = None
        self.validation = ""
        self.place = (0, 0)  # epoch, and batches of it that were trained on
        self.states: dict[str, Any] | None = None
        self.before: dict[str, Any] | None = None  # what the checkpoint says, until training goes on
        self.closed = False

    def follow(self, loader: Any, validation: str) -> None:
        """Take part in the order of the batches.

        Args:
            loader: of training: an `EpochLoader`, or a DataLoader with a sampler that has `order`, `position()` and
                `begin_at()`.
            validation: names what validations hear; figures of another one are no measure for these.
        """
        self.validation = validation
        self.source = loader if hasattr(loader, "begin_at") else loader.sampler

    def on_train_batch_end(self, trainer: pl.Trainer, model: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note the place after each step."""
        if not trainer.fit_loop.epoch_loop._should_accumulate():
            self.place = (trainer.current_epoch, batch_idx + 1)
            self.states = random_states()

    def on_validation_end(self, trainer: pl.Trainer, model: Any) -> None:
        """Note that the validation after this batch is done."""
        if not trainer.sanity_checking:
            loop = trainer.fit_loop.epoch_loop
            loop.validated = loop.batch_progress.total.ready

    def on_train_end(self, trainer: pl.Trainer, model: Any) -> None:
        """Keep the last step, from which a run that gets a larger budget goes on."""
        best, last = trainer.checkpoint_callbacks[:2]
        self.closed = True
        if self.states is None or self._is_validated(trainer) and best._last_global_step_saved == trainer.global_step:
            return
        if last._last_global_step_saved == trainer.global_step:
            trainer.save_checkpoint(last.best_model_path)
        else:
            last._save_topk_checkpoint(trainer, last._monitor_candidates(trainer))

    def _is_validated(self, trainer: pl.Trainer) -> bool:
        loop = trainer.fit_loop.epoch_loop
        return loop.validated == loop.batch_progress.total.ready

    def on_save_checkpoint(self, trainer: pl.Trainer, model: Any, checkpoint: dict[str, Any]) -> None:
        """Add what this checkpoint is to be continued by."""
        done = self._is_validated(trainer)
        # A validation draws, too: one that is cut off begins again with what was there before it, and a run that gets a
        # larger budget would not have had the one at its end.
        usual = done and not trainer.fit_loop.epoch_loop.extra
        mine = random_states() if usual or self.states is None else self.states
        states = [mine]
        if trainer.world_size > 1:
            states = [mine] * trainer.world_size
            torch.distributed.all_gather_object(states, mine)
        epoch, batch = self.place
        checkpoint[KEY] = {
            "epoch": epoch,
            "batch": batch,
            "batches": trainer.fit_loop.epoch_loop.batch_progress.total.ready,
            "complete": trainer.fit_loop.epoch_loop._num_ready_batches_reached(),
            "closed": self.closed,
            "validated": done,
            "due": trainer.fit_loop.epoch_loop._should_check_val_fx(None) and not trainer.fit_loop.epoch_loop.extra,
            "metrics": {name: value.cpu() for name, value in trainer.callback_metrics.items()},
            "validation": self.validation,
            "order": self.source.order,
            "position": self.source.position(),
            "random": states,
        }

    def on_load_checkpoint(self, trainer: pl.Trainer, model: Any, checkpoint: dict[str, Any]) -> None:
        """Set right what Lightning is about to restore."""
        state = checkpoint.get(KEY) or _of_earlier_version(checkpoint)
        if state["order"] not in (None, self.source.order) and not (state["complete"] and state["closed"]):
            _say(trainer, f"Other data or batches than before: epoch {state['epoch']} begins anew.")
            state = state | {"batch": 0, "complete": False, "position": None, "due": False}
        if state["complete"] and state["closed"]:
            state = state | {"epoch": state["epoch"] + 1, "batch": 0, "complete": False}
        self.before, self.place = state, (state["epoch"], state["batch"])
        loop = trainer.fit_loop.epoch_loop
        loop.validated, loop.due = state["batches"] if state["validated"] else -1, state["due"]
        self.source.begin_at(*self.place, state["position"])
        _place(checkpoint, state)
        anew = state.get("validation", self.validation) != self.validation
        _rates(checkpoint, model, RATES_SO_FAR - PLATEAU if anew else RATES_SO_FAR)
        for callback in trainer.callbacks:
            saved = checkpoint["callbacks"].get(callback.state_key)
            if saved and isinstance(callback, EarlyStopping):
                saved["patience"] = callback.patience  # of the configuration: the run may have been given more
            if saved and isinstance(callback, ModelCheckpoint):
                _move(saved, str(callback.dirpath))
        if anew:
            _say(trainer, "Another validation than before: what is best is chosen by this one alone.")
            _judge_anew(trainer, checkpoint["callbacks"])
        best, last = trainer.checkpoint_callbacks[:2]
        last._last_global_step_saved = checkpoint["global_step"]
        if state["validated"]:
            best._last_global_step_saved = checkpoint["global_step"]
        if not state["random"]:
            _say(
                trainer, "A checkpoint of an earlier version, without random states: dropout and perturbation are new."
            )
        elif len(state["random"]) != trainer.world_size:
            _say(trainer, "Another number of processes than before: dropout and perturbation are drawn anew.")

    def on_train_start(self, trainer: pl.Trainer, model: Any) -> None:
        """Let the first epoch be like any other."""
        if self.before is None:
            return
        trainer._logger_connector._callback_metrics.update(self.before["metrics"])
        # What Lightning calls restarting leaves out the schedules that wait for a plateau.
        trainer.fit_loop._restarting = False
        if self.place[1] == 0:
            trainer.fit_loop.epoch_loop.restarting = False

    def on_train_epoch_start(self, trainer: pl.Trainer, model: Any) -> None:
        """After the loaders were begun, which draws: set the random states."""
        if self.before is not None and len(self.before["random"]) == trainer.world_size:
            self.states = self.before["random"][trainer.global_rank]
            set_random_states(self.states)
        self.before = None


def _say(trainer: pl.Trainer, text: str) -> None:
    if trainer.is_global_zero:
        LOG.info(text)


def _of_earlier_version(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The state of a checkpoint that has none of ours, from Lightning's counters."""
    loops = checkpoint["loops"]["fit_loop"]
    epochs, batches = loops["epoch_progress"]["current"], loops["epoch_loop.batch_progress"]
    return {
        "epoch": max(epochs["ready"] - 1, 0),
        "batch": batches["current"]["processed"],
        "batches": batches["total"]["processed"],
        "complete": batches["is_last_batch"],
        "closed": epochs["processed"] == epochs["ready"],
        "validated": validated(checkpoint),
        "due": False,  # but for what Lightning finds
        "metrics": {},
        "order": None,
        "position": None,
        "random": [],
    }


def _place(checkpoint: dict[str, Any], state: dict[str, Any]) -> None:
    """Lightning's counters, as they are between two steps."""
    loops = checkpoint["loops"]["fit_loop"]
    inside = state["batch"] > 0
    epochs = dict.fromkeys(COUNTS, state["epoch"]) | ({"ready": state["epoch"] + 1} if inside else {})
    loops["epoch_progress"] = {"total": dict(epochs), "current": epochs}
    loops["epoch_loop.batch_progress"] = {
        "total": dict.fromkeys(COUNTS, state["batches"]),
        "current": dict.fromkeys(COUNTS, state["batch"]),
        "is_last_batch": state["complete"],
    }
    none = dict.fromkeys(COUNTS, 0)
    loops["epoch_loop.val_loop.batch_progress"] = {"total": none, "current": dict(none), "is_last_batch": False}
    loops["epoch_loop.state_dict"]["_batches_that_stepped"] = checkpoint["global_step"]


def _judge_anew(trainer: pl.Trainer, callbacks: dict[str, Any]) -> None:
    """Forget what another validation gave: any figure of the present one is better."""
    best = callbacks.get(trainer.checkpoint_callbacks[0].state_key)
    if best:
        worst = torch.tensor(torch.inf)
        best["best_k_models"] = dict.fromkeys(best["best_k_models"], worst)
        best |= {"best_model_score": worst, "kth_value": worst, "current_score": None}
    for callback in trainer.callbacks:
        if isinstance(callback, EarlyStopping):
            callbacks.pop(callback.state_key, None)


def _rates(checkpoint: dict[str, Any], model: Any, kept: set[str] = RATES_SO_FAR) -> None:
    """Rates and budget of the present configuration; only how far they have come is the checkpoint's.

    Schedules keep the number of steps that they were made for: beyond it, those of NeMo give a rate of zero.

    Args:
        checkpoint: whose states are changed.
        model: with optimiser and schedule of the present configuration.
        kept: what of a schedule's state is the checkpoint's.
    """
    for saved, fresh in zip(checkpoint["optimizer_states"], [model._optimizer], strict=False):
        for group, made in zip(saved["param_groups"], fresh.param_groups, strict=False):
            group.update({key: value for key, value in made.items() if key not in ("params", "lr")})
    schedules = [model._scheduler["scheduler"]] if model._scheduler else []
    for saved, fresh in zip(checkpoint["lr_schedulers"], schedules, strict=False):
        chosen = {key: value for key, value in fresh.state_dict().items() if key not in kept}
        other = any(saved.get(key) != value for key, value in chosen.items())
        saved.update(chosen)
        if other and not isinstance(fresh, ReduceLROnPlateau | BudgetAnnealing):  # these go by what they are told
            _follow(checkpoint["optimizer_states"][0], saved, fresh)


def _follow(optimizer: dict[str, Any], saved: dict[str, Any], fresh: LRScheduler) -> None:
    """Put rates where a run that had this schedule from its start would have them: step by step, as many go by the
    rate before.

    Args:
        optimizer: state of a checkpoint.
        saved: state of its schedule.
        fresh: the schedule of the present configuration, not begun.
    """
    groups = [{key: value for key, value in group.items() if key != "params"} for group in fresh.optimizer.param_groups]
    stand_in = SGD([{"params": [torch.zeros(1)]} for _ in groups], lr=0.0)
    for group, made in zip(stand_in.param_groups, groups, strict=True):
        group.update(made)
    schedule = copy.copy(fresh)
    schedule.optimizer = stand_in
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nothing is optimised
        for _ in range(saved["last_epoch"]):
            schedule.step()
    saved.update(schedule.state_dict())
    varied = set(groups[0]) & {"lr", "betas", "momentum"}  # a cyclic schedule moves the momentum against the rate
    for group, made in zip(optimizer["param_groups"], stand_in.param_groups, strict=True):
        group.update({key: made[key] for key in varied})


def _move(saved: dict[str, Any], folder: str) -> None:
    """Let a run that was moved, or begun on another machine, find its best weights."""
    here = {key: str(Path(folder) / Path(path).name) if (path := saved.get(key)) else "" for key in PATHS}
    kept = {str(Path(folder) / Path(path).name): score for path, score in saved.get("best_k_models", {}).items()}
    saved.update(here | {"dirpath": folder, "best_k_models": kept})
