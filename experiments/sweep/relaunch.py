"""A trial's own folder, and its arguments when it is launched again: by sweep.py or by `wandb agent`.

entry.py imports this for every command: nothing here is slow to import.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TRIAL_FOLDER = "HEYJETSON_TRIAL"  # set by sweep.py
LOGGED_ONLY = ("git", "parameters", "resume")  # in the configuration of a W&B run, but no overrides


def trial_folder(runs: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where a sweep's trial writes, the same each time it is launched; None outside a sweep.

    Args:
        runs: folder of all runs.
        environment: as sweep.py or W&B's agent sets it.
    """
    if folder := environment.get(TRIAL_FOLDER):
        return Path(folder)
    sweep, run = environment.get("WANDB_SWEEP_ID"), environment.get("WANDB_RUN_ID")
    return Path(runs) / sweep / run if sweep and run else None


def trial_arguments(arguments: list[str], environment: Mapping[str, str] = os.environ) -> list[str]:
    """The arguments of a trial as Hydra wants them; those of anything else as they are.

    A trial that has begun is continued by what it was begun with. W&B launches one that was pre-empted with its whole
    configuration as overrides (wandb issue 9143); where its folder is on another machine, it starts anew from the
    swept ones. Nested parameters, which W&B passes as a dictionary, become dotted.

    Args:
        arguments: of the command line.
        environment: as sweep.py or W&B's agent sets it.

    >>> agent = {"WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": "r"}
    >>> trial_arguments(["optim={'lr': 0.1, 'sched': {'min_lr': 0}}", "seed=2"], agent)
    ['optim.lr=0.1', 'optim.sched.min_lr=0', 'seed=2']
    >>> trial_arguments(["optim.lr=0.1", "git={'commit': 'a'}", "model={'labels': [' ']}", "threads=None"], agent)
    ['optim.lr=0.1']
    """
    given = dict(argument.partition("=")[::2] for argument in arguments)
    folder = trial_folder(given.get("runs", "runs"), environment)
    if folder is None or environment.get("LOCAL_RANK", "0") != "0":  # the other ranks get the first one's arguments
        return arguments
    if (folder / ".hydra" / "overrides.yaml").is_file():
        return [f"resume={folder}"]
    if "git" in given:  # only a whole configuration has it
        return [f"{k}={v}" for k, v in given.items() if k not in LOGGED_ONLY and v != "None" and v[:1] != "{"]
    return [dotted for argument in arguments for dotted in _dotted(argument)]


def _dotted(argument: str) -> list[str]:
    name, _, text = argument.partition("=")
    if not text.startswith("{'"):
        return [argument]
    try:
        tree = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return [argument]
    return [leaf for key, value in tree.items() for leaf in _dotted_leaf(f"{name}.{key}", value)]


def _dotted_leaf(name: str, value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for key, inner in value.items() for leaf in _dotted_leaf(f"{name}.{key}", inner)]
    return [f"{name}={value}"]
