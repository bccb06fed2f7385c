"""Loggers and what they are given. Offline is the default; nothing here needs an account or a network.

No failure of a logger ends a training: it is said once, and the run goes on.
"""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

from experiments.data.preparation import Data
from experiments.errors import ConfigError
from experiments.paths import ROOT
from experiments.tracking.histograms import KINDS, Histograms
from experiments.tracking.lineage import declare_inputs, log_checkpoint, log_model, origin
from experiments.tracking.offline_parts import earlier_rows, parts, repair
from experiments.tracking.offline_summary import settle
from experiments.tracking.tables import PredictionTable, training_table
from experiments.training.best_effort import BestEffort, first_line
from experiments.training.ranks import is_rank_zero
from heyjetson.bundle import file_hash
from manifests.wandb_table import wandb_mode

LOG = logging.getLogger(__name__)

INIT_TIMEOUT = 45.0  # seconds a run waits for W&B at its start before it is kept offline


def git_state() -> dict[str, Any]:
    """Commit of the project and whether files differ from it; empty outside a repository."""

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", *arguments]  # `git status` would write the index anew
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

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
    if is_rank_zero():
        stored.write_text(identity)
    return identity


@dataclass(frozen=True)
class Content:
    """What a W&B run holds beside figures: the keys of conf/logger/wandb.yaml.

    Args:
        table_rows: of the table of predictions, logged at each validation.
        data_rows: of the table of training data, logged once.
        artifacts: log `model.nemo` as an artifact, and name the dataset as its input.
        checkpoints: log each better checkpoint as well.
        upload_audio: put the recordings into the dataset's artifact.
        watch: histograms of gradients, parameters, or all.
        watch_every: steps between histograms.
    """

    table_rows: int = 8
    data_rows: int = 8
    artifacts: bool = True
    checkpoints: bool = False
    upload_audio: bool = False
    watch: str | None = None
    watch_every: int = 100

    def __post_init__(self) -> None:
        if self.watch not in KINDS:
            raise ConfigError(f"logger.watch must be null, gradients, parameters or all, found {self.watch!r}.")
        if self.watch_every < 1:
            raise ConfigError(f"logger.watch_every must be at least 1, found {self.watch_every}.")


class RunLogger(WandbLogger):
    """Lightning's W&B logger that forgives: where W&B cannot be reached, the run is kept offline.

    Args:
        content: what to log beside figures.
        continued: the run was logged to W&B before, and has what is logged once.
        arguments: of `WandbLogger`.
    """

    _experiment: Any
    _offline: bool

    def __init__(self, content: Content, continued: bool = False, **arguments: Any):
        super().__init__(**arguments)
        self.content = content
        self.continued = continued
        self.earlier: dict[int, set[str]] = {}
        if continued and is_rank_zero():
            folder = Path(arguments["save_dir"])
            for part in parts(folder):
                repair(part)
            self.earlier = earlier_rows(folder)
        self.forgive = BestEffort()
        self._logged_checkpoint = ""
        # Lightning passes a setting that W&B has dropped, and W&B warns of it at the start of every run.
        self._wandb_init.pop("anonymous", None)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run of W&B: as asked for, else offline, else one that keeps nothing."""
        import wandb

        while self._experiment is None:
            try:
                return WandbLogger.experiment.fget(self)  # type: ignore[attr-defined]
            except Exception as error:  # W&B's client raises errors of any kind
                cause = first_line(error)
                wandb.teardown()  # its process still holds the run's id
                if self._offline:
                    LOG.info(f"W&B cannot keep a run ({cause}): nothing is logged to it. history.jsonl is written.")
                    self._experiment = wandb.init(mode="disabled")
                else:
                    LOG.info(
                        f"W&B cannot be reached ({cause}): the run is kept offline; `wandb sync` uploads it later."
                    )
                    self._offline = True
                    self._wandb_init |= {"mode": "offline"}
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log figures: finite ones, since what W&B keeps the least, largest or mean of never recovers from another."""
        with self.forgive("figures"):
            finite = {
                key: value for key, value in metrics.items() if not isinstance(value, float) or math.isfinite(value)
            }
            if new := self.new(finite, step):
                super().log_metrics(new, step)

    def new(self, row: Mapping[str, Any], step: int | None) -> dict[str, Any]:
        """What an earlier part of the run has not logged: steps that are trained again after a kill count once.

        Args:
            row: about to be logged.
            step: it is of; of None nothing is known, and all is new.
        """
        known = self.earlier.get(step, set()) if step is not None else set()
        return {key: value for key, value in row.items() if key not in known}

    @rank_zero_only
    def log_row(self, row: Mapping[str, Any], step: int) -> None:
        """Log what is more than figures.

        Args:
            row: tables, histograms.
            step: they are of.
        """
        if new := self.new(row, step):
            self.experiment.log(new | {"trainer/global_step": step})

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """Log the configuration."""
        with self.forgive("the configuration"):
            super().log_hyperparams(params)

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        """Log a checkpoint that is the best so far, where they are asked for."""
        best = checkpoint_callback.best_model_path
        of_speech = checkpoint_callback.monitor in ("val_wer", "val_cer")
        if not self.content.checkpoints or not of_speech or best == self._logged_checkpoint:
            return
        self._logged_checkpoint = best
        with self.forgive("a checkpoint as an artifact"):
            log_checkpoint(self.experiment, Path(best), float(checkpoint_callback.best_model_score or 0.0))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Nothing is left to do: checkpoints are logged as they come, and `close` ends the run."""


class RunContent(Callback):
    """What a W&B run is given when training starts: its inputs, and the table of training data.

    Args:
        logger: of the run.
        data: its manifests.
        name: of the experiment.
        seed: draws the rows of the table.
    """

    def __init__(self, logger: RunLogger, data: Data, name: str, seed: int):
        self.logger, self.data, self.name, self.seed = logger, data, name, seed

    def on_fit_start(self, trainer: pl.Trainer, model: Any) -> None:
        """Log what is known before the first step."""
        if not trainer.is_global_zero:
            return
        content, forgive, run = self.logger.content, self.logger.forgive, self.logger.experiment
        if content.artifacts:
            with forgive("the inputs"):
                declare_inputs(run, self.name, self.data, content.upload_audio, forgive)
        if content.data_rows and not self.logger.continued:
            with forgive("the table of training data"):
                run.log({"training_data": training_table(model, self.data, content.data_rows, self.seed, forgive)})


def tracking_callbacks(logger: Any, data: Data, name: str, seed: int, table_rows: int) -> list[Callback]:
    """Callbacks that feed a logger; none without one.

    Args:
        logger: of the trainer.
        data: manifests of the run.
        name: of the experiment.
        seed: draws the rows of tables.
        table_rows: of the table of predictions.
    """
    if not logger:
        return []
    found: list[Callback] = [LearningRateMonitor("step")]
    if isinstance(logger, RunLogger):
        found.append(RunContent(logger, data, name, seed))
        if logger.content.watch:
            found.append(Histograms(logger.content.watch, logger.content.watch_every, logger.forgive))
    if table_rows:
        found.append(PredictionTable(data.lines(data.validation), table_rows, seed, data.channels))
    return found


def wandb_origin(logger: Any, name: str) -> dict[str, Any] | None:
    """What a `.nemo` keeps of its W&B run; None for another logger."""
    found = None
    if isinstance(logger, RunLogger):
        with logger.forgive("the run's address"):
            found = origin(logger.experiment, name)
    return found


def log_end(logger: Any, figures: Mapping[str, float], step: int) -> None:
    """Log figures of the end of a run.

    Args:
        logger: of the trainer.
        figures: by name.
        step: the last; TensorBoard would draw what has none at step 0. In W&B they belong to the run, not to a step.
    """
    logger.log_metrics(figures, None if isinstance(logger, RunLogger) else step)


def log_results(logger: Any, folder: Path, name: str, metrics: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Log the figures of a finished run, and its model as an artifact.

    Args:
        logger: of the trainer; False logs nothing.
        folder: of the run.
        name: of the experiment.
        metrics: as in metrics.json.
        record: what else the artifact says of the model.
    """
    if not logger:
        return
    flat = {f"test/{test}/{key}": value for test, rows in metrics["test"].items() for key, value in rows.items()}
    for key in ("validation_wer", "validation_cer", "validation_miss"):
        if metrics.get(key) is not None:
            flat |= {f"best/{key.replace('validation', 'val')}": metrics[key], "best/step": metrics["best_step"]}
    log_end(logger, flat, metrics["steps"])
    if isinstance(logger, RunLogger) and logger.content.artifacts:
        with logger.forgive("the model as an artifact"):
            facts = {**record, **metrics, "config_sha256": file_hash(folder / "config.yaml")}
            log_model(logger.experiment, folder, name, facts)
    logger.finalize("success")


