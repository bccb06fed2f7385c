"""Bootstrap intervals and matched pairs: properties, and how often they are right on simulated test sets."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from heyjetson.significance import Difference, Drawing, difference, matched_pairs, wer_interval

utterance = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 12))
utterances = st.lists(utterance, min_size=1, max_size=60).map(lambda rows: np.array(rows).T)


@given(utterances, st.sampled_from([0.5, 0.9, 0.99]))
@settings(max_examples=60, deadline=None)
def test_the_interval_holds_the_pooled_rate(rows, confidence):
    errors, _, words = rows
    interval = wer_interval(errors, words, drawing=Drawing(confidence, 300))
    assert interval.rate == pytest.approx(errors.sum() / words.sum())
    assert 0 <= interval.low <= interval.rate <= interval.high
    wider = wer_interval(errors, words, drawing=Drawing(0.995, 300))
    assert wider.low <= interval.low and interval.high <= wider.high


@given(utterances)
@settings(max_examples=40, deadline=None)
def test_a_system_does_not_differ_from_itself(rows):
    errors, _, words = rows
    found = difference(errors, errors, words, drawing=Drawing(draws=200))
    assert (found.delta, found.low, found.high) == (0, 0, 0)
    assert found.probability_of_improvement == 0.5
    assert found.p_value == 1 and not found.significant


@given(utterances)
@settings(max_examples=40, deadline=None)
def test_the_difference_changes_its_sign_with_the_order(rows):
    a, b, words = rows
    often = Drawing(draws=2000)
    forth, back = difference(a, b, words, drawing=often), difference(b, a, words, drawing=often)
    assert forth.delta == pytest.approx((b.sum() - a.sum()) / words.sum())
    assert forth.delta == pytest.approx(-back.delta)
    assert forth.p_value == pytest.approx(back.p_value)
    assert forth.low <= forth.delta <= forth.high
    assert forth.swapped.delta == -forth.delta and forth.swapped.swapped.high == forth.high
    assert forth.swapped.probability_of_improvement == pytest.approx(1 - forth.probability_of_improvement)
    assert forth.swapped.low <= forth.swapped.delta <= forth.swapped.high
    assert forth.swapped.significant == forth.significant
    assert 0 <= forth.probability_of_improvement <= 1


@given(utterances, st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_utterances_changes_nothing(rows, random):
    order = list(range(rows.shape[1]))
    random.shuffle(order)
    a, b, words = rows
    few = Drawing(draws=100)
    assert wer_interval(a, words, drawing=few) == wer_interval(a[order], words[order], drawing=few)
    assert difference(a, b, words, drawing=few) == difference(a[order], b[order], words[order], drawing=few)


def test_equal_input_gives_equal_output_and_the_seed_matters():
    generator = np.random.default_rng(3)
    words = generator.integers(1, 12, 200)
    errors = generator.binomial(words, 0.1)
    assert wer_interval(errors, words) == wer_interval(errors.tolist(), words.tolist())
    one, other = (wer_interval(errors, words, drawing=Drawing(draws=100, seed=seed)) for seed in (0, 1))
    assert one != other


def test_chunks_of_draws_are_one_drawing(monkeypatch):
    generator = np.random.default_rng(4)
    words = generator.integers(1, 12, 200)
    errors = generator.binomial(words, 0.1)
    whole = wer_interval(errors, words, drawing=Drawing(draws=1000))
    monkeypatch.setattr("heyjetson.significance.CELLS", 700)
    assert wer_interval(errors, words, drawing=Drawing(draws=1000)) == whole


def test_without_an_error_the_interval_still_has_a_width():
    interval = wer_interval([0] * 100, [3] * 100)
    assert (interval.rate, interval.low) == (0, 0)
    assert interval.high == pytest.approx(3 / 300, rel=0.01)  # the rule of three


def test_one_utterance_says_nothing_of_the_spread():
    assert (wer_interval([1], [4]).low, wer_interval([1], [4]).high) == (0, 1)
    assert wer_interval([9], [4]).high == 9 / 4
    assert matched_pairs([-3]) == 1
    assert matched_pairs([-1, -1]) == 0.5  # the sign test


def test_empty_references_count_as_the_metrics_count_them():
    assert wer_interval([0, 0], [0, 0]).rate == 0
    assert wer_interval([2, 0], [0, 0]).rate == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([], []), "no utterance"),
        (([1, 2], [3]), "one number for each utterance"),
        (([-1], [3]), "below 0"),
    ],
)
def test_what_cannot_be_counted_is_refused(arguments, said):
    with pytest.raises(ValueError, match=f"(?i){said}"):
        wer_interval(*arguments)
    with pytest.raises(ValueError, match="3 utterances and 2 groups"):
        wer_interval([1, 2, 0], [3, 4, 5], groups=["a", "b"])


@pytest.mark.parametrize("drawing", [{"confidence": 1.5}, {"confidence": 0.0}, {"draws": 0}])
def test_a_drawing_out_of_range_is_refused(drawing):
    with pytest.raises(ValueError, match="confidence lies between 0 and 1, draws at 1 or more"):
        Drawing(**drawing)


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=300), st.integers(1, 60))
def test_the_matched_pair_test_is_that_of_student(values, times):
    values = np.array(values * times)
    if len(set(values)) > 1 and values.sum():
        assert matched_pairs(values) == pytest.approx(ttest_1samp(values, 0).pvalue, rel=1e-7, abs=1e-300)


def simulated(generator, count: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Utterances of 2 to 12 words whose error probability is drawn for each, with `rate` as the mean over words."""
    words = generator.integers(2, 13, count)
    return generator.binomial(words, generator.beta(rate * 8, (1 - rate) * 8, count)), words


