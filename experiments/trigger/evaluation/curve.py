"""Misses against false alarms: operating points of a detector with their intervals, from scores computed once."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import beta, chi2

from experiments.trigger.evaluation.events import Judge, Judged, Label, judge
from heyjetson.wakeword.detector import Detector

CONFIDENCE = 0.95
POINTS = 200  # thresholds tried for each word
NEVER = float("inf")  # the threshold no score reaches


def poisson_interval(count: int, hours: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Exact interval of a rate of rare events (Garwood, 1936).

    Args:
        count: events seen.
        hours: in which they were.
        confidence: of the interval.

    Returns:
        lowest and highest rate, events an hour.

    >>> [round(end, 2) for end in poisson_interval(2, 24.8)]
    [0.01, 0.29]
    """
    tail = (1 - confidence) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return low / hours, float(chi2.ppf(1 - tail, 2 * count + 2)) / 2 / hours


def binomial_interval(count: int, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Exact interval of a share (Clopper & Pearson, 1934).

    Args:
        count: of `total` that have it.
        total: all.
        confidence: of the interval.

    >>> [round(end, 3) for end in binomial_interval(0, 50)]
    [0.0, 0.071]
    """
    tail = (1 - confidence) / 2
    count = min(max(count, 0), total)
    low = float(beta.ppf(tail, count, total - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, total - count)) if count < total else 1.0
    return low, high


@dataclass(frozen=True)
class Point:
    """A detector at one threshold.

    Args:
        threshold: of the score.
        hits: words that were heard.
        words: words that were said.
        false_alarms: events anywhere else.
        mistaken: those of them at a word of another kind.
        hours: of the stream.
    """

    threshold: float
    hits: int
    words: int
    false_alarms: int
    mistaken: int
    hours: float

    @property
    def miss_rate(self) -> float:
        """Share of the words that were not heard; below 0 where a word may count twice."""
        return (self.words - self.hits) / self.words if self.words else float("nan")

    @property
    def false_alarms_per_hour(self) -> float:
        """False alarms by the hours of the stream."""
        return self.false_alarms / self.hours

    @property
    def miss_interval(self) -> tuple[float, float]:
        """95 % interval of the miss rate."""
        return binomial_interval(self.words - self.hits, self.words) if self.words else (0.0, 1.0)

    @property
    def false_alarm_interval(self) -> tuple[float, float]:
        """95 % interval of the false alarms per hour."""
        return poisson_interval(self.false_alarms, self.hours)


def point_of(threshold: float, judged: Judged, hours: float) -> Point:
    """Counts of what became of the events at a threshold."""
    mistaken = int(np.sum(judged.mistaken >= 0))
    return Point(threshold, len(judged.hits), judged.words, len(judged.false_times), mistaken, hours)


@dataclass(frozen=True)
class Curve:
    """All operating points of a word.

    Args:
        word: which.
        points: by threshold, ascending; the last one's is never reached.
        judged: threshold → what became of the events there.
    """

    word: str
    points: list[Point]
    judged: Callable[[float], Judged] = field(repr=False, compare=False)

    def at(self, target: float) -> Point:
        """The point with fewest misses among those with at most `target` false alarms per hour; of several with as few
        that with fewest false alarms. There is always one: a detector that hears nothing.

        A threshold counts only if no higher one has more false alarms than that: at one so low that the score never
        falls below its release, a single event lasts for ever, and neither its alarms nor its silence mean anything.
        """
        allowed = itertools.takewhile(lambda point: point.false_alarms_per_hour <= target + 1e-9, reversed(self.points))
        return max(allowed, key=lambda point: (point.hits, -point.false_alarms))

    def with_threshold(self, threshold: float) -> Point:
        """What becomes of the words at any threshold."""
        return point_of(threshold, self.judged(threshold), self.points[0].hours)

    def interpolated(self, target: float) -> float:
        """Miss rate at `target` false alarms per hour on straight lines between the points, as the public benchmark
        reads it: of points with as many false alarms the one of the lowest threshold counts, and beyond the ends the
        curve is flat."""
        most = max(range(len(self.points)), key=lambda index: self.points[index].false_alarms)
        rates = {point.false_alarms_per_hour: point.miss_rate for point in reversed(self.points[most:])}
        ascending = sorted(rates)
        return float(np.interp(target, ascending, [rates[rate] for rate in ascending]))

    def front(self) -> tuple[np.ndarray, np.ndarray]:
        """False alarms per hour and the fewest misses at up to so many, ascending, for drawing [P], [P]."""
        rates = sorted({point.false_alarms_per_hour for point in self.points})
        return np.array(rates), np.array([self.at(rate).miss_rate for rate in rates])


def curve(
    events_at: Callable[[float], np.ndarray],
    thresholds: Sequence[float],
    word: str,
    labels: Sequence[Label],
    hours: float,
    judged_by: Judge = judge,
) -> Curve:
    """Operating points of anything that raises events.

    Args:
        events_at: threshold → times of the events of this word, seconds, ascending [E].
        thresholds: to try.
        word: which.
        labels: of the whole stream.
        hours: of the stream.
        judged_by: how events are matched with labels.
    """

    @functools.cache
    def judged(threshold: float) -> Judged:
        return judged_by(events_at(threshold) if threshold < NEVER else np.zeros(0), word, labels)

    points = []
    for threshold in [*sorted(set(map(float, thresholds)) - {NEVER}), NEVER]:
        points.append(point_of(threshold, judged(threshold), hours))
    return Curve(word, points, judged)


def smooth(scores: np.ndarray, frames: int) -> np.ndarray:
    """Mean of the last `frames` scores, zeros before the first, as the detector's: [T] → [T]."""
    padded = np.concatenate([np.zeros(frames - 1), scores])
    total = padded[: len(scores)].copy()
    for shift in range(1, frames):
        total += padded[shift : shift + len(scores)]
    return total / frames


def smoothed_by_word(
    scores: np.ndarray, words: Sequence[str], frame_seconds: float, smoothing: float
) -> Iterator[tuple[str, np.ndarray]]:
    """Each word and its scores [T], averaged over so many seconds, of those of a stream [T, W]."""
    frames = max(round(smoothing / frame_seconds), 1)
    for index, word in enumerate(words):
        yield word, smooth(scores[:, index], frames)


def apart(
    smoothed: np.ndarray, word: str, labels: Sequence[Label], frame_seconds: float, tolerance: float
) -> tuple[np.ndarray, list[float]]:
    """Scores of a word [T] with zeros where it is said and `tolerance` seconds behind, and the best score of each."""
    elsewhere, best = smoothed.copy(), []
    for label in labels:
        if label.word == word:
            window = slice(int(label.start / frame_seconds), int((label.end + tolerance) / frame_seconds) + 1)
            if len(inside := smoothed[window]):
                best.append(float(inside.max()))
                elsewhere[window] = 0
    return elsewhere, best


def summits(scores: np.ndarray) -> np.ndarray:
    """Places of the scores [T] that are higher than those beside them."""
    inner = scores[1:-1]
    return np.flatnonzero((inner >= scores[:-2]) & (inner > scores[2:])) + 1


def candidate_thresholds(
    smoothed: np.ndarray,
    word: str,
    labels: Sequence[Label],
    frame_seconds: float,
    tolerance: float,
    points: int = POINTS,
) -> np.ndarray:
    """Thresholds between which something changes: at the best score of a word, and at the highest peaks anywhere else.

    Args:
        smoothed: scores of the word [T].
        word: which.
        labels: of the whole stream.
        frame_seconds: of a score.
        tolerance: seconds after a word that are its own.
        points: about so many thresholds are returned.
    """
    elsewhere, peaks = apart(smoothed, word, labels, frame_seconds, tolerance)
    tops = elsewhere[summits(elsewhere)]
    tops = np.sort(tops[tops > 0])[::-1][: points // 2]
    heard = np.quantile(peaks, np.linspace(0, 1, points // 2)) if peaks else np.zeros(0)
    levels = np.unique(np.concatenate([[0.0], heard, tops, [1.0]]))
    even = np.linspace(0.05, 0.95, 19)
    # Between two peaks, as far as can be from both: the same are heard with a threshold that was rounded.
    return np.unique(np.concatenate([(levels[1:] + levels[:-1]) / 2, even]).clip(1e-4, 1.0))


def model_curves(
    scores: np.ndarray,
    words: Sequence[str],
    frame_seconds: float,
    labels: Sequence[Label],
    *,
    smoothing: float = 0.12,
    debounce: float = 1.0,
    release: float = 0.5,
    tolerance: float = 1.0,
    judged_by: Judge | None = None,
    points: int = POINTS,
) -> dict[str, Curve]:
    """Operating points of every word from scores of a stream, by the device's own detector.

    Args:
        scores: of the stream [T, W].
        words: of the columns.
        frame_seconds: of a row.
        labels: words that were said.
        smoothing: seconds the scores are averaged over.
        debounce: seconds from an event to the next of its word.
        release: share of the threshold the score must fall below before the next event.
        tolerance: seconds after a word within which its event must come.
        judged_by: how events are matched with labels; `judge` with that tolerance when None.
        points: thresholds tried for each word, about.
    """
    hours = len(scores) * frame_seconds / 3600
    by = judged_by or functools.partial(judge, tolerance=tolerance)
    curves = {}
    for word, smoothed in smoothed_by_word(scores, words, frame_seconds, smoothing):
        thresholds = candidate_thresholds(smoothed, word, labels, frame_seconds, tolerance, points)

        def events_at(threshold: float, smoothed: np.ndarray = smoothed, word: str = word) -> np.ndarray:
            detector = Detector([word], frame_seconds, np.array([threshold]), 0.0, debounce, release)
            return np.array([event.time for event in detector.feed(smoothed[:, None])])

        curves[word] = curve(events_at, list(thresholds), word, labels, hours, by)
    return curves


def mean_miss_rate(curves: dict[str, Curve], target: float) -> float:
    """Miss rate at a false-alarm rate, averaged over the words; each word may have `target` false alarms per hour."""
    return float(np.mean([one.at(target).miss_rate for one in curves.values()]))
