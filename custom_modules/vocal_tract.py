"""Other vocal tracts in training: formants move along the spectrum while the words keep their tempo.

`WaveformPerturbation.speed` moves formants, pitch and tempo together, as a tape does. People differ in each by itself:
with both, a few speakers stand for more of them. Vocal tract length perturbation: Jaitly and Hinton, "Vocal Tract
Length Perturbation (VTLP) improves speech recognition" (ICML workshop, 2013).
"""

from __future__ import annotations

from typing import Any

import librosa
import numpy as np
import torch
from nemo.collections.asr.modules import SpectrogramAugmentation
from nemo.core.classes import typecheck
from torch import Tensor

KNEE = 0.6  # of the highest frequency: above, the warp bends back, so that the highest stays where it is


class VocalTractPerturbation(SpectrogramAugmentation):
    """Warps the bands of each utterance by a factor drawn anew for every batch, then SpecAugment.

    Args:
        warp: largest relative change of the formants' frequencies, both ways; below 0.4. 0: off.
        ramp: share of the budget over which it grows from nothing.
        sample_rate: hertz.
        low: hertz, of the front-end's lowest band.
        high: of its highest; null is half the sample rate.
        masks: of SpecAugment: `freq_masks`, `freq_width`, `time_masks`, `time_width`.

    Raises:
        ValueError: warp is out of its range.

    Shapes: input_spec [B, D, T] of a mel scale, length [B] → [B, D, T].

    >>> module = VocalTractPerturbation(warp=0.2)
    >>> module(input_spec=torch.zeros(2, 64, 30), length=torch.tensor([30, 20])).shape
    torch.Size([2, 64, 30])
    """

    def __init__(
        self,
        warp: float = 0.0,
        ramp: float = 0.0,
        sample_rate: int = 16000,
        low: float = 0.0,
        high: float | None = None,
        **masks: float,
    ):
        super().__init__(**masks)
        if not 0 <= warp < 0.4:
            key = "augment.spectrogram.warp (model.spec_augment.warp of a trigger)"
            raise ValueError(f"{key} must be at least 0 and below 0.4, found {warp}.")
        self.warp, self.ramp = warp, ramp
        self.low, self.high = low, high or sample_rate / 2
        self.strength = 1.0  # share of the range in use; the model raises it from 0 as training begins

    @typecheck()
    def forward(self, input_spec: Tensor, length: Tensor) -> Tensor:
        if self.warp and self.strength:
            widest = self.warp * self.strength
            factors = 1 + torch.empty(len(input_spec)).uniform_(-widest, widest)
            input_spec = warped(input_spec, self.sources(factors.numpy(), input_spec.shape[1]))
        return super().forward(input_spec=input_spec, length=length)

    def sources(self, factors: np.ndarray, bands: int) -> Tensor:
        """Where among the bands each is taken from, [B, D], for each factor [B]; above 1 formants rise."""
        edges = librosa.mel_frequencies(bands + 2, fmin=self.low, fmax=self.high)
        centres, knee = edges[1:-1], KNEE * self.high
        below = centres / factors[:, None]
        bent = knee / factors[:, None] + (centres - knee) * (self.high - knee / factors[:, None]) / (self.high - knee)
        frequencies = np.where(centres <= knee, below, bent)
        places = np.interp(frequencies, centres, np.arange(bands))
        return torch.from_numpy(places.astype(np.float32))


def require_mel(frontend: Any, augmentation: Any) -> None:
    """Refuse to move formants of features that are no bands of a mel scale.

    Raises:
        ValueError: they are none; the message says what to choose.
    """
    if (
        isinstance(augmentation, VocalTractPerturbation)
        and augmentation.warp
        and not getattr(frontend, "mel_scale", False)
    ):
        raise ValueError(
            f"Formants can be moved among bands of a mel scale alone, and {type(frontend).__name__} has none. Choose "
            "frontend=log_mel, or set its warp to 0: augment.spectrogram.warp=0, of a trigger "
            "model.spec_augment.warp=0."
        )


def warped(spectrogram: Tensor, places: Tensor) -> Tensor:
    """Bands of a spectrogram [B, D, T] by linear interpolation at places [B, D] among them."""
    places = places.to(spectrogram.device)
    below = places.floor().long().clamp(max=spectrogram.shape[1] - 1)
    above = (below + 1).clamp(max=spectrogram.shape[1] - 1)
    rows = torch.arange(len(places), device=places.device)[:, None]
    share = (places - below)[:, :, None].to(spectrogram.dtype)
    return torch.lerp(spectrogram[rows, below], spectrogram[rows, above], share)
