"""What conf/ may compute: `${run_folder:…}`, `${share_of_cores:…}`, `${gpus_or:…}` and `${on_main_rank:…}`."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from omegaconf import OmegaConf

from experiments.sweep.relaunch import trial_folder
from experiments.training import ranks


def run_folder(runs: str, name: str, resume: str | None) -> str:
    """Hydra's run folder: a new one by the clock, the one to continue, or that of a sweep's trial."""
    return str(resume or trial_folder(runs) or f"{runs}/{name}/{datetime.now():%Y-%m-%d_%H-%M-%S}")


def share_of_cores(runs: int | None) -> int:
    """Cores for each of so many runs at a time."""
    return max((os.cpu_count() or 1) // max(runs or 1, 1), 1)


def gpus_or(otherwise: int) -> int:
    """NVIDIA's GPUs in this machine; another number where there are none."""
    return len(list(Path("/dev").glob("nvidia[0-9]*"))) or otherwise


def on_main_rank(value: str) -> str | None:
    """A value where this is the first process of a run, else nothing."""
    return value if ranks.is_rank_zero() else None


OmegaConf.register_new_resolver("run_folder", run_folder, replace=True, use_cache=True)
OmegaConf.register_new_resolver("share_of_cores", share_of_cores, replace=True)
OmegaConf.register_new_resolver("gpus_or", gpus_or, replace=True)
OmegaConf.register_new_resolver("on_main_rank", on_main_rank, replace=True)
