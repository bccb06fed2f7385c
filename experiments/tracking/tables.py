"""Tables of a run: what it learns from, and what it wrote after each validation."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import soundfile
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger

from custom_modules.model import SpeechModel
from experiments.data.preparation import Data
from experiments.data.utterances import Reader, shard_cuts
from experiments.training.best_effort import BestEffort
from heyjetson.audio import resample
from heyjetson.metrics import word_errors
from manifests import Utterance
from manifests.convert import sound_of
from manifests.select import sample
from manifests.wandb_table import COLUMNS, painted, row

PREDICTIONS = ("audio", "reference", "hypothesis", "word errors", "seconds")


def examples(
    data: Data, rate: int, count: int, seed: int, forgive: BestEffort
) -> Iterator[tuple[str, np.ndarray, int, str]]:
    """A random part of the training set, as the model hears it.

    Args:
        data: of the run.
        rate: hertz.
        count: how many recordings.
        seed: of the draw.
        forgive: recordings that cannot be read are left out.

    Yields:
        name of the file, samples [S], sample rate in hertz, text.
    """
    if data.shards:
        for cut in islice(shard_cuts(data.shards, seed), count):
            yield cut.id, Reader(rate, data.channels).cut(cut).numpy(), rate, cut.supervisions[0].text
        return
    for utterance in sample(data.lines(data.train), count=count, seed=str(seed)):
        sound = None
        with forgive("a recording of the training table"):
            sound = sound_of(utterance, rate, data.channels)
        if sound is not None:
            yield utterance.audio.name, sound, rate, utterance.text


def training_table(model: SpeechModel, data: Data, rows: int, seed: int, forgive: BestEffort) -> Any:
    """A W&B table of training data: sound, text, spectrogram, mel-spectrogram, and what the encoder is given.

    Args:
        model: whose front-end makes the last picture, its statistics set.
        data: of the run.
        rows: how many recordings.
        seed: of the draw.
        forgive: recordings that cannot be read are left out.
    """
    import wandb

    table = wandb.Table(columns=[*COLUMNS, "features"])
    for name, samples, rate, text in examples(data, model.preprocessor._sample_rate, rows, seed, forgive):
        picture = feature_picture(model.preprocessor, samples, rate)
        table.add_data(*row(name, samples, rate, text), wandb.Image(picture))
    return table


def feature_picture(frontend: Any, samples: np.ndarray, sample_rate: int) -> Any:
    """What a front-end makes of a recording [S], normalised: from two deviations below the mean to two above."""
    samples = resample(samples, sample_rate, frontend._sample_rate)
    signal = torch.from_numpy(samples)[None].to(frontend.mean.device)
    training = frontend.training
    frontend.eval()
    with torch.no_grad():
        features, _ = frontend(input_signal=signal, length=torch.tensor([signal.shape[1]], device=signal.device))
    frontend.train(training)
    return painted(features[0].cpu().numpy() / 4 + 0.5)


class PredictionTable(Callback):
    """After each validation, log references, hypotheses and word errors of the same utterances, with playable sound.

    To W&B goes a table, to TensorBoard a text, and the sound once.

    Args:
        utterances: of the validation manifest.
        rows: how many to show.
        seed: of the draw.
        channels: of recordings that have several; see `heyjetson.audio.to_mono`.
    """

    def __init__(self, utterances: Sequence[Utterance], rows: int, seed: int = 1, channels: str = "mix"):
        self.channels = channels
        self.utterances = sample(utterances, count=rows, seed=str(seed)) if rows > 0 else []
        self.forgive = BestEffort()
        self.sounds: dict[int, Any] = {}
        self.folder: tempfile.TemporaryDirectory | None = None

    def on_validation_end(self, trainer: pl.Trainer, model: SpeechModel) -> None:
        """Log the table; a failure is said and forgiven."""
        if not trainer.is_global_zero or trainer.sanity_checking or not self.utterances or not trainer.logger:
            return
        with self.forgive("the table of predictions"):
            log = self._tensorboard if isinstance(trainer.logger, TensorBoardLogger) else self._wandb
            written = self.written(trainer.val_dataloaders.dataset.utterances, model.validation_texts)
            log(trainer.logger, written, model.preprocessor._sample_rate, trainer.global_step)

    def written(self, heard: Sequence[Utterance], texts: Sequence[tuple[str, str]]) -> list[tuple[Utterance, str]]:
        """The table's utterances that were validated, and what the model wrote for them.

        Args:
            heard: utterances of the validation, in its order; bad ones of the manifest may be left out.
            texts: references and hypotheses of the first of them, or of all.
        """
        hypotheses = {_sound(one): text for one, (_, text) in zip(heard, texts, strict=False)}
        return [(one, hypotheses[_sound(one)]) for one in self.utterances if _sound(one) in hypotheses]

    def _wandb(self, logger: Any, written: list[tuple[Utterance, str]], rate: int, step: int) -> None:
        import wandb

        table = wandb.Table(columns=list(PREDICTIONS))
        for utterance, text in written:
            errors = word_errors(utterance.text, text).count
            table.add_data(self._sound(utterance, rate), utterance.text, text, errors, round(utterance.duration, 2))
        logger.log_row({"predictions": table}, step)

    def _sound(self, utterance: Utterance, rate: int) -> Any:
        """The recording, compressed once: W&B keeps a copy for each validation. None where it cannot be read."""
        import wandb

        if utterance.line not in self.sounds:
            self.sounds[utterance.line] = None
            with self.forgive("the sound of a prediction"):
                self.folder = self.folder or tempfile.TemporaryDirectory(prefix="predictions-")
                path = compressed(
                    sound_of(utterance, rate, self.channels), rate, Path(self.folder.name, str(utterance.line))
                )
                self.sounds[utterance.line] = wandb.Audio(str(path), caption=utterance.text)
        return self.sounds[utterance.line]

    def _tensorboard(self, logger: Any, written: list[tuple[Utterance, str]], rate: int, step: int) -> None:
        writer = logger.experiment
        lines = ["| errors | reference | hypothesis |", "|---|---|---|"]
        for utterance, text in written:
            lines.append(f"| {word_errors(utterance.text, text).count} | {utterance.text} | {text} |")
            if utterance.line not in self.sounds:
                self.sounds[utterance.line] = True
                with self.forgive("the sound of a prediction"):
                    sound = torch.from_numpy(sound_of(utterance, rate, self.channels))[None]
                    writer.add_audio(f"predictions/{utterance.text}", sound, step, sample_rate=rate)
        writer.add_text("predictions", "\n".join(lines), step)


def _sound(utterance: Utterance) -> tuple[Path, float | None]:
    """What an utterance is known by: others may have its text. Manifests round offsets."""
    return utterance.audio, None if utterance.offset is None else round(utterance.offset, 3)


def compressed(samples: np.ndarray, sample_rate: int, path: Path) -> Path:
    """Write a recording [S] as MP3, a sixth of a WAV's size, or as FLAC where MP3 has no such sample rate.

    Args:
        samples: to write.
        sample_rate: hertz.
        path: without a suffix.

    Returns:
        the path with its suffix.
    """
    try:
        soundfile.write(path.with_suffix(".mp3"), samples, sample_rate, format="MP3")
        return path.with_suffix(".mp3")
    except soundfile.LibsndfileError:
        soundfile.write(path.with_suffix(".flac"), samples, sample_rate, format="FLAC")
        return path.with_suffix(".flac")
