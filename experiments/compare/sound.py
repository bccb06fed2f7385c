"""Recordings small enough to be part of a page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import soundfile
import soxr

OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
RATE = 16000
LONGEST = 30.0  # seconds that are kept of one recording


def data_url(path: Path) -> str | None:
    """A recording as Ogg Opus in a data URL, about 5 kB a second.

    Args:
        path: of the recording.

    Returns:
        the URL; None where the recording is missing or cannot be read.
    """
    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            samples = file.read(int(LONGEST * rate), dtype="float32", always_2d=True).mean(axis=1)
        if rate not in OPUS_RATES:
            samples, rate = soxr.resample(samples, rate, RATE), RATE
        out = io.BytesIO()
        soundfile.write(out, samples, rate, format="OGG", subtype="OPUS")
    except (OSError, soundfile.LibsndfileError):
        return None
    return "data:audio/ogg;base64," + base64.b64encode(out.getvalue()).decode()
