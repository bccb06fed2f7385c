"""What an engine is asked for and what it gives."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PARTS = ("train", "validation", "test")
FEW = 8  # voices; an engine with fewer has none to spare for validation and test


@dataclass(frozen=True)
class Request:
    """One take that is asked for; the same request always gives the same sound.

    Args:
        text: what is said, UTF-8.
        voice: name of one of the engine's voices, or `ONE+OTHER:SHARE`, a blend that has so much of the first.
        speed: 1 as the voice speaks by itself; more is faster.
        pitch: semitones by which the voice is higher.
        variation: chooses what else an engine can vary: accent, melody, tempo, noise.
    """

    text: str
    voice: str
    speed: float = 1.0
    pitch: float = 0.0
    variation: int = 0


class Engine:
    """Speaks. One object is used in one process, by one thread.

    Args:
        path: where its files are; None looks where its packages put them.

    Attributes:
        name: in `voices=[…]`.
        install: the command that installs it.
        weight: its share of the takes, beside the others': by how human its voices are, and how many.
        version: changes whenever the same request would give other sound.
        endings: one is put behind each text: what is asked or called has another melody.
        speeds: slowest and fastest take, per cent of the voice's own.
    """

    name: str
    install: str
    weight: float = 1.0
    version: str = "1"
    endings: tuple[str, ...] = ("",)
    speeds: tuple[int, int] = (70, 130)

    def __init__(self, path: Path | None = None):
        self.path = path

    def missing(self) -> str | None:
        """What it lacks on this machine, the beginning of a sentence; None where it can speak."""
        raise NotImplementedError

    def voices(self, part: str) -> list[str]:
        """Names of the voices of a part; no voice is in two. May be empty for validation and test."""
        raise NotImplementedError

    def says(self, text: str) -> bool:
        """Whether it can be asked for a text."""
        return True

    def draw(self, text: str, part: str, rng: random.Random) -> Request:
        """A take by a drawn voice; `rng` is the source of chance."""
        return Request(
            text + rng.choice(self.endings),
            rng.choice(self.voices(part)),
            rng.randint(*self.speeds) / 100,
            rng.randint(-40, 40) / 10,
            rng.getrandbits(16),
        )

    def speak(self, request: Request) -> tuple[np.ndarray, int]:
        """Say it.

        Returns:
            samples [S] float32, empty where the engine cannot say it, and their rate in hertz.
        """
        raise NotImplementedError


def voices_of(names: Sequence[str], part: str) -> list[str]:
    """Share an engine's voices out: an eighth each for validation and test, by the md5 of their names.

    >>> voices_of(["awb", "kal16", "rms", "slt"], "train"), voices_of(["awb", "kal16", "rms", "slt"], "test")
    (['awb', 'kal16', 'rms', 'slt'], [])
    """
    if len(names) < FEW:
        return sorted(names) if part == "train" else []
    shuffled = sorted(names, key=lambda name: hashlib.md5(name.encode(), usedforsecurity=False).hexdigest())
    eighth = len(names) // 8
    cut = {"validation": shuffled[:eighth], "test": shuffled[eighth : 2 * eighth], "train": shuffled[2 * eighth :]}
    return sorted(cut[part])


def raised(samples: np.ndarray, rate: int, semitones: float) -> tuple[np.ndarray, int]:
    """The same samples at another rate: higher and faster, formants included.

    An engine without a pitch of its own speaks slower by as much first.
    """
    return samples, round(rate * 2 ** (semitones / 12))
