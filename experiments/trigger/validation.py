"""After each validation: how many words are missed at the false-alarm rate that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig

from custom_modules.trigger import TriggerModel
from experiments.trigger.dataset import FixedClips
from experiments.trigger.evaluation.curve import Curve, Point, mean_miss_rate, model_curves
from experiments.trigger.evaluation.events import Label
from experiments.trigger.evaluation.tail import false_peaks, tail_threshold
from manifests.trigger.clips import PEAK, loudness

TONE = -65.0  # decibels of full scale, of a quiet room
PAUSE = 4000  # samples after each recording that is read aloud
RATES = (0.1, 0.5, 1.0, 2.0, 5.0)  # false alarms an hour that a bundle has thresholds for
RAREST = 0.2  # false alarms in all that was heard, of which a threshold is taken from the tail of what there was


def stream_of(scores: Sequence[np.ndarray], clips: FixedClips, model: TriggerModel) -> tuple[np.ndarray, list[Label]]:
    """Clips one after the other: their scores as one stream [T, W], and the words in it.

    Args:
        scores: [T, W] of each clip, and then of any number without words.
        clips: them.
        model: whose scores they are.
    """
    labels, frames, rate = [], 0, model.preprocessor._sample_rate
    for words, one in zip(clips.words, scores, strict=False):
        begin = frames * model.frame_seconds
        labels += [Label(placed.word, begin + placed.start / rate, begin + placed.end / rate) for placed in words]
        frames += len(one)
    return np.concatenate(list(scores)), labels


def curves_of(cfg: DictConfig, model: TriggerModel, clips: FixedClips) -> dict[str, Curve]:
    """Operating points of every word on the clips that were validated last."""
    scores, labels = stream_of(model.validation_scores, clips, model)
    return model_curves(scores, model.labels, model.frame_seconds, labels, **cfg.detector, points=60)


def read_aloud(recordings: Sequence[np.ndarray], level: tuple[float, float], seed: int) -> np.ndarray:
    """Recordings one after the other, each once, at drawn levels in a quiet room.

    Args:
        recordings: [S] int16 each.
        level: lowest and highest root mean square, decibels of full scale.
        seed: of the levels and of the room's tone.

    Returns:
        samples: [S] float32.
    """
    rng = np.random.default_rng(seed)
    pieces = [np.zeros(0, np.float32)]
    for recording in recordings:
        sound = recording.astype(np.float32) / np.float32(32768)
        wanted = 10 ** (rng.uniform(*level) / 20) / max(loudness(sound), 1e-9)
        sound = np.pad(sound * np.float32(min(wanted, PEAK / max(float(np.abs(sound).max()), 1e-9))), (0, PAUSE))
        pieces.append(sound + np.float32(10 ** (TONE / 20)) * rng.standard_normal(len(sound), dtype=np.float32))
    return np.concatenate(pieces)


class MissRate(Callback):
    """Log `val_miss`, the mean over the words of the share that is missed at `validation.false_alarms_per_hour`.

    Args:
        cfg: the whole configuration.
        clips: of the validation.
    """

    def __init__(self, cfg: DictConfig, clips: FixedClips):
        self.cfg, self.clips = cfg, clips

    def on_validation_epoch_end(self, trainer: pl.Trainer, model: Any) -> None:
        """Before the checkpoint callbacks look at it."""
        if len(model.validation_scores) < len(self.clips):
            return
        found = curves_of(self.cfg, model, self.clips)
        model.log("val_miss", mean_miss_rate(found, self.cfg.validation.false_alarms_per_hour))


def calibration_of(
    cfg: DictConfig, model: TriggerModel, clips: FixedClips, hours: float
) -> dict[str, list[dict[str, float]]]:
    """`calibration` on the clips that were validated last, and on what was heard behind them."""
    scores, labels = stream_of(model.validation_scores, clips, model)
    stream = (scores, model.labels, model.frame_seconds, labels)
    return calibration(model_curves(*stream, **cfg.detector, points=200), false_peaks(*stream, **cfg.detector), hours)


def calibration(
    curves: dict[str, Curve], peaks: dict[str, list[float]], hours: float
) -> dict[str, list[dict[str, float]]]:
    """Thresholds of every word for some false-alarm rates, as the bundle keeps them.

    Args:
        curves: of every word.
        peaks: of every word the highest wrong scores, descending.
        hours: they stand on; of rates below a fifth of a false alarm in them nothing is said.
    """
    table: dict[str, list[dict[str, float]]] = {}
    for word, curve in curves.items():
        entries = []
        for rate in RATES:
            threshold = tail_threshold(peaks[word], hours, rate) if rate * hours >= RAREST else None
            if threshold is not None:
                entries.append(_entry(rate, curve.with_threshold(threshold)))
            elif rate * hours >= 1:
                entries.append(_entry(rate, curve.at(rate)))
        table[word] = []
        for entry in entries or [_entry(1 / hours, curve.at(1 / hours))]:
            if not table[word] or entry["threshold"] < table[word][-1]["threshold"]:  # else more alarms, and no gain
                table[word].append(entry)
    return table


def _entry(rate: float, point: Point) -> dict[str, float]:
    return {
        "false_alarms_per_hour": round(rate, 5),
        "threshold": round(min(point.threshold, 1.0), 5),
        "miss_rate": round(point.miss_rate, 5),
    }
