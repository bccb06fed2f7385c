"""The loop of a sweep: start trials, report what they log, stop those behind, end in order."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.study import Study
from optuna.trial import TrialState
from rich.console import Console

from experiments.entry import ConfigError
from experiments.sweep.claims import (
    DIVERGED,
    OVERRIDES,
    REASON,
    Claim,
    beat,
    claim,
    give_back,
    record_seconds,
    recover,
    release,
    value_of,
    work_left,
)
from experiments.sweep.commands import expand
from experiments.sweep.definition import Definition
from experiments.sweep.relaunch import TRIAL_FOLDER
from experiments.sweep.storage import HEARTBEAT, kept
from experiments.sweep.trial import LOG, Process, final_figures, logged_names, logged_values, why

FIRST_DEATHS = 3  # when so many trials die before one succeeds, the fault is not in the values


@dataclass
class Running:
    """A trial, its process, and what shall become of it."""

    claimed: Claim
    process: Process
    pruned_at: int | None = None
    diverged: str = ""
    latest: tuple[int, float] | None = None
    beaten: float = 0.0


def duration(seconds: float) -> str:
    """A time as it is said."""
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"


class Runner:
    """Runs trials until there are enough.

    Args:
        study: of the sweep.
        definition: of the sweep.
        folder: of the sweep; each trial has one below it.
        count: trials in all.
        workers: at once.
        grace: seconds a trial is given to stop.
        poll: seconds between looks at the trials.
    """

    def __init__(
        self,
        study: Study,
        definition: Definition,
        folder: Path,
        count: int,
        workers: int = 1,
        grace: float = 30.0,
        poll: float = 0.5,
    ):
        self.study, self.definition, self.folder = study, definition, folder
        self.count, self.workers, self.grace, self.poll = count, workers, grace, poll
        self.running: list[Running] = []
        self.finished = self.died = 0
        self.console = Console(highlight=False, soft_wrap=True)

    def run(self) -> None:
        """Run what is left.

        Raises:
            ConfigError: the metric is never logged, the first trials all died, or the storage is gone.
            KeyboardInterrupt: on Ctrl-C or SIGTERM, once the trials are stopped and given back.
        """
        look, done = 0.0, ""
        try:
            with _signals_as_interrupt(), self.console.status("") as status:
                while True:
                    if len(self.running) < self.workers and time.monotonic() >= look:
                        look = time.monotonic() + 10
                        if not self._start() and not self.running:
                            break
                        done = self._done()
                    for one in list(self.running):
                        if self._watch(one):
                            look = 0.0
                    status.update("  ·  ".join([done, *map(self._going, self.running)]))
                    time.sleep(self.poll)
        except StorageInternalError as error:
            cause = str(error.__cause__ or error).strip().splitlines()[0]
            raise ConfigError(
                f"The storage does not answer any more: {cause.rstrip('.')}. The same command continues the sweep."
            ) from None
        finally:
            self._stop_all()

    def _start(self) -> bool:
        """Fill the free places; False when there is nothing left to begin."""
        for run in recover(self.study, self.folder):
            self.console.print(f"{run} was cut off")
        while len(self.running) < self.workers:
            if not work_left(self.study, self.definition, self.count):
                return False
            claimed = claim(self.study, self.definition, self.count, self.folder)
            if claimed is None:
                return True
            self.running.append(Running(claimed, self._process(claimed)))
            verb = "continues" if claimed.seconds or (claimed.folder / "history.jsonl").exists() else "starts"
            values = " ".join(f"{name}={value}" for name, value in claimed.trial.user_attrs[OVERRIDES].items())
            self.console.print(f"{claimed.run} {verb}: {values}", markup=False)
        return True

    def _process(self, claimed: Claim) -> Process:
        environment = {
            "WANDB_RUN_ID": claimed.run,
            "WANDB_RUN_GROUP": self.study.study_name,
            TRIAL_FOLDER: str(claimed.folder.absolute()),
        }
        if self.workers > 1 and "OMP_NUM_THREADS" not in os.environ:
            environment["OMP_NUM_THREADS"] = str(max((os.cpu_count() or 1) // self.workers, 1))
        command = expand(self.definition, claimed.values)
        return Process(command, claimed.folder, environment, self.definition.metric.name)

    def _watch(self, one: Running) -> bool:
        """Report news and the end of a trial; True when its place is free."""
        try:
            status = self._report(one)
        except UpdateFinishedTrialError:  # this machine slept, and another took the trial for dead
            self.console.print(f"{one.claimed.run} was taken over by another process")
            one.process.kill()
            self.running.remove(one)
            release(one.claimed)
            return True
        if status is None:
            return False
        self.running.remove(one)
        try:
            self._finish(one, status)
        finally:
            release(one.claimed)
        return True

    def _report(self, one: Running) -> int | None:
        trial, process = one.claimed.trial, one.process
        if time.monotonic() - one.beaten > HEARTBEAT:
            beat(self.study, trial)
            one.beaten = time.monotonic()
        status = process.status()
        for iteration, value in process.news():
            trial.report(value, iteration)
            one.latest = (iteration, value)
            if status is None and one.pruned_at is None and trial.should_prune():
                one.pruned_at = iteration
                process.stop(self.grace)
        if one.pruned_at is None and not one.diverged and (reason := process.diverged()):
            one.diverged = reason
            if status is None:
                process.stop(self.grace)
        return status

    def _finish(self, one: Running, status: int) -> None:
        trial, folder, metric = one.claimed.trial, one.claimed.folder, self.definition.metric
        figures = final_figures(folder)
        values = logged_values(folder, metric.name) or [figures[name] for name in (metric.name,) if name in figures]
        best, reason, state = (metric.best(values) if values else None), "", TrialState.FAIL
        told = best
        if one.diverged:
            # Samplers forget trials that failed, and take where nothing is known for the best place to look.
            state, reason, best, told = TrialState.COMPLETE, one.diverged, None, metric.worst
            trial.set_user_attr(DIVERGED, True)
        elif one.pruned_at is not None:
            state, reason = TrialState.PRUNED, f"behind the others at {metric.name} number {one.pruned_at}"
        elif status == 0 and values:
            state = TrialState.COMPLETE
        elif status == 0:
            reason = f"it ended without logging {metric.name}"
        else:
            reason = why(status, one.process.last_words())
        seconds = record_seconds(one.claimed, one.process.started)
        trial.set_user_attr(REASON, reason)
        self.study.tell(trial, told if state == TrialState.COMPLETE else None, state, skip_if_finished=True)
        record = {
            "sweep": self.study.study_name,
            "trial": one.claimed.run,
            "state": DIVERGED if one.diverged else state.name.lower(),
            "reason": reason,
            "metric": metric.name,
            "value": best,
            "overrides": trial.user_attrs[OVERRIDES],
            "minutes": round(seconds / 60, 2),
        }
        (folder / "trial.json").write_text(json.dumps(record, indent=1))
        ends = {TrialState.COMPLETE: "ends", TrialState.PRUNED: "is stopped", TrialState.FAIL: "died"}
        end = DIVERGED if one.diverged else ends[state]
        reached = f", {metric.name} {metric.shown(best)}" if best is not None else ""
        said = f"; {reason}" if reason else ""
        self.console.print(f"{one.claimed.run} {end}{reached}, {duration(seconds)}{said}", markup=False)
        if not one.diverged:
            self._judge(state, reason, logged_names(folder) if status == 0 and not values else [])

    def _judge(self, state: TrialState, reason: str, logged: list[str]) -> None:
        """End the sweep where more trials would end as this one did."""
        metric = self.definition.metric.name
        if logged:
            near = difflib.get_close_matches(metric, logged, 1)
            raise ConfigError(
                f"{metric}, the metric of {self.definition.source}, was never logged."
                + (f" Did you mean {near[0]}?" if near else "")
                + f" The trial logged {', '.join(logged)}. Correct metric.name and give name=OTHER."
            )
        self.finished += state != TrialState.FAIL
        self.died += state == TrialState.FAIL
        if self.died == FIRST_DEATHS and not self.finished:
            raise ConfigError(
                f"The first {FIRST_DEATHS} trials died, so the fault is not in the values swept. The last: {reason}. "
                f"Their output is in {self.folder}/*/{LOG}."
            )

    def _done(self) -> str:
        trials, metric = kept(self.study), self.definition.metric
        finished = [trial for trial in trials if trial.state.is_finished()]
        values = [value for trial in finished if (value := value_of(trial)) is not None]
        best = f", the best {metric.name} {metric.shown(metric.best(values))}" if values else ""
        return f"{len(finished)} of {max(self.count, len(trials))} trials{best}"

    def _going(self, one: Running) -> str:
        latest = f" {self.definition.metric.shown(one.latest[1])} at {one.latest[0]}," if one.latest else ""
        return f"{one.claimed.run}{latest} {duration(time.monotonic() - one.process.started)}"

    def _stop_all(self) -> None:
        """Stop what runs and queue it again; a second Ctrl-C does not wait."""
        if not self.running:
            return
        self.console.print("stopping the trials; they keep their place …")
        try:
            for one in self.running:
                one.process.stop(self.grace)
            while any(one.process.status() is None for one in self.running):
                time.sleep(0.1)
        except KeyboardInterrupt:
            for one in self.running:
                one.process.kill()
        for one in self.running:
            with contextlib.suppress(UpdateFinishedTrialError, StorageInternalError):  # else the next start finds it
                record_seconds(one.claimed, one.process.started)
                give_back(self.study, one.claimed.trial.number)
            release(one.claimed)


@contextlib.contextmanager
def _signals_as_interrupt() -> Iterator[None]:
    """A scheduler's SIGTERM and a closed terminal end the sweep as Ctrl-C does."""

    def interrupt(signum: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
