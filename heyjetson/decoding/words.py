"""What all decoders share: characters put together to words, and the check of what comes in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from heyjetson.clock import Clock
from heyjetson.decoding.hypothesis import Word
from heyjetson.errors import DecoderError

NO_NUMBERS = (
    "The model's outputs hold values that are not numbers: its weights are broken, or what runs it computes wrongly. "
    "`heyjetson doctor BUNDLE` says which."
)
PAUSE = 0.6  # seconds without a letter; within words they are 0.4 at most, where they are joined 0.8 and more


def pause_frames(frame_seconds: float) -> int:
    """Frames without a letter that end a word.

    >>> pause_frames(0.04), pause_frames(0.16)
    (16, 4)
    """
    return next(frames for frames in itertools.count() if frames * frame_seconds > PAUSE)


class WordBuilder:
    """Puts characters together to words.

    When a word ends is settled when the next one begins, or with the utterance. Until then it lasts as far as it is
    known to, so that no time that was told has to be taken back. Where nothing is written for `PAUSE` seconds a word
    ends, too, since nobody pauses within one: models forget the space there.

    Args:
        clock: gives frames their seconds.
        apart: pauses end words. Not where the labels have no space, nor where a language model says what a word is.
    """

    def __init__(self, clock: Clock, apart: bool = True):
        self.clock, self.apart = clock, apart
        self.words: list[Word] = []
        self.letters: list[tuple[str, int, int, float]] = []
        self.closed = False  # a space came behind the letters
        self.after = clock.offset  # seconds before which the next word does not begin
        self._start = 0.0  # of the word that the letters are

    def add(self, character: str, start: int, end: int, log_prob: float) -> None:
        """Take a character that lasted from frame `start` to before frame `end`; a space ends the word."""
        if character == " ":
            self.closed = True
            return
        if self.letters and (self.closed or self._paused(start)):
            self.after = self._spoken()
            begin = self.clock.start(start, self.after)
            self.words.append(self._word(begin))
            self.letters.clear()
            self._start = begin
        elif not self.letters:
            self._start = self.clock.start(start, self.after)
        self.closed = False
        self.letters.append((character, start, end, log_prob))

    def _paused(self, start: int) -> bool:
        """Whether there was a pause between the letters and one that begins at a frame."""
        return self.apart and (start - self.letters[-1][2]) * self.clock.frame_seconds > PAUSE

    def _word(self, before: float) -> Word:
        """The word that the letters are, which ends before some second at the latest."""
        text = "".join(letter[0] for letter in self.letters)
        _, last, until, _ = self.letters[-1]
        end = self.clock.end(last, until, self._start, before)
        confidence = math.exp(sum(letter[3] for letter in self.letters) / len(self.letters))
        return Word(text, round(self._start, 3), round(end, 3), round(min(confidence, 1.0), 4))

    def _spoken(self) -> float:
        """Seconds up to which the word that the letters are lasts at least."""
        _, last, until, _ = self.letters[-1]
        return self.clock.spoken(last, until, self._start)

    def all(self) -> list[Word]:
        """The words so far, with what there is of the last one."""
        return [*self.words, self._word(self._spoken())] if self.letters else list(self.words)

    def ended(self, frames: int, complete: bool = True) -> list[Word]:
        """The words of an utterance that has ended; one that would begin behind the end of the sound is none.

        Args:
            frames: of the utterance.
            complete: the last one is a word, and is not left out.
        """
        until = self.clock.heard(frames)
        words = [*self.words, self._word(until)] if self.letters and complete else self.words
        return [word for word in words if word.start < until]

    def followed_by(self, characters: Sequence[tuple[str, int, int, float]]) -> WordBuilder:
        """What this would be after more characters."""
        after = WordBuilder(self.clock, self.apart)
        after.words, after.letters = list(self.words), list(self.letters)
        after.closed, after.after, after._start = self.closed, self.after, self._start
        for character in characters:
            after.add(*character)
        return after


def require_frames(log_probs: np.ndarray, columns: int, finished: bool) -> None:
    """Check what a decoder is fed.

    Raises:
        DecoderError: wrong shape, values that are not numbers, or the utterance is finished.
    """
    if finished:
        raise DecoderError("The utterance is finished: call reset() before feeding the next one.")
    if log_probs.ndim != 2 or log_probs.shape[1] != columns:
        raise DecoderError(f"Expected log-probabilities of shape [T, {columns}], found {list(log_probs.shape)}.")
    if np.isnan(log_probs).any():
        raise DecoderError(NO_NUMBERS)
