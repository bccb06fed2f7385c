"""Whether what is taken for a word sounds like it: a trigger's scores, checked by the sounds that were heard.

Beside its scores the graph of such a trigger gives log-probabilities of sounds, by an encoder that has heard people.
How much less likely it is that the sounds of the word came last than that those came which are likeliest, is a
likelihood ratio, for each sound of the word; where it is smaller than what people's own ways of saying the word make of
it, the odds of the score are divided. It is keyword and filler (Rose and Paul, 1990), over the frames of CTC (Graves et
al., 2006).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

REACH = 0.6  # seconds for which a word that was said counts: the score may rise after its last sound
NEVER = -1e9  # natural logarithm of the likelihood of what cannot be
SUREST = 1e-5  # of a score, what is missing to 1 at least: a sigmoid that is full has no odds


@dataclass(frozen=True)
class Verifier:
    """What a bundle says of the sounds.

    Args:
        labels: P of them, a character each; the blank follows.
        words: of each word its sounds, in these characters; a space stands between the words of a phrase.
        weight: of what the logarithm of the likelihood ratio of a sound is short of -tolerance; 0 leaves the scores as
            they are.
        tolerance: up to which nothing is changed.

    Raises:
        ValueError: a word has no sounds, or one that is no label; weight or tolerance cannot be.
    """

    labels: Sequence[str]
    words: Mapping[str, str]
    weight: float
    tolerance: float

    def __post_init__(self) -> None:
        if not all(isinstance(label, str) and len(label) == 1 for label in self.labels):
            raise ValueError(f"its labels must be characters, found {self.labels!r}")
        for word, sounds in self.words.items():
            if not isinstance(sounds, str) or not set(sounds.replace(" ", "")) or set(sounds) - {*self.labels, " "}:
                raise ValueError(f"the sounds of {word!r} must be some of {''.join(self.labels)!r}, found {sounds!r}")
        for name, value in (("weight", self.weight), ("tolerance", self.tolerance)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 100:
                raise ValueError(f"the {name} must be at least 0 and below 100, found {value!r}")

    @property
    def columns(self) -> int:
        """That the graph has beside the scores."""
        return len(self.labels) + 1

    def checker(self, frame_seconds: float) -> ScoreChecker:
        """For one stream, or one batch of clips."""
        return ScoreChecker(self, frame_seconds)


class ScoreChecker:
    """The scores of a stream, checked; they do not depend on how its frames are cut.

    Args:
        verifier: what is checked by.
        frame_seconds: seconds a frame.
    """

    def __init__(self, verifier: Verifier, frame_seconds: float):
        labels, blank = list(verifier.labels), len(verifier.labels)
        self._blank, self._space = blank, labels.index(" ") if " " in labels else None
        sounds = [[labels.index(one) for one in said.replace(" ", "")] for said in verifier.words.values()]
        size = 2 * max(map(len, sounds)) - 1
        # A word is its sounds with blanks between them; all end at the same place.
        self._states = np.full((len(sounds), size), blank)
        self._enter, self._skip = np.full((2, len(sounds), size), np.float32(NEVER))
        for word, said in enumerate(sounds):
            first = size - 2 * len(said) + 1
            self._states[word, first::2] = said
            self._enter[word, first] = 0  # a word may begin at any time
            differ = np.array(said[1:]) != np.array(said[:-1])
            self._skip[word, first + 2 :: 2] = np.where(differ, np.float32(0), np.float32(NEVER))  # past a blank
        self._count = np.array([len(said) for said in sounds], np.float32)
        self._weight, self._tolerance = np.float32(verifier.weight), np.float32(verifier.tolerance)
        self._kept = max(round(REACH / frame_seconds) - 1, 1)  # frames
        self.reset()

    def reset(self, batch: tuple[int, ...] = ()) -> None:
        """Begin a stream, or a batch of clips of this shape."""
        words, size = self._states.shape
        self._path = np.full((*batch, words, size + 2), np.float32(NEVER))  # two that never are before the first
        self._before = np.full((*batch, self._kept, words), np.float32(NEVER))

    def feed(self, frames: np.ndarray) -> np.ndarray:
        """Take the next frames of a stream or of a batch.

        Args:
            frames: [..., T, W + P + 1], scores in 0..1 and log-probabilities.

        Returns:
            [..., T, W], the scores, none higher than before.
        """
        words = len(self._count)
        scores, log_probs = frames[..., :words], frames[..., words:]
        pieces = range(0, frames.shape[-2], self._kept)
        lately = [self._lately(log_probs[..., begin : begin + self._kept, :]) for begin in pieces]
        short = np.concatenate(lately, axis=-2) / self._count + self._tolerance if lately else scores
        odds = scores / np.maximum(1 - scores, np.float32(SUREST)) * np.exp(self._weight * np.minimum(short, 0))
        return odds / (1 + odds)

    def _lately(self, log_probs: np.ndarray) -> np.ndarray:
        """The best logarithm of a word's likelihood ratio within `REACH`, [..., T, W], by log-probabilities
        [..., T, P + 1] of at most as many frames as are kept."""
        cost = log_probs - log_probs.max(axis=-1, keepdims=True)
        if self._space is not None:  # between the words of a phrase, as a blank is
            cost[..., self._blank] = np.maximum(cost[..., self._blank], cost[..., self._space])
        path, spent = self._path, cost[..., self._states]
        now = np.empty(spent.shape[:-1], np.float32)
        for frame in range(now.shape[-2]):
            best = np.maximum(path[..., 2:], path[..., 1:-1])
            np.maximum(best, path[..., :-2] + self._skip, out=best)
            np.maximum(best, self._enter, out=best)
            best += spent[..., frame, :, :]
            np.maximum(best, np.float32(NEVER), out=path[..., 2:])
            now[..., frame, :] = path[..., -1]
        count = now.shape[-2]
        since = np.maximum.accumulate(self._before[..., ::-1, :], axis=-2)[..., ::-1, :][..., :count, :]
        self._before = np.concatenate([self._before, now], axis=-2)[..., count:, :]
        return np.maximum(since, np.maximum.accumulate(now, axis=-2))
