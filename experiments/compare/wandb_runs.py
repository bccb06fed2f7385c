"""Runs of Weights & Biases without a server: what an offline run logged, read by W&B's own program."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from experiments.compare.keys import flatten
from experiments.compare.record import DIED, DIVERGED, Result, Run, number

CURVE = ("val_wer", "val_cer", "val_loss", "train_loss", "learning_rate")
POWER = re.compile(r"(?:system\.)?gpu\.\d+\.powerWatts(?:/l:.+)?")
NO_TRAINING = ("data", "export")  # what the runs of W&B are for that train no model
WANTED = ('"type":"history"', '"type":"stats"', '"type":"config"', '"type":"run"', '"type":"exit"')


@dataclass
class Logged:
    """What runs of W&B hold.

    Args:
        name: shown in the dashboard.
        job: what the run is for: `train`, `export`, `data`.
        config: as logged, nested.
        curve: points, by step.
        results: test sets, of which only the totals are known.
        seconds: from start to end.
        energy: watt hours of the GPUs; None where no power was recorded.
        diverged: the step at which it did; None where it did not.
        status: of its process; from 128 on a signal ended it, and 255 is Ctrl-C.
    """

    name: str = ""
    job: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    results: dict[str, Result] = field(default_factory=dict)
    seconds: float | None = None
    energy: float | None = None
    diverged: float | None = None
    status: int = 0


def records(folder: Path) -> Iterator[dict[str, Any]]:
    """The records of an offline run that matter here, up to where the file was cut short.

    Args:
        folder: with the run's `.wandb` file.
    """
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if any(kind in line[:60] for kind in WANTED):
                try:
                    yield json.loads(line)
                except ValueError:
                    continue


def power_recorded(folder: Path) -> bool:
    """Whether an offline run holds the power of a GPU; a look into the file, since reading it takes a second."""
    return any(b".powerWatts" in path.read_bytes() for path in folder.glob("run-*.wandb"))


def read_offline(folders: list[Path]) -> Logged:
    """One run: its offline folder, or several where it was resumed.

    Args:
        folders: oldest first.
    """
    logged = Logged()
    items: list[dict[str, Any]] = []
    for folder in folders:
        power: list[tuple[float, dict[str, Any]]] = []
        for record in records(folder):
            kind = record["type"]
            content = record.get(kind, {})
            if kind == "history":
                items.append(content.get("item", {}))
            elif kind == "stats":
                power.append((_seconds(content.get("timestamp")), content.get("item", {})))
            elif kind == "config":
                logged.config |= content.get("update", {})
            elif kind == "run":
                logged.name = content.get("display_name", "") or content.get("run_id", "")
                logged.job = content.get("job_type", "")
                logged.config |= content.get("config", {}).get("update", {})
            elif kind == "exit":
                logged.seconds = (logged.seconds or 0.0) + float(content.get("runtime", 0))
                logged.status = int(content.get("exit_code", 0))
        if (used := watt_hours(power)) is not None:
            logged.energy = (logged.energy or 0.0) + used
    logged.curve = curve(items)
    logged.results = totals(items)
    logged.diverged = next((number(item["diverged"]) for item in reversed(items) if "diverged" in item), None)
    return logged


def load_offline(folder: Path) -> Run | None:
    """An offline run of W&B as a row of its own; None for one that trained nothing."""
    logged = read_offline([folder])
    if logged.job in NO_TRAINING:
        return None
    run = Run(logged.name or folder.name, str(folder), "offline", flatten(logged.config), curve=logged.curve)
    run.metrics = metrics(logged)
    run.results, run.energy = logged.results, logged.energy
    if logged.diverged is not None:
        leave_out_figures(run, f"{DIVERGED}: at step {logged.diverged:.0f}")
    elif 0 < logged.status < 128:
        leave_out_figures(run, f"{DIED}: status {logged.status}")
    elif not run.results:
        run.note = "no test result was logged: still training, stopped or pruned"
    return run


def leave_out_figures(run: Run, note: str) -> None:
    """Of a run that diverged or died, keep what it is and what it cost.

    Args:
        run: read whole.
        note: how it ended.
    """
    run.note, run.curve, run.results = note, [], {}
    run.metrics.pop("validation_wer", None)


def metrics(logged: Logged) -> dict[str, Any]:
    """What metrics.json of a run folder would say."""
    errors = [point["val_wer"] for point in logged.curve if "val_wer" in point]
    found = {
        "parameters": number(logged.config.get("parameters")),
        "steps": logged.curve[-1]["step"] if logged.curve else None,
        "seconds": logged.seconds or (logged.curve[-1].get("seconds") if logged.curve else None),
        "validation_wer": min(errors, default=None),
    }
    return {key: value for key, value in found.items() if value is not None}


def curve(items: Iterable[dict[str, Any]]) -> list[dict[str, float]]:
    """Points of a curve from rows of a history: those of one step become one. Steps count as in a run's folder."""
    points: dict[int, dict[str, float]] = {}
    for item in items:
        logged = {key: value for key in CURVE if (value := number(item.get(key))) is not None}
        taken = number(item.get("trainer/global_step"))
        # Lightning counts a step once its row, and the validation behind it, are logged.
        step = number(item.get("_step")) if taken is None else taken + 1
        if step is None or not logged.keys() - {"learning_rate"}:
            continue
        point = points.setdefault(int(step), {"step": float(step)})
        for name, key in (("seconds", "_runtime"), ("epoch", "epoch")):
            if (value := number(item.get(key))) is not None:
                point[name] = value
        point |= logged
    return [points[step] for step in sorted(points)]


def totals(items: Iterable[dict[str, Any]]) -> dict[str, Result]:
    """Test sets from the keys `test/NAME/FIGURE`."""
    found: dict[str, dict[str, float]] = {}
    for item in items:
        for key, value in item.items():
            parts = key.split("/")
            if len(parts) == 3 and parts[0] == "test" and (figure := number(value)) is not None:
                found.setdefault(parts[1], {})[parts[2]] = figure
    return {name: Result(name, figures) for name, figures in found.items() if "wer" in figures}


def watt_hours(samples: Iterable[tuple[float, dict[str, Any]]]) -> float | None:
    """The energy of all GPUs, by the trapezoidal rule.

    Args:
        samples: seconds and what the system monitor saw then, oldest first.

    Returns:
        watt hours; None with fewer than two samples of power.
    """
    power = [
        (seconds, sum(watts))
        for seconds, item in samples
        if (
            watts := [value for key, raw in item.items() if POWER.fullmatch(key) and (value := number(raw)) is not None]
        )
    ]
    if len(power) < 2:
        return None
    pairs = zip(power, power[1:], strict=False)
    return sum((end - start) * (before + after) / 2 for (start, before), (end, after) in pairs) / 3600


def _seconds(timestamp: Any) -> float:
    """A timestamp of W&B, in nanoseconds and UTC, as seconds."""
    head, _, rest = str(timestamp).rstrip("Z").partition(".")
    try:
        return datetime.fromisoformat(head).timestamp() + float(f"0.{rest or 0}")
    except ValueError:
        return 0.0
