"""One summary and one configuration for a W&B run of several parts, in each of them.

W&B keeps the least, largest and mean of a figure by what one process has logged, and a part that is uploaded brings its
own summary over what the server has: after a continuation the least of all was that of the last part (seen with 0.31).
So each part that is still to be uploaded gets, behind its own records, those of the whole run. Then it does not matter
which one is uploaded last.
"""

from __future__ import annotations

import fnmatch
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from statistics import mean
from typing import Any

from experiments.tracking.record_log import joined, replace, split

Key = tuple[str, ...]
SYNCED = ".synced"  # behind the name of a file that `wandb sync` has uploaded
OFFLINE = "offline-"  # before the name of a part's folder


@dataclass
class Part:
    """What a part of a run says of the whole.

    Args:
        records: of W&B's protocol, in their order.
        summary: by path, JSON.
        config: by path, JSON.
        logged: the finite numbers that a figure had, by its name; its summary may be one of the whole run already.
        combined: the defined figures (`define_metric`): patterns, and whether larger ones are better.
    """

    records: list[Any]
    summary: dict[Key, str] = field(default_factory=dict)
    config: dict[Key, str] = field(default_factory=dict)
    logged: dict[str, list[float]] = field(default_factory=dict)
    combined: dict[str, bool] = field(default_factory=dict)


def read(path: Path) -> Part:
    """Read a part's file."""
    from wandb.proto import wandb_internal_pb2

    part = Part([])
    for raw in split(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(raw)
        part.records.append(record)
        kind = record.WhichOneof("record_type")
        if kind in ("run", "config"):
            _update(part.config, record.run.config if kind == "run" else record.config)
        elif kind == "summary":
            _update(part.summary, record.summary)
        elif kind == "history":
            for item in record.history.item:
                value = json.loads(item.value_json)
                if isinstance(value, int | float) and math.isfinite(value):
                    part.logged.setdefault(_path(item)[0], []).append(value)
        elif kind == "metric":
            name = record.metric.name or record.metric.glob_name
            part.combined[name] = record.metric.goal == wandb_internal_pb2.MetricRecord.GOAL_MAXIMIZE
    return part


def _path(item: Any) -> Key:
    return tuple(item.nested_key) or (item.key,)


def _update(found: dict[Key, str], given: Any) -> None:
    """Take a record's changes: what is given a value loses what was below it."""
    for item in given.update:
        path = _path(item)
        for other in [other for other in found if other[: len(path)] == path]:
            del found[other]
        found[path] = item.value_json
    for item in given.remove:
        found.pop(_path(item), None)


def whole(parts: Sequence[Part]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Summary and configuration of a run, by key.

    Args:
        parts: in the order in which they were logged.

    Returns:
        of each key what the last part says; of defined figures what all of them do. What W&B adds of its own (keys
        that begin with `_`) stays that of each part.
    """
    config: dict[str, Any] = {}
    summaries = []
    for part in parts:
        config |= _tree(part.config)
        summaries.append(_tree(part.summary))
    summary = {key: value for said in summaries for key, value in said.items()}
    for key in summary:
        patterns = [name for part in parts for name in part.combined if fnmatch.fnmatchcase(key, name)]
        said = [found[key] for found in summaries if key in found]
        numbers = [number for part in parts for number in part.logged.get(key, [])]
        if patterns and numbers and all(isinstance(value, dict) for value in said):
            larger = any(part.combined.get(patterns[-1], False) for part in parts)
            summary[key] = _combined(said, numbers, larger)
    return summary, config


def _tree(flat: dict[Key, str]) -> dict[str, Any]:
    """JSON by path → nested values, without W&B's own."""
    tree: dict[str, Any] = {}
    for path, text in flat.items():
        if path[0].startswith("_"):
            continue
        place = tree
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = json.loads(text)
    return tree


def _combined(said: list[dict[str, Any]], numbers: list[float], larger: bool) -> dict[str, Any]:
    """What W&B keeps of a defined figure, over all parts.

    Args:
        said: by each part that logged it.
        numbers: that were logged, in their order; one at least.
        larger: of `best`.
    """
    best = max if larger else min
    ways: dict[str, Callable[[list[float]], float]] = {"min": min, "max": max, "best": best, "mean": mean}
    ways |= {"first": itemgetter(0), "last": itemgetter(-1)}
    found = {name: value for part in said for name, value in part.items()}
    return {name: ways[name](numbers) if name in ways else value for name, value in found.items()}


def settle(folder: Path) -> None:
    """Let each part of a run that is not uploaded yet carry the summary and the configuration of all.

    Args:
        folder: of the run, whose parts are closed and cut to whole records. One alone stays as it is.
    """
    runs: dict[str, list[Path]] = {}
    for path in sorted((folder / "wandb").glob("*run-*/run-*.wandb"), key=_begun):
        runs.setdefault(path.name, []).append(path)
    for files in runs.values():
        waiting = [path for path in files if path.parent.name.startswith(OFFLINE) and not _is_synced(path)]
        if len(files) > 1 and waiting:
            _settle(files, waiting)


def _begun(path: Path) -> str:
    """When a part was begun, as its folder says: offline-run-20260131_120000-ID, or run-… of one that was online."""
    return path.parent.name.removeprefix(OFFLINE)


def _is_synced(path: Path) -> bool:
    return path.with_name(path.name + SYNCED).exists()


def _settle(files: Sequence[Path], waiting: Sequence[Path]) -> None:
    """See `settle`: all parts of a run, and those of them that are not uploaded yet."""
    from wandb.proto import wandb_internal_pb2

    parts = {path: read(path) for path in files}
    summary, config = whole(list(parts.values()))
    for path in waiting:
        part = parts[path]
        if not part.records or (_tree(part.summary), _tree(part.config)) == (summary, config):
            continue
        kinds = [record.WhichOneof("record_type") for record in part.records]
        place = kinds.index("exit") if "exit" in kinds else len(kinds)
        said, set_up = wandb_internal_pb2.Record(), wandb_internal_pb2.Record()
        for key, value in summary.items():
            said.summary.update.add(nested_key=[key], value_json=json.dumps(value))
        for key, value in config.items():
            set_up.config.update.add(key=key, value_json=json.dumps(value))
        records = [*part.records[:place], said, set_up, *part.records[place:]]
        for number, record in enumerate(records[place:], part.records[place - 1].num + 1):
            record.num = number
        replace(path, joined(record.SerializeToString() for record in records))
