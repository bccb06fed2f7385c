"""The speech model: NeMo's character CTC model with this project's parts around it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from typing import Any

import torch
from nemo.collections.asr.metrics.wer import word_error_rate_detail
from nemo.collections.asr.models import EncDecCTCModel
from nemo.collections.asr.parts.utils.streaming_utils import CacheAwareStreamingAudioBuffer
from nemo.core.classes.common import typecheck
from omegaconf import DictConfig
from torch import Tensor

from custom_modules.delay import DelayPenalisedCTCLoss
from custom_modules.nemo_mel import require_streamable
from custom_modules.optimisation import OptimisationMixin

_MEASURING = threading.Lock()


class _StreamingBuffer(CacheAwareStreamingAudioBuffer):
    def extract_preprocessor(self):
        return self.model.preprocessor


class SpeechModel(OptimisationMixin, EncDecCTCModel):
    """Front-end → encoder → decoder with CTC, 29 labels by default.

    Beyond `EncDecCTCModel` it draws silence around the words of training (`cfg.silence`), perturbs waveforms
    (`cfg.perturb`), may penalise labels that come late (`cfg.delay`), lets the learning rate follow the clock, and
    reports pooled WER and CER and keeps the texts of the last validation for the tracking tables.

    Args:
        cfg: the `model` section of conf/train.yaml, resolved.
        trainer: Lightning's; None for use without training.
    """

    def __init__(self, cfg: DictConfig, trainer: Any = None):
        super().__init__(cfg=cfg, trainer=trainer)
        require_streamable(self.preprocessor, self.encoder)
        self.perturb = self.from_config_dict(self.cfg.perturb) if self.cfg.get("perturb") else None
        self.silence = self.from_config_dict(self.cfg.silence) if self.cfg.get("silence") else None
        delay = self.cfg.get("delay") or {}
        if delay.get("penalty"):  # others keep NeMo's own loss
            self.loss = DelayPenalisedCTCLoss(len(self.labels), self.cfg.get("ctc_reduction", "mean_batch"), **delay)
        self.validation_texts: list[tuple[str, str]] = []  # of the last validation, in the manifest's order
        self._validation_batches: list[list[tuple[str, str]]] = []

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

    @property
    def decoding(self) -> Any:
        """NeMo's search for texts, with spaces as they are written. To NeMo 3.0 an apostrophe among the labels is a
        punctuation mark, and it takes the space before one away: "rock 'n' roll" became "rock'n' roll"."""
        return self._decoding

    @decoding.setter
    def decoding(self, decoding: Any) -> None:
        decoding.supported_punctuation = None
        self._decoding = decoding

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
        with _MEASURING, torch.no_grad():  # threads check manifests, and one must not find the other's evaluation mode
            training = self.encoder.training
            self.encoder.eval()
            frames = self.encoder(audio_signal=features, length=torch.tensor([480], device=features.device))[1]
            self.encoder.train(training)
        return round(480 / int(frames))

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
        return [" ".join(hypothesis.text.split()) for hypothesis in hypotheses]  # as on the device: spaces part words

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
            self._validation_batches = []
        self._validation_batches.append(list(zip(references, hypotheses, strict=True)))
        weight = self._weight(label_length)
        metrics = {"val_loss": loss, "val_loss_sum": loss * weight, "val_count": weight}
        for name, characters in (("wer", False), ("cer", True)):
            rate, count, *_ = word_error_rate_detail(hypotheses, references, use_cer=characters)
            metrics[f"val_{name}"] = torch.tensor(rate)
            metrics[f"val_{name}_num"] = torch.tensor(rate * count)
            metrics[f"val_{name}_denom"] = torch.tensor(float(count))
        return metrics

    def multi_validation_epoch_end(self, outputs: list[dict[str, Tensor]], dataloader_idx: int = 0) -> dict:
        """Pool the errors of all batches of all processes: sums of errors over sums of words, never means of rates."""
        pairs = {"val_loss": ("val_loss_sum", "val_count")}
        pairs |= {name: (f"{name}_num", f"{name}_denom") for name in ("val_wer", "val_cer")}
        sums = torch.tensor([[float(output[name]) for pair in pairs.values() for name in pair] for output in outputs])
        total = sums.sum(dim=0).to(self.device)
        batches = [self._validation_batches]
        if self.world_size > 1:
            total = self.trainer.strategy.reduce(total, reduce_op="sum")
            batches = [[] for _ in range(self.world_size)]
            torch.distributed.all_gather_object(batches, self._validation_batches)
        self.validation_texts = [pair for part in zip(*batches, strict=True) for batch in part for pair in batch]
        rates = total[0::2] / total[1::2].clamp_min(1.0)
        log = dict(zip(pairs, rates, strict=True))
        return {"val_loss": log["val_loss"], "log": log}

    def training_step(self, batch: Any, batch_nb: int) -> dict[str, Any]:
        """NeMo's, of a batch with silence in it. Over several processes each loss weighs as its share of what they hear
        together, so that the mean of their gradients is the gradient of the whole batch."""
        batch = self.with_silence(batch)
        step = super().training_step(batch, batch_nb)
        if self.world_size > 1:
            own = self._weight(batch[3])
            together = torch.stack([own, own * step["loss"].detach()])
            torch.distributed.all_reduce(together)
            step["log"]["train_loss"] = together[1] / together[0]
            step["loss"] = step["loss"] * own * self.world_size / together[0]
        return step

    def _weight(self, label_length: Tensor) -> Tensor:
        """What the loss of a batch was divided by, utterances or labels: means of several batches are weighed by it."""
        if self.cfg.get("ctc_reduction") == "mean_volume":
            return label_length.sum().float()
        return torch.full((), float(len(label_length)), device=label_length.device)

    def with_silence(self, batch: Any) -> Any:
        """A batch of training as it is heard: signals [B, S] and their lengths [B], labels [B, L] and theirs."""
        if self.silence is None:
            return batch
        labels = self.labels
        return self.silence(*batch, labels.index(" ") if " " in labels else None)
