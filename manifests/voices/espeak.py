"""espeak-ng: formant synthesis; many accents and variants, none of which sounds like a person."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from manifests.espeak import speak
from manifests.synthetic import VOICES
from manifests.voices.base import Engine, Request

ACCENTS = (
    "en-us", "en-us-nyc", "en", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029",
)  # fmt: skip
RATE = 165  # words a minute at speed 1


class Espeak(Engine):
    """Voices are `ACCENT+VARIANT`."""

    name = "espeak"
    install = "pip install espeakng-loader"
    weight = 0.7
    endings = ("", "", "!", "?")
    speeds = (67, 127)

    def __init__(self, path: Path | None = None, accents: tuple[str, ...] = ACCENTS):
        super().__init__(path)
        self.accents = tuple(accents)

    def missing(self) -> str | None:
        try:
            import espeakng_loader  # noqa: F401
        except ImportError:
            return "espeak-ng is not installed"
        return None

    def voices(self, part: str) -> list[str]:
        return [f"{accent}+{variant}" for accent in self.accents for variant in VOICES[part]]

    def speak(self, request: Request) -> tuple[np.ndarray, int]:
        rng = random.Random(request.variation)
        return speak(
            request.text,
            request.voice,
            rate=min(max(round(RATE * request.speed), 80), 450),
            pitch=min(max(round(50 + 9 * request.pitch), 0), 99),
            pitch_range=rng.randint(20, 80),
            word_gap=rng.choice((0, 0, 0, 1, 3, 6)),
        )
