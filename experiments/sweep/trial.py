"""The process of a trial: started as W&B would start it, watched through its history, stopped, asked why it died."""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.sweep.deaths import Death, explain, memory_kills
from experiments.training.history_reader import divergence, read_history

LOG = "trial.log"
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Between fork and exec: a sweep killed with SIGKILL must not leave trials behind that write on."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A running trial.

    Args:
        command: to run.
        folder: of the run; the output goes to its trial.log.
        environment: beside the present one.
        metric: what is optimised.
    """

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str], metric: str):
        self.folder, self.metric = folder, metric
        self.started, self.began = time.monotonic(), time.time()
        self.kills = memory_kills()
        self.stopping = math.inf
        self.told = 0
        self.log = (folder / LOG).open("ab")
        self.log_start = self.log.tell()
        self.child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            start_new_session=True,  # Ctrl-C in the terminal is for the sweep, which then stops its trials in order
            preexec_fn=_die_with_parent,
        )

    def status(self) -> int | None:
        """The exit status, None while it runs; kills what does not stop in time."""
        status = self.child.poll()
        if status is None and time.monotonic() > self.stopping:
            self.kill()
        elif status is not None:
            self.log.close()
        return status

    def stop(self, grace: float) -> None:
        """Ask it to end; once it has had `grace` seconds, `status` kills it."""
        if self.stopping == math.inf:
            self.stopping = time.monotonic() + grace
            with contextlib.suppress(ProcessLookupError):
                self.child.terminate()

    def kill(self) -> None:
        """End it and all it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()

    def news(self) -> list[tuple[int, float]]:
        """What was logged of the metric since the last call, with its iteration from 1."""
        values = logged_values(self.folder, self.metric)
        fresh = list(enumerate(values, start=1))[self.told :]
        self.told = max(self.told, len(values))
        return fresh

    def diverged(self) -> str:
        """Why the trial has no future, in words; empty where all it logged are finite numbers."""
        return diverged(self.folder, self.metric)

    def death(self, status: int) -> Death:
        """What it died of.

        Args:
            status: its exit status, not 0.
        """
        free = shutil.disk_usage(self.folder).free
        return explain(status, self.last_words(), (self.kills, memory_kills()), free)

    def last_words(self) -> str:
        """The line of its log that says why it ended, from its last attempt."""
        with (self.folder / LOG).open("rb") as file:
            file.seek(self.log_start)
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        return reason(lines)[:300]


def reason(lines: Sequence[str]) -> str:
    """The line of a log that says why its process ended: the project's own, Python's, else the last; empty of none.

    >>> reason(["epoch 1", "ValueError: batch of 0", "Set the environment variable HYDRA_FULL_ERROR=1 for …"])
    'ValueError: batch of 0'
    >>> reason(["Error: There is no key optim.rl.", "1 warning"])
    'Error: There is no key optim.rl.'
    """
    own = [line for line in lines if line.startswith("Error: ")]
    pythons = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Interrupt)\b", line)]
    return (own or pythons or list(lines) or [""])[-1]


def logged_values(folder: Path, metric: str) -> list[float]:
    """All finite values of the metric in the run's history, oldest first."""
    values = [point[metric] for point in read_history(folder) if metric in point]
    return [float(value) for value in values if isinstance(value, (int, float)) and math.isfinite(value)]


def diverged(folder: Path, metric: str) -> str:
    """How a run diverged, by its own words, its metric or its curve; empty where it did not.

    Args:
        folder: of the run.
        metric: that is to be finite wherever it was logged.
    """
    final = _final(folder)
    said = final.get("diverged")
    if isinstance(said, dict) and "reason" in said:
        return f"{said['reason']} at step {said.get('step')}"
    if found := divergence(folder, metric):
        return found
    value = final.get(metric)
    return f"{metric} was {value} at the end" if isinstance(value, float) and not math.isfinite(value) else ""


def final_figures(folder: Path) -> dict[str, float]:
    """The figures of the run's metrics.json, nested ones by names with slashes."""
    return dict(_flat(_final(folder)))


def _final(folder: Path) -> dict[str, Any]:
    try:
        tree = json.loads((folder / "metrics.json").read_text())
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{key}/")
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            found.append((f"{prefix}{key}", float(value)))
    return found


def logged_names(folder: Path) -> list[str]:
    """Everything that a metric could have been."""
    return sorted({key for point in read_history(folder) for key in point} | set(final_figures(folder)))
