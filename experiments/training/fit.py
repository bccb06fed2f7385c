"""Build, fit, finish: what train.py reads as a recipe."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from itertools import islice
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.console import Console

import custom_modules  # noqa: F401  (registers the project's modules with NeMo)
from custom_modules.model import SpeechModel
from custom_modules.vocal_tract import require_mel
from experiments.cli.log_levels import set_log_levels
from experiments.data.datamodule import SpeechDataModule, describe
from experiments.data.left_out import LEFT_OUT
from experiments.data.loader_workers import end_workers
from experiments.data.preflight import checkpoint_bytes, run_dir
from experiments.data.preparation import Data
from experiments.data.sampler import fingerprint
from experiments.data.unreadable import FAULTS, Unreadable, UnreadableError, ending
from experiments.errors import ConfigError
from experiments.evaluation.evaluate import evaluate_nemo
from experiments.evaluation.report import summarise
from experiments.pretrained import initialise
from experiments.pretrained.resolve_checkpoint import origin
from experiments.tracking.loggers import close, git_state, tracking_callbacks
from experiments.training import distributed
from experiments.training.checkpoints import WholeCheckpoints, newest_checkpoint, seconds_of, step_of
from experiments.training.diverged import DivergedError
from experiments.training.divergence import Divergence
from experiments.training.estimate import estimate, sentence
from experiments.training.freezing import Freezing
from experiments.training.history import RunHistory
from experiments.training.loops import make_resumable
from experiments.training.outcome import finish_run, finishing
from experiments.training.preemption import Preemption, StoppedError, leave
from experiments.training.progress_bar import BarWithErrors, LatestBest, PlainProgress, ProcessorTimer
from experiments.training.ranks import broadcast_from_rank_zero, is_rank_zero
from experiments.training.resumption import Resumption
from experiments.training.same_model import require_same_groups, require_same_model
from heyjetson.bundle import file_hash
from manifests.show import from_here, typed

LOG = logging.getLogger(__name__)

BEST = "best"
LAST = "last"
MONITORS = ("val_wer", "val_cer")
CLOCKS = {"wall": time.monotonic, "processor": time.process_time}


def model_config(cfg: DictConfig) -> DictConfig:
    """The `model` section alone, resolved: what a `.nemo` keeps."""
    return DictConfig(OmegaConf.to_container(cfg.model, resolve=True))


def build(cfg: DictConfig, data: Data) -> tuple[SpeechModel, pl.Trainer]:
    """Seed everything, build trainer and model.

    Raises:
        ConfigError: parts do not fit together.
    """
    if cfg.monitor not in MONITORS:
        raise ConfigError(f"monitor must be one of {', '.join(MONITORS)}, found {cfg.monitor!r}.")
    set_up_process(cfg)
    logger = make_logger(cfg)
    callbacks: list[pl.Callback] = [Freezing(cfg.freeze, cfg.unfreeze_at)] if cfg.freeze else []
    callbacks += tracking_callbacks(logger, data, cfg.name, cfg.seed, cfg.logger.table_rows)
    trainer = make_trainer(cfg, logger, cfg.monitor, callbacks, data.train)
    model = make_model(SpeechModel, cfg, trainer)
    distributed.check(cfg, model, trainer)
    if cfg.init_from and not cfg.resume and is_rank_zero():  # the others get their weights from this process
        initialise.load(cfg, model)
    return model, trainer


def set_up_process(cfg: DictConfig) -> None:
    """Quiet libraries, threads and seeds: what stands before any model is drawn."""
    set_log_levels()
    if cfg.threads:
        torch.set_num_threads(cfg.threads)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)


def make_model(kind: Any, cfg: DictConfig, trainer: pl.Trainer | None = None) -> Any:
    """A model of a class from its section.

    Raises:
        ConfigError: its parts do not fit together.
    """
    try:
        model = kind(model_config(cfg), trainer)
        require_mel(model.preprocessor, model.spec_augmentation)
        return model
    except (TypeError, ValueError, RuntimeError, InstantiationException) as error:
        cause = error.__cause__ if isinstance(error, InstantiationException) else None
        raise ConfigError(f"The model cannot be built from this configuration: {cause or error}") from error


def make_logger(cfg: DictConfig) -> Any:
    """The run's logger, in the first process of a run; False in the others."""
    folder = run_dir()
    return is_rank_zero() and _built("logger", cfg.logger, folder=folder, name=f"{cfg.name}/{folder.name}")


