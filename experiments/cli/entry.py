"""The frame of every entry point: arguments, one composition by Hydra, errors as sentences.

Nothing here imports NeMo, which takes over ten seconds: a misspelt key is answered at once.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.cli.guarded import EXPECTED, guarded, quiet
from experiments.cli.overrides import check_launcher, check_overrides, chosen_config, renamed
from experiments.cli.resume import config_of_run, expand_resume
from experiments.errors import ConfigError
from experiments.paths import CONF
from experiments.sweep.relaunch import trial_arguments
from experiments.training import ranks, run_folders
from manifests.show import reader_may_leave

SEVERAL = {"-m", "--multirun"}
FULL_ERROR = "HYDRA_FULL_ERROR"  # has Hydra raise what it would print


def _compose_and_run(name: str, task: Callable[[DictConfig], object]) -> None:
    """Have Hydra compose the configuration and run the task with it; what does not compose is looked at more closely.

    Raises:
        ConfigError: it does not compose; for an override, with the nearest that would.
    """
    before = os.environ.get(FULL_ERROR)
    began = False

    @functools.wraps(task)
    def begun(cfg: DictConfig) -> object:
        nonlocal began
        began = True
        _restore(FULL_ERROR, before)
        return task(cfg)

    several = bool(SEVERAL & set(sys.argv[1:]))  # which were checked, one by one
    if not several:
        os.environ[FULL_ERROR] = "1"
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(guarded(_as_job(begun)))()
    except (HydraException, OmegaConfBaseException) as error:
        if began or several:
            raise
        check_overrides(name, sys.argv[1:])
        raise ConfigError(f"The configuration does not compose: {error}") from None
    finally:
        _restore(FULL_ERROR, before)


def _restore(name: str, before: str | None) -> None:
    os.environ.pop(name, None)
    if before is not None:
        os.environ[name] = before


def _as_job(task: Callable[[DictConfig], object]) -> Callable[[DictConfig], None]:
    """A recipe as it runs in whatever process a launcher has started."""

    @functools.wraps(task)
    def run(cfg: DictConfig) -> None:
        quiet()
        job = HydraConfig.get().job
        ranks.set_up_rank(0 if OmegaConf.is_missing(job, "num") else job.num)
        folder = Path(HydraConfig.get().runtime.output_dir)
        if ranks.is_rank_zero() and "folders" in HydraConfig.get().callbacks:
            run_folders.hold(folder, run_folders.PATIENCE)
        try:
            task(cfg)
        except BaseException as error:
            run_folders.undo(folder)
            if isinstance(error, EXPECTED):
                run_folders.discard(folder)
            raise

    return run


def entry(config_name: str, **others: str) -> Callable[[Callable[[DictConfig], object]], Callable[[], None]]:
    """Turn a recipe `main(cfg)` into a command.

    Args:
        config_name: of the file in conf/.
        others: what `--config-name` may say instead → its file in conf/.
    """

    def wrap(task: Callable[[DictConfig], object]) -> Callable[[], None]:
        @functools.wraps(task)
        @reader_may_leave()
        def run() -> None:
            quiet()

            def checked() -> str:
                given = trial_arguments(sys.argv[1:]) if config_name == "train" else sys.argv[1:]
                name, given = chosen_config(given, config_name, others)
                arguments = renamed(expand_resume(given))
                name = config_of_run(arguments, name)
                if not {"--help", "-h", "--hydra-help", "--version"} & set(arguments):
                    if SEVERAL & set(arguments):
                        check_overrides(name, arguments)
                    check_launcher(arguments)
                return json.dumps([name, arguments])

            name = config_name

            def prepared() -> None:
                nonlocal name
                if not ranks.is_child(sys.argv[1:]):
                    name, sys.argv[1:] = json.loads(ranks.broadcast_from_rank_zero("arguments", checked))

            guarded(prepared)()
            guarded(lambda: _compose_and_run(name, task))()

        return run

    return wrap
