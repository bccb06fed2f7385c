"""A recording of a conversation: transcribed, each speaker's channel by itself where there are two."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from heyjetson.engine import Engine
from heyjetson.formats import word_records
from heyjetson.server.audio.uploads import Clip
from heyjetson.server.transcribe.transcription_job import TranscriptionJob

ALIKE = 0.95  # correlation above which two channels hold one sound
SILENT = 1e-10  # mean square below which a channel holds none
BLOCK = 2**16


def alike(samples: np.ndarray) -> bool:
    """Whether both channels of [S, 2] hold the same sound, as a stereo recording of one microphone has it."""
    sums, products = np.zeros(2), np.zeros((2, 2))
    for start in range(0, len(samples), BLOCK):  # an hour is not copied for it
        block = samples[start : start + BLOCK].astype(np.float64)
        sums += block.sum(axis=0)
        products += block.T @ block
    spread = products - np.outer(sums, sums) / max(len(samples), 1)
    powers = spread.diagonal()
    return bool(powers.min() <= SILENT * len(samples) or spread[0, 1] > ALIKE * np.sqrt(powers.prod()))


def heard(
    engine: Engine,
    clip: Clip,
    channels: str = "auto",
    scorer: str | None = None,
    cancelled: threading.Event | None = None,
) -> dict[str, Any]:
    """Transcribe a recording.

    Args:
        engine: of the model.
        clip: the recording.
        channels: `apart`, `together`, or `auto`: apart where there are two that differ.
        scorer: language model, see `Engine.decoder`.
        cancelled: set it, and the work is given up.

    Returns:
        text, `words`: word, start, end, confidence, channel each, in order; and whether the channels were heard apart.

    Raises:
        AudioError: the recording is shorter than a frame.
        ClientDisconnectedError: see `cancelled`.
    """
    two = clip.samples.shape[1] == 2
    apart = two and (channels == "apart" or (channels == "auto" and not alike(clip.samples)))
    sounds: list[tuple[int | None, Clip]] = [(None, clip)]
    if apart:
        sounds = [(channel, Clip(clip.samples[:, [channel]], clip.rate)) for channel in (0, 1)]
    found: list[dict[str, Any]] = []
    for channel, sound in sounds:
        result = TranscriptionJob(engine, sound, engine.decoder(scorer), cancelled).final()
        found += [word | {"channel": channel} for word in word_records(result.words)]
    found.sort(key=lambda word: word["start"])
    return {"text": " ".join(word["word"] for word in found), "words": found, "apart": apart}
