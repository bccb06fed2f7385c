"""Which trial is whose: taken from the storage by one process, given back when it stops, taken over when it dies."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import fail_stale_trials
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from experiments.locks import lock, unlock
from experiments.sweep.definition import Definition
from experiments.sweep.settling import barred, lost, requeue, spoilt, wrote_checkpoint
from experiments.sweep.storage import WITHDRAWN, kept

RUN, HOST, OVERRIDES, SECONDS = "run", "host", "overrides", "seconds"
REDRAWS = 20  # of values that have died too often; then all there are may have
CLAIMING = timedelta(seconds=60)  # a trial that nobody has signed by then was lost between two writes


@dataclass
class Claim:
    """A trial that this process runs.

    Args:
        trial: of the study.
        run: W&B's id of it.
        folder: of the run.
        values: of the swept parameters.
        lock: file that is locked as long as this process lives.
        seconds: of earlier attempts.
    """

    trial: Trial
    run: str
    folder: Path
    values: dict[str, Any]
    lock: int
    seconds: float


def distributions(definition: Definition) -> dict[str, BaseDistribution]:
    """What Optuna draws; a grid draws from texts."""
    drawn: dict[str, BaseDistribution] = {}
    for parameter in definition.parameters:
        if parameter.drawn is None or parameter.distribution is None:
            continue
        if definition.method == "grid":
            drawn[parameter.name] = CategoricalDistribution(tuple(str(value) for value in parameter.grid or ()))
        else:
            drawn[parameter.drawn] = parameter.distribution
    return drawn


def values_of(definition: Definition, drawn: dict[str, Any]) -> dict[str, Any]:
    """The values of all parameters, from what Optuna drew."""
    found = {}
    for parameter in definition.parameters:
        if parameter.drawn is None:
            found[parameter.name] = parameter.value(None)
        elif definition.method == "grid":
            found[parameter.name] = {str(value): value for value in parameter.grid or ()}[drawn[parameter.name]]
        else:
            found[parameter.name] = parameter.value(drawn[parameter.drawn])
    return found


def value_of(trial: FrozenTrial) -> float | None:
    """The value of a trial that has finished; None of any other, and of one that died or diverged."""
    return trial.value if trial.state == TrialState.COMPLETE and not spoilt(trial) else None


def work_left(study: Study, definition: Definition, count: int) -> bool:
    """Is there a trial to be continued or begun?

    Args:
        study: of the sweep.
        definition: of the sweep.
        count: trials in all.
    """
    trials, metric = kept(study), definition.metric
    done = [value for trial in trials if (value := value_of(trial)) is not None]
    if metric.target is not None and done and not metric.better(metric.target, metric.best(done)):
        return False
    return len(trials) < count or any(trial.state == TrialState.WAITING for trial in trials)


def claim(study: Study, definition: Definition, count: int, folder: Path) -> Claim | None:
    """A trial to be continued, else a new one; None when another process was faster.

    Args:
        study: of the sweep.
        definition: of the sweep.
        count: trials in all.
        folder: of the sweep.
    """
    trial = _drawn(study, definition)
    if sum(other.number <= trial.number for other in kept(study)) > count:
        trial.set_user_attr(WITHDRAWN, True)
        study.tell(trial, state=TrialState.FAIL)
        return None
    run = trial.user_attrs.get(RUN) or f"{trial.number:03d}-{uuid.uuid4().hex[:6]}"
    (folder / run).mkdir(parents=True, exist_ok=True)
    lock = _lock(folder / run)
    if lock is None:  # whoever had it before still writes there
        requeue_trial(study, trial.number)
        return None
    values = values_of(definition, trial.params)
    texts = {name: str(value) for name, value in values.items()}
    for key, value in {RUN: run, HOST: socket.gethostname(), OVERRIDES: texts}.items():
        trial.set_user_attr(key, value)
    return Claim(trial, run, folder / run, values, lock, float(trial.user_attrs.get(SECONDS, 0.0)))


def _drawn(study: Study, definition: Definition) -> Trial:
    """The trial that waits, else one of new values: not of those whose last three trials died, as far as others are."""
    for left in reversed(range(REDRAWS)):
        trial = study.ask(fixed_distributions=distributions(definition))
        heartbeat(study, trial)
        new = RUN not in trial.user_attrs and definition.method != "grid"  # a grid holds each point once
        if not (left and new and barred(kept(study), trial.params)):
            return trial
        trial.set_user_attr(WITHDRAWN, True)
        study.tell(trial, state=TrialState.FAIL)
    raise AssertionError("the last draw is taken")


def _lock(folder: Path) -> int | None:
    try:
        return lock(folder / "trial.lock")
    except OSError:  # without locks nobody can know whether another process is in it
        return None


def release(claimed: Claim) -> None:
    """Let go of the folder."""
    unlock(claimed.lock)


def heartbeat(study: Study, trial: Trial) -> None:
    """A sign of life, for other machines."""
    storage: Any = study._storage
    storage.record_heartbeat(trial._trial_id)


def requeue_trial(study: Study, number: int, then: Callable[[Study, FrozenTrial], None] = requeue) -> bool:
    """End a running trial and queue it again, with its values and its folder.

    Args:
        study: of the sweep.
        number: of the trial.
        then: what queues it again.

    Returns:
        False when another process was faster.
    """
    try:
        study.tell(number, state=TrialState.FAIL)
    except (ValueError, UpdateFinishedTrialError):
        return False
    ended = next(trial for trial in study.get_trials() if trial.number == number)
    then(study, ended)
    return True


def recover(study: Study, folder: Path) -> list[str]:
    """Queue again what was running when its process died; left as it is, it would keep the search off its values.

    Args:
        study: of the sweep.
        folder: of the sweep.

    Returns:
        the runs found dead on this machine.
    """
    found = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        host, run = trial.user_attrs.get(HOST), trial.user_attrs.get(RUN)
        if host is None or run is None:
            unsigned = trial.datetime_start and datetime.now() - trial.datetime_start > CLAIMING
            if unsigned and requeue_trial(study, trial.number):
                found.append(f"trial {trial.number}")
        elif host == socket.gethostname() and (folder / run).is_dir():
            handle = _lock(folder / run)
            if handle is not None:
                begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
                progressed = wrote_checkpoint(folder / run, begun)
                if requeue_trial(study, trial.number, partial(lost, progressed=progressed)):
                    found.append(run)
                unlock(handle)
    fail_stale_trials(study)
    return found


def record_seconds(claimed: Claim, started: float) -> float:
    """Add the seconds since `started` (time.monotonic) to the trial's; returns all of them."""
    seconds = claimed.seconds + time.monotonic() - started
    claimed.trial.set_user_attr(SECONDS, round(seconds, 1))
    return seconds
