"""Clips of four spoken digits whose borders are known: recordings of the Free Spoken Digit Dataset, joined."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from heyjetson.audio import load
from manifests.fsdd import TAKES, UNSEEN_SPEAKER, find_recordings
from manifests.lines import ManifestError
from manifests.sentences import DIGITS

DIGITS_IN_A_CLIP = 4
PAUSE = (0.1, 0.4)  # seconds between two recordings
ROOM_TONE = -70.0  # decibels of full scale
PEAK = 0.5
EDGE = 30.0  # decibels under the word's loudest 10 ms, at which it begins and ends
BLOCK, STEP = 0.01, 0.0025  # seconds of a level, and between two
BEFORE, BEHIND = 0.3, 0.5  # seconds


@dataclass(frozen=True)
class Spoken:
    """A word and where it lies, in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Clip:
    """Sound [S] and the words in it."""

    samples: np.ndarray
    rate: int
    words: tuple[Spoken, ...]

    @property
    def text(self) -> str:
        """What is said."""
        return " ".join(word.text for word in self.words)


def edges(samples: np.ndarray, rate: int) -> tuple[float, float]:
    """Where a recording of one word [S] rises above `EDGE` under its loudest, and falls below it, in seconds."""
    step, width = round(STEP * rate), round(BLOCK / STEP)
    power = np.add.reduceat(np.square(samples, dtype=np.float64), np.arange(0, len(samples) - step, step))
    level = 10 * np.log10(np.convolve(power, np.ones(width), "valid") + 1e-12)
    loud = np.flatnonzero(level >= level.max() - EDGE)
    return float(loud[0] + width / 2) * STEP, float(loud[-1] + width / 2) * STEP


def make_clips(
    source: Path, speakers: list[str], count: int, rate: int, room_tone: float = ROOM_TONE, seed: int = 1
) -> list[Clip]:
    """Clips of recordings that no model of `experiment=digits` was trained on.

    Args:
        source: folder of the dataset.
        speakers: whose recordings; of those a model is trained on, the takes that are kept apart.
        count: clips; the speakers take turns.
        rate: hertz.
        room_tone: decibels of full scale.
        seed: of what is drawn.

    Raises:
        ManifestError: a speaker has no recordings there.
    """
    recordings = find_recordings(source)
    clips = []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        speaker = speakers[number % len(speakers)]
        takes = TAKES["test_unseen" if speaker == UNSEEN_SPEAKER else "test_seen"]
        parts, words = [np.zeros(round(BEFORE * rate), np.float32)], []
        for digit in rng.integers(10, size=DIGITS_IN_A_CLIP).tolist():
            paths = [path for take, path in recordings.get((speaker, digit), []) if take in takes]
            if not paths:
                raise ManifestError(f"{source} holds no recording of {digit} by {speaker} with a take in {takes}.")
            sound = load(paths[rng.integers(len(paths))], rate)
            sound = sound * np.float32(PEAK / np.abs(sound).max())
            position = sum(map(len, parts)) / rate
            begin, end = edges(sound, rate)
            words.append(Spoken(DIGITS[digit], position + begin, position + end))
            parts += [sound, np.zeros(round(rng.uniform(*PAUSE) * rate), np.float32)]
        parts[-1] = np.zeros(round(BEHIND * rate), np.float32)
        samples = np.concatenate(parts)
        tone = rng.standard_normal(len(samples)).astype(np.float32) * np.float32(10 ** (room_tone / 20))
        clips.append(Clip(samples + tone, rate, tuple(words)))
    return clips


def cut(clip: Clip, behind: float) -> Clip:
    """A clip with so many seconds of sound after its last word."""
    return replace(clip, samples=clip.samples[: round((clip.words[-1].end + behind) * clip.rate)])
