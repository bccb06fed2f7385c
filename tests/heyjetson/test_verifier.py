"""The check of a trigger's scores by sounds, beside an enumeration of all that could have been said."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyjetson.verifier import Verifier

LABELS = ["a", "b", " "]
BLANK = 3


def frames_of(seed: int, frames: int, words: int, batch: tuple[int, ...] = ()) -> np.ndarray:
    """Scores of the words and log-probabilities of the labels and the blank, drawn."""
    rng = np.random.default_rng(seed)
    logits = 3 * rng.standard_normal((*batch, frames, BLANK + 1))
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return np.concatenate([rng.uniform(size=(*batch, frames, words)), log_probs], -1).astype(np.float32)


def likeliest(log_probs: np.ndarray, sounds: str) -> float:
    """Log-likelihood ratio of a word that ends in the last frame, by trying all labels for all frames."""
    cost = log_probs - log_probs.max(-1, keepdims=True)
    cost[:, BLANK] = np.maximum(cost[:, BLANK], cost[:, 2])
    best, word = -np.inf, [LABELS.index(one) for one in sounds]
    for count in range(1, len(cost) + 1):
        for path in product((0, 1, BLANK), repeat=count):
            said = [now for before, now in pairwise((None, *path)) if now != before and now != BLANK]
            if said == word and path[0] != BLANK and path[-1] != BLANK:
                best = max(best, sum(cost[len(cost) - count + n, label] for n, label in enumerate(path)))
    return best


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**20), st.sampled_from(["a", "ab", "aab", "bab"]))
def test_ratios_are_those_of_the_likeliest_way_to_say_the_word(seed, sounds):
    checker = Verifier(LABELS, {"word": sounds}, 1.0, 0.0).checker(0.6)  # the last two frames count
    frames = frames_of(seed, 6, 1)
    frames[:, 0] = 0.5  # odds of 1
    scores = checker.feed(frames)[:, 0].astype(np.float64)
    ends = [likeliest(frames[: frame + 1, 1:].copy(), sounds) for frame in range(6)]
    for frame in range(6):
        expected = np.exp(max(ends[max(frame - 1, 0) : frame + 1]) / len(sounds))
        assert scores[frame] == pytest.approx(expected / (1 + expected), rel=1e-4, abs=1e-7)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**20), st.lists(st.integers(0, 40), max_size=6))
def test_scores_do_not_depend_on_the_cuts_nor_on_the_batch_and_never_rise(seed, cuts):
    verifier = Verifier(LABELS, {"one": "ab a", "two": "b"}, 1.5, 0.5)
    frames = frames_of(seed, 40, 2, batch=(3,))
    whole = verifier.checker(0.02)
    whole.reset((3,))
    expected = whole.feed(frames)
    assert expected.shape == (3, 40, 2) and (expected <= frames[..., :2] + 1e-6).all()
    stream = verifier.checker(0.02)
    for row in range(3):
        stream.reset()
        pieces = [stream.feed(piece) for piece in np.split(frames[row], sorted(cuts))]
        np.testing.assert_array_equal(np.concatenate(pieces), expected[row])


def test_a_word_that_is_pronounced_keeps_its_score_for_a_while():
    """Also behind a pause in a phrase, at the very beginning of a stream, and with a score that is full."""
    said = np.full((60, BLANK + 1), -12.0, np.float32)
    labels = [0, BLANK, 2, BLANK, 1, 1] + [BLANK] * 54
    said[np.arange(60), labels] = -1e-4

    def checked(sounds: str, score: float, weight: float = 1.0, tolerance: float = 0.0) -> np.ndarray:
        frames = np.concatenate([np.full((60, 1), score, np.float32), said], axis=1)
        return Verifier(LABELS, {"word": sounds}, weight, tolerance).checker(0.02).feed(frames)[:, 0]

    heard = checked("a b", 0.99)
    np.testing.assert_allclose(heard[4:34], 0.99, rtol=1e-4)
    assert heard[:4].max() < 0.25 and heard[37:].max() < 0.25
    assert checked("a b", 1.0)[4:34].min() > 0.9999
    assert checked("b a", 0.99).max() < 0.25
    np.testing.assert_allclose(checked("b a", 0.75, weight=0.0), 0.75, rtol=1e-6)
    np.testing.assert_allclose(checked("b a", 0.75, tolerance=12.1)[8:30], 0.75, rtol=1e-6)


@pytest.mark.parametrize(
    "labels, words, weight, tolerance, told",
    [
        (LABELS, {"word": ""}, 1.0, 0.0, "sounds of 'word'"),
        (LABELS, {"word": "xyz"}, 1.0, 0.0, "sounds of 'word'"),
        (["ab"], {"word": "ab"}, 1.0, 0.0, "labels must be characters"),
        (LABELS, {"word": "ab"}, -1.0, 0.0, "weight"),
        (LABELS, {"word": "ab"}, 1.0, float("nan"), "tolerance"),
    ],
)
def test_what_cannot_be_is_refused(labels, words, weight, tolerance, told):
    with pytest.raises(ValueError, match=told):
        Verifier(labels, words, weight, tolerance)