def test_intervals_hold_the_true_rate_about_as_often_as_they_say():
    generator = np.random.default_rng(6)
    held = 0
    for _ in range(250):
        interval = wer_interval(*simulated(generator, 200, 0.08), drawing=Drawing(draws=500))
        held += interval.low <= 0.08 <= interval.high
    assert 0.91 <= held / 250 <= 0.98


def test_equal_systems_are_seldom_called_different_and_a_better_one_mostly():
    generator = np.random.default_rng(7)
    false, found = 0, 0
    for _ in range(120):
        a, words = simulated(generator, 200, 0.1)
        one, other = generator.binomial(words, 0.1), generator.binomial(words, 0.1)
        false += difference(one, other, words, drawing=Drawing(draws=500)).significant
        found += difference(a, generator.binomial(a, 0.6), words, drawing=Drawing(draws=500)).significant
    assert false / 120 <= 0.09
    assert found / 120 >= 0.9


def test_pairs_find_what_two_separate_intervals_hide():
    generator = np.random.default_rng(8)
    a, words = simulated(generator, 300, 0.1)
    b = np.maximum(a - (generator.random(300) < 0.08), 0)
    first, second = wer_interval(a, words), wer_interval(b, words)
    assert second.high > first.low  # the intervals overlap
    found = difference(a, b, words)
    assert found.significant and found.high < 0 and found.probability_of_improvement > 0.99


def test_drawing_whole_speakers_widens_the_interval_where_speakers_differ():
    generator = np.random.default_rng(9)
    speakers = np.repeat(np.arange(12), 40)
    words = generator.integers(2, 13, len(speakers))
    errors = generator.binomial(words, generator.beta(1, 9, 12)[speakers])
    alone, grouped = wer_interval(errors, words), wer_interval(errors, words, groups=speakers.tolist())
    assert grouped.rate == alone.rate
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    own = wer_interval(errors, words, groups=list(range(len(words))))
    assert math.isclose(own.high, alone.high)


def test_significance_needs_interval_and_test():
    assert Difference(-0.1, -0.2, -0.01, 1.0, 0.01).significant
    assert not Difference(-0.1, -0.2, -0.01, 1.0, 0.2).significant
    assert not Difference(-0.1, -0.2, 0.01, 0.9, 0.01).significant


def test_fractions_are_refused():
    """Cut down to whole numbers they would turn a difference round."""
    with pytest.raises(ValueError, match="whole numbers"):
        difference([0.5, 1.0], [1.0, 1.0], [3, 3])