def make_trainer(
    cfg: DictConfig, logger: Any, monitor: str, more: list[pl.Callback], manifest: Path | None = None
) -> pl.Trainer:
    """Lightning's trainer with what every run has: best and last weights, a history, an end on a signal, progress.

    Args:
        cfg: the whole configuration.
        logger: from `make_logger`.
        monitor: what the best weights have least of.
        more: further callbacks.
        manifest: of the training utterances, where batches hold whole ones.
    """
    folder, terminal = run_dir(), Console().is_terminal
    if (clock := cfg.get("clock", "wall")) not in CLOCKS:
        raise ConfigError(f"clock must be one of {', '.join(CLOCKS)}, found {clock!r}.")
    callbacks: list[pl.Callback] = [
        LatestBest(
            dirpath=folder / "checkpoints",
            filename=f"{BEST}-{{step}}-{{{monitor}:.4f}}",
            monitor=monitor,
            mode="min",
            save_top_k=1,
            save_on_train_epoch_end=False,  # but at each validation
        ),
        # Two, since a kill while the newer one is written leaves the older.
        ModelCheckpoint(
            dirpath=folder / "checkpoints",
            filename=LAST + "-{step}",
            monitor="step",
            mode="max",
            save_top_k=2,
            every_n_train_steps=cfg.checkpoint.every_n_steps,
        ),
        Resumption(),
        RunHistory(folder, CLOCKS[clock]),
        Divergence(folder, cfg.divergence.tolerate, manifest),
        Unreadable(folder, cfg.data.get("max_unreadable", 0)),
        Preemption(folder),
        BarWithErrors() if terminal else PlainProgress(),
    ]
    if cfg.early_stopping.patience is not None:
        callbacks.append(
            EarlyStopping(
                monitor,
                min_delta=cfg.early_stopping.min_delta,
                patience=cfg.early_stopping.patience,
                check_on_train_epoch_end=False,
            )
        )
    budget: dict[str, Any] = {}
    if clock == "processor" and cfg.trainer.max_time:
        callbacks.append(ProcessorTimer(cfg.trainer.max_time))
        budget = {"max_time": None}
    trainer = _built(
        "trainer",
        cfg.trainer,
        logger=logger,
        callbacks=callbacks + more,
        plugins=WholeCheckpoints(),
        enable_checkpointing=True,
        enable_model_summary=False,
        enable_progress_bar=terminal,
        default_root_dir=str(folder),
        use_distributed_sampler=False,
        strategy=distributed.strategy(cfg),
        **budget,
    )
    make_resumable(trainer)
    return trainer


def _built(section: str, cfg: DictConfig, **arguments: Any) -> Any:
    """Instantiate a section of the configuration; what its maker says against it becomes a sentence."""
    try:
        return instantiate(cfg, **arguments)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ConfigError):
            raise cause from None
        raise ConfigError(f"The {section} cannot be built from this configuration: {cause or error}") from error


