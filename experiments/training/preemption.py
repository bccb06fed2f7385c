"""What happens when a scheduler takes the machine away, or on Ctrl-C: a checkpoint, then what the scheduler wants."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from experiments.training.distributed import largest
from experiments.training.ranks import is_rank_zero
from manifests.show import typed

LOG = logging.getLogger(__name__)

STOPPED = "stopped.ckpt"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)  # submitit has Slurm send the last before the time is up
ENDING = (signal.SIGINT, signal.SIGTERM)  # end a process that is told twice


class StoppedError(Exception):
    """A signal ended the training; what could be saved is saved.

    Args:
        number: of the signal.
        step: at which training stopped.
    """

    def __init__(self, number: int, step: int):
        super().__init__(f"{signal.Signals(number).name} at step {step}")
        self.number, self.step = number, step


class Preemption(Callback):
    """On Ctrl-C, SIGTERM, or what submitit waits for, write a checkpoint between two steps, in all processes.

    Then training ends with `StoppedError`; where submitit has installed a handler, that decides: it has Slurm start the
    job again, or lets it go on until Slurm ends it. A second Ctrl-C or SIGTERM ends the process at once.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path):
        self.path = folder / "checkpoints" / STOPPED
        self.caught = 0
        self.earlier: dict[int, Any] = {number: signal.getsignal(number) for number in SIGNALS}
        if self.earlier[signal.SIGINT] is signal.SIG_IGN:  # of a program in the background, which Ctrl-C is not for
            del self.earlier[signal.SIGINT]
        self.replaced: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, model: Any) -> None:
        """Listen; Lightning's own handler would end each process at another step."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, handler in self.earlier.items():
            if number in ENDING or callable(handler):
                self.replaced[number] = signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.caught == number and number in ENDING:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.caught = number

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Save and stop after a step, if any process of the run was told to."""
        if not trainer.fit_loop.epoch_loop._should_accumulate():
            self._stop(trainer)

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Save and stop; the run goes on with the whole validation."""
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._stop(trainer)

    def _stop(self, trainer: pl.Trainer) -> None:
        number = largest(self.caught)
        if not number:
            return
        trainer.save_checkpoint(self.path)
        if trainer.is_global_zero:
            LOG.info(f"{signal.Signals(number).name}: checkpoint of step {trainer.global_step} written.")
        self.caught = 0
        scheduler = None if number == signal.SIGINT else self.earlier[number]
        if callable(scheduler):
            scheduler(number, None)
        if number == signal.SIGTERM and callable(scheduler):
            return  # submitit lets SIGTERM pass: the scheduler ends the job and starts it again
        raise StoppedError(number, trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, model: Any) -> None:
        """Stop listening."""
        self._leave()

    def on_exception(self, trainer: pl.Trainer, model: Any, exception: BaseException) -> None:
        """Stop listening."""
        self._leave()

    def _leave(self) -> None:
        for number, handler in self.replaced.items():
            signal.signal(number, handler)
        self.replaced = {}


def leave(stopped: StoppedError, folder: Path) -> NoReturn:
    """End this process after a training that was stopped, and say how it continues.

    Args:
        stopped: what ended it.
        folder: of the run.
    """
    if not is_rank_zero():  # Lightning ends the first process as soon as one that it started fails
        sys.exit(0)
    name = signal.Signals(stopped.number).name
    LOG.info(f"\nStopped by {name} at step {stopped.step}. Continue with: python train.py {typed(folder, 'resume=')}")
    status = 128 + stopped.number
    run = sys.modules["wandb"].run if "wandb" in sys.modules else None
    if run is not None:
        run.mark_preempting()  # a sweep hands the trial to the next agent
        run.finish(exit_code=status)
    sys.exit(status)
