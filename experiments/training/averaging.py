"""Means of the weights over the last steps: they are validated, kept as the best and exported in place of one step's.

Each step leaves the weights a little beside where the last ones pull. Their mean misses less, and does not depend on
which of several noisy validations happened to be the best (Polyak and Juditsky, 1992; Izmailov et al., 2018). NeMo's
callback averages in a thread while the next step already changes what it reads, and leaves out the statistics of batch
norms; Lightning 2.4 has an equal mean at the end of a schedule alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from experiments.errors import ConfigError

KEY = "averaged"


class Averaging(Callback):
    """Keeps an exponential average of all weights and of the statistics of norms, and validates with it.

    A checkpoint has the weights of its step, from which a run goes on, and the averages beside them, under `averaged`:
    `weights_of` gives those. It must stand behind the callbacks that use the model at the end of a validation.

    Args:
        decay: share of the average that a step leaves in place: 0.998 averages over about 500 steps. At the beginning
            less of it is, (1 + n) / (10 + n) after n steps, or the drawn weights would be in it for long.

    Raises:
        ConfigError: the decay is no share.
    """

    def __init__(self, decay: float):
        if not 0 < decay < 1:
            raise ConfigError(f"averaging.decay lies between 0 and 1, found {decay}. null averages nothing.")
        self.decay = decay
        self.steps = 0
        self.averages: dict[str, Tensor] = {}
        self.aside: dict[str, Tensor] = {}  # the step's own weights, while the averages are in the model

    def on_train_start(self, trainer: pl.Trainer, model: Any) -> None:
        """Begin with the weights as they are, or go on with those of the checkpoint."""
        if not self.averages:
            self.averages = {name: value.clone() for name, value in _floating(model).items()}
        self.averages = {name: value.to(model.device) for name, value in self.averages.items()}

    def on_train_batch_end(self, trainer: pl.Trainer, model: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Take in the weights, after a step of the optimiser."""
        if trainer.fit_loop.epoch_loop._should_accumulate():
            return
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        now = _floating(model)
        with torch.no_grad():
            average = get_ema_multi_avg_fn(decay)
            average([self.averages[name] for name in now], list(now.values()), self.steps)  # type: ignore[arg-type]

    def on_validation_start(self, trainer: pl.Trainer, model: Any) -> None:
        """Put the averages in."""
        if trainer.sanity_checking or not self.averages or self.aside:
            return
        self.aside = {name: value.clone() for name, value in _floating(model).items()}
        _put(model, self.averages)

    def on_validation_end(self, trainer: pl.Trainer, model: Any) -> None:
        """Put the step's own weights back."""
        if self.aside:
            _put(model, self.aside)
            self.aside = {}

    def on_save_checkpoint(self, trainer: pl.Trainer, model: Any, checkpoint: dict[str, Any]) -> None:
        """Add the averages, and what they were made of; in a validation the weights are those that are aside."""
        if self.averages:
            checkpoint["state_dict"] = checkpoint["state_dict"] | self.aside
            checkpoint[KEY] = {"steps": self.steps, "weights": {k: v.clone() for k, v in self.averages.items()}}

    def on_load_checkpoint(self, trainer: pl.Trainer, model: Any, checkpoint: dict[str, Any]) -> None:
        """Go on from the averages of a checkpoint; one without begins them with its weights."""
        if found := checkpoint.get(KEY):
            self.steps, self.averages = found["steps"], dict(found["weights"])


def weights_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """What a checkpoint's model hears with: its averages, where there are some, and its weights otherwise.

    Args:
        checkpoint: as it is read.
    """
    return checkpoint["state_dict"] | checkpoint.get(KEY, {}).get("weights", {})


def _floating(model: Any) -> dict[str, Tensor]:
    """The model's own tensors that can be averaged, by name."""
    return {name: value for name, value in model.state_dict().items() if value.is_floating_point()}


@torch.no_grad()
def _put(model: Any, values: Mapping[str, Tensor]) -> None:
    for name, value in _floating(model).items():
        value.copy_(values[name])
