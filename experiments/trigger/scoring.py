"""A trained trigger as evaluation asks for it: words, seconds a frame, scores of a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from heyjetson.bundle import trigger_rules


@dataclass
class NemoScorer:
    """A `TriggerModel` in evaluation mode.

    Args:
        model: the model.
    """

    model: Any
    words: Sequence[str] = field(init=False)
    frame_seconds: float = field(init=False)
    detector: dict[str, float] = field(init=False)
    split: str | None = field(init=False)

    def __post_init__(self) -> None:
        self.words, self.frame_seconds = self.model.labels, self.model.frame_seconds
        rules = trigger_rules(OmegaConf.select(self.model.cfg, "run.trigger") or {})
        self.detector = {key: float(rules[key]) for key in ("smoothing", "debounce") if key in rules}
        self.split = OmegaConf.select(self.model.cfg, "run.sounds.split")

    def scores(self, samples: np.ndarray) -> np.ndarray:
        """Samples [S] at the model's rate → scores [T, W]."""
        return self.model.scores(samples)


def nemo_scores(path: Path) -> NemoScorer:
    """Restore a trigger from a `.nemo`.

    Raises:
        ConfigError: it is none.
    """
    from experiments.pretrained.restore import restore_model

    return NemoScorer(restore_model(path, trigger=True))
