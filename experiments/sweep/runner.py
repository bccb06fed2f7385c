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

from experiments.errors import ConfigError
from experiments.sweep.claims import (
    OVERRIDES,
    Claim,
    claim,
    heartbeat,
    record_seconds,
    recover,
    release,
    requeue_trial,
    value_of,
    work_left,
)
from experiments.sweep.commands import expand
from experiments.sweep.deaths import ENOUGH, Death
from experiments.sweep.definition import Definition
from experiments.sweep.relaunch import TRIAL_FOLDER
from experiments.sweep.settling import (
    DIED,
    DIVERGED,
    KIND,
    REASON,
    count_against,
    deaths_in_a_row,
    interruption,
    wrote_checkpoint,
)
from experiments.sweep.storage import HEARTBEAT, kept
from experiments.sweep.trial import LOG, Process, final_figures, logged_names, logged_values

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
        self.last_death = ""
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
            # Looked at before the trial runs, which may have written its first point by the next line.
            verb = "continues" if claimed.seconds or (claimed.folder / "history.jsonl").exists() else "starts"
            self.running.append(Running(claimed, self._process(claimed)))
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
            heartbeat(self.study, trial)
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
        best = metric.best(values) if values else None
        seconds = record_seconds(one.claimed, one.process.started)
        if one.diverged:
            self._spoilt(one, DIVERGED, Death("", one.diverged), seconds)
        elif one.pruned_at is not None:
            reason = f"behind the others at {metric.name} number {one.pruned_at}"
            trial.set_user_attr(REASON, reason)
            self.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)
            self._record(one, "pruned", best, reason, seconds)
            self._say(one, "is stopped", best, reason, seconds)
            self.finished += 1
        elif status == 0 and values:
            trial.set_user_attr(REASON, "")
            self.study.tell(trial, best, TrialState.COMPLETE, skip_if_finished=True)
            self._record(one, "complete", best, "", seconds)
            self._say(one, "ends", best, "", seconds)
            self.finished += 1
        else:
            logged = logged_names(folder) if status == 0 else []
            without = Death("crash", f"it ended without logging {metric.name}")
            self._died(one, one.process.death(status) if status else without, seconds)
            self._judge(logged)

    def _died(self, one: Running, death: Death, seconds: float) -> None:
        """Count a death against the values, or have the trial tried again: three times in a row are enough."""
        if death.setting:
            self._spoilt(one, DIED, death, seconds)
            return
        trial, points = one.claimed.trial, one.process.told
        progressed = wrote_checkpoint(one.claimed.folder, one.process.began)
        count = deaths_in_a_row(trial.user_attrs, points, progressed)
        if count >= ENOUGH and not death.lasting:
            often = Death(death.kind, f"{count} times in a row, at last {death.reason}")
            self._spoilt(one, DIED, often, seconds)
            return
        new = interruption(trial.user_attrs, death.reason, count if count < ENOUGH else 0, points)
        for key, value in new.items():
            trial.set_user_attr(key, value)
        requeue_trial(self.study, trial.number)
        self._record(one, "interrupted", None, death.reason, seconds)
        again = "" if count >= ENOUGH else "; it is tried again"
        self._say(one, "was ended by the machine", None, f"{death.reason}{again}", seconds)
        if count >= ENOUGH:
            raise ConfigError(
                f"{one.claimed.run} was ended by the machine {ENOUGH} times in a row ({death.kind}), as other trials "
                f"would be: {death.reason}. It keeps its place: once that is fixed, the same command continues."
            )

    def _spoilt(self, one: Running, mark: str, death: Death, seconds: float) -> None:
        """Settle a trial that counts against its values."""
        trial = one.claimed.trial
        trial.set_user_attr(REASON, death.reason)
        trial.set_user_attr(KIND, death.kind)
        count_against(self.study, trial, mark)
        self._record(one, mark if mark == DIVERGED else "fail", None, death.reason, seconds)
        self._say(one, mark, None, death.reason, seconds)
        if mark == DIED:
            self.died, self.last_death = self.died + 1, death.reason

    def _record(self, one: Running, state: str, value: float | None, reason: str, seconds: float) -> None:
        record = {
            "sweep": self.study.study_name,
            "trial": one.claimed.run,
            "state": state,
            "reason": reason,
            "metric": self.definition.metric.name,
            "value": value,
            "overrides": one.claimed.trial.user_attrs[OVERRIDES],
            "minutes": round(seconds / 60, 2),
        }
        text = json.dumps(record, indent=1)
        with contextlib.suppress(OSError):  # of a full disk; the storage has it too
            (one.claimed.folder / "trial.json").write_text(text)

    def _say(self, one: Running, end: str, best: float | None, reason: str, seconds: float) -> None:
        metric = self.definition.metric
        reached = f", {metric.name} {metric.shown(best)}" if best is not None else ""
        said = f"; {reason}" if reason else ""
        self.console.print(f"{one.claimed.run} {end}{reached}, {duration(seconds)}{said}", markup=False)

    def _judge(self, logged: list[str]) -> None:
        """End the sweep where more trials would end as this one did."""
        metric = self.definition.metric.name
        if logged:
            near = difflib.get_close_matches(metric, logged, 1)
            raise ConfigError(
                f"{metric}, the metric of {self.definition.source}, was never logged."
                + (f" Did you mean {near[0]}?" if near else "")
                + f" The trial logged {', '.join(logged)}. Correct metric.name and give name=OTHER."
            )
        if self.died == FIRST_DEATHS and not self.finished:
            raise ConfigError(
                f"The first {FIRST_DEATHS} trials died, so the fault is hardly in the values swept. The last: "
                f"{self.last_death}. "
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
                requeue_trial(self.study, one.claimed.trial.number)
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
