"""Counting: which events are hits, what a point of the curve is worth, how far it can be trusted."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.trigger.evaluation.curve import (
    NEVER,
    binomial_interval,
    curve,
    mean_miss_rate,
    model_curves,
    poisson_interval,
    smooth,
)
from experiments.trigger.evaluation.events import Label, judge, judge_frames, latencies
from heyjetson.wakeword.detector import Detector

FRAME = 0.04
WORDS = ("alexa", "jarvis")
TIMES = st.lists(st.integers(0, 4000).map(lambda tick: tick / 100), max_size=40, unique=True).map(sorted)


@st.composite
def said(draw) -> list[Label]:
    """Words with gaps of two seconds and more."""
    labels, at = [], 0.0
    for _ in range(draw(st.integers(0, 8))):
        start = at + draw(st.integers(200, 500)) / 100
        at = start + draw(st.integers(30, 90)) / 100
        labels.append(Label(draw(st.sampled_from(WORDS)), start, at))
    return labels


@settings(deadline=None, max_examples=50)
@given(TIMES, said())
def test_every_event_and_every_word_counts_once(times, labels):
    judged = judge(np.array(times), "alexa", labels, tolerance=1.0)
    hits: dict[int, float] = {}
    false = []
    for moment in times:
        at = next((index for index, one in enumerate(labels) if one.start <= moment <= one.end + 1.0), None)
        if at is not None and labels[at].word == "alexa":
            hits.setdefault(at, moment)
        else:
            false.append((moment, -1 if at is None else at))
    assert dict(zip(judged.hits.tolist(), judged.hit_times.tolist(), strict=True)) == hits
    assert list(zip(judged.false_times.tolist(), judged.mistaken.tolist(), strict=True)) == false
    assert judged.words == sum(label.word == "alexa" for label in labels)


def test_a_word_may_count_twice_as_the_benchmark_counts():
    labels = [Label("alexa", 1.0, 4.0)]
    twice = judge_frames(np.array([1.5, 3.0, 9.0]), "alexa", labels)
    assert len(twice.hits) == 2 and twice.false_times.tolist() == [9.0]
    found = curve(lambda _: np.array([1.5, 3.0]), [0.5], "alexa", labels, 1.0, judge_frames)
    assert found.points[0].miss_rate == -1.0
    assert found.points[0].miss_interval[0] == 0.0


def test_latency_is_from_where_the_word_is_over():
    labels = [Label("alexa", 1.0, 4.5, over=2.0), Label("alexa", 10.0, 10.5)]
    late = latencies(judge(np.array([2.2, 10.4]), "alexa", labels), labels)
    assert late == pytest.approx([0.2, -0.1])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 200), st.floats(0.1, 100))
def test_the_poisson_interval_holds_the_rate(count, hours):
    low, high = poisson_interval(count, hours)
    assert 0 <= low <= count / hours < high
    wider = poisson_interval(count, hours, 0.99)
    assert wider[0] <= low and high < wider[1]


def test_intervals_that_are_known():
    assert poisson_interval(0, 1.0) == pytest.approx((0.0, -math.log(0.025)))
    assert poisson_interval(10, 1.0) == pytest.approx((4.795, 18.390), abs=1e-3)
    assert binomial_interval(0, 10) == pytest.approx((0.0, 0.3085), abs=1e-4)
    assert binomial_interval(3, 10) == pytest.approx((0.0667, 0.6525), abs=1e-4)
    assert binomial_interval(10, 10)[1] == 1.0
    assert binomial_interval(-2, 10) == binomial_interval(0, 10)


@settings(deadline=None, max_examples=50)
@given(said(), st.dictionaries(st.integers(0, 4000), st.integers(1, 99), max_size=30))
def test_the_best_point_at_a_target(labels, events):
    pairs = sorted((tick / 100, score / 100) for tick, score in events.items())
    thresholds = sorted({score for _, score in pairs})

    def events_at(threshold):
        return np.array([moment for moment, score in pairs if score >= threshold])

    found = curve(events_at, thresholds, "alexa", labels, 0.5)
    assert found.points[-1].threshold == NEVER and found.points[-1].false_alarms == 0
    for target in (0.0, 2.0, 7.0):
        point = found.at(target)
        assert point.false_alarms <= target * 0.5
        higher = [max(one.false_alarms for one in found.points[index:]) for index in range(len(found.points))]
        allowed = [one for one, most in zip(found.points, higher, strict=True) if most <= target * 0.5]
        assert point in allowed and point.hits == max(one.hits for one in allowed)
    rates, misses = found.front()
    assert (np.diff(rates) > 0).all()
    if labels and any(label.word == "alexa" for label in labels):
        assert (np.diff(misses) <= 0).all()


def test_between_points_as_the_benchmark_reads_it():
    said = [Label("alexa", 10.0 * n, 10.0 * n + 0.5) for n in range(1, 5)]
    events = {0.2: [10.1, 20.1, 30.1, 5.0, 6.5], 0.6: [10.1, 20.1, 8.0], 0.8: [10.1, 7.0]}
    found = curve(lambda threshold: np.array(sorted(events[threshold])), list(events), "alexa", said, 10.0)
    # 0.2 → two false alarms and 25 % missed, 0.6 and 0.8 → one, of which the lower threshold's counts.
    assert found.interpolated(0.2) == pytest.approx(0.25)
    assert found.interpolated(0.1) == pytest.approx(0.5)
    assert found.interpolated(0.15) == pytest.approx(0.375)
    assert found.interpolated(9.0) == pytest.approx(0.25)


def scores_with(peaks: list[tuple[float, int, float]], seconds: float) -> np.ndarray:
    """Scores [T, 2] with a plateau of 0.2 s at each time, column, height."""
    scores = np.full((round(seconds / FRAME), 2), 0.01, np.float32)
    for moment, column, height in peaks:
        at = round(moment / FRAME)
        scores[at : at + 5, column] = height
    return scores


def test_a_model_on_a_stream():
    labels = [Label("alexa", 10.0, 10.6), Label("alexa", 30.0, 30.6), Label("jarvis", 50.0, 50.6)]
    peaks = [(10.64, 0, 0.9), (30.64, 0, 0.6), (50.7, 1, 0.8), (20.0, 0, 0.7), (51.0, 0, 0.3)]
    scores = scores_with(peaks, 720.0)
    curves = model_curves(scores, WORDS, FRAME, labels, smoothing=0.12, debounce=1.0)
    strict, loose = curves["alexa"].at(0.0), curves["alexa"].at(5.0)
    assert (strict.hits, strict.false_alarms) == (1, 0) and strict.threshold > 0.7
    assert (loose.hits, loose.false_alarms, loose.mistaken) == (2, 1, 0)
    assert loose.false_alarms_per_hour == pytest.approx(5.0)
    lowest = curves["alexa"].judged(0.25)
    assert [labels[index].word for index in lowest.mistaken if index >= 0] == ["jarvis"]
    assert latencies(lowest, labels)[0] == pytest.approx(0.04 + 0.04, abs=0.05)
    assert curves["jarvis"].at(0.0).miss_rate == 0.0
    assert mean_miss_rate(curves, 0.0) == pytest.approx(0.25)


def test_an_event_that_never_ends_is_no_operating_point():
    labels = [Label("alexa", 1.0, 1.6), *(Label("alexa", 10.0 * n, 10.0 * n + 0.6) for n in range(1, 5))]
    scores = np.full((1500, 1), 0.3, np.float32)  # above the release of every threshold below 0.6
    scores[[30, 700, 900]] = 0.9
    found = model_curves(scores, ["alexa"], FRAME, labels, smoothing=0.0)["alexa"]
    assert min(point.threshold for point in found.points) < 0.3
    assert found.at(0.0).threshold > 0.6


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_events_are_the_detectors_own(frames, seed):
    rng = np.random.default_rng(seed)
    scores = np.repeat(rng.random((60, 1)), 5, axis=0).astype(np.float32)
    labels = [Label("alexa", 2.0, 2.5)]
    found = model_curves(scores, ["alexa"], FRAME, labels, smoothing=frames * FRAME, debounce=0.4, points=10)["alexa"]
    for point in found.points[:-1]:
        detector = Detector(["alexa"], FRAME, np.array([point.threshold]), frames * FRAME, 0.4, 0.5)
        times = np.array([event.time for event in detector.feed(scores)])
        expected = judge(times, "alexa", labels)
        judged = found.judged(point.threshold)
        assert judged.false_times.tolist() == expected.false_times.tolist()
        assert judged.hit_times.tolist() == expected.hit_times.tolist()


def test_smoothing_begins_with_zeros():
    assert smooth(np.array([0.3, 0.6, 0.9, 0.0]), 3) == pytest.approx([0.1, 0.3, 0.6, 0.5])
