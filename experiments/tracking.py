"""Loggers. Offline is the default; nothing here needs an account or a network."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.entry import ROOT, ConfigError
from manifests.wandb_table import wandb_mode


def git_state() -> dict[str, Any]:
    """Commit of the project and whether files differ from it; empty outside a repository."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def _run_id(folder: Path) -> str:
    """The run's id: what `wandb agent` set, else the one this folder had before, else a new one."""
    stored = folder / "wandb-id"
    identity = os.environ.get("WANDB_RUN_ID") or (
        stored.read_text().strip() if stored.exists() else uuid.uuid4().hex[:8]
    )
    stored.write_text(identity)
    return identity


def wandb_logger(
    folder: Path,
    *,
    name: str,
    project: str,
    entity: str | None = None,
    group: str | None = None,
    tags: Sequence[str] = (),
    job_type: str = "train",
    mode: str = "auto",
    table_rows: int = 0,
) -> Any:
    """A Weights & Biases logger whose files lie in the run's folder.

    Args:
        folder: of the run.
        name: shown in the dashboard.
        project: in W&B.
        entity: user or team; the account's default when None.
        group: runs of one group are folded together.
        tags: to filter by.
        job_type: to filter by.
        mode: `auto` is online when WANDB_API_KEY is set and offline otherwise; WANDB_MODE overrules it.
        table_rows: used by the prediction table.
    """
    from lightning.pytorch.loggers import WandbLogger

    if mode not in ("auto", "online", "offline"):
        raise ConfigError(f"logger.mode must be auto, online or offline, found {mode!r}.")
    if mode == "auto":
        mode = wandb_mode()
    os.environ.setdefault("WANDB_DATA_DIR", str(folder / "wandb"))  # media of tables is staged here, not in the home
    os.environ.setdefault("WANDB_SILENT", "true")
    (folder / "wandb").mkdir(exist_ok=True)
    logger = WandbLogger(
        name=name,
        save_dir=str(folder),
        offline=mode != "online",
        id=_run_id(folder),
        project=project,
        log_model=False,
        entity=entity,
        group=group,
        tags=list(tags),
        job_type=job_type,
        resume="allow" if mode == "online" else None,
    )
    # Lightning passes a setting that W&B has dropped, and W&B warns of it at the start of every run.
    getattr(logger, "_wandb_init", {}).pop("anonymous", None)
    return logger


def tensorboard_logger(folder: Path, *, name: str, table_rows: int = 0) -> Any:
    """A TensorBoard logger in the run's folder."""
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(save_dir=str(folder), name="tensorboard", version="")


def no_logger(folder: Path, *, name: str, table_rows: int = 0) -> bool:
    """No logger."""
    return False
