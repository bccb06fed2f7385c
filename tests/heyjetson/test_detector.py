"""An event is raised once for each word, at the first frame that is sure enough, however the scores are cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyjetson import Detection, OptionError
from heyjetson.wakeword.detector import Detector

FRAME = 0.04


def make(words=("a", "b"), threshold=0.5, smoothing=0.12, debounce=0.4, release=0.5) -> Detector:
    return Detector(words, FRAME, np.full(len(words), threshold), smoothing, debounce, release)


def frames_of(events: list[Detection]) -> list[int]:
    return [round(event.time / FRAME) - 1 for event in events]


def reference(scores: np.ndarray, threshold: float, smoothing: int, debounce: int, release: float) -> list[int]:
    """The rules, frame by frame, for one word."""
    raised, armed, allowed = [], True, 0
    for frame in range(len(scores)):
        window = [scores[i] if i >= 0 else 0.0 for i in range(frame - smoothing + 1, frame + 1)]
        total = window[0]
        for value in window[1:]:
            total += value
        smoothed = total / smoothing
        armed = armed or (frame >= allowed and smoothed < release * threshold)
        if armed and frame >= allowed and smoothed >= threshold:
            raised.append(frame)
            armed, allowed = False, frame + debounce
    return raised


SCORES = st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.2, 0.25, 0.5, 0.9, 1.0])), min_size=0, max_size=80)
BURSTS = st.lists(st.tuples(st.sampled_from([0.0, 0.24, 0.3, 0.5, 1.0]), st.integers(1, 9)), max_size=14).map(
    lambda runs: [score for score, length in runs for _ in range(length)]
)


@settings(max_examples=300, deadline=None)
@given(
    scores=SCORES | BURSTS,
    smoothing=st.integers(1, 5),
    debounce=st.integers(1, 12),
    release=st.sampled_from([0.3, 0.5, 1.0]),
    cuts=st.lists(st.integers(0, 80), max_size=8),
)
def test_any_cutting_gives_what_the_rules_say(scores, smoothing, debounce, release, cuts):
    scores = np.array(scores, np.float64)
    expected = reference(scores, 0.5, smoothing, debounce, release)
    detector = make(["a"], 0.5, smoothing * FRAME, debounce * FRAME, release)
    for turn in range(2):  # the second time after a reset
        found = []
        for piece in np.split(scores[:, None], np.sort([min(cut, len(scores)) for cut in cuts])):
            found += detector.feed(piece)
        assert frames_of(found) == expected, turn
        detector.reset()


@settings(max_examples=100, deadline=None)
@given(first=BURSTS, second=BURSTS)
def test_words_do_not_disturb_each_other(first, second):
    count = max(len(first), len(second))
    columns = [np.pad(np.array(scores, np.float32), (0, count - len(scores))) for scores in (first, second)]
    together = make().feed(np.stack(columns, axis=1))
    assert [event.time for event in together] == sorted(event.time for event in together)
    for word, column in zip("ab", columns, strict=True):
        alone = make([word]).feed(column[:, None])
        assert [event for event in together if event.word == word] == alone


def test_it_is_raised_at_the_frame_that_reaches_the_threshold():
    detector = make(["a"], threshold=0.6, smoothing=0.12)
    scores = np.array([0, 0, 0.9, 0.9, 0.9, 0, 0])[:, None]
    assert detector.feed(scores[:3]) == []
    (event,) = detector.feed(scores[3:4])  # (0 + 0.9 + 0.9) / 3
    assert event == Detection("a", pytest.approx(4 * FRAME), pytest.approx(0.6))
    assert detector.feed(scores[4:]) == []


def test_a_score_that_does_not_fall_is_one_event():
    scores = np.concatenate([np.full(200, 0.9), np.full(20, 0.3), np.full(200, 0.9), np.zeros(20), np.full(9, 0.9)])
    assert len(make(["a"]).feed(scores[:, None])) == 2


def test_debounce_time_bounds_the_rate():
    """Scores that flicker as fast as they can raise one event each debounce time."""
    scores = np.tile([0.9, 0.0], 500)[:, None]
    found = make(["a"], smoothing=0, debounce=1.0).feed(scores)
    assert np.diff([event.time for event in found]) == pytest.approx(1.04)  # 25 frames, and the next that is high


def test_memory_does_not_grow():
    detector = make(["a"])
    for _ in range(2000):
        detector.feed(np.full((25, 1), 0.1, np.float32))
    assert detector.frames == 50000
    assert detector._before.shape == (2, 1)
    assert detector._before.base is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"threshold": 0.0}, "Thresholds must be above 0"),
        ({"threshold": 1.1}, "Thresholds must be above 0"),
        ({"threshold": float("nan")}, "Thresholds must be above 0"),
        ({"smoothing": -1.0}, "smoothing must be 0 seconds or more"),
        ({"debounce": float("inf")}, "debounce must be 0 seconds or more"),
        ({"release": 0.0}, "release must be above 0"),
    ],
)
def test_values_that_cannot_work_are_named(changes, message):
    with pytest.raises(OptionError, match=message):
        make(["a"], **changes)


def test_every_word_has_a_threshold():
    with pytest.raises(OptionError, match="each of the 2 words"):
        Detector(["a", "b"], FRAME, np.array([0.5]), 0.1, 1.0)
