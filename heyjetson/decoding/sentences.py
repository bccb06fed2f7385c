"""A pause ends what a language model takes for one sentence: the next one begins anew.

A language model knows how sentences begin and end. Without this it reads two of them, however long the pause is, as
one that goes on, and a fifth more words are wrong.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from heyjetson.decoding.hypothesis import Decoder, Hypothesis, Word
from heyjetson.decoding.words import require_frames
from heyjetson.loudness import Loudness

PAUSE = 1.0  # seconds without a letter; within sentences that people read aloud they are seldom as long
QUIET = 0.2  # probability of all letters together, below which a frame has none


class SentenceDecoder:
    """A decoder whose utterances are decoded sentence by sentence; see `Decoder`.

    Args:
        decoder: of one sentence at a time.
        labels: V characters.
        blank_id: column of the blank.
        frame_seconds: seconds between rows.
        n_best: readings that `finish` returns at most.
    """

    def __init__(self, decoder: Decoder, labels: Sequence[str], blank_id: int, frame_seconds: float, n_best: int = 1):
        self.decoder, self.frame_seconds, self.n_best = decoder, frame_seconds, n_best
        symbols = [*labels[:blank_id], "", *labels[blank_id:]]  # of the columns
        self._letters = np.array([symbol not in ("", " ") for symbol in symbols])
        self._ends = math.ceil(PAUSE / frame_seconds)  # frames
        self._kept = max(self._ends // 2, 1)
        self.reset()

    def reset(self, offset: float = 0.0, sound: Loudness | None = None) -> None:
        """Begin an utterance; see `Decoder`."""
        self._offset, self._sound = offset, sound
        self._before = [Hypothesis("", [], 0.0)]  # of the sentences that have ended
        self._tail = np.zeros((0, len(self._letters)), np.float32)  # the last frames, half a pause
        self._frames = self._quiet = 0
        self._said = self._finished = False
        self.decoder.reset(offset, sound)

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
                self._end()
        self._feed(log_probs[fed:])

    def _feed(self, log_probs: np.ndarray) -> None:
        self.decoder.feed(log_probs)
        self._frames += len(log_probs)
        self._tail = np.concatenate([self._tail, log_probs])[-self._kept :]

    def _end(self) -> None:
        """End a sentence. The next one begins within the pause: a word may sound before its first letter is written."""
        self._before = self._followed_by(self.decoder.finish())
        now = self._offset + self._frames * self.frame_seconds
        ended = max((reading.words[-1].end for reading in self._before if reading.words), default=self._offset)
        again = min(len(self._tail), max(int((now - ended) / self.frame_seconds), 0))  # none before the last word ends
        self.decoder.reset(now - again * self.frame_seconds, self._sound)
        self.decoder.feed(self._tail[len(self._tail) - again :])
        self._said = False

    def words(self) -> list[Word]:
        """The likeliest words so far; the last ones may still change."""
        return self._before[0].words if self._finished else self._before[0].words + self.decoder.words()

    def finish(self) -> list[Hypothesis]:
        """End the utterance: its readings, the likeliest first. Only `reset` may follow.

        Raises:
            DecoderError: it is finished already.
        """
        require_frames(self._tail[:0], len(self._letters), self._finished)
        self._before, self._finished = self._followed_by(self.decoder.finish()), True
        return self._before

    def _followed_by(self, readings: Sequence[Hypothesis]) -> list[Hypothesis]:
        """The likeliest readings of what was said before and of a sentence more."""
        both = sorted(
            ((one.score + other.score, one, other) for one in self._before for other in readings),
            key=lambda pair: -pair[0],
        )[: self.n_best]
        return [
            replace(
                one, text=" ".join(filter(None, (one.text, other.text))), words=one.words + other.words, score=score
            )
            for score, one, other in both
        ]
