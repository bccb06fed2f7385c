"""How the next values are chosen: method → Optuna sampler."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GridSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from experiments.sweep.definition import Definition

STARTUP = 5  # random trials before the model chooses; a sweep of ten should profit from it
GOOD = 0.2  # of the trials are what TPE looks like; of Optuna's tenth, 4 in 40, deadly values looked unexplored
MOST = 25  # of them, as Optuna has it


class SeededByTrial(BaseSampler):
    """A sampler drawn anew for each trial, seeded by its number.

    One seed for the whole study would draw the first values again after a restart, and the same on every machine.

    Args:
        definition: of the sweep.
        seed: of all of it.
    """

    def __init__(self, definition: Definition, seed: int):
        self.definition, self.seed = definition, seed
        self.inner: BaseSampler = RandomSampler()

    def _draw(self, number: int) -> BaseSampler:
        if self.definition.method == "grid":
            labels = {p.name: [str(value) for value in p.grid or ()] for p in self.definition.parameters if p.drawn}
            return GridSampler(labels, seed=self.seed)  # the order of the grid is one for all
        digest = hashlib.sha256(f"{self.seed} {number}".encode()).digest()
        seed = int.from_bytes(digest[:4], "big")
        if self.definition.method == "random":
            return RandomSampler(seed=seed)
        return TPESampler(seed=seed, n_startup_trials=STARTUP, gamma=_good)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Draw the sampler of this trial."""
        self.inner = self._draw(trial.number)
        self.inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See `BaseSampler`."""
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See `BaseSampler`."""
        return self.inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See `BaseSampler`."""
        return self.inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Nothing: a grid would stop a loop of Optuna's that does not run here."""


def _good(trials: int) -> int:
    """How many of so many trials TPE takes for good ones."""
    return min(math.ceil(GOOD * trials), MOST)
