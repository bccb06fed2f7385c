"""Thresholds for few false alarms: what the tail of the highest wrong scores says, and what it does not."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.trigger.evaluation.curve import model_curves
from experiments.trigger.evaluation.events import Label
from experiments.trigger.evaluation.tail import FEWEST, false_peaks, tail_threshold
from experiments.trigger.validation import RAREST, RATES, calibration

FRAME = 0.04


def stream(hours: float, said: int, wrong: list[float]) -> tuple[np.ndarray, list[Label]]:
    """Scores [T, 1] with words that score 0.9 and other things that score as given, far from one another."""
    frames = round(hours * 3600 / FRAME)
    places = np.linspace(100, frames - 200, said + len(wrong)).astype(int)
    scores, labels = np.full((frames, 1), 1e-4), []
    for place, height in zip(places, [0.9] * said + wrong, strict=True):
        scores[place : place + 6] = height
        if len(labels) < said:
            labels.append(Label("go", place * FRAME - 0.5, place * FRAME))
    return scores, labels


def calibrated(scores: np.ndarray, labels: list[Label], hours: float) -> list[dict[str, float]]:
    curves = model_curves(scores, ["go"], FRAME, labels, points=200)
    return calibration(curves, false_peaks(scores, ["go"], FRAME, labels), hours)["go"]


def drawn(rng: np.random.Generator, count: int) -> np.ndarray:
    """Scores whose logits have an exponential tail above 0, one in a thousand above 6.9."""
    return np.sort(1 / (1 + np.exp(-rng.exponential(1.0, count))))[::-1]


def test_false_alarms_are_as_asked_for_and_vary_less_than_by_the_highest_alone():
    rng, hours, rate, an_hour = np.random.default_rng(1), 2.6, 0.5, 20
    by_tail, by_highest = [], []
    for _ in range(300):
        peaks = drawn(rng, rng.poisson(an_hour * hours))
        logits = np.log(peaks / (1 - peaks))
        found = tail_threshold(list(peaks[:20]), hours, rate)
        by_tail.append(an_hour * math.exp(-math.log(found / (1 - found))))
        by_highest.append(an_hour * math.exp(-logits[1]))  # with one false alarm in these hours
    assert 0.4 < np.median(by_tail) < 0.6
    assert np.std(np.log(by_tail)) < 0.85 * np.std(np.log(by_highest))


@given(seed=st.integers(0, 1000), count=st.integers(0, 40), hours=st.floats(0.3, 4.0))
@settings(max_examples=25, deadline=None)
def test_thresholds_fall_as_more_alarms_are_allowed(seed, count, hours):
    wrong = [round(float(score), 4) for score in drawn(np.random.default_rng(seed), count)]
    scores, labels = stream(hours, 10, wrong)
    table = calibrated(scores, labels, hours)
    rates = [entry["false_alarms_per_hour"] for entry in table]
    thresholds = [entry["threshold"] for entry in table]
    assert rates == sorted(rates) and thresholds == sorted(thresholds, reverse=True)
    assert all(0 < threshold <= 1 for threshold in thresholds)
    assert table and min(rates) * hours >= min(RAREST, 1) - 1e-9
    if count <= FEWEST:  # no tail: nothing is said of rates of which nothing was heard
        assert min(rates) * hours >= 1 - 1e-4


def test_one_that_is_nearly_the_word_does_not_decide():
    ordinary = [0.5, 0.48, 0.45, 0.42, 0.4, 0.38, 0.35, 0.33, 0.3, 0.28, 0.25, 0.22]
    found = {}
    for highest in (0.55, 0.97):
        scores, labels = stream(2.0, 10, [highest, *ordinary])
        table = calibrated(scores, labels, 2.0)
        found[highest] = next(entry for entry in table if entry["false_alarms_per_hour"] == RATES[1])
    assert found[0.97]["threshold"] < 0.9 and found[0.97]["miss_rate"] == 0
    assert found[0.55]["threshold"] < found[0.97]["threshold"]


def test_peaks_are_false_alarms_one_by_one():
    scores, labels = stream(1.0, 5, [0.8, 0.6, 0.6, 0.3, 0.019])
    found = false_peaks(scores, ["go"], FRAME, labels)["go"]
    assert found == pytest.approx([0.8, 0.6, 0.6, 0.3])  # neither the words nor what is nearly nothing
    assert tail_threshold(found, 1.0, 0.5) is None  # too few
    place = int(np.argmax(scores[:, 0] == 0.8))
    scores[place + 20 : place + 26] = 0.7  # within the second after an event there is none
    assert false_peaks(scores, ["go"], FRAME, labels)["go"] == pytest.approx([0.8, 0.6, 0.6, 0.3])
    scores[place + 20 : place + 26], scores[place + 40 : place + 46] = 1e-4, 0.7
    assert false_peaks(scores, ["go"], FRAME, labels)["go"] == pytest.approx([0.8, 0.7, 0.6, 0.6, 0.3])
