"""Lightning's loops over a run and over an epoch, which can be left and entered between any two steps."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.loops.fit_loop import _FitLoop
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.loops.utilities import _is_max_limit_reached


class ResumableEpochLoop(_TrainingEpochLoop):
    """Validates once after a batch, and after the last of the run, and leaves an epoch between steps only.

    Lightning 2.4 hears one batch of a validation again where a run is continued after it (its issue 19549), validates
    and ends in the middle of a step where gradients are accumulated, and takes any epoch that it finds complete for one
    whose validation was cut off.
    """

    validated = -1  # batches of the run before its latest validation
    due = False  # a validation that waits for the end of a step
    extra = False  # the validation was due for no other reason than the end of the run

    def _should_check_val_fx(self, data_fetcher: Any) -> bool:
        if self.batch_progress.total.ready == self.validated:
            return False
        self.due = self.due or super()._should_check_val_fx(data_fetcher)
        wanted = (self.due or self._is_last_batch()) and not self._should_accumulate()
        self.extra = wanted and not self.due
        return wanted

    def _is_last_batch(self) -> bool:
        """Whether the run ends after this batch. Its weights, learned at the lowest rates, may be the best."""
        trainer, fit = self.trainer, self.trainer.fit_loop
        last = self._num_ready_batches_reached() and _is_max_limit_reached(trainer.current_epoch + 1, fit.max_epochs)
        stopped = trainer.should_stop and fit._can_stop_early
        return trainer.enable_validation and (
            last or stopped or _is_max_limit_reached(self.global_step, self.max_steps)
        )

    @property
    def _is_validation_done(self) -> bool:
        return not (self.restarting and self._should_check_val_fx(None))

    @property
    def done(self) -> bool:
        """Whether to leave the epoch."""
        return super().done and not self._should_accumulate() and self._is_validation_done

    def reset(self) -> None:
        """Begin an epoch, or go on inside one; one that has become shorter meanwhile may be over."""
        super().reset()
        if self.restarting and self.batch_progress.current.ready >= self.trainer.num_training_batches:
            self.batch_progress.is_last_batch = True

    def advance(self, data_fetcher: Any) -> None:
        """Train one batch; or, first thing after a restart, none where its validation is still to come."""
        if self.restarting and self._should_check_val_fx(data_fetcher):
            self._batches_that_stepped -= 1  # counted once more after the validation
            return
        super().advance(data_fetcher)

    def on_advance_end(self, data_fetcher: Any) -> None:
        """Validate, where that is due."""
        super().on_advance_end(data_fetcher)
        self.due = False if self.batch_progress.total.ready == self.validated else self.due


class ResumableFitLoop(_FitLoop):
    """Does not end before the validation that was cut off, where a run is continued that had no further step to go."""

    epoch_loop: ResumableEpochLoop

    @property
    def done(self) -> bool:
        """Whether training is over."""
        return super().done and self.epoch_loop._is_validation_done


def make_resumable(trainer: Any) -> None:
    """Exchange a trainer's loops, before it is used."""
    old = trainer.fit_loop
    trainer.fit_loop = ResumableFitLoop(trainer, old.min_epochs, old.max_epochs)
    trainer.fit_loop.epoch_loop = ResumableEpochLoop(trainer, old.min_steps, old.max_steps)
