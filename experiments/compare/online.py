"""Runs of a W&B project on its server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from experiments.compare.keys import flatten
from experiments.compare.record import DIED, DIVERGED, Run, number
from experiments.compare.wandb_runs import NO_TRAINING, Logged, curve, leave_out_figures, metrics, totals, watt_hours
from experiments.errors import ConfigError
from manifests.progress import progress

TIMEOUT = 30  # seconds
# A scan returns the rows that have all of its keys, and not all of these are logged together.
SCANS = (["val_wer", "val_cer", "val_loss", "epoch"], ["train_loss", "learning_rate", "epoch"])


def require_key(what: str) -> None:
    """Refuse what needs an account where there is none.

    Args:
        what: needs it, as the beginning of a sentence.

    Raises:
        ConfigError: WANDB_API_KEY is not set.
    """
    if not os.environ.get("WANDB_API_KEY"):
        raise ConfigError(
            f"{what} needs a W&B account: set WANDB_API_KEY. Run folders need none: `python compare.py runs`."
        )


@contextmanager
def guard(what: str) -> Iterator[None]:
    """Turn what W&B says against a request into a sentence.

    Args:
        what: cannot be done, as the beginning of the sentence.

    Raises:
        ConfigError: in place of W&B's own errors.
    """
    import requests
    from wandb.errors import CommError, UsageError

    try:
        yield
    except ConfigError:
        raise
    except (CommError, UsageError, requests.RequestException, ValueError) as error:  # a ValueError: no such project
        raise ConfigError(f"{what}: {error}") from None


def new_api() -> Any:
    """A connection to the server."""
    from wandb import Api

    return Api(timeout=TIMEOUT)


def load_project(project: str, api: Any = None) -> list[Run]:
    """The runs of a project, newest first.

    Args:
        project: `entity/project`, or `project` of the account's own entity.
        api: of W&B; a new one when None.

    Raises:
        ConfigError: there is no account, no connection, or no such project, or it has no runs.
    """
    if api is None:
        require_key("Reading a project")
    with guard(f"The W&B project {project} cannot be read"):
        found = [run for run in (api or new_api()).runs(project) if run.job_type not in NO_TRAINING]
        runs = [_loaded(run) for run in progress(found, f"reading {project}", len(found))]
    if not runs:
        raise ConfigError(f"The W&B project {project} has no runs.")
    return runs


def _loaded(source: Any) -> Run:
    items: list[dict[str, Any]] = []
    for keys in SCANS:
        items += source.scan_history(keys=[*keys, "trainer/global_step", "_runtime"])
    summary = dict(source.summary)
    logged = Logged(source.name, config=dict(source.config), curve=curve(items), results=totals([summary]))
    logged.seconds = number(summary.get("_runtime"))
    system = source.history(stream="system", pandas=False)
    logged.energy = watt_hours((number(row.get("_timestamp")) or 0.0, row) for row in system)
    run = Run(source.name, source.url, "online", flatten(logged.config), curve=logged.curve)
    run.metrics, run.results, run.energy = metrics(logged), logged.results, logged.energy
    if (step := number(summary.get("diverged"))) is not None:
        leave_out_figures(run, f"{DIVERGED}: at step {step:.0f}")
    elif source.state == "failed":
        leave_out_figures(run, f"{DIED}: W&B says failed")
    elif not run.results:
        run.note = f"no test result was logged; W&B says {source.state}"
    return run
