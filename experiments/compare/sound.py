"""Recordings small enough to be part of a page."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import soundfile

from heyjetson.audio import choose, open_sound, resample
from heyjetson.errors import AudioError

OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
RATE = 16000
LONGEST = 30.0  # seconds that are kept of one recording


def data_url(path: Path, offset: float | None = None, duration: float | None = None) -> str | None:
    """A recording, or a segment of it, as Ogg Opus in a data URL, about 5 kB a second.

    Args:
        path: of the recording.
        offset: seconds before the segment; None for the whole recording.
        duration: seconds of the segment.

    Returns:
        the URL; None where the recording is missing or cannot be read.
    """
    try:
        with open_sound(path, offset=offset or 0.0, duration=None if offset is None else duration) as stream:
            rate = stream.rate
            samples = choose(next(stream.blocks(int(LONGEST * rate))))[0]
        if rate not in OPUS_RATES:
            samples, rate = resample(samples, rate, RATE), RATE
        out = io.BytesIO()
        soundfile.write(out, samples, rate, format="OGG", subtype="OPUS")
    except (AudioError, OSError, StopIteration, soundfile.LibsndfileError):
        return None
    return "data:audio/ogg;base64," + base64.b64encode(out.getvalue()).decode()
