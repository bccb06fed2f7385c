"""The trigger model: which of its words has just been said, frame by frame.

Front-end → causal convolution → recurrences → a sigmoid for each word, the plan of the trigger-word project of
deeplearning.ai's Sequence Models course. NeMo's frame-classification model with sigmoids in place of its softmax, since
words do not exclude each other and most frames hold none.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from nemo.collections.asr.models import EncDecFrameClassificationModel
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import Tensor, nn
from torch.nn import functional

from custom_modules.nemo_mel import require_streamable
from custom_modules.optimisation import OptimisationMixin
from custom_modules.verifier import SoundVerifier

VERIFIER = "verifier"  # key of a checkpoint
Batch = tuple[Tensor, Tensor, Tensor]  # samples [B, S], targets [B, T, W], weights [B, T, W]


class TriggerDecoder(nn.Linear):
    """Frames to one logit for each word: [B, T, feat_in] → [B, T, num_classes].

    Args:
        feat_in: features of the encoder.
        num_classes: words.
        prior: share of frames in which a word has just been said; the bias begins there, so that the first steps are
            not spent on learning that words are rare.
    """

    def __init__(self, feat_in: int, num_classes: int, prior: float = 0.01):
        super().__init__(feat_in, num_classes)
        nn.init.constant_(self.bias, float(np.log(prior / (1 - prior))))


class TriggerLoss(nn.Module):
    """Cross-entropy of each frame and word, positives and negatives balanced, easy frames left out.

    Args:
        positive_weight: weight of a frame in which a word has just been said, over one in which it has not.
        negative_weight: further weight of a negative frame, at the end of the ramp: more means fewer false alarms.
        easy: frames whose error is below this contribute nothing, as in openWakeWord: what is known is not drilled.
        pooled: how much of a positive frame's error is, at the end of training, that of the best frame after the same
            word (max-pooling loss, Sun et al., 2016): where in the time after a word the score is high is then free.

    Shapes: logits, targets, weights [B, T, W] → scalar. A weight of 0 leaves a frame out.
    """

    def __init__(
        self, positive_weight: float = 1.0, negative_weight: float = 1.0, easy: float = 0.001, pooled: float = 0.0
    ):
        super().__init__()
        self.positive_weight, self.negative_weight, self.easy = positive_weight, negative_weight, easy
        self.pooled = pooled
        self.strength = 0.0  # of the ramp; the model raises it with the budget

    def forward(self, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        if share := self.strength * self.pooled:
            logits = torch.lerp(logits, best_of_run(logits, targets > 0.5), share)
        errors = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        negative = 1.0 + self.strength * (self.negative_weight - 1.0)
        weights = weights * torch.where(targets > 0.5, self.positive_weight, negative)
        with torch.no_grad():
            wrong = (torch.sigmoid(logits) - targets).abs()
            weights = weights * (wrong > self.easy)
            # By the positive frames: what the negatives weigh does not depend on how long the clips are.
            count = ((targets > 0.5) * weights).sum().clamp_min(1.0)
        return (errors * weights).sum() / count


def best_of_run(logits: Tensor, chosen: Tensor) -> Tensor:
    """The best logit of each run of chosen frames in all of its frames; others as they are.

    Args:
        logits: [B, T, W], of which the mean over the last three frames counts, as the detector takes it.
        chosen: [B, T, W].
    """
    smoothed = functional.avg_pool1d(functional.pad(logits.mT, (2, 0), "replicate"), 3, stride=1).mT
    begins = chosen & ~functional.pad(chosen, (0, 0, 1, 0))[:, :-1]
    run = begins.cumsum(1)
    lowest = torch.finfo(logits.dtype).min
    best = logits.new_full((len(logits), int(run.max()) + 1, logits.shape[2]), lowest)
    best = best.scatter_reduce(1, run, smoothed.masked_fill(~chosen, lowest), "amax")
    return torch.where(chosen, best.gather(1, run), logits)


class TriggerModel(OptimisationMixin, EncDecFrameClassificationModel):
    """Scores of each word, [B, T, W] logits.

    Args:
        cfg: the `model` section of conf/trigger.yaml, resolved; `labels` are the words.
        trainer: Lightning's; None for use without training.

    Attributes:
        verifier: checks the scores by the sounds that were heard, where the model began as one that writes sounds. It
            has no part in what is learnt.
        verifier_rules: weight and tolerance that hold for a verifier out of a checkpoint, in place of its own.
    """

    verifier_rules: Mapping[str, float] = MappingProxyType({})

    def __init__(self, cfg: DictConfig, trainer: Any = None):
        super().__init__(cfg=cfg, trainer=trainer)
        require_streamable(self.preprocessor, self.encoder)
        self.validation_scores: list[np.ndarray] = []  # [T, W] each, in order
        self.verifier = SoundVerifier(self.cfg.verifier) if self.cfg.get("verifier") else None

    def verify_by(self, cfg: DictConfig) -> None:
        """Have the scores checked by a `SoundVerifier` of this configuration; its weights are loaded later."""
        with open_dict(self.cfg):
            self.cfg.verifier = cfg
        self.verifier = SoundVerifier(cfg)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """With what the verifier is made of: the run's configuration does not say it."""
        super().on_save_checkpoint(checkpoint)
        if self.verifier is not None:
            checkpoint[VERIFIER] = OmegaConf.to_container(self.cfg.verifier)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make room for the verifier's weights."""
        super().on_load_checkpoint(checkpoint)
        if self.verifier is None and VERIFIER in checkpoint:
            self.verify_by(OmegaConf.create({**checkpoint[VERIFIER], **self.verifier_rules}))

    def _setup_decoder(self) -> nn.Module:
        if self.cfg.decoder.get("feat_in") is None:
            with open_dict(self.cfg.decoder):
                self.cfg.decoder.feat_in = self.encoder._feat_out
        return super()._setup_decoder()

    def _setup_loss(self) -> TriggerLoss:
        return TriggerLoss(**self.cfg.loss)

    def _setup_metrics(self) -> None:
        """None: frame accuracy says nothing where one frame in a hundred counts."""

    def setup_training_data(self, train_data_config: Any) -> None:
        """Loaders are given to the trainer; a model that is restored has none."""

    def setup_validation_data(self, val_data_config: Any) -> None:
        """Loaders are given to the trainer; a model that is restored has none."""

    @property
    def labels(self) -> list[str]:
        """The words, in the order of the outputs."""
        return list(self.cfg.labels)

    @property
    def subsampling_factor(self) -> int:
        """Feature frames an output frame stands for."""
        return self.encoder.subsampling_factor

    @property
    def frame_seconds(self) -> float:
        """Seconds between two outputs."""
        return self.preprocessor.hop * self.subsampling_factor / self.preprocessor._sample_rate

    def frames(self, samples: int) -> int:
        """Output frames of so many samples."""
        return -(-self.preprocessor.frames(samples) // self.subsampling_factor)

    def frame_of(self, sample: int) -> int:
        """The first output frame that has heard a sample."""
        heard = max(sample - self.preprocessor.window, 0)
        return -(-heard // (self.preprocessor.hop * self.subsampling_factor))

    def refine(self, times: int) -> None:
        """Give so many times as many scores, of the same weights, where the encoder can: of convolutions alone.

        What one place of the frames in the sound makes of a word, another one makes a little more or less; their mean
        depends less on where a recording begins, and takes fewer other things for the word.
        """
        if times == 1 or not self.encoder.convolutions_alone:
            return
        for part, cfg in ((self, self.cfg), (self.verifier, self.cfg.get("verifier"))):
            if part is not None:
                part.encoder.refine(times)
                with open_dict(cfg.encoder.convolution):
                    cfg.encoder.convolution.finer = times * cfg.encoder.convolution.get("finer", 1)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Loss of one batch of clips."""
        loss = self._loss(batch)[0]
        self.log("train_loss", loss.detach())
        return {"loss": loss}

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Loss of the clips, whose scores are kept: what they are worth is judged at the end of the validation."""
        if batch_idx == 0:
            self.validation_scores = []
        loss, logits = self._loss(batch)
        self.validation_scores += list(torch.sigmoid(logits).float().cpu().numpy())
        self.log("val_loss", loss, batch_size=len(batch[0]))

    def _loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        samples, targets, weights = batch
        logits = self.logits(samples)
        return self.loss(logits, targets, weights), logits

    def logits(self, samples: Tensor) -> Tensor:
        """Logits [B, T, W] of clips [B, S] of one length."""
        length = torch.full((len(samples),), samples.shape[1], device=samples.device)
        return self.forward(input_signal=samples, input_signal_length=length)

    def own_scores(self, samples: Tensor) -> Tensor:
        """Scores [B, T, W] in 0..1 of clips [B, S] of one length, before they are checked."""
        return torch.sigmoid(self.logits(samples)).float()

    def probabilities(self, samples: Tensor) -> Tensor:
        """Scores [B, T, W] in 0..1 of clips [B, S] of one length, as a device gives them."""
        scores = self.own_scores(samples)
        if self.verifier is None:
            return scores
        length = torch.full((len(samples),), samples.shape[1], device=samples.device)
        sounds = self.verifier(*self.preprocessor(input_signal=samples, length=length))
        checker = self.verifier.rules.checker(self.frame_seconds)
        checker.reset((len(samples),))
        return torch.from_numpy(checker.feed(torch.cat([scores, sounds], dim=2).cpu().numpy())).to(samples.device)

    def on_validation_epoch_end(self, sync_metrics: bool = False) -> None:
        """Nothing: NeMo would average accuracies."""

    def follow_budget(self, used: float) -> None:
        """Negatives weigh more as the budget is used: first find the words, then tell them from all else."""
        super().follow_budget(used)
        self.loss.strength = used

    @torch.inference_mode()
    def scores(self, samples: np.ndarray) -> np.ndarray:
        """Scores [T, W] in 0..1 of a whole recording [S], float32 at the model's rate.

        Long ones are heard in pieces that begin anew every minute, each with ten seconds before it that are not used.
        """
        rate, unit = self.preprocessor._sample_rate, self.preprocessor.hop * self.subsampling_factor
        piece, before = 60 * rate // unit * unit, 10 * rate // unit * unit
        extra = self.preprocessor.window - self.preprocessor.hop
        given, device = [np.zeros((0, len(self.labels)), np.float32)], next(self.parameters()).device
        for start in range(0, max(len(samples), 1), piece):
            begin = max(start - before, 0)
            part = torch.from_numpy(np.ascontiguousarray(samples[begin : start + piece + extra], np.float32))[None]
            if part.shape[1] < self.preprocessor.window:
                break
            given.append(self.probabilities(part.to(device))[0, (start - begin) // unit :].cpu().numpy())
        return np.concatenate(given)
