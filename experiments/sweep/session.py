"""A sweep as sweep.py holds it: opened from the configuration, run, shown."""

from __future__ import annotations

import logging
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from optuna.pruners import NopPruner
from optuna.study import Study
from optuna.trial import TrialState

from experiments.errors import ConfigError
from experiments.sweep.definition import Definition
from experiments.sweep.hyperband import WandbHyperband
from experiments.sweep.ranking import show_ranking
from experiments.sweep.runner import Runner
from experiments.sweep.samplers import SeededByTrial
from experiments.sweep.storage import address, kept, open_storage, open_study, without_password

LOG = logging.getLogger(__name__)

DEFAULT_COUNT = 10


@dataclass
class Sweep:
    """An open sweep.

    Args:
        definition: of it.
        study: its trials.
        folder: below which each trial has its own.
        storage: the address of the study.
        count: trials in all.
        workers: trials at once.
        grace: seconds a trial is given to end when it is stopped.
    """

    definition: Definition
    study: Study
    folder: Path
    storage: str
    count: int
    workers: int
    grace: float

    def run(self) -> None:
        """Run the trials that are left; Ctrl-C keeps what there is and ends with status 130."""
        done = sum(trial.state.is_finished() for trial in kept(self.study))
        running = len(self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))
        state = f"{done} of {max(self.count, done)} trials done" + (f", {running} begun" if running else "")
        print(f"sweep {self.study.study_name}: {state}, in {without_password(self.storage)}", flush=True)
        try:
            Runner(self.study, self.definition, self.folder, self.count, self.workers, self.grace).run()
        except KeyboardInterrupt:
            print(f"\nStopped. To continue: {shlex.join(['python', 'sweep.py', *sys.argv[1:]])}", file=sys.stderr)
            sys.exit(130)

    def show(self) -> None:
        """Print the ranking."""
        show_ranking(self.study, self.definition, self.folder, self.storage)


def open_sweep(cfg: DictConfig, definition: Definition) -> Sweep:
    """Begin a sweep, or continue it.

    Args:
        cfg: conf/sweep.yaml.
        definition: checked.

    Raises:
        ConfigError: a setting or the storage does not do.
    """
    count = trials_in_all(definition, cfg.count)
    if not isinstance(cfg.workers, int) or cfg.workers < 1:
        raise ConfigError(f"workers must be a whole number from 1, found {cfg.workers}.")
    if not isinstance(cfg.grace, (int, float)) or cfg.grace < 0:
        raise ConfigError(f"grace must be a number of seconds, found {cfg.grace}.")
    name = str(cfg.name or definition.name)
    folder = Path(cfg.runs) / name
    storage = address(str(cfg.storage or f"sqlite:///{folder / 'sweep.db'}"))
    study = open_study(definition, name, open_storage(storage))
    study.sampler = SeededByTrial(definition, cfg.seed)
    study.pruner = WandbHyperband(definition.early_terminate) if definition.early_terminate else NopPruner()
    return Sweep(definition, study, folder, storage, count, cfg.workers, cfg.grace)


def trials_in_all(definition: Definition, asked: int | None) -> int:
    """How many trials: as asked for, else what the definition says.

    Raises:
        ConfigError: not a whole number from 1.
    """
    if asked is not None and (not isinstance(asked, int) or isinstance(asked, bool) or asked < 1):
        raise ConfigError(f"count must be a whole number from 1, found {asked}.")
    if definition.method != "grid":
        return asked or definition.run_cap or DEFAULT_COUNT
    limit = asked or definition.run_cap
    if limit and limit < definition.grid_size:
        LOG.info(f"The grid has {definition.grid_size} points; {limit} of them are tried, in no order.")
    return min(limit or definition.grid_size, definition.grid_size)
