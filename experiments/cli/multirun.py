"""What `-m` says: where its runs go, and how they are compared."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict, read_write

from experiments.training.run_folders import new_folder

LOG = logging.getLogger(__name__)


class Announcement(Callback):
    """Hydra's callback around several runs.

    Args:
        folders: of the runs, as a shell finds them: what they begin with, and a star for their numbers.
    """

    def __init__(self, folders: str):
        self.folders = folders
        self.reserved: Path | None = None

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Take names that no other command has, and say where the runs go."""
        if not any(str(override).startswith("hydra.sweep.") for override in config.hydra.overrides.hydra):
            self._take_names(config)
        LOG.info(f"The runs go to {self.folders}")
        if submitted := config.hydra.launcher.get("submitit_folder"):
            LOG.info(f"and what they print to {Path(submitted).parent}/*/*_log.out, errors to *_log.err")

    def _take_names(self, config: DictConfig) -> None:
        """Make a folder that stands for the names; a command started in the same second may have made it already."""
        stem = Path(self.folders.removesuffix("_*"))
        self.reserved = new_folder(stem.with_name(f".{stem.name}"))
        name = self.reserved.name[1:]
        if name != stem.name:
            self.folders = f"{stem.with_name(name)}_*"
            subdir = stem.parent.relative_to(config.runs) / name
            with read_write(config.hydra), open_dict(config.hydra):
                config.hydra.overrides.hydra.append(f"hydra.sweep.subdir='{subdir}_${{hydra.job.num}}'")

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Say how the runs are compared."""
        if submitted := config.hydra.launcher.get("submitit_folder"):
            with suppress(OSError):  # submitit makes a folder of the pattern's own name
                Path(submitted).rmdir()
        if self.reserved:
            with suppress(OSError):
                self.reserved.rmdir()
        LOG.info(f"Compare them: python compare.py {self.folders}")
