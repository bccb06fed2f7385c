"""Thresholds for rates of false alarms that are rarer than what was heard: the tail of the highest wrong scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from experiments.trigger.evaluation.curve import apart, smoothed_by_word, summits
from experiments.trigger.evaluation.events import Label

AN_HOUR = 200.0  # false alarms that the tail is taken from: with fewer, more come than thresholds promise
LOWEST = 0.02  # score of one of them: below, what scores higher is no more like the word
FEWEST = 5  # with less there is no tail to speak of
EDGE = 1e-6  # of scores, whose logits are finite


def false_peaks(
    scores: np.ndarray,
    words: Sequence[str],
    frame_seconds: float,
    labels: Sequence[Label],
    *,
    smoothing: float = 0.12,
    debounce: float = 1.0,
    tolerance: float = 1.0,
) -> dict[str, list[float]]:
    """The highest scores of each word where it is not said, `debounce` seconds apart, descending.

    Args:
        scores: of a stream [T, W].
        words: of the columns.
        frame_seconds: of a row.
        labels: words that were said.
        smoothing: seconds the scores are averaged over.
        debounce: seconds from one to the next.
        tolerance: seconds after a word that are its own.
    """
    most = max(round(AN_HOUR * len(scores) * frame_seconds / 3600), FEWEST + 1)
    gap = max(round(debounce / frame_seconds), 1)
    found = {}
    for word, smoothed in smoothed_by_word(scores, words, frame_seconds, smoothing):
        elsewhere, _ = apart(smoothed, word, labels, frame_seconds, tolerance)
        places = summits(elsewhere)
        places = places[elsewhere[places] >= LOWEST]
        peaks: list[float] = []
        taken = np.zeros(len(elsewhere), bool)
        for place in places[np.argsort(-elsewhere[places], kind="stable")].tolist():
            if len(peaks) == most:
                break
            if not taken[max(place - gap + 1, 0) : place + gap].any():
                taken[place] = True
                peaks.append(float(elsewhere[place]))
        found[word] = peaks
    return found


def tail_threshold(peaks: Sequence[float], hours: float, rate: float) -> float | None:
    """The threshold for a rate of false alarms, by an exponential tail of the logits of the highest ones.

    The one or two highest are chance: who says what is nearly the word. Above a threshold that is high enough, what is
    left of an excess is exponential for most distributions (Balkema and de Haan, 1974; Pickands, 1975), so its mean
    over many says where few would be.

    Args:
        peaks: scores of the highest false alarms, descending, in 0..1; the last is what the others exceed.
        hours: in which they were.
        rate: wanted, of false alarms an hour, at most as many as there are peaks.

    Returns:
        in 0..1; None where there are too few peaks, or the rate lies below them.

    >>> found = tail_threshold([1 / (1 + math.exp(-score)) for score in (4, 3, 2.5, 2, 1.5, 1)], hours=2.0, rate=0.5)
    >>> round(math.log(found / (1 - found)), 2)  # 1 + 1.6 ln(5)
    3.58
    """
    above = len(peaks) - 1
    if above < FEWEST or rate * hours > above:
        return None
    clipped = np.clip(np.asarray(peaks, np.float64), EDGE, 1 - EDGE)
    logits = np.log(clipped / (1 - clipped))
    mean_excess = float(np.mean(logits[:-1] - logits[-1]))
    return float(1 / (1 + math.exp(-(logits[-1] + mean_excess * math.log(above / (rate * hours))))))
