"""Takes of a word and of what sounds like it, by synthetic voices."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from manifests.lines import ManifestError
from manifests.trigger.sounding import check_speakable, near_misses
from manifests.trigger.sounds import MARGIN, SAMPLE_RATE, Sound
from manifests.voices.base import PARTS
from manifests.voices.registry import found
from manifests.voices.speaking import takes

DEPTH = 30.0  # decibels below the loudest at which a word begins and ends


@dataclass(frozen=True)
class SpokenOptions:
    """How words are spoken.

    Args:
        takes: of each word.
        near_misses: takes of near-misses for each word.
        texts: different near-misses for each word.
        part: whose voices: `train`, `validation` or `test`; no voice is in two.
        voices: engines, `NAME` or `NAME:FOLDER`; `installed` stands for all that are.
        seed: of everything drawn.
    """

    takes: int = 400
    near_misses: int = 400
    texts: int = 120
    part: str = "train"
    voices: tuple[str, ...] = ("espeak",)
    seed: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "voices", tuple(self.voices))
        if self.part not in PARTS:
            raise ManifestError(f"part must be one of {', '.join(PARTS)}, found {self.part!r}.")
        if self.takes < 1 or self.near_misses < 0 or self.texts < 1:
            raise ManifestError("There must be one take and one text at least.")


def spoken_word(
    word: str, folder: str | os.PathLike[str], options: SpokenOptions | None = None, workers: int | None = None
) -> list[Sound]:
    """Takes of a word.

    Args:
        word: a word or a phrase in Latin letters, as it is written or as it sounds.
        folder: where the sound is kept; what lies there already is read.
        options: how many, and how.
        workers: processes; all cores when None. The sound does not depend on it.

    Raises:
        ManifestError: no voice can speak the word, one is not installed, or the folder cannot be written to.
    """
    options = options or SpokenOptions()
    check_speakable(word)
    return _spoken([word], options.takes, folder, options, word, workers)


def spoken_near_misses(
    words: Sequence[str],
    folder: str | os.PathLike[str],
    options: SpokenOptions | None = None,
    workers: int | None = None,
) -> list[Sound]:
    """Takes of texts that sound like one of the words and are none of them; see `spoken_word`.

    The voices are those that speak the words: else the voice itself would be the sign of a word.
    """
    options = options or SpokenOptions()
    for word in words:
        check_speakable(word)
    if not options.near_misses:
        return []
    texts = near_misses(words, options.texts * len(words), options.seed)
    return _spoken(texts, options.near_misses * len(words), folder, options, f"not {' '.join(words)}", workers)


def _spoken(
    texts: Sequence[str],
    count: int,
    folder: str | os.PathLike[str],
    options: SpokenOptions,
    title: str,
    workers: int | None,
) -> list[Sound]:
    said = takes(
        found(options.voices), texts, count, folder, options.part, options.seed, title, workers, every=len(texts) == 1
    )
    return [_trimmed(one.samples, one.name) for one in said]


def _trimmed(samples: np.ndarray, name: str) -> Sound:
    """Clean speech, cut `MARGIN` before its first sound and after its last."""
    hop = SAMPLE_RATE // 200
    sharpened = np.diff(samples, prepend=np.float32(0))  # so that a final s counts as a vowel does
    frames = sharpened[: len(samples) // hop * hop].reshape(-1, hop)
    power = np.einsum("ij,ij->i", frames, frames)
    loudest = np.sort(power)[-min(20, len(power))]
    loud = np.flatnonzero(power >= loudest * 10 ** (-DEPTH / 10))
    first, last, margin = int(loud[0]) * hop, int(loud[-1] + 1) * hop, round(MARGIN * SAMPLE_RATE)
    return Sound(np.pad(samples, margin)[first : last + 2 * margin], margin, margin + last - first, name)
