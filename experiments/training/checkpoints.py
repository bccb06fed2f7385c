"""Lightning's checkpoints: written whole or not at all, read without running what is in them, trusted when complete."""

from __future__ import annotations

import collections
import logging
import pickle
import typing
import zipfile
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.plugins.io import TorchCheckpointIO
from omegaconf import DictConfig, ListConfig
from omegaconf.base import ContainerMetadata, Metadata
from omegaconf.nodes import AnyNode
from torch import Tensor

from custom_modules.nemo_file import foreign
from experiments.errors import ConfigError
from experiments.training.best_effort import first_line
from experiments.training.divergence import spoilt_weight
from experiments.training.resumption import validated
from manifests.whole import PART, whole_file

LOG = logging.getLogger(__name__)

# Beside torch's own list of tensors and plain values: a configuration of OmegaConf's, and NumPy's random states.
ALLOWED: list[Any] = [
    DictConfig, ListConfig, ContainerMetadata, Metadata, AnyNode, typing.Any,
    collections.defaultdict, bool, dict, float, int, list, str, tuple,
    np.ndarray, np.dtype, type(np.dtype("uint32")), type(np.dtype("float64")), type(np.dtype("int64")),
]  # fmt: skip
for _module in ("numpy.core.multiarray", "numpy._core.multiarray"):  # before NumPy 2, and since
    ALLOWED += [
        (np.ndarray(0).__reduce__()[0], f"{_module}._reconstruct"),
        (np.float64(0).__reduce__()[0], f"{_module}.scalar"),
    ]
# What a reader of damaged archives and pickles raises.
DAMAGED = (RuntimeError, EOFError, OSError, LookupError, ValueError, TypeError, AttributeError, pickle.UnpicklingError)


class CheckpointError(ConfigError):
    """A checkpoint cannot be read, or holds what a checkpoint does not hold."""


class ForeignError(CheckpointError):
    """A checkpoint names code that would run as it is read."""


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the target, has it reach the disk, and puts it in its place; reads by `read_checkpoint`.

    Lightning's own goes through TMPDIR, and where that is another disk copies over the target without waiting for it.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            NoRoomError: the disk is full; earlier checkpoints are as they were.
        """
        # By a file of Python's: torch's own writer does not say that the disk is full.
        with whole_file(Path(path), _bytes(checkpoint)) as part, part.open("wb") as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = None) -> dict[str, Any]:
        """Read a checkpoint to the CPU; Lightning copies from there.

        Raises:
            CheckpointError: see `read_checkpoint`.
        """
        return read_checkpoint(Path(path))


def _bytes(held: Any) -> float:
    """Of all tensors in dictionaries and lists."""
    if isinstance(held, Tensor):
        return held.numel() * held.element_size()
    parts = held.values() if isinstance(held, dict) else held if isinstance(held, list | tuple) else ()
    return sum(map(_bytes, parts))


def read_checkpoint(path: Path, mmap: bool = False) -> dict[str, Any]:
    """What a checkpoint holds, on the CPU; nothing in it is run.

    Args:
        path: of the file.
        mmap: read tensors when they are looked at.

    Raises:
        ForeignError: it names functions or classes that have no place in a checkpoint.
        CheckpointError: it is damaged, or no checkpoint.
    """
    try:
        with torch.serialization.safe_globals(ALLOWED):
            held = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
        if not isinstance(held, dict):
            raise ValueError(f"it holds a {type(held).__name__}")
    except DAMAGED as error:
        refuse_foreign(path, error)
        raise CheckpointError(f"{path} cannot be read ({first_line(error)}). Was the file copied whole?") from error
    return held


def refuse_foreign(path: Path, error: Exception) -> None:
    """Say in a sentence that a file names what torch refuses to run.

    Args:
        path: of the file.
        error: that reading it gave.

    Raises:
        ForeignError: it does.
    """
    if (name := foreign(error)) is not None:
        raise ForeignError(
            f"{path} is refused: it names {name}, which is not among what a file of weights may hold, and could run as "
            "the file is read. Do not use it; from somebody you trust, ask for a .nemo."
        ) from None


def damage(path: Path) -> str:
    """What is wrong with the bytes of a checkpoint, by its own checksums; empty where all is well.

    torch does not look at them: where a power cut left zeros, it reads zeros.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            spoilt = archive.testzip()
    except (zipfile.BadZipFile, *DAMAGED) as error:
        return first_line(error)
    return f"its part {spoilt} is not what was written" if spoilt else ""


def newest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the latest step that is whole; others are passed over, and that is said.

    Of one step, that after its validation; the times of files say nothing after copying. What a kill left of one that
    was being written is removed.

    Args:
        folder: of the run, which no other process is in.

    Raises:
        ForeignError: one of them names code.
        CheckpointError: there are some, and none of them can be used.
    """
    checkpoints = folder / "checkpoints"
    for unfinished in checkpoints.glob(f"*{PART}"):
        unfinished.unlink()
    found: list[tuple[int, bool, float, Path]] = []
    passed = 0
    for path in sorted(checkpoints.glob("*.ckpt"), key=lambda path: path.stat().st_mtime):
        try:
            if fault := damage(path):
                raise CheckpointError(fault)
            state = read_checkpoint(path, mmap=True)
            place = int(state["global_step"]), validated(state), path.stat().st_mtime, path
            if name := spoilt_weight(state["state_dict"]):
                LOG.info(f"{path.name} holds weights that are no finite numbers ({name}); trying the one before.")
                passed += 1
            else:
                found.append(place)
        except ForeignError:
            raise
        except (CheckpointError, KeyError) as error:
            LOG.info(f"{path.name} cannot be read ({first_line(error):.80}); trying the one before.")
            passed += 1
    if not found and passed:
        raise CheckpointError(
            f"None of the {passed} checkpoints in {checkpoints} can be used. Copy them from where they are whole, or "
            "delete them to begin from the start."
        )
    return max(found)[3] if found else None


def seconds_of(checkpoint: Path, trainer: pl.Trainer) -> float:
    """Seconds of a run's budget of time before a checkpoint, by the clock that it is continued with."""
    kept = read_checkpoint(checkpoint, mmap=True).get("callbacks", {})
    states = [kept.get(one.state_key) for one in trainer.callbacks if isinstance(one, Timer)]
    return max((float(state["time_elapsed"]["train"]) for state in states if state), default=0.0)


def step_of(checkpoint: Path) -> int:
    """Optimiser steps before a checkpoint."""
    return int(read_checkpoint(checkpoint, mmap=True)["global_step"])