def close(status: int = 0) -> None:
    """End the W&B run of this process, if there is one.

    Args:
        status: that the process will end with; W&B takes any but 0 for a failure.
    """
    if "wandb" in sys.modules:
        wandb = sys.modules["wandb"]
        with BestEffort("Its files are in the run's folder.")("the end of the W&B run"):
            offline = Path(wandb.run.dir).parents[2] if wandb.run is not None and wandb.run.offline else None
            wandb.finish(exit_code=status)
            if offline:
                settle(offline)


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
    finish_timeout: float = 600.0,
    **content: Any,
) -> RunLogger:
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
        finish_timeout: seconds to wait for uploads at the end.
        content: of `Content`.
    """
    import wandb

    if mode not in ("auto", "online", "offline"):
        raise ConfigError(f"logger.mode must be auto, online or offline, found {mode!r}.")
    if mode == "auto":
        mode = wandb_mode()
    _stage_in(folder / "wandb")
    os.environ.setdefault("WANDB_SILENT", "true")
    return RunLogger(
        Content(**content),
        continued=any((folder / "wandb").glob("*run-*/*.wandb")),
        name=name,
        save_dir=str(folder),
        offline=mode != "online",
        id=_run_id(folder),
        project=project,
        log_model=False,
        entity=entity,
        group=os.environ.get("WANDB_RUN_GROUP") or group,  # that of the sweep
        tags=list(tags),
        job_type=job_type,
        resume="allow",  # of an offline run, too: `wandb sync` then puts a continued part behind the one before
        settings=wandb.Settings(init_timeout=INIT_TIMEOUT, finish_timeout=finish_timeout),
    )


_staged_in: list[str] = []


def _stage_in(folder: Path) -> None:
    """Have W&B stage the media of tables in the run's folder, not in the home; a choice of the user's stands."""
    if is_rank_zero():
        folder.mkdir(exist_ok=True)
    if os.environ.get("WANDB_DATA_DIR") in (None, *_staged_in):
        os.environ["WANDB_DATA_DIR"] = str(folder)
        _staged_in[:] = [str(folder)]


def tensorboard_logger(folder: Path, *, name: str, table_rows: int = 0) -> TensorBoardLogger:
    """A TensorBoard logger in the run's folder."""
    return TensorBoardLogger(save_dir=str(folder), name="tensorboard", version="")


def no_logger(folder: Path, *, name: str, table_rows: int = 0) -> bool:
    """No logger."""
    return False
