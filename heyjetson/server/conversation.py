"""A recording of a conversation: transcribed, each speaker's channel by itself where there are two, and analysed."""

from __future__ import annotations

from typing import Any

import numpy as np

from heyjetson.engine import Engine
from heyjetson.server.sentiment import Said, analyse
from heyjetson.server.sound import Clip

ALIKE = 0.95  # correlation above which two channels hold one sound


def alike(samples: np.ndarray) -> bool:
    """Whether both channels of [S, 2] hold the same sound, as a stereo recording of one microphone has it."""
    centred = samples - samples.mean(axis=0)
    power = float(np.sqrt(np.square(centred).sum(axis=0, dtype=np.float64).prod()))
    return power == 0 or float(np.dot(centred[:, 0], centred[:, 1])) / power > ALIKE


def heard(engine: Engine, clip: Clip, channels: str = "auto", scorer: str | None = None) -> dict[str, Any]:
    """Transcribe a recording and analyse what is said.

    Args:
        engine: of the model.
        clip: the recording.
        channels: `apart`, `together`, or `auto`: apart where there are two that differ.
        scorer: language model, see `Engine.decoder`.

    Returns:
        that of `analyse`, the text, and `words`: word, start, end, confidence, channel each.

    Raises:
        AudioError: the recording is shorter than a frame.
    """
    two = clip.samples.shape[1] == 2
    apart = two and (channels == "apart" or (channels == "auto" and not alike(clip.samples)))
    sounds: list[tuple[int | None, np.ndarray]] = [(None, clip.mono)]
    if apart:
        sounds = [(0, clip.samples[:, 0]), (1, clip.samples[:, 1])]
    found: list[dict[str, Any]] = []
    for channel, samples in sounds:
        result = engine.transcribe(samples, clip.rate, engine.decoder(scorer))
        found += [
            {"word": word.text, "start": word.start, "end": word.end, "confidence": word.confidence, "channel": channel}
            for word in result.words
        ]
    found.sort(key=lambda word: word["start"])
    said = [Said(word["word"], word["start"], word["end"], word["channel"]) for word in found]
    analysed = analyse(said, clip.seconds)
    return {"text": " ".join(word.text for word in said), "words": found, "apart": apart, **analysed}
