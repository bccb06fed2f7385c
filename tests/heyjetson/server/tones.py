"""A data set of tones whose truth is wrong in places, so that the figures of the bundle of tones on it are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from tests.heyjetson import trigger_fake

# What is said, and what the manifest takes for the truth.
SPOKEN = {"ab ba": "ab ba", "a b": "a a", "ab": "ab ab", "ba ab": "ba", "b": "b"}
WORDS, ERRORS = 8, 3


def write_tones(folder: Path) -> Path:
    """Write five recordings and their manifest, `tones.jsonl`."""
    folder.mkdir(parents=True)
    lines = []
    for number, (said, truth) in enumerate(SPOKEN.items()):
        samples = np.concatenate([trigger_fake.quiet(0.3), trigger_fake.say(said), trigger_fake.quiet(0.3)])
        soundfile.write(folder / f"{number}.wav", samples, trigger_fake.RATE)
        duration = len(samples) / trigger_fake.RATE
        record = {"audio_filepath": f"{number}.wav", "duration": duration, "text": truth, "speaker": "tone"}
        lines.append(json.dumps(record))
    path = folder / "tones.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path
