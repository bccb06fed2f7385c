"""What `-m` says: where its runs go, and how they are compared."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class Announcement(Callback):
    """Hydra's callback around several runs.

    Args:
        folders: of the runs, as a shell finds them.
    """

    def __init__(self, folders: str):
        self.folders = folders

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Say where the runs go, and what they print where that is not here."""
        print(f"The runs go to {self.folders}", flush=True)
        if submitted := config.hydra.launcher.get("submitit_folder"):
            print(f"and what they print to {Path(submitted).parent}/*/*_log.out, errors to *_log.err", flush=True)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Say how the runs are compared."""
        if submitted := config.hydra.launcher.get("submitit_folder"):
            with suppress(OSError):  # submitit makes a folder of the pattern's own name
                Path(submitted).rmdir()
        print(f"Compare them: python compare.py {self.folders}")
