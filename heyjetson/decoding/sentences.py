"""A pause may end what a language model takes for one sentence.

A language model knows how sentences begin and end. One that reads two of them as one that goes on, however long the
pause between, writes a fifth more words wrong; but people pause within sentences, too, some for seconds. So from a
pause on both are followed, the sentence that goes on and one that begins anew, until the next pause or the end says
which is likelier.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from heyjetson.decoding.hypothesis import Hypothesis, SentenceSearch, Word
from heyjetson.decoding.words import require_frames
from heyjetson.loudness import Loudness

PAUSE = 1.0  # seconds without a letter
EXPECTED = 2.0  # what a pause adds to the logarithm of the probability that a sentence ended
QUIET = 0.2  # probability of all letters together, below which a frame has none


class SentenceDecoder:
    """A decoder of utterances of several sentences; see `Decoder`.

    Args:
        make: a search for one sentence; called twice.
        labels: V characters.
        blank_id: column of the blank.
        frame_seconds: seconds between rows.
        n_best: readings that `finish` returns at most.
    """

    def __init__(
        self,
        make: Callable[[], SentenceSearch],
        labels: Sequence[str],
        blank_id: int,
        frame_seconds: float,
        n_best: int = 1,
    ):
        self.on, self.anew = make(), make()  # the sentence that goes on, and one that begins at the last pause
        self.frame_seconds, self.n_best = frame_seconds, n_best
        symbols = [*labels[:blank_id], "", *labels[blank_id:]]  # of the columns
        self._letters = np.array([symbol not in ("", " ") for symbol in symbols])
        self._ends = math.ceil(PAUSE / frame_seconds)  # frames
        self.reset()

    def reset(self, offset: float = 0.0, sound: Loudness | None = None) -> None:
        """Begin an utterance; see `Decoder`."""
        self._offset, self._sound = offset, sound
        self._before = [Hypothesis("", [], 0.0)]  # readings of what lies before the sentence that goes on
        self._paused: list[Hypothesis] | None = None  # and of all before the last pause, if one ended there
        self._frames = self._quiet = 0
        self._said = self._finished = False
        self.on.reset(offset, sound)

    def feed(self, log_probs: np.ndarray) -> None:
        """Take the next frames, [T, V + 1].

        Raises:
            DecoderError: they are none, or not numbers, or the utterance is finished.
        """
        require_frames(log_probs, len(self._letters), self._finished)
        fed = 0
        for frame, quiet in enumerate((np.exp(log_probs[:, self._letters]).sum(axis=1) < QUIET).tolist(), 1):
            self._quiet = self._quiet + 1 if quiet else 0
            self._said = self._said or not quiet
            if self._said and self._quiet == self._ends:
                self._feed(log_probs[fed:frame])
                fed = frame
                self._pause()
        self._feed(log_probs[fed:])

    def _feed(self, log_probs: np.ndarray) -> None:
        self.on.feed(log_probs)
        if self._paused is not None:
            self.anew.feed(log_probs)
        self._frames += len(log_probs)

    def _pause(self) -> None:
        """Settle whether a sentence ended at the pause before, and begin one here."""
        ended = self._joined(self._before, self.on.ending())
        if self._paused is not None:
            other = self._joined(self._paused, self.anew.ending())
            if other[0].score > ended[0].score:
                self._before, ended = self._paused, other
                self.on, self.anew = self.anew, self.on
        self._paused = [replace(reading, score=reading.score + EXPECTED) for reading in ended]
        self._said = False
        self.anew.reset(self._offset + self._frames * self.frame_seconds, self._sound)

    def words(self) -> list[Word]:
        """The likeliest words so far; the last ones may still change."""
        return self._before[0].words if self._finished else self._before[0].words + self.on.words()

    def finish(self) -> list[Hypothesis]:
        """End the utterance: its readings, the likeliest first. Only `reset` may follow.

        Raises:
            DecoderError: it is finished already.
        """
        require_frames(np.zeros((0, len(self._letters))), len(self._letters), self._finished)
        readings = self._joined(self._before, self.on.finish())
        if self._paused is not None:
            readings += self._joined(self._paused, self.anew.finish())
        best: dict[str, Hypothesis] = {}
        for reading in sorted(readings, key=lambda reading: -reading.score):
            best.setdefault(reading.text, reading)
        self._before, self._finished = list(best.values())[: self.n_best], True
        return self._before

    def _joined(self, before: Sequence[Hypothesis], readings: Sequence[Hypothesis]) -> list[Hypothesis]:
        """The likeliest readings of what was said before and of a sentence more."""
        pairs = sorted(itertools.product(before, readings), key=lambda pair: -(pair[0].score + pair[1].score))
        return [
            Hypothesis(" ".join(filter(None, (one.text, other.text))), one.words + other.words, one.score + other.score)
            for one, other in pairs[: self.n_best]
        ]
