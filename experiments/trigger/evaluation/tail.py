"""Thresholds for rates of false alarms that are rarer than what was heard: the tail of the highest wrong scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from experiments.trigger.evaluation.curve import Curve

MOST = 20  # false alarms that the tail is taken from
FEWEST = 5  # with less there is no tail to speak of
EDGE = 1e-6  # of scores, whose logits are finite


def false_peaks(curve: Curve, most: int = MOST) -> list[float]:
    """The highest thresholds at which there is one false alarm, two, and so on, descending.

    Args:
        curve: of a word.
        most: of them.
    """
    peaks: list[float] = []
    for point in reversed(curve.points):
        if point.false_alarms < len(peaks):
            break  # so low that events run into one another; what is below means nothing
        peaks += [point.threshold] * (point.false_alarms - len(peaks))
        if len(peaks) >= most:
            return peaks[:most]
    return peaks


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
