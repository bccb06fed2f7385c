"""The parts of a W&B run that was killed and continued: what they hold, and how they become one run on the server.

An offline run that is continued has one folder for each start. `wandb sync` puts them one behind the other, and passes
over those it has marked as done. It marks none whose file ends within a record, as a kill leaves it, and would upload
that one anew each time.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.compare.wandb_runs import records
from experiments.errors import ConfigError
from experiments.tracking.offline_summary import settle
from experiments.tracking.record_log import whole_length
from experiments.training.run_folders import hold, release


def parts(folder: Path) -> list[Path]:
    """The folders of a run's parts that were kept offline, in their order.

    Args:
        folder: of the run.
    """
    return sorted((folder / "wandb").glob("offline-run-*"))


def earlier_rows(folder: Path) -> dict[int, set[str]]:
    """What the parts of a run have logged until now.

    Args:
        folder: of the run.

    Returns:
        step → keys. Of what is more than a number, by the key it was logged under.
    """
    found: dict[int, set[str]] = {}
    for part in sorted((folder / "wandb").glob("*run-*")):
        for record in records(part):
            item = record.get("history", {}).get("item", {})
            if isinstance(step := item.get("trainer/global_step"), int | float):
                found.setdefault(int(step), set()).update(key.removesuffix("._type") for key in item)
    return found


def repair(part: Path) -> int:
    """Cut off the record that a kill left unfinished.

    Args:
        part: of a run, whose process is gone.

    Returns:
        bytes that were cut off.
    """
    cut = 0
    for path in part.glob("run-*.wandb"):
        content = path.read_bytes()
        if len(content) > (whole := whole_length(content)):
            with path.open("r+b") as file:
                file.truncate(whole)
            cut += len(content) - whole
    return cut


def sync(folder: Path, options: Sequence[str] = ()) -> int:
    """Upload what is not on the server yet of a run whose process has ended.

    Args:
        folder: of the run.
        options: further ones of `wandb sync`.

    Returns:
        the status of `wandb sync`.

    Raises:
        ConfigError: there is nothing to upload, or the run goes on.
    """
    found = parts(folder)
    if not found:
        raise ConfigError(f"There is no offline W&B run in {folder}/wandb. Give a run folder: runs/NAME/TIME.")
    hold(folder)  # the file of a run that goes on ends within a record as well
    try:
        for part in found:
            repair(part)
        settle(folder)
        command = [sys.executable, "-m", "wandb", "sync", *options, *map(str, found)]
        return subprocess.run(command, check=False).returncode
    finally:
        release(folder)
