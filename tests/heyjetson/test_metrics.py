"""WER means words, pooled."""

from hypothesis import given
from hypothesis import strategies as st

from heyjetson.metrics import Errors, character_errors, cosine_similarity, pooled, word_errors

words = st.lists(st.sampled_from("one two three four".split()), max_size=6).map(" ".join)


def levenshtein(a: list[str], b: list[str]) -> int:
    """The textbook's table."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        previous, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (x != y))
    return row[-1]


@given(words, words)
def test_word_errors_are_the_edit_distance(a, b):
    errors = word_errors(a, b)
    assert errors.count == levenshtein(a.split(), b.split())
    assert errors.total == len(a.split())


@given(words, words)
def test_character_errors_are_the_edit_distance(a, b):
    assert character_errors(a, b).count == levenshtein(list(a), list(b))


@given(words, words)
def test_cosine_is_symmetric_and_bounded(a, b):
    assert cosine_similarity(a, b) == cosine_similarity(b, a)
    assert 0 <= cosine_similarity(a, b) <= 1 + 1e-12
    assert cosine_similarity(a, a) == 1


def test_rates_are_pooled_not_averaged():
    # 1 error in 1 word and 0 in 9: 10 %, not 50 %.
    assert pooled([Errors(0, 0, 1, 1), Errors(0, 0, 0, 9)]).rate == 0.1
    assert Errors().rate == 0.0
    assert word_errors("", "something").rate == 1.0


def test_inserted_words_lower_the_cosine():
    # The original project's similarity could not see them.
    assert cosine_similarity("go home", "go home now please") < 0.8
