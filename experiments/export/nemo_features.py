"""The one setting of NeMo's mel features that other runtimes compute."""

from __future__ import annotations

from custom_modules.nemo_mel import NemoMel
from custom_modules.trigger import TriggerModel
from experiments.errors import ConfigError
from experiments.export.graphs import Model

SAMPLE_RATE, WINDOW, HOP, N_FFT, PREEMPHASIS = 16000, 400, 160, 512, 0.97


def require_nemo_features(model: Model, runtime: str, cure: str) -> None:
    """Refuse a model that hears something else.

    Args:
        model: to be exported.
        runtime: whose features they are.
        cure: what to do about it.

    Raises:
        ConfigError: it is a trigger, or its front-end differs; the message says in what.
    """
    frontend = model.preprocessor
    if isinstance(model, TriggerModel):
        raise ConfigError(f"{runtime} has no trigger of this kind: it takes models that transcribe.")
    if type(frontend) is not NemoMel:
        name = type(frontend).__name__
        raise ConfigError(f"{runtime} computes NeMo's mel bands itself and cannot compute {name}. {cure}")
    wanted = {
        "sample_rate": (frontend._sample_rate, SAMPLE_RATE),
        "window_size": (2 * frontend.half / SAMPLE_RATE, WINDOW / SAMPLE_RATE),
        "window_stride": (frontend.hop / SAMPLE_RATE, HOP / SAMPLE_RATE),
        "n_fft": (frontend.fourier.n_fft, N_FFT),
        "preemphasis": (frontend.preemphasis, PREEMPHASIS),
        "low": (float(model.cfg.preprocessor.get("low") or 0.0), 0.0),
        "high": (float(model.cfg.preprocessor.get("high") or SAMPLE_RATE / 2), SAMPLE_RATE / 2),
        "learned": (bool(model.cfg.preprocessor.get("learned", False)), False),
    }
    for key, (found, needed) in wanted.items():
        if found != needed:
            raise ConfigError(f"{runtime} has {key}={needed:g}, this model frontend.{key}={found:g}. {cure}")