def fit(cfg: DictConfig, model: SpeechModel, trainer: pl.Trainer, data: Data) -> None:
    """Take the front-end's statistics, then train; continue from the newest readable checkpoint when resuming."""
    read_noise(model)
    checkpoint = start_from(cfg, model)
    done = step_of(checkpoint) if checkpoint else 0
    module = SpeechDataModule(cfg, data, trainer.global_rank, trainer.world_size, done, run_dir() / LEFT_OUT)
    module.val_dataloader()  # where it cannot be had, that is said now
    LOG.info(describe(module.batches, trainer.world_size))
    batches = heard(trainer.limit_train_batches, len(module.batches))
    if batches < len(module.batches):
        LOG.info(f"trainer.limit_train_batches ends an epoch after {batches} of them.")
    set_steps(model, trainer, batches)
    if cfg.init_from and cfg.resume and is_rank_zero():
        if checkpoint is None:
            initialise.load(cfg, model)
        else:
            LOG.info(f"init_from={cfg.init_from} was read when this run began, and is not read again.")
    if checkpoint is None and is_rank_zero() and not model.preprocessor.fitted:
        fit_statistics(model, module, cfg.statistics_utterances, cfg.seed)
    if cfg.timed_steps and trainer.world_size == 1:  # several wait for each other within a step
        found = estimate(model, trainer, module.batches, cfg.timed_steps)
        spent = seconds_of(checkpoint, trainer) if checkpoint else 0.0
        LOG.info(sentence(found, trainer, batches, run_dir(), checkpoint_bytes(model), done, spent))
    learn(cfg, model, trainer, checkpoint, datamodule=module)


def read_noise(model: SpeechModel) -> None:
    """Read the recorded noise of training, before anything that takes long.

    Raises:
        ConfigError: there is none where it was said to be.
    """
    try:
        for part in (model.perturb, model.silence):
            if part is not None:
                part.load_recordings()
    except ValueError as error:
        raise ConfigError(str(error)) from error


def start_from(cfg: DictConfig, model: Any) -> Path | None:
    """The newest readable checkpoint of the run's folder; a job that is requeued has one without asking for it.

    Raises:
        ConfigError: it is of other labels, another front-end or other sizes than the model's.
    """
    folder = run_dir()
    found = broadcast_from_rank_zero("checkpoint", lambda: str(newest_checkpoint(folder) or ""))
    if cfg.resume and not found:
        LOG.info(f"No checkpoint below {folder}: training starts from the beginning.")
    if not found:
        return None
    require_same_model(Path(found), model)
    return Path(found)


def learn(cfg: DictConfig, model: Any, trainer: pl.Trainer, checkpoint: Path | None, **data: Any) -> None:
    """Train, and say what a run needs to be known by.

    Args:
        cfg: the whole configuration.
        model: to train.
        trainer: from `make_trainer`.
        checkpoint: to continue from.
        data: of `Trainer.fit`: a datamodule, or loaders.

    Raises:
        ConfigError: no validation would come, or what ended the training, in a sentence.
    """
    folder = run_dir()
    module = data.get("datamodule")
    loader = module.train_dataloader() if module else data["train_dataloaders"]
    validation = module.val_dataloader() if module else data["val_dataloaders"]
    part = heard(trainer.limit_val_batches, len(validation))
    require_validations(trainer, heard(trainer.limit_train_batches, len(loader)))
    model.setup_optimization(model.cfg.optim)
    if checkpoint:
        require_same_groups(checkpoint, model)
    resolved = cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))
    if is_rank_zero():
        OmegaConf.save(OmegaConf.create(resolved), folder / "config.yaml")
    if trainer.logger:
        trainer.logger.log_hyperparams(resolved | {"git": git_state(), "parameters": model.num_weights})
    LOG.info(f"{model.num_weights / 1e6:.2f} M parameters; run folder {from_here(folder)}")
    if checkpoint:
        LOG.info(f"Continuing from {checkpoint.name}.")
    resumption = next(one for one in trainer.callbacks if isinstance(one, Resumption))
    measured = [OmegaConf.select(cfg, key) for key in ("validation.false_alarms_per_hour", "detector")]  # of triggers
    measured.append(part if part < len(validation) else None)
    if cfg.init_from and (verifier := OmegaConf.select(cfg, "verifier")):  # it has a part in the scores
        measured.append(dict(verifier))
    resumption.follow(loader, fingerprint(validation.dataset.content, measured))
    if trainer.world_size > 1:  # dropout and perturbation must differ between the shares of a batch
        pl.seed_everything(cfg.seed + trainer.global_rank, workers=True, verbose=False)
    if is_rank_zero():
        next(one for one in trainer.callbacks if isinstance(one, Unreadable)).begin()
    try:
        trainer.fit(model, ckpt_path=str(checkpoint) if checkpoint else None, **data)
    except StoppedError as stopped:
        leave(stopped, folder)
    except DivergedError:  # `finish` saves what there is of it
        if not is_rank_zero():  # Lightning ends the first process as soon as one that it started fails
            sys.exit(0)
        distributed.part(wait=False)
        return
    except (UnreadableError, *FAULTS) as error:
        if isinstance(error, UnreadableError) and not is_rank_zero():  # the first process says it
            sys.exit(0)
        close(1)
        # Its frames hold a loader that failed, see `end_workers`.
        traceback.clear_frames(error.__traceback__)
        raise ending(error, trainer, typed(folder, "resume=")) from error
    except RuntimeError as error:
        if distributed.lost(error):
            raise ConfigError(
                f"Another process of the run ended, or did not answer for {cfg.rank_timeout} s; what it wrote says "
                f"why. Continue with: python train.py {typed(folder, 'resume=')}"
            ) from error
        raise
    finally:
        end_workers(loader)
    distributed.part()


