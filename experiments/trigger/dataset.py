"""Clips as the trigger model trains on them: samples, and what is wanted of each frame and word, and how much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from custom_modules.trigger import TriggerModel
from experiments.data.sampler import EpochOrder, fingerprint
from manifests.trigger.clips import Clip, Clips


@dataclass(frozen=True)
class Targets:
    """Where a word is wanted.

    Args:
        hold: seconds after a word's end in which it is to be heard; the course has 0.36.
        before: seconds before its end in which hearing it already is neither wanted nor wrong.
        after: seconds after the hold in which it is neither.
    """

    hold: float = 0.4
    before: float = 0.16
    after: float = 0.4

    def of(self, clip: Clip, model: TriggerModel) -> tuple[np.ndarray, np.ndarray]:
        """Targets and weights, [T, W] each, of a clip."""
        rate, labels = model.preprocessor._sample_rate, model.labels
        targets = np.zeros((model.frames(len(clip.samples)), len(labels)), np.float32)
        weights = np.ones_like(targets)
        for placed in clip.words:
            column = labels.index(placed.word)
            first = model.frame_of(placed.end)
            last = model.frame_of(placed.end + round(self.hold * rate))
            early = model.frame_of(max(placed.end - round(self.before * rate), 0))
            weights[early : model.frame_of(placed.end + round((self.hold + self.after) * rate)), column] = 0.0
            weights[first:last, column] = 1.0
            targets[first:last, column] = 1.0
        return targets, weights


class EpochSampler(EpochOrder[int]):
    """Numbers of the clips of an epoch: no clip comes twice.

    Args:
        size: clips in an epoch.
        batch_size: in which they are taken.
    """

    def __init__(self, size: int, batch_size: int):
        super().__init__()
        self.size, self.batch_size = size, batch_size
        self.order = fingerprint(size, batch_size)

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        before = self.left_out * self.batch_size
        return iter(range(self.epoch * self.size + before, (self.epoch + 1) * self.size))


class ClipDataset(Dataset):
    """Clips by their number.

    Args:
        clips: makes them.
        model: says how many frames there are and when.
        targets: what is wanted of it.

    Items: samples [S], targets [T, W], weights [T, W].
    """

    def __init__(self, clips: Clips, model: TriggerModel, targets: Targets):
        self.clips, self.model, self.targets = clips, model, targets

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        return self.item(self.clips.clip(index))

    def item(self, clip: Clip) -> tuple[Tensor, Tensor, Tensor]:
        """What a clip is to the model."""
        targets, weights = self.targets.of(clip, self.model)
        return torch.from_numpy(clip.samples), torch.from_numpy(targets), torch.from_numpy(weights)


class FixedClips(Dataset):
    """Clips that are made once and kept as 16-bit samples: a validation hears the same each time.

    Args:
        clips: them.
        dataset: what makes items of them.
    """

    def __init__(self, clips: Sequence[Clip], dataset: ClipDataset):
        items = [dataset.item(clip) for clip in clips]
        self.items = [
            ((samples * 32767).round().clamp(-32768, 32767).short(), targets, weights)
            for samples, targets, weights in items
        ]
        self.words = [clip.words for clip in clips]

    @property
    def content(self) -> str:
        """Names what is heard: by the words and their places, which rounding leaves alone, unlike samples."""
        return fingerprint([(len(samples), words) for (samples, *_), words in zip(self.items, self.words, strict=True)])

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        samples, targets, weights = self.items[index]
        return samples.float() / 32767, targets, weights
