"""Training a trigger: sounds → clips → fit → the weights that miss least → thresholds → .nemo and metrics.json."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import LearningRateMonitor
from omegaconf import DictConfig, open_dict
from torch.utils.data import DataLoader

import custom_modules  # noqa: F401  (registers the project's modules with NeMo)
from custom_modules.trigger import TriggerModel
from experiments.data.loader_workers import guard_workers
from experiments.data.preflight import run_dir
from experiments.errors import ConfigError
from experiments.pretrained.restore import read_nemo_config
from experiments.tracking.artifacts import local_model
from experiments.training.averaging import Averaging
from experiments.training.fit import learn, make_logger, make_model, make_trainer, set_up_process, start_from
from experiments.training.outcome import finish_run, finishing
from experiments.trigger.beginning import begin_from
from experiments.trigger.dataset import ClipDataset, EpochSampler, FixedClips, Targets
from experiments.trigger.mining import Mining
from experiments.trigger.sounds import Sounds, read_sounds
from experiments.trigger.validation import MissRate, calibration_of, read_aloud
from heyjetson.letters import bare
from manifests.progress import progress
from manifests.trigger.clips import ClipOptions, Clips

# Added to the run's.
VALIDATION_SEED, MINING_SEED, STATISTICS_SEED, CALIBRATION_SEED = 100_003, 200_003, 300_007, 400_009


def train(cfg: DictConfig) -> dict[str, Any]:
    """Train a trigger from conf/trigger.yaml.

    Returns:
        the metrics of the run.

    Raises:
        ConfigError: parts do not fit together.
        ManifestError: there is nothing to make clips of.
    """
    check(cfg)
    begins = bool(cfg.init_from) and not cfg.resume and not any((run_dir() / "checkpoints").glob("*.ckpt"))
    if begins:  # voices speak for minutes: what is not there is said before
        read_nemo_config(local_model(str(cfg.init_from)))
    sounds = read_sounds(cfg)
    set_up_process(cfg)
    model = make_model(TriggerModel, cfg)
    factor = model.subsampling_factor
    if model.encoder.convolutions_alone and factor % cfg.finer:
        raise ConfigError(f"finer must divide the product of encoder.convolution.strides, {factor}, found {cfg.finer}.")
    parts = _Parts(cfg, model, sounds)
    logger = make_logger(cfg)
    callbacks: list[pl.Callback] = [
        MissRate(cfg, parts.validation),
        Mining(cfg, parts.clips(MINING_SEED, positives=(0, 0)), sounds.train, run_dir()),
    ]
    if cfg.averaging.decay is not None:
        callbacks.append(Averaging(cfg.averaging.decay))  # behind those that hear with the averages
    if logger:
        callbacks.append(LearningRateMonitor("step"))
    trainer = make_trainer(cfg, logger, "val_miss", callbacks)
    if trainer.world_size > 1:
        raise ConfigError("A trigger trains in one process: it is small. Leave trainer.devices and num_nodes at 1.")
    model.set_trainer(trainer)
    model.verifier_rules = dict(cfg.verifier)
    checkpoint = start_from(cfg, model)
    if checkpoint is None and cfg.init_from:
        begin_from(local_model(str(cfg.init_from)), model, cfg.verifier)
    if checkpoint is None and not model.preprocessor.fitted:
        _fit_statistics(model, parts.clips(STATISTICS_SEED), cfg.statistics_clips)
    with open_dict(model.cfg):
        model.cfg.optim.sched.max_steps = len(parts.loader) * trainer.max_epochs
    learn(
        cfg, model, trainer, checkpoint,
        train_dataloaders=parts.loader, val_dataloaders=parts.validation_loader,
    )  # fmt: skip
    return _finish(cfg, model, trainer, parts, sounds)


class _Parts:
    """What the loaders are made of."""

    def __init__(self, cfg: DictConfig, model: TriggerModel, sounds: Sounds):
        self.cfg, self.sounds = cfg, sounds
        dataset = ClipDataset(self.clips(0), model, Targets(**cfg.targets))
        self.sampler = EpochSampler(cfg.clips.epoch, cfg.data.batch_size)
        self.loader = guard_workers(
            DataLoader(
                dataset,
                cfg.data.batch_size,
                sampler=self.sampler,
                num_workers=cfg.data.num_workers,
                drop_last=True,
                multiprocessing_context="fork" if cfg.data.num_workers else None,  # the sounds are there already
            )
        )
        if not len(self.loader):
            raise ConfigError(f"clips.epoch={cfg.clips.epoch} is less than a batch of {cfg.data.batch_size}: raise it.")
        heard = {"snr": [cfg.validation.snr] * 2, "negatives": cfg.validation.negatives}
        spoken = Clips(sounds.validation, self._options(noise=1.0, **heard), cfg.seed + VALIDATION_SEED)
        # Speech all the time, and half of it in quiet: noise hides what would be taken for a word.
        alone = {"positives": (0, 0), "speech": 1.0, "speech_channel": 0.0, "noise": 0.5}
        self.silent = Clips(sounds.validation, self._options(**alone, **heard), cfg.seed + VALIDATION_SEED)
        many = max(cfg.validation.clips, 1)
        made = [spoken.clip(index) for index in range(many)]
        made += [self.silent.clip(many + index) for index in range(max(cfg.validation.silent, 1))]
        self.validation = FixedClips(made, dataset)
        self.validation_loader = DataLoader(self.validation, cfg.data.batch_size)

    def _options(self, **changed: Any) -> ClipOptions:
        chosen = {key: value for key, value in self.cfg.clips.items() if key != "epoch"}
        return ClipOptions(**(chosen | changed))

    def clips(self, seed: int, **changed: Any) -> Clips:
        """Clips of the training part, as they are configured but for what is changed."""
        return Clips(self.sounds.train, self._options(**changed), self.cfg.seed + seed)


def check(cfg: DictConfig) -> None:
    """Refuse what cannot be trained, before anything is read.

    Raises:
        ConfigError: names the key.
    """
    words = list(cfg.words)
    if not words or not all(isinstance(word, str) and word.strip() for word in words):
        raise ConfigError("Give at least one word: words=[computer] or 'words=[hey jetson]'.")
    if len({bare(word) or word for word in words}) < len(words):  # each would be learnt not to be the other
        raise ConfigError(f"words names one word twice: {', '.join(words)}. Capitals and spaces make no other word.")
    if not cfg.data.positives and cfg.data.spoken < 1:
        raise ConfigError("There are no takes of the words: give data.positives=DIR, or let data.spoken be above 0.")
    if not (isinstance(cfg.finer, int) and cfg.finer >= 1):
        raise ConfigError(f"finer must be a whole number, 1 at least, found {cfg.finer!r}.")
    if not 0 <= cfg.mining.share < 1:
        raise ConfigError(f"mining.share must be at least 0 and below 1, found {cfg.mining.share}.")


def _fit_statistics(model: TriggerModel, clips: Clips, count: int) -> None:
    """The front-end's mean and deviation, from clips as they are trained on."""
    heard = (torch.from_numpy(clips.clip(index).samples)[None] for index in range(count))
    model.preprocessor.fit_statistics((samples, torch.tensor([samples.shape[1]])) for samples in heard)


