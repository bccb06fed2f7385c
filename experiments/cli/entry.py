"""The frame of every entry point: overrides checked before Hydra runs, errors as sentences.

Nothing here imports NeMo, which takes over ten seconds: a misspelt key is answered at once.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from experiments.cli.guarded import guarded, quiet
from experiments.cli.overrides import check_launcher, check_overrides, chosen_config
from experiments.cli.resume import config_of_run, expand_resume
from experiments.paths import CONF
from experiments.sweep.relaunch import trial_arguments
from experiments.training import ranks, run_folders
from manifests.show import reader_may_leave


def _as_job(task: Callable[[DictConfig], object]) -> Callable[[DictConfig], None]:
    """A recipe as it runs in whatever process a launcher has started."""

    @functools.wraps(task)
    def run(cfg: DictConfig) -> None:
        quiet()
        job = HydraConfig.get().job
        ranks.set_up_rank(0 if OmegaConf.is_missing(job, "num") else job.num)
        if ranks.is_rank_zero() and "folders" in HydraConfig.get().callbacks:
            run_folders.hold(Path(HydraConfig.get().runtime.output_dir), run_folders.PATIENCE)
        task(cfg)

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
                arguments = expand_resume(given)
                name = config_of_run(arguments, name)
                if not any(argument in ("--help", "-h", "--hydra-help", "--version") for argument in arguments):
                    check_overrides(name, arguments)
                    check_launcher(arguments)
                return json.dumps([name, arguments])

            name = config_name

            def prepared() -> None:
                nonlocal name
                if not ranks.is_child(sys.argv[1:]):
                    name, sys.argv[1:] = json.loads(ranks.broadcast_from_rank_zero("arguments", checked))

            guarded(prepared)()
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(guarded(_as_job(task)))()

        return run

    return wrap
