"""Phrases that are boosted when they are complete, and only then."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
