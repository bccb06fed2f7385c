"""How a trial without a value is settled: counted against its values, or queued again, at most three times in a row."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from experiments.sweep.deaths import ENOUGH

DIVERGED, DIED = "diverged", "died"  # mark a trial that counts against its values, and has no value of its own
KIND, REASON = "kind", "reason"
DEATHS = "deaths"  # in a row, and the values logged by then
INTERRUPTED = "interrupted"  # by what, each time
SURVIVES = "survives"  # the constraint that such a trial violates: samplers put it behind all others
CUT_OFF = "cut off with its sweep or its machine"


def spoilt(trial: FrozenTrial) -> bool:
    """Whether the trial died of its values or diverged; those of older sweeps that died may have failed of anything."""
    return DIVERGED in trial.user_attrs or DIED in trial.user_attrs or trial.state == TrialState.FAIL


def worst(study: Study) -> float:
    """Worse than any value."""
    return float("-inf") if study.direction == StudyDirection.MAXIMIZE else float("inf")


def count_against(study: Study, trial: Trial, mark: str) -> None:
    """End a running trial so that samplers keep off its values: those that failed they forget, and look there again.

    Args:
        study: of the sweep.
        trial: that runs.
        mark: DIVERGED or DIED.
    """
    trial.set_user_attr(mark, True)
    trial.set_constraint(SURVIVES, 1.0)
    study.tell(trial, worst(study), TrialState.COMPLETE, skip_if_finished=True)


def deaths_in_a_row(attributes: Mapping[str, Any], points: int, progressed: bool) -> int:
    """How often a trial has died without getting further, this time included.

    Args:
        attributes: of the user, of the trial.
        points: values that it has logged.
        progressed: whether it wrote a checkpoint since it was started.
    """
    before, earlier = attributes.get(DEATHS, (0, 0))
    return 1 if progressed or points > earlier else int(before) + 1


def wrote_checkpoint(folder: Path, since: float) -> bool:
    """Whether a run has written a checkpoint since a time of the clock."""
    return any(path.stat().st_mtime >= since for path in (folder / "checkpoints").glob("*"))


def requeue(study: Study, ended: FrozenTrial) -> None:
    """Queue a trial again, with its values and its folder."""
    RetryHeartbeatStaleTrialCallback()(study, ended)


def lost(study: Study, ended: FrozenTrial, progressed: bool = False) -> None:
    """Queue a trial again whose process was lost; after three times in a row it counts against its values.

    Args:
        study: of the sweep.
        ended: the trial, told as failed.
        progressed: whether it wrote a checkpoint since it was started.
    """
    points = len(ended.intermediate_values)
    count = deaths_in_a_row(ended.user_attrs, points, progressed)
    ended = copy.copy(ended)
    ended.user_attrs = interruption(ended.user_attrs, CUT_OFF, count, points)
    if count < ENOUGH:
        requeue(study, ended)
        return
    history = [*ended.system_attrs.get("retry_history", []), ended.number]
    reason = f"{CUT_OFF}, {count} times in a row"
    study.add_trial(
        optuna.create_trial(
            state=TrialState.COMPLETE,
            value=worst(study),
            params=ended.params,
            distributions=ended.distributions,
            user_attrs=ended.user_attrs | {DIED: True, KIND: "cut off", REASON: reason},
            system_attrs={"failed_trial": ended.number} | ended.system_attrs | {"retry_history": history},
            constraints={SURVIVES: 1.0},
        )
    )


def interruption(attributes: Mapping[str, Any], reason: str, count: int, points: int) -> dict[str, Any]:
    """The attributes of a trial that the machine has ended.

    Args:
        attributes: as they are.
        reason: what ended it.
        count: `deaths_in_a_row`.
        points: values that it has logged.
    """
    most = max(points, attributes.get(DEATHS, (0, 0))[1])
    return {**attributes, DEATHS: [count, most], INTERRUPTED: [*attributes.get(INTERRUPTED, []), reason]}


def barred(trials: list[FrozenTrial], params: Mapping[str, Any]) -> bool:
    """Whether the last three trials of exactly these values have all died of them.

    Args:
        trials: that count, oldest first.
        params: as they were drawn.
    """
    same = [trial for trial in trials if trial.state.is_finished() and trial.params == params][-ENOUGH:]
    return len(same) == ENOUGH and all(map(spoilt, same))