def heard(limit: int | float, batches: int) -> int:
    """Batches that are heard, of all there are: `limit_train_batches` is a number of them, or a share."""
    return min(batches, limit) if isinstance(limit, int) else int(batches * limit)


def require_validations(trainer: pl.Trainer, batches: int) -> None:
    """Refuse a validation after more batches than an epoch has: Lightning does so once the run has begun.

    Args:
        trainer: that validates.
        batches: of an epoch.

    Raises:
        ConfigError: there would be none.
    """
    interval = trainer.val_check_interval
    if isinstance(interval, int) and interval > batches and trainer.check_val_every_n_epoch is not None:
        raise ConfigError(
            f"trainer.val_check_interval={interval}, and an epoch has {batches} batches: none would be followed by a "
            "validation. Give fewer or a share of an epoch, such as 0.5, or count batches over all epochs with "
            "trainer.check_val_every_n_epoch=null."
        )


def set_steps(model: Any, trainer: pl.Trainer, batches: int) -> None:
    """Tell a model's schedule how many steps there will be: NeMo would count the utterances of a loader of its own.

    Args:
        model: with a schedule or without one.
        trainer: has the budget.
        batches: of an epoch.
    """
    epochs = max(-(-batches // trainer.accumulate_grad_batches) * (trainer.max_epochs or 0), 0)  # -1: without end
    if model.cfg.optim.get("sched"):
        with open_dict(model.cfg):
            model.cfg.optim.sched.max_steps = trainer.max_steps if trainer.max_steps > 0 else epochs


def fit_statistics(model: SpeechModel, module: SpeechDataModule, utterances: int, seed: int) -> None:
    """Set the front-end's mean and deviation from a random part of the training set."""
    sound = (torch.from_numpy(samples)[None] for samples in islice(module.random_sound(seed), utterances))
    model.preprocessor.fit_statistics((samples, torch.tensor([samples.shape[1]])) for samples in sound)


@finishing
def finish(cfg: DictConfig, model: SpeechModel, trainer: pl.Trainer, data: Data) -> dict[str, Any]:
    """Restore the best weights, write `model.nemo`, test, write `metrics.json`, log the results."""
    if not trainer.is_global_zero:
        return {}
    folder = run_dir()

    def facts(metrics: dict[str, Any]) -> dict[str, Any]:
        return {
            "longest": cfg.data.longest,
            "channels": data.channels,
            "data": {name: file_hash(path) for name, path in data.named().items()},
            "init_from": origin(str(cfg.init_from)) if cfg.init_from else None,
        }

    def test(metrics: dict[str, Any]) -> None:
        for name, manifest in data.test.items():
            report = evaluate_nemo(model, manifest, cfg.data.batch_size, data.channels)
            report.heard = data.heard.get(name)
            report.write(folder / f"test_{name}.json")
            metrics["test"][name] = report.totals()

    return finish_run(
        cfg,
        model,
        trainer,
        folder,
        cfg.monitor.removeprefix("val_"),
        facts,
        test,
        lambda metrics: summarise(metrics["test"]),
    )
