"""Hard negatives: what the model takes for a word, where there is none, goes into the clips it trains on."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import numpy as np
import soundfile
import torch
from lightning.pytorch.callbacks import Callback
from omegaconf import DictConfig

from manifests.trigger.clips import Clips, Pools
from manifests.trigger.sounds import Sound
from manifests.whole import whole_file

LOG = logging.getLogger(__name__)

BEFORE, AFTER = 1.4, 0.1  # seconds around the frame with the highest score that are kept
BATCH = 20
FOLDER = "mined"


class Mining(Callback):
    """After each validation, hear clips without the words and keep what scores high.

    What is kept lies in the run's folder as well, to be listened to and for a run that is continued.

    Args:
        cfg: the whole configuration.
        clips: without words, of the training part.
        pools: that training draws from; its `negatives` grow.
        folder: of the run.
    """

    def __init__(self, cfg: DictConfig, clips: Clips, pools: Pools, folder: Path):
        self.cfg, self.clips, self.pools = cfg.mining, clips, pools
        self.rate = cfg.data.sample_rate
        self.folder = folder / FOLDER
        self.known = list(pools.negatives)
        self.mined = self._read(sorted(self.folder.glob("*.wav"))[-self.cfg.most :])
        self.heard = len(self.mined) * 1000  # another run of clips, where no checkpoint says how many were heard
        self._offer()

    def state_dict(self) -> dict[str, Any]:
        """What was heard and kept until now."""
        return {"heard": self.heard, "mined": [sound.name for sound in self.mined]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there; what a lost part of the run mined is mined again."""
        paths = [self.folder / name for name in state_dict["mined"]]
        self.heard, self.mined = state_dict["heard"], self._read([path for path in paths if path.exists()])
        self._offer()

    def _read(self, paths: list[Path]) -> list[Sound]:
        found = []
        for path in paths:
            try:
                samples, _ = soundfile.read(path, dtype="float32")
            except (soundfile.LibsndfileError, OSError):  # a power cut, or a kill of an earlier version
                LOG.info(f"{path} cannot be read: the clip is left out.")
                continue
            found.append(Sound(samples, 0, len(samples), path.name))
        return found

    def _offer(self) -> None:
        """Repeat the mined ones until they have their share of the draws."""
        times = 0
        if self.mined and self.cfg.share > 0:
            wanted = self.cfg.share / (1 - self.cfg.share) * max(len(self.known), 1)
            times = max(round(wanted / len(self.mined)), 1)
        cast(list[Sound], self.pools.negatives)[:] = self.known + self.mined * times  # the clips' own list

    @torch.no_grad()
    def on_validation_end(self, trainer: pl.Trainer, model: Any) -> None:
        """Hear, keep, say how many."""
        if trainer.sanity_checking or not trainer.is_global_zero or self.cfg.clips < 1:
            return
        found = []
        for start in range(0, self.cfg.clips, BATCH):
            count = min(BATCH, self.cfg.clips - start)
            heard = [self.clips.clip(self.heard + place) for place in range(count)]
            self.heard += count
            samples = torch.from_numpy(np.stack([clip.samples for clip in heard])).to(model.device)
            scores = model.own_scores(samples).amax(2).cpu()
            for clip, of_clip in zip(heard, scores, strict=True):
                frame = int(of_clip.argmax())
                if float(of_clip[frame]) >= self.cfg.score:
                    found.append(self._cut(clip.samples, round(frame * model.frame_seconds * self.rate)))
        for samples in found:
            self.folder.mkdir(exist_ok=True)
            path = self.folder / f"{trainer.global_step:07d}-{len(self.mined):04d}.wav"
            encoded = io.BytesIO()
            soundfile.write(encoded, samples, self.rate, "PCM_16", format="WAV")
            with whole_file(path) as part:
                part.write_bytes(encoded.getvalue())
            self.mined += self._read([path])  # as a run that is continued finds it
        self.mined = self.mined[-self.cfg.most :]
        self._offer()
        print(f"  mined: {len(found)} of {self.cfg.clips} clips without the words score {self.cfg.score:g} or more")

    def _cut(self, samples: np.ndarray, place: int) -> np.ndarray:
        begin, end = place - round(BEFORE * self.rate), place + round(AFTER * self.rate)
        return samples[max(begin, 0) : max(end, round(0.5 * self.rate))].copy()
