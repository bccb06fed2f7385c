"""Phrases that are boosted when they are complete, and only then."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyjetson.decoding import core
from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.hotwords import HotWords
from heyjetson.errors import DecoderError

LABELS = list(" abc'")


def boosted(hot: HotWords, text: str) -> float:
    """What a text and its end are given."""
    state, total = hot.start, 0.0
    for character in text + " ":
        state = int(hot.follow[state, LABELS.index(character)])
        total += float(hot.boost[state])
    return total


def occurrences(text: str, phrase: str) -> int:
    """The definition: runs of words that are the phrase."""
    words, wanted = text.split(), phrase.split()
    return sum(words[i : i + len(wanted)] == wanted for i in range(len(words)))


@given(
    st.dictionaries(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=3).map(" ".join),
                    st.floats(-5, 5), min_size=1, max_size=5),
    st.lists(st.text("abc", min_size=1, max_size=3), max_size=8).map(" ".join),
)  # fmt: skip
def test_each_occurrence_counts_once(phrases, text):
    hot = HotWords(phrases, LABELS)
    expected = sum(boost * occurrences(text, phrase) for phrase, boost in phrases.items())
    assert boosted(hot, text) == pytest.approx(expected)


def test_parts_of_words_and_broken_phrases_get_nothing():
    hot = HotWords({"ab": 3.0, "a b": 2.0}, LABELS)
    assert boosted(hot, "abc cab a a") == 0.0
    assert boosted(hot, "ab abc") == 3.0
    assert boosted(hot, "a b a b") == 4.0


def test_the_outlook_is_gone_when_the_phrase_breaks():
    hot = HotWords({"abc": 4.0, "cc": -2.0}, LABELS)
    state, seen = hot.start, []
    for character in "ab ":
        state = int(hot.follow[state, LABELS.index(character)])
        seen.append(float(hot.lookahead_score[state]))
    assert seen == [1.0, 2.0, 0.0]
    assert (hot.lookahead_score >= 0).all()


def spoken(path: str, unsure: dict[int, str], floor: float) -> np.ndarray:
    """Log-probabilities [T, 6] of a path of characters, `_` for the blank; some frames may be another character."""
    labels = [*LABELS, "_"]
    rows = np.full((len(path), len(labels)), floor)
    for frame, character in enumerate(path):
        rows[frame, labels.index(character)] = 1 - floor * (len(labels) - 1)
    for frame, other in unsure.items():
        rows[frame, labels.index(path[frame])], rows[frame, labels.index(other)] = 0.6, 0.4
    return np.log(rows)


PAUSE = "_" * 20  # 0.8 s


@pytest.fixture(params=["numpy", pytest.param("", marks=pytest.mark.skipif(not core.library(), reason="not built"))])
def search(request, monkeypatch):
    monkeypatch.setenv(core.SWITCH, request.param)


@pytest.mark.parametrize("floor", [1e-6, 1e-3])  # at the second texts lie in the beam before the pause is over
@pytest.mark.parametrize(
    ("path", "unsure", "phrase", "without", "boosted"),
    [
        ("a_b_" + PAUSE + "c_a_b_", {26: "b"}, "cbb", "ab cab", "ab cbb"),  # begins behind a pause
        ("c_a_b_" + PAUSE + "c_", {2: "b"}, "cbb", "cab c", "cbb c"),  # ends before one
        ("c_a_" + PAUSE + "b_", {24: "c"}, "ca c", "ca b", "ca c"),  # a phrase around one
        ("a_b_" + "_" * 8 + "c_a_b_", {14: "b"}, "cbb", "abcab", "abcab"),  # within a word
        ("a_b_" + PAUSE + " c_a_b_", {27: "b"}, "ab cbb", "ab cab", "ab cbb"),  # and a space: it counts once
        ("a_b_" + PAUSE + "a_b_" * 90 + PAUSE + "c_a_b_", {-4: "b"}, "cbb", None, "cbb"),  # long settled
    ],
)
def test_a_pause_parts_words_for_hot_words_too(search, path, unsure, phrase, without, boosted, floor):
    scores = {}
    for hot_words in ({phrase: 0.0}, {phrase: 4.0}):
        decoder = make_decoder(LABELS, len(LABELS), 0.04, hot_words=hot_words)
        decoder.feed(spoken(path, unsure, floor))
        (best,) = decoder.finish()
        scores[best.text] = best.score
        assert best.text == " ".join(word.text for word in best.words)
    assert list(scores)[-1] == boosted or without is None and list(scores)[-1].endswith(f" {boosted}")
    if without != boosted and without:
        assert list(scores)[0] == without
        # The boost counts once, beside the choice itself: 0.4 in place of 0.6.
        assert scores[boosted] - scores[without] == pytest.approx(4.0 + np.log(0.4 / 0.6), abs=0.02)


def test_labels_without_a_space():
    hot = HotWords({"ab": 1.0}, ["a", "b"])
    state = hot.follow[hot.follow[hot.start, 0], 1]
    assert hot.boost[hot.follow[state, 2]] == 1.0


@pytest.mark.parametrize(
    "written", ["jetson", "jetson:3", "jetson:3,turn on:2.5", " hey jetson , a:-1,", "", ":3", "a:", "a:b"]
)
def test_commands_and_server_read_hot_words_alike(written):
    from argparse import ArgumentTypeError

    from heyjetson.commands import hot_words
    from heyjetson.errors import OptionError
    from heyjetson.server.live.options import hot_words_of

    try:
        expected = hot_words_of(written) or {}
    except OptionError as error:
        with pytest.raises(ArgumentTypeError) as refused:
            hot_words(written)
        assert str(refused.value) == str(error)
    else:
        assert hot_words(written) == expected
        assert set(expected) or not written


def test_bad_hot_words():
    with pytest.raises(DecoderError, match=r"'Ab1' has characters that the model cannot write: '1' 'A'\. It writes"):
        HotWords({"Ab1": 1.0}, LABELS)
    with pytest.raises(DecoderError, match="must be a number"):
        HotWords({"a": float("nan")}, LABELS)
    with pytest.raises(DecoderError, match="empty"):
        HotWords({"  ": 1.0}, LABELS)
    assert HotWords({" a   b ": 1}, LABELS).phrases == {"a b": 1.0}
    assert HotWords({"a": 1.0}, LABELS).follow.dtype == np.int32
