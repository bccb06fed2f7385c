"""The best path through the log-probabilities, with the time and the confidence of each word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heyjetson.calibration import Calibration
from heyjetson.clock import Clock
from heyjetson.decoding.hypothesis import Hypothesis, Word
from heyjetson.decoding.words import WordBuilder, require_frames
from heyjetson.loudness import Loudness


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
        self._built = WordBuilder(Clock(self.frame_seconds, offset, self.calibration, sound), " " in self.symbols)
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
