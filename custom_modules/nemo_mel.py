"""NeMo's mel front-end, built from convolutions: what its pretrained encoders expect to hear."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from custom_modules.frontend import FourierTransform, LogMel

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


class NemoMel(LogMel):
    """`AudioToMelSpectrogramPreprocessor` of NeMo, with fixed statistics in place of those of each utterance.

    The log-mel values are NeMo's: pre-emphasis, symmetric Hann window, padded transform, Slaney's bands. Two things
    differ. Frame `t` begins with sample `t * hop`, where NeMo centres it there, so an utterance has one to three frames
    fewer. And mean and deviation are those of the training set: those of an utterance could not stream.

    Args:
        features: mel bands.
        preemphasis: share of the sample before that is subtracted from each.
        n_fft: length of the Fourier transform; the next power of two from the window on when null.
        options: of `LogMel`.
    """

    def __init__(
        self,
        features: int = 80,
        sample_rate: int = 16000,
        window_size: float = 0.025,
        preemphasis: float = 0.97,
        n_fft: int | None = None,
        **options,
    ):
        n_fft = n_fft or 2 ** math.ceil(math.log2(round(window_size * sample_rate)))
        super().__init__(features, sample_rate, window_size=window_size, n_fft=n_fft, **options)
        self.fourier = FourierTransform(self.window, self.hop, n_fft, periodic=False, preemphasis=preemphasis)


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