@finishing
def _finish(cfg: DictConfig, model: TriggerModel, trainer: pl.Trainer, parts: _Parts, sounds: Sounds) -> dict[str, Any]:
    def facts(metrics: dict[str, Any]) -> dict[str, Any]:
        model.refine(cfg.finer)
        table, hours = _calibrate(cfg, model, parts)
        heard = round(hours, 3)
        metrics |= {"validation_hours": heard, "calibration": table, "sounds": sounds.counts}
        trigger = dict(cfg.detector) | {"calibration": table, "hours": heard}
        return {"longest": cfg.clips.seconds, "trigger": trigger}

    def show(metrics: dict[str, Any]) -> None:
        _show(metrics["calibration"], metrics["validation_hours"])

    return finish_run(cfg, model, trainer, run_dir(), "miss", facts, lambda metrics: None, show)


def _calibrate(cfg: DictConfig, model: TriggerModel, parts: _Parts) -> tuple[dict[str, list[dict[str, float]]], float]:
    """Thresholds from the validation clips, the speech of validation as it is, and further clips without the words.

    Few false alarms an hour are seen in hours, not in the minutes after which the best weights are chosen.
    """
    silent, rate = parts.silent, cfg.data.sample_rate
    speech = read_aloud(parts.sounds.validation.backgrounds, parts.silent.options.level, cfg.seed + CALIBRATION_SEED)
    seconds = len(speech) / rate + len(parts.validation) * cfg.clips.seconds
    count = max(round((cfg.validation.calibration_hours * 3600 - seconds) / cfg.clips.seconds), 0)
    model.validation_scores = []
    with torch.inference_mode():
        for samples, *_ in parts.validation_loader:
            model.validation_scores += list(model.probabilities(samples).numpy())
        model.validation_scores.append(model.scores(speech))
        for start in progress(range(0, count, cfg.data.batch_size), "calibrating", -(-count // cfg.data.batch_size)):
            numbers = range(start, min(start + cfg.data.batch_size, count))
            samples = torch.from_numpy(np.stack([silent.clip(len(parts.validation) + n).samples for n in numbers]))
            model.validation_scores += list(model.probabilities(samples).numpy())
    hours = (seconds + count * cfg.clips.seconds) / 3600
    return calibration_of(cfg, model, parts.validation, hours), hours


def _show(table: dict[str, list[dict[str, float]]], hours: float) -> None:
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=f"on {hours:.1f} hours of validation clips", title_justify="left")
    for column in ("word", "false alarms an hour", "missed", "threshold"):
        drawn.add_column(column)
    for word, entries in table.items():
        for entry in entries:
            rate, miss = f"{entry['false_alarms_per_hour']:g}", f"{entry['miss_rate']:.1%}"
            drawn.add_row(word, rate, miss, f"{entry['threshold']:.3f}")
    Console().print(drawn)
