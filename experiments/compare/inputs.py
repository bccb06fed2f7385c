"""From the arguments of the command line to the runs, offline W&B runs and bundles below them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import ConfigError
from experiments.training.history_reader import HISTORY
from heyjetson.bundle import MANIFEST

TRIAL = "trial.json"  # of a sweep; a trial that died at once has nothing else
RUN_FILES = ("config.yaml", "metrics.json", HISTORY, ".hydra/overrides.yaml", TRIAL)


@dataclass(frozen=True)
class Place:
    """Something that can be compared.

    Args:
        kind: `run`, `offline` (a W&B run) or `bundle`.
        path: its folder.
    """

    kind: str
    path: Path


def kind_of(folder: Path) -> str | None:
    """What a folder is: `run`, `offline`, `bundle`, or None for anything else."""
    if any(folder.glob("run-*.wandb")):
        return "offline"
    if (folder / MANIFEST).is_file():
        try:
            described = json.loads((folder / MANIFEST).read_text())
        except (OSError, ValueError):
            described = None
        if isinstance(described, dict) and "files" in described and "kind" in described:
            return "bundle"
    return "run" if any((folder / name).is_file() for name in RUN_FILES) else None


def below(folder: Path) -> Iterator[Place]:
    """Everything comparable in a folder: itself, or else what lies below it; nothing is looked for inside of a run."""
    if kind := kind_of(folder):
        yield Place(kind, folder)
        return
    with os.scandir(folder) as entries:
        folders = sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    for inner in folders:
        if inner.name not in (".git", ".venv", "node_modules"):
            yield from below(inner)


def find(paths: list[Path]) -> list[Place]:
    """The places that arguments stand for, each once, in the order given.

    Args:
        paths: run folders, folders of runs, offline W&B runs, bundles, or a file in one of these.

    Raises:
        ConfigError: one does not exist, or holds nothing to compare.
    """
    found: dict[Path, Place] = {}
    for path in paths:
        if not path.exists():
            raise ConfigError(f"{path} does not exist. Give run folders (runs/NAME/TIME), or a folder of them (runs).")
        folder = path if path.is_dir() else path.parent
        places = list(below(folder))
        if not places:
            raise ConfigError(
                f"There is no run in {path}: no folder with a config.yaml, history.jsonl or metrics.json, no offline "
                "W&B run and no bundle. Train one with `python train.py`."
            )
        for place in places:
            found.setdefault(place.path.resolve(), place)
    return list(found.values())


def short_names(paths: list[Path]) -> list[str]:
    """Paths without the folders they have in common; the last two parts of a single one.

    >>> short_names([Path("/runs/digits/a"), Path("/runs/digits/b")]), short_names([Path("/runs/digits/a")])
    (['a', 'b'], ['digits/a'])
    """
    parts = [path.resolve().parts for path in paths]
    if len(parts) == 1:
        return ["/".join(parts[0][-2:])]
    common = 0
    while all(len(part) > common + 1 for part in parts) and len({part[common] for part in parts}) == 1:
        common += 1
    return ["/".join(part[common:]) for part in parts]
