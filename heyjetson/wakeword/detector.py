"""From scores to events: each word counts once, at the first frame that is sure enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heyjetson.errors import OptionError


@dataclass(frozen=True)
class Detection:
    """A word that was heard.

    Args:
        word: which.
        time: seconds of the stream at which it is detected, just after the word's end.
        score: the smoothed score at that moment, between the threshold and 1.
    """

    word: str
    time: float
    score: float


class Detector:
    """Raises an event where the smoothed score of a word reaches its threshold.

    The smoothed score is the mean of the last frames, with zeros before the first. After an event the word is armed
    again where its smoothed score is below `release` times the threshold once `debounce` has passed: an echo that
    begins before that is no other word, however long it lasts. Words do not disturb each other. However the scores are
    cut, the events are the same; only crossings are looked at one by one, so that hours of quiet scores cost a few
    passes of numpy.

    Args:
        words: W of them, in the order of the scores.
        frame_seconds: seconds a frame.
        thresholds: [W], each above 0 and at most 1.
        smoothing: seconds of the mean; a frame at least.
        debounce: seconds.
        release: share of the threshold, above 0 and at most 1.

    Raises:
        OptionError: a value that cannot work.

    >>> detector = Detector(["jetson"], 0.04, np.array([0.5]), smoothing=0.08, debounce=1.0, release=0.5)
    >>> detector.feed(np.array([[0.0], [0.6], [0.8], [0.9], [0.1]]))
    [Detection(word='jetson', time=0.12, score=0.7)]
    """

    def __init__(
        self,
        words: Sequence[str],
        frame_seconds: float,
        thresholds: np.ndarray,
        smoothing: float,
        debounce: float,
        release: float = 0.5,
    ):
        self.words = list(words)
        self.frame_seconds = frame_seconds
        self.thresholds = np.asarray(thresholds, np.float64)
        if self.thresholds.shape != (len(self.words),):
            raise OptionError(
                f"There must be a threshold for each of the {len(self.words)} words, found {self.thresholds.shape}."
            )
        if not ((self.thresholds > 0) & (self.thresholds <= 1)).all():
            raise OptionError(f"Thresholds must be above 0 and at most 1, found {self.thresholds.tolist()}.")
        for name, seconds in (("smoothing", smoothing), ("debounce", debounce)):
            if not 0 <= seconds < float("inf"):
                raise OptionError(f"The {name} must be 0 seconds or more, found {seconds}.")
        if not 0 < release <= 1:
            raise OptionError(f"The release must be above 0 and at most 1, found {release}.")
        self.smoothing = max(round(smoothing / frame_seconds), 1)
        self.debounce = max(round(debounce / frame_seconds), 1)
        self.release = release
        self._lowest = float(self.thresholds.min(initial=1.0)) * (1 - 1e-9)
        self.reset()

    def reset(self) -> None:
        """Begin at time 0, with every word armed."""
        self.frames = 0
        self._before = np.zeros((self.smoothing - 1, len(self.words)))
        self._calm = True  # nothing in `_before` reaches a threshold, and no word waits for its release
        self._released = [True] * len(self.words)
        self._allowed = [0] * len(self.words)  # first frame after the debounce time

    def feed(self, scores: np.ndarray) -> list[Detection]:
        """Take the next scores [T, W].

        Returns:
            the events that they raise, by time.
        """
        count = len(scores)
        if self._calm and count >= self.smoothing - 1 and self._is_low(scores):  # as mostly
            self._before = scores[count - self.smoothing + 1 :].astype(np.float64)
            self.frames += count
            return []
        padded = np.concatenate([self._before, scores])
        self._calm = all(self._released) and self._is_low(padded)
        if self._calm:
            self._before = padded[count:].copy()
            self.frames += count
            return []
        smoothed = self._smoothed(padded, count)
        found: list[tuple[int, int, Detection]] = []
        high = smoothed >= self.thresholds
        for word in range(len(self.words)):
            for frame in self._detected(word, smoothed[:, word], high[:, word]):
                time = round((self.frames + frame + 1) * self.frame_seconds, 6)
                score = round(float(smoothed[frame, word]), 6)
                found.append((frame, word, Detection(self.words[word], time, score)))
        self.frames += len(smoothed)
        return [detection for *_, detection in sorted(found, key=lambda entry: entry[:2])]

    def _is_low(self, scores: np.ndarray) -> bool:
        """Whether no score reaches a threshold: then no mean does, which is above the largest by rounding at most."""
        return bool(np.maximum.reduce(scores, axis=None, initial=0.0) < self._lowest)

    def _smoothed(self, padded: np.ndarray, count: int) -> np.ndarray:
        """Mean of the last frames, [T, W].

        Args:
            padded: [smoothing - 1 + T, W].
            count: T.
        """
        # Added in the same order for every frame: not even the last bit depends on how the scores are cut.
        total = padded[:count].copy()
        for shift in range(1, self.smoothing):
            total += padded[shift : shift + count]
        self._before = padded[count:].copy()
        return total / self.smoothing

    def _detected(self, word: int, smoothed: np.ndarray, reaches: np.ndarray) -> list[int]:
        """Frames that raise a word.

        Args:
            word: its number.
            smoothed: [T] of its smoothed scores.
            reaches: [T], which of them reach its threshold.
        """
        high = np.flatnonzero(reaches)
        low = np.flatnonzero(smoothed < self.release * self.thresholds[word])
        found: list[int] = []
        here = 0
        while True:
            if not self._released[word]:
                # Below it only once the time is over: an echo that begins before that has no end that counts.
                place = np.searchsorted(low, max(here, self._allowed[word] - self.frames))
                if place == len(low):
                    return found
                here = int(low[place])
                self._released[word] = True
            place = np.searchsorted(high, max(here, self._allowed[word] - self.frames))
            if place == len(high):
                return found
            here = int(high[place])
            found.append(here)
            self._released[word] = False
            self._allowed[word] = self.frames + here + self.debounce
