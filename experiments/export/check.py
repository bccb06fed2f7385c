"""The recording that a bundle carries, with what its graph gives for it: `heyjetson doctor` compares on the device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.errors import ConfigError
from heyjetson import Bundle, Engine, Trigger
from heyjetson.audio import read, resample, to_mono
from heyjetson.check import frames_of, write_check
from heyjetson.errors import AudioError
from manifests.espeak import speak

VOICE = "en-us"
SENTENCE = "one two three four five six seven eight nine zero"
LONGEST = 5.0  # seconds: a bundle stays small
ROOM = 3e-4  # deviation of the noise under a synthetic voice; digital silence is no sound that models know
TAIL = 0.5  # seconds of it behind the voice


def pack_check(folder: Path, recording: Path | None = None) -> None:
    """Put a recording and the frames that the bundle's graph gives for it into a bundle.

    Args:
        folder: of the bundle, with its manifest.
        recording: to carry; None has a synthesiser speak, so that the bundle holds nobody's voice.

    Raises:
        ConfigError: the recording cannot be read, or is shorter than a window.
    """
    bundle = Bundle(folder)
    samples = _spoken(bundle) if recording is None else _recorded(bundle, recording)
    samples = samples[: round(min(LONGEST, bundle.manifest["longest_seconds"]) * bundle.sample_rate)]
    quantised = np.clip(np.rint(samples * 32767), -32767, 32767).astype(np.int16)
    engine: Any = Trigger(bundle, provider="cpu") if bundle.is_trigger else Engine(bundle, provider="cpu")
    write_check(folder, quantised, frames_of(engine, quantised))


def _spoken(bundle: Bundle) -> np.ndarray:
    sentence = ", ".join(bundle.labels) if bundle.is_trigger else SENTENCE
    voice, rate = speak(sentence, VOICE)
    voice = np.pad(resample(voice, rate, bundle.sample_rate), (0, round(TAIL * bundle.sample_rate)))
    noise = np.random.default_rng(0).standard_normal(len(voice))
    return (0.5 * voice + ROOM * noise).astype(np.float32)


def _recorded(bundle: Bundle, recording: Path) -> np.ndarray:
    try:
        samples, rate = read(recording)
    except AudioError as error:
        raise ConfigError(f"check: {error}") from None
    samples = resample(to_mono(samples), rate, bundle.sample_rate)
    if len(samples) < bundle.manifest["window"]:
        raise ConfigError(f"check: {recording} is shorter than a window of the model. Give a longer one.")
    return samples
