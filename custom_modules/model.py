"""The speech model: NeMo's character CTC model with this project's parts around it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from nemo.collections.asr.metrics.wer import word_error_rate_detail
from nemo.collections.asr.models import EncDecCTCModel
from nemo.collections.asr.parts.utils.asr_batching import SemiSortBatchSampler
from nemo.collections.asr.parts.utils.streaming_utils import CacheAwareStreamingAudioBuffer
from nemo.core.classes.common import typecheck
from omegaconf import DictConfig
from torch import Tensor

from custom_modules.schedule import BudgetAnnealing
from custom_modules.stream import EpochLoader


class ShortestFirstSampler(SemiSortBatchSampler):
    """NeMo's sampler of batches of like length, in ascending order in the first epoch (SortaGrad: Amodei et al., 2016).

    Short utterances are where CTC finds its first alignments, and they cost least.
    """

    def __iter__(self) -> Iterator[np.ndarray]:
        if self.epoch:
            yield from super().__iter__()
        else:
            yield from self._make_batches()


class _StreamingBuffer(CacheAwareStreamingAudioBuffer):
    def extract_preprocessor(self):
        return self.model.preprocessor


class SpeechModel(EncDecCTCModel):
    """Front-end → encoder → decoder with CTC, 29 labels by default.

    Beyond `EncDecCTCModel` it perturbs waveforms in training (`cfg.perturb`), lets the learning rate follow the clock,
    and reports pooled WER and CER and keeps the texts of the last validation for the tracking tables.

    Args:
        cfg: the `model` section of conf/train.yaml, resolved.
        trainer: Lightning's; None for use without training.
    """

    def __init__(self, cfg: DictConfig, trainer: Any = None):
        super().__init__(cfg=cfg, trainer=trainer)
        self.perturb = self.from_config_dict(self.cfg.perturb) if self.cfg.get("perturb") else None
        self.validation_texts: list[tuple[str, str]] = []

    @typecheck()
    def forward(
        self,
        input_signal: Tensor | None = None,
        input_signal_length: Tensor | None = None,
        processed_signal: Tensor | None = None,
        processed_signal_length: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities [B, T', V + 1], frames [B] and greedy labels [B, T'] of sound [B, S] or features."""
        if self.training and self.perturb is not None and input_signal is not None:
            input_signal, input_signal_length = self.perturb(input_signal, input_signal_length)
        return super().forward(
            input_signal=input_signal,
            input_signal_length=input_signal_length,
            processed_signal=processed_signal,
            processed_signal_length=processed_signal_length,
        )

    def _setup_streaming_transcribe_dataloader(
        self, paths2audio_files: list[str], batch_size: int, online_normalization: bool = False
    ) -> Iterator[CacheAwareStreamingAudioBuffer]:
        """Buffers of NeMo's simulated stream, with this model's own front-end: NeMo builds another one from the
        configuration, which has not seen the training set and its statistics."""
        for start in range(0, len(paths2audio_files), batch_size):
            buffer = _StreamingBuffer(model=self, online_normalization=online_normalization)
            for path in paths2audio_files[start : start + batch_size]:
                buffer.append_audio_file(path)
            yield buffer

    @functools.cached_property
    def subsampling_factor(self) -> int:
        """Feature frames an output frame stands for; measured, since not all of NeMo's encoders say."""
        features = self.preprocessor.mean.new_zeros(1, self.preprocessor.features, 480)
        training = self.encoder.training
        self.encoder.eval()
        with torch.no_grad():
            frames = self.encoder(audio_signal=features, length=torch.tensor([480], device=features.device))[1]
        self.encoder.train(training)
        return round(480 / int(frames))

    def _setup_dataloader_from_config(self, config: DictConfig) -> Any:
        """NeMo's loader; where batches are sorted by length, the first epoch begins with the shortest.

        Lhotse's has no length and may have no end: epochs of `batches` steps are cut from it.
        """
        if config.get("use_lhotse"):
            config = config.copy()
            batches = config.pop("batches")
            return EpochLoader(super()._setup_dataloader_from_config(config), batches)
        loader = super()._setup_dataloader_from_config(config)
        if config.get("shortest_first") and isinstance(loader.sampler, SemiSortBatchSampler):
            loader.sampler.__class__ = ShortestFirstSampler
        return loader

    def output_frames(self, seconds: float) -> int:
        """Frames of log-probabilities for a duration."""
        features = self.preprocessor.frames(round(seconds * self.preprocessor._sample_rate))
        return -(-features // self.subsampling_factor)

    @property
    def labels(self) -> list[str]:
        """Characters the model can write; the blank comes after the last."""
        return list(self.decoder.vocabulary)

    def greedy_texts(self, log_probs: Tensor, frames: Tensor) -> list[str]:
        """Best-path texts of log-probabilities [B, T', V + 1]."""
        hypotheses = self.decoding.ctc_decoder_predictions_tensor(log_probs, decoder_lengths=frames)
        return [hypothesis.text for hypothesis in hypotheses]

    def validation_pass(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Loss, and word and character errors of one batch."""
        signal, length, labels, label_length = batch
        log_probs, frames, _ = self.forward(input_signal=signal, input_signal_length=length)
        loss = self.loss(log_probs=log_probs, targets=labels, input_lengths=frames, target_lengths=label_length)
        hypotheses = self.greedy_texts(log_probs, frames)
        references = [
            self.decoding.decode_ids_to_str(ids[:count].tolist())
            for ids, count in zip(labels.cpu(), label_length.cpu(), strict=True)
        ]
        if batch_idx == 0:
            self.validation_texts = []
        self.validation_texts += zip(references, hypotheses, strict=True)
        metrics = {"val_loss": loss}
        for name, characters in (("wer", False), ("cer", True)):
            rate, count, *_ = word_error_rate_detail(hypotheses, references, use_cer=characters)
            metrics[f"val_{name}"] = torch.tensor(rate)
            metrics[f"val_{name}_num"] = torch.tensor(rate * count)
            metrics[f"val_{name}_denom"] = torch.tensor(float(count))
        return metrics

    def multi_validation_epoch_end(self, outputs: list[dict[str, Tensor]], dataloader_idx: int = 0) -> dict:
        """Pool the errors of all batches: sums of errors over sums of words, never means of rates."""
        metrics = super().multi_validation_epoch_end(outputs, dataloader_idx)
        errors = torch.stack([output["val_cer_num"] for output in outputs]).sum()
        characters = torch.stack([output["val_cer_denom"] for output in outputs]).sum()
        metrics["log"]["val_cer"] = errors / characters.clamp_min(1.0)
        return metrics

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Tell a `BudgetAnnealing` how much of the steps or of the time is gone, then step as usual."""
        if isinstance(scheduler, BudgetAnnealing):
            scheduler.budget_used = self.budget_used()
            if self.perturb is not None and self.perturb.ramp > 0:
                self.perturb.strength = min(scheduler.budget_used / self.perturb.ramp, 1.0)
        super().lr_scheduler_step(scheduler, metric)

    def budget_used(self) -> float:
        """Share of the run that is over, by steps or by `trainer.max_time`, whichever is further."""
        from lightning.pytorch.callbacks import Timer

        used = self.trainer.global_step / max(self.trainer.estimated_stepping_batches, 1)
        for callback in self.trainer.callbacks:
            if isinstance(callback, Timer) and callback.time_remaining() is not None:
                elapsed = callback.time_elapsed()
                used = max(used, elapsed / (elapsed + callback.time_remaining()))
        # Ranks must agree on the rate even where their clocks do not.
        return float(self.trainer.strategy.broadcast(used))
