"""From log-probabilities to text, with the time and the confidence of each word, as the frames come in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from heyjetson.clock import Clock
from heyjetson.errors import DecoderError

if TYPE_CHECKING:
    from heyjetson.calibration import Calibration
    from heyjetson.decoding.beam import BeamOptions
    from heyjetson.decoding.scorer import Scorer
    from heyjetson.loudness import Loudness

NO_NUMBERS = (
    "The model's outputs hold values that are not numbers: its weights are broken, or what runs it computes wrongly. "
    "`heyjetson doctor BUNDLE` says which."
)


@dataclass(frozen=True)
class Word:
    """A word that was heard.

    Args:
        text: its characters.
        start: seconds from the beginning of the recording at which it begins to be heard.
        end: seconds at which it has been said, never later than the next word's start.
        confidence: geometric mean of its characters' probabilities, 0 to 1.
    """

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Hypothesis:
    """One reading of an utterance.

    Args:
        text: the transcript.
        words: its words in order.
        score: natural logarithm of its probability, with what language model and hot words add to it; readings of one
            utterance compare by it, utterances do not.
    """

    text: str
    words: list[Word]
    score: float


@dataclass(frozen=True)
class Result:
    """What was said.

    Args:
        text: the transcript.
        words: its words in order.
        seconds: length of the recording.
        final: nothing of it will change.
        alternatives: other readings, the likeliest first.
    """

    text: str
    words: list[Word] = field(default_factory=list)
    seconds: float = 0.0
    final: bool = True
    alternatives: list[Hypothesis] = field(default_factory=list)


class Decoder(Protocol):
    """Turns frames into words, one utterance at a time. The result does not depend on how the frames are cut."""

    def feed(self, log_probs: np.ndarray) -> None:
        """Take the next frames, [T, V + 1], any number of them."""

    def words(self) -> list[Word]:
        """The likeliest words so far; the last ones may still change."""

    def finish(self) -> list[Hypothesis]:
        """End the utterance: its readings, the likeliest first. Only `reset` may follow."""

    def reset(self, offset: float = 0.0, sound: Loudness | None = None) -> None:
        """Begin an utterance.

        Args:
            offset: seconds at which its first frame lies.
            sound: what is heard of the recording, always further than the frames that are fed; where there is none,
                words have the model's own borders.
        """


def make_decoder(
    labels: Sequence[str],
    blank_id: int,
    frame_seconds: float,
    *,
    scorer: Scorer | None = None,
    hot_words: Mapping[str, float] | None = None,
    n_best: int = 1,
    options: BeamOptions | None = None,
    calibration: Calibration | None = None,
) -> Decoder:
    """A decoder for one stream: the best path where nothing of a beam search is asked for, else that.

    Args:
        labels: V characters.
        blank_id: column of the blank.
        frame_seconds: seconds between rows.
        scorer: language model.
        hot_words: words and phrases with what each adds to the score, in natural-log units.
        n_best: readings that `finish` returns at most.
        options: of the beam search, which they ask for by themselves; where None, the beam is as wide as the scorer was
            tuned for.
        calibration: of the model's word times; None leaves them raw.

    Raises:
        DecoderError: hot words cannot be written with the labels, or a library is missing.
    """
    if n_best < 1:
        raise DecoderError(f"n_best must be 1 or more, found {n_best}.")
    if scorer is None and not hot_words and n_best == 1 and options is None:
        return GreedyDecoder(labels, blank_id, frame_seconds, calibration)
    from heyjetson.decoding.beam import BeamDecoder, BeamOptions
    from heyjetson.decoding.fusion import Guide
    from heyjetson.decoding.hotwords import HotWords

    options = options or (BeamOptions(beam_size=scorer.beam_size) if scorer else BeamOptions())
    hot = HotWords(hot_words, labels) if hot_words else None
    guide = Guide(labels, scorer, hot, options.alpha, options.beta)
    return BeamDecoder(labels, blank_id, frame_seconds, guide, options, n_best, calibration)


class WordBuilder:
    """Puts characters together to words.

    When a word ends is settled when the next one begins, or with the utterance. Until then it lasts as far as it is
    known to, so that no time that was told has to be taken back.

    Args:
        clock: gives frames their seconds.
    """

    def __init__(self, clock: Clock):
        self.clock = clock
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
        if self.closed and self.letters:
            self.after = self._spoken()
            begin = self.clock.start(start, self.after)
            self.words.append(self._word(begin))
            self.letters.clear()
            self._start = begin
        elif not self.letters:
            self._start = self.clock.start(start, self.after)
        self.closed = False
        self.letters.append((character, start, end, log_prob))

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
        after = WordBuilder(self.clock)
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


class GreedyDecoder:
    """Best path: the likeliest label of each frame, repeats and blanks removed (Graves et al., 2006).

    Args:
        labels: V characters.
        blank_id: column of the blank.
        frame_seconds: seconds between rows.
        calibration: of the model's word times; None leaves them raw.
    """

    def __init__(
        self, labels: Sequence[str], blank_id: int, frame_seconds: float, calibration: Calibration | None = None
    ):
        self.blank_id = blank_id
        self.symbols = [*labels[:blank_id], "", *labels[blank_id:]]
        self.frame_seconds = frame_seconds
        self.calibration = calibration
        self.reset()

    def reset(self, offset: float = 0.0, sound: Loudness | None = None) -> None:
        """Begin an utterance; see `Decoder`."""
        self._built = WordBuilder(Clock(self.frame_seconds, offset, self.calibration, sound))
        self._frames = 0
        self._score = 0.0
        # The label of the last frames, which the next ones may continue: column, first frame, best log-probability.
        self._run = (self.blank_id, 0, 0.0)
        self._finished = False

    def feed(self, log_probs: np.ndarray) -> None:
        """Take the next frames, [T, V + 1].

        Raises:
            DecoderError: they are none, or the utterance is finished.
        """
        require_frames(log_probs, len(self.symbols), self._finished)
        if len(log_probs) == 0:
            return
        best = log_probs.argmax(axis=1)
        peaks = log_probs[np.arange(len(best)), best]
        # One addition after another: the sum must not depend on how the frames are cut.
        for peak in peaks.tolist():
            self._score += peak
        begins = np.flatnonzero(np.diff(best, prepend=-1))
        tops = np.maximum.reduceat(peaks, begins)
        column, start, top = self._run
        for begin, label, peak in zip(begins.tolist(), best[begins].tolist(), tops.tolist(), strict=True):
            if begin == 0 and label == column:
                top = max(top, peak)
                continue
            self._close(column, start, self._frames + begin, top)
            column, start, top = label, self._frames + begin, peak
        self._run = (column, start, top)
        self._frames += len(best)

    def _close(self, column: int, start: int, end: int, top: float) -> None:
        if column != self.blank_id:
            self._built.add(self.symbols[column], start, end, top)

    def words(self) -> list[Word]:
        """The words so far, with what there is of the last one."""
        return self._whole().ended(self._frames) if self._finished else self._whole().all()

    def _whole(self) -> WordBuilder:
        """The words, with the label that the next frames may continue."""
        column, start, top = self._run
        if column == self.blank_id:
            return self._built
        return self._built.followed_by([(self.symbols[column], start, self._frames, top)])

    def finish(self) -> list[Hypothesis]:
        """End the utterance: the one reading. Only `reset` may follow.

        Raises:
            DecoderError: it is finished already.
        """
        require_frames(np.zeros((0, len(self.symbols))), len(self.symbols), self._finished)
        self._finished = True
        words = self._whole().ended(self._frames)
        return [Hypothesis(" ".join(word.text for word in words), words, self._score)]
