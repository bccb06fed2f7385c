"""One run in one folder: made for it alone, and held as long as its process lives."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import time
from itertools import count
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from experiments.cli.guarded import guarded
from experiments.errors import ConfigError
from experiments.locks import lock, unlock
from experiments.sweep.relaunch import trial_folder
from experiments.training import ranks
from manifests.show import typed
from manifests.whole import whole_file

LOG = logging.getLogger(__name__)

LOCK = "run.lock"
OWN = {LOCK, ".hydra", "wandb-id"}  # what is there before a run has done anything
CHECKED = ".checked.jsonl"  # ends the name of a manifest that the preflight has filtered
HYDRA = ".hydra"  # folder of what a run was started with, which `resume` goes by
CONFIG = "config.yaml"  # written when a training begins
TRACES = ("checkpoints", "history.jsonl", CONFIG)  # of a run that began
ENDS = ("metrics.json", "model.nemo")  # of one that ended
PATIENCE = 60.0  # seconds that a job which was put back into the queue waits for the one before it to be gone

_holding: dict[Path, int] = {}
_made: set[Path] = set()  # folders that this process made for a run
_kept: dict[Path, tuple[dict[str, bytes], int]] = {}  # of folders that were there: HYDRA, and CONFIG's time


class OneRunEach(Callback):
    """Hydra's callback around a run: before anything is written it has a folder that no other run is in."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Take the folder; what Hydra's callbacks raise is a warning, so this ends the process by itself."""
        guarded(_take)(config)

    def on_job_end(self, config: DictConfig, job_return: Any, **_: Any) -> None:
        """Let go of the folder: this process may have another run to do."""
        release(Path(config.hydra.runtime.output_dir))


def _take(config: DictConfig) -> None:
    HydraConfig.instance().set_config(config)
    folder = ranks.broadcast_from_rank_zero("folder", lambda: str(take(config)))
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.run.dir = folder


def take(config: DictConfig) -> Path:
    """The folder of a run, held by this process.

    A folder named by the clock is made, under another name where it is there already. One that was asked for, by
    `resume`, a sweep or `hydra.run.dir`, may be there.

    Args:
        config: composed, with Hydra's own.

    Raises:
        ConfigError: another process is in it, or what it holds is not to be continued.
    """
    asked = Path(str(config.hydra.run.dir))
    text = str(OmegaConf.to_container(config.hydra.run, resolve=False)["dir"])  # type: ignore[index,call-overload]
    continued = bool(config.resume or trial_folder(config.runs))
    if text.startswith("${run_folder:") and not continued:
        folder = new_folder(asked)
        hold(folder)
        return folder
    if not asked.exists():
        asked.mkdir(parents=True, exist_ok=True)
        _made.add(asked.resolve())
    hold(asked)
    if not continued:
        try:
            _require_the_same(asked, list(config.hydra.overrides.task))
        except ConfigError:
            release(asked)
            raise
    _keep(asked)
    return asked


def new_folder(wanted: Path) -> Path:
    """Make a folder that was not there: as it is wanted, else with -2, -3, … behind its name."""
    wanted.parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            folder.mkdir()
            _made.add(folder.resolve())
            return folder
        except FileExistsError:
            continue
    raise AssertionError("there is always a next number")


def _require_the_same(folder: Path, overrides: list[str]) -> None:
    """Of a folder that is given as hydra.run.dir: a job that is started again continues, another run does not."""
    if any((folder / name).exists() for name in ENDS):
        raise ConfigError(
            f"{folder} holds a finished run. Continue it with {typed(folder, 'resume=')}, or give another "
            "hydra.run.dir."
        )
    saved = folder / ".hydra" / "overrides.yaml"
    before = [str(one) for one in OmegaConf.load(saved)] if saved.is_file() else []
    if any((folder / name).exists() for name in TRACES) and before != [str(one) for one in overrides]:
        raise ConfigError(
            f"{folder} holds a run that was started with {' '.join(before) or 'other settings'}. Continue that one "
            f"with {typed(folder, 'resume=')}, or give another hydra.run.dir."
        )


def hold(folder: Path, patience: float = 0.0) -> None:
    """Have a folder for this process alone until it ends or releases it.

    Args:
        folder: of the run.
        patience: seconds to wait for another process to leave.

    Raises:
        ConfigError: another process is in it.
    """
    path = folder.resolve()
    if path in _holding:
        return
    until = time.monotonic() + patience
    try:
        while (handle := lock(folder / LOCK)) is None and time.monotonic() < until:
            time.sleep(0.5)
    except OSError as error:
        LOG.info(f"{folder} cannot be locked ({error.strerror}): see that no other run is started in it.")
        return
    if handle is None:
        raise ConfigError(
            f"{folder} is in use by a run: {(folder / LOCK).read_text() or 'a process that has just begun'}. Wait "
            "until it has ended, or stop it, and continue it with resume; a run beside it needs a folder of its own."
        )
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    _holding[path] = handle


def release(folder: Path) -> None:
    """Let go of a folder, where this process holds it."""
    if (handle := _holding.pop(folder.resolve(), None)) is not None:
        unlock(handle)


def _keep(folder: Path) -> None:
    """Remember what a run was started with: Hydra is about to write what it is continued with."""
    if (folder / HYDRA).is_dir():
        held = {path.name: path.read_bytes() for path in (folder / HYDRA).iterdir() if path.is_file()}
        _kept[folder.resolve()] = held, _time_of(folder / CONFIG)


def _time_of(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def undo(folder: Path) -> None:
    """Where a run was not continued after all, let it be what it was: else what it was refused for would be part of it,
    and refused again by a `resume` without it."""
    held, time_before = _kept.pop(folder.resolve(), ({}, 0))
    if _time_of(folder / CONFIG) != time_before:  # it was
        return
    for name, content in held.items():
        with whole_file(folder / HYDRA / name) as part:
            part.write_bytes(content)


def discard(folder: Path) -> None:
    """Remove the folder of a run that was refused before it began, where this process made it."""
    made = folder.resolve() in _made and folder.is_dir()
    if made and all(_is_from_before(path) for path in folder.iterdir()):
        _made.discard(folder.resolve())
        shutil.rmtree(folder, ignore_errors=True)


def _is_from_before(path: Path) -> bool:
    """Whether something in a run's folder may be there before the run has begun; W&B's folder is, without a run."""
    unused = path.name == "wandb" and not any(path.glob("*run-*"))
    return unused or path.name in OWN or path.name.endswith(CHECKED)
