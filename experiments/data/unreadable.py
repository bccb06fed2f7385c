"""A recording that can no longer be read once training has begun is left out, or the run ends whole."""

from __future__ import annotations

import logging
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from experiments.data.left_out import LEFT_OUT, LeftOut
from experiments.errors import ConfigError
from experiments.training.distributed import largest
from experiments.training.diverged import DivergedError
from experiments.training.preemption import STOPPED
from heyjetson.errors import AudioError
from manifests.whole import NoRoomError

LOG = logging.getLogger(__name__)

NAMED = 3  # utterances in a message
FAULTS = (AudioError, OSError, EOFError, tarfile.TarError)  # of data that is not there any more


class UnreadableError(ConfigError):
    """Too many recordings cannot be read any more, or one of the validation."""


class Unreadable(Callback):
    """Say which utterances are left out of training; beyond a number of them, write a checkpoint and end.

    One of the validation is never left out: its figures would be those of another set.

    Args:
        folder: of the run.
        most: utterances that may be left out.
    """

    def __init__(self, folder: Path, most: int):
        self.list, self.most = LeftOut(folder / LEFT_OUT), most
        self.checkpoint = folder / "checkpoints" / STOPPED
        self.seen = 0  # bytes of the list
        self.names: dict[str, str] = {}
        self.during = "training"

    def begin(self) -> None:
        """Forget those of an earlier part of the run: its preflight has found all readable since."""
        self.list.path.unlink(missing_ok=True)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Look at the list, in all processes alike."""
        if (size := self.list.size()) != self.seen:
            self.seen, before, self.names = size, self.names, self.list.read()
            for name in [name for name in self.names if name not in before] if trainer.is_global_zero else ():
                LOG.info(f"Left out: {name}: {self.names[name]} ({len(self.names)} of at most {self.most})")
        if trainer.fit_loop.epoch_loop._should_accumulate() or not largest(int(len(self.names) > self.most)):
            return
        trainer.save_checkpoint(self.checkpoint)
        shown = list(self.names)[:NAMED] + ["…"] * (len(self.names) > NAMED)
        raise UnreadableError(
            f"{len(self.names)} utterances cannot be read any more, and data.max_unreadable={self.most}: "
            f"{', '.join(shown)} ({self.list.path} has the causes). A checkpoint of step {trainer.global_step} is "
            "written."
        )

    def on_exception(self, trainer: pl.Trainer, model: Any, exception: BaseException) -> None:
        """Write a checkpoint between two steps, where a fault of the data ends the run."""
        self.during = "validation" if trainer.validating else "training"
        if not isinstance(exception, FAULTS) or isinstance(exception, NoRoomError) or trainer.world_size > 1:
            return  # several processes write together, and the others are elsewhere
        if trainer.global_step and not trainer.fit_loop.epoch_loop._should_accumulate():
            with suppress(NoRoomError, DivergedError):
                trainer.save_checkpoint(self.checkpoint)

    def count(self) -> int:
        """Utterances left out until now."""
        return len(self.list.read())


def ending(error: Exception, trainer: pl.Trainer, resume: str) -> ConfigError:
    """What ended a training as a sentence, with how it goes on.

    Args:
        error: a full disk, or one of `FAULTS`.
        trainer: of the run.
        resume: the command's argument, `resume=` with the run's folder.
    """
    go_on = f"continue with: python train.py {resume}"
    if isinstance(error, NoRoomError):
        return ConfigError(f"{error} Then {go_on}")
    if isinstance(error, UnreadableError):
        return UnreadableError(f"{error} Mend them, or add data.on_bad_sample=skip, and {go_on}")
    said = said_by(error)
    if next(one.during for one in trainer.callbacks if isinstance(one, Unreadable)) == "validation":
        return UnreadableError(
            f"The validation cannot be heard: {said} Without that recording its figures would be those of another set. "
            f"Mend it, or take it out of the manifest, and {go_on}"
        )
    return UnreadableError(f"The training data cannot be read: {said} Mend it, and {go_on}")


def said_by(error: Exception) -> str:
    """What an error says, without the traceback of the process that reads for this one.

    >>> said_by(OSError("Caught OSError in DataLoader worker process 0. … OSError: a.wav is cut."))
    'a.wav is cut.'
    """
    kind = type(error).__name__
    text = str(error)
    if "DataLoader worker" in text:
        text = text.rpartition(f"{kind}: ")[2]
    return (text.strip().splitlines() or [kind])[0][:300].rstrip(".") + "."
