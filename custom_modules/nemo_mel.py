"""NeMo's mel front-end, built from convolutions: what its pretrained encoders expect to hear."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from nemo.core.classes import typecheck
from torch import Tensor
from torch.nn import functional

from custom_modules.frontend import LOG_GUARD, FourierTransform, LogMel, frame_mask

# What NeMo's front-end does when its configuration does not say, and what this one cannot do otherwise.
FIXED = {
    "window": "hann",
    "log": True,
    "log_zero_guard_type": "add",
    "log_zero_guard_value": 2.0**-24,
    "frame_splicing": 1,
    "mag_power": 2.0,
    "mel_norm": "slaney",
}


NORMALISATIONS = ("fixed", "per_feature")
GUARD = 1e-5  # that NeMo adds to a deviation


class NemoMel(LogMel):
    """`AudioToMelSpectrogramPreprocessor` of NeMo, with fixed statistics or with those of each utterance.

    The log-mel values are NeMo's: pre-emphasis, symmetric Hann window, padded transform, Slaney's bands. With `fixed`
    statistics two things differ: frame `t` begins with sample `t * hop`, where NeMo centres it there, so an utterance
    has one to three frames fewer; and mean and deviation are those of the training set: those of an utterance could not
    stream. `per_feature` is NeMo's own in both, for whole recordings, and for runtimes that compute NeMo's features.

    Args:
        features: mel bands.
        preemphasis: share of the sample before that is subtracted from each.
        n_fft: length of the Fourier transform; the next power of two from the window on when null.
        normalize: fixed or per_feature.
        options: of `LogMel`.

    Raises:
        ValueError: `normalize` is something else.
    """

    def __init__(
        self,
        features: int = 80,
        sample_rate: int = 16000,
        window_size: float = 0.025,
        preemphasis: float = 0.97,
        n_fft: int | None = None,
        normalize: str = "fixed",
        **options,
    ):
        if normalize not in NORMALISATIONS:
            raise ValueError(f"frontend.normalize must be one of {', '.join(NORMALISATIONS)}, found {normalize!r}.")
        n_fft = n_fft or 2 ** math.ceil(math.log2(round(window_size * sample_rate)))
        super().__init__(features, sample_rate, window_size=window_size, n_fft=n_fft, **options)
        self.per_utterance, self.preemphasis = normalize == "per_feature", preemphasis
        self.half = self.window // 2
        # The frames of an utterance's end reach behind it, where pre-emphasis must not: it cannot be in their kernels.
        within = 0.0 if self.per_utterance else preemphasis
        self.fourier = FourierTransform(self.window, self.hop, n_fft, periodic=False, preemphasis=within)
        if self.per_utterance:
            self.window = self.hop  # half of a frame may lie outside: so many samples make one
            self.fitted = True

    @typecheck()
    def forward(self, input_signal: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        if not self.per_utterance:
            return super().forward(input_signal=input_signal, length=length)
        if self.training and self.dither > 0:
            input_signal = input_signal + self.dither * torch.randn_like(input_signal)
        frames = self.frames(length)
        with torch.autocast(input_signal.device.type, enabled=False):
            features = self.centred_features(input_signal.float(), length)
            mask = frame_mask(frames, features.shape[2])[:, None, :].to(features.dtype)
            count = frames[:, None, None].to(features.dtype)
            mean = (features * mask).sum(2, keepdim=True) / count.clamp_min(1.0)
            squares = ((features - mean) * mask).square().sum(2, keepdim=True)
            deviation = (squares / (count - 1.0).clamp_min(1.0)).sqrt()
            features = (features - mean) / (deviation + GUARD)
        return features * mask, frames

    def centred_features(self, samples: Tensor, length: Tensor) -> Tensor:
        """Features before normalisation, of frames centred on sample `t * hop`: [B, S] and [B] → [B, D, S // hop + 1].

        Before an utterance and behind it there are zeros.
        """
        before = functional.pad(samples, (1, 0))[:, :-1]
        told = frame_mask(length, samples.shape[1]).to(samples.dtype)
        emphasised = (samples - self.preemphasis * before) * told
        power = self.fourier(functional.pad(emphasised, (self.half, self.half)))
        return torch.log(torch.matmul(self.bank[:, :, 0], power) + LOG_GUARD)

    def raw_features(self, samples: Tensor) -> Tensor:
        if not self.per_utterance:
            return super().raw_features(samples)
        whole = torch.full((len(samples),), samples.shape[1], device=samples.device)
        return self.centred_features(samples, whole)[:, :, : max(samples.shape[1] // self.hop, 1)]

    def fit_statistics(self, batches) -> int:
        return 0 if self.per_utterance else super().fit_statistics(batches)


def require_streamable(frontend: Any, encoder: Any) -> None:
    """Refuse statistics of each utterance before an encoder that streams.

    Raises:
        ValueError: they are; the message says what to choose.
    """
    if getattr(frontend, "per_utterance", False) and hasattr(encoder, "initial_state"):
        raise ValueError(
            "frontend.normalize=per_feature needs all of an utterance, and this encoder hears a stream. Choose "
            "frontend.normalize=fixed, or an encoder of whole recordings."
        )


def from_nemo(section: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a `NemoMel` that does what NeMo's mel front-end of another configuration does.

    Args:
        section: the `preprocessor` of a NeMo model.

    Raises:
        ValueError: it does something else; the message names the settings.
    """
    strange = [f"{key}={section[key]}" for key, value in FIXED.items() if section.get(key, value) != value]
    if strange:
        raise ValueError(f"its front-end has {', '.join(strange)}, which a device's graph does not have")
    rate = section.get("sample_rate", 16000)
    # In samples, NeMo rounds down.
    window = section.get("n_window_size") or int((section.get("window_size") or 0.02) * rate)
    hop = section.get("n_window_stride") or int((section.get("window_stride") or 0.01) * rate)
    return {
        "_target_": f"{NemoMel.__module__}.{NemoMel.__name__}",
        "features": section.get("features", 64),
        "sample_rate": rate,
        "window_size": window / rate,
        "window_stride": hop / rate,
        "n_fft": section.get("n_fft") or 2 ** math.ceil(math.log2(window)),
        "preemphasis": section.get("preemph", 0.97) or 0.0,
        "low": float(section.get("lowfreq") or 0.0),
        "high": section.get("highfreq"),
        "dither": section.get("dither", 1e-5),
    }


def statistics_from_nemo(section: Mapping[str, Any], features: int) -> tuple[list[float], list[float]] | None:
    """Mean and deviation of a NeMo front-end that does not take them from each utterance, else None.

    Args:
        section: the `preprocessor` of a NeMo model.
        features: mel bands.
    """
    normalise = section.get("normalize", "per_feature")
    if isinstance(normalise, Mapping):
        return list(normalise["fixed_mean"]), list(normalise["fixed_std"])
    if normalise in ("per_feature", "all_features"):
        return None
    return [0.0] * features, [1.0] * features
