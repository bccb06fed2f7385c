"""With a language model a pause ends a sentence."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.sentences import EXPECTED, PAUSE
from heyjetson.errors import DecoderError
from tests.heyjetson.test_beam import BLANK, HOT, LABELS, outputs

FRAME = 0.04
ENDS = round(PAUSE / FRAME)


def written(text, frames=0, sure=0.9):
    """Frames that write a text, and then quiet ones."""
    columns = [column for character in text for column in (LABELS.index(character), BLANK)] + [BLANK] * frames
    rows = np.full((len(columns), len(LABELS) + 1), (1 - sure) / len(LABELS))
    rows[np.arange(len(columns)), columns] = sure
    if frames:
        rows[-frames:] = (0.001, 0.001, 0.001, 0.997)
    return np.log(rows).astype(np.float32)


def decoded(scorer, *pieces, **options):
    decoder = make_decoder(LABELS, BLANK, FRAME, scorer=scorer, **options)
    for piece in pieces:
        decoder.feed(piece)
    return decoder.finish()


@pytest.mark.parametrize("expected", [0.0, EXPECTED])
@pytest.mark.parametrize("unit", ["word", "character"])
def test_the_likelier_of_one_sentence_and_two(make_scorer, unit, expected, monkeypatch):
    monkeypatch.setattr("heyjetson.decoding.sentences.EXPECTED", expected)
    scorer, told = make_scorer(unit, LABELS, alpha=2.0), set()
    texts = ["b a ab", "ab a", "a b", "b", "a a b", "bb", "b b b"]
    for first, second in itertools.product(texts, texts):
        beginning, end = written(first, ENDS, 0.5), written(second, 5, 0.5)
        alone = make_decoder(LABELS, BLANK, FRAME, scorer=scorer).on  # takes all for one sentence
        alone.feed(np.concatenate([beginning, end]))
        (one,) = alone.finish()
        two = [decoded(scorer, rows)[0] for rows in (beginning[:-1], end)]
        (found,) = decoded(scorer, beginning, end)
        apart = sum(reading.score for reading in two) + expected
        likelier = one.score < apart
        told.add(likelier)
        if abs(one.score - apart) < 0.01:
            continue  # a frame of quiet decides
        assert found.text == (" ".join(filter(None, (reading.text for reading in two))) if likelier else one.text)
        later = [word.start + len(beginning) * FRAME for word in two[1].words]
        starts = [word.start for word in two[0].words] + later if likelier else [word.start for word in one.words]
        assert [word.start for word in found.words] == pytest.approx(starts, abs=2e-3)
    assert told == ({True} if expected else {True, False})  # the few sentences of this language model seldom go on


def test_a_shorter_pause_ends_nothing(make_scorer):
    scorer = make_scorer("word", LABELS, alpha=2.0)
    rows = np.concatenate([written("b a ab", ENDS - 2, 0.5), written("ab a", 0, 0.5)])
    alone = make_decoder(LABELS, BLANK, FRAME, scorer=scorer).on
    alone.feed(rows)
    assert decoded(scorer, rows) == alone.finish()
    assert not hasattr(make_decoder(LABELS, BLANK, FRAME, hot_words=HOT), "on")  # nothing says what a sentence is


def test_each_pause_is_settled_for_itself(make_scorer):
    """However many there are, the scores are those of the best sentences between them."""
    scorer = make_scorer("word", LABELS, alpha=2.0)
    pieces = [written(text, ENDS) for text in ("b a ab", "ab a", "a b", "ab a", "b a ab")]
    (found,) = decoded(scorer, *pieces)
    alone = make_decoder(LABELS, BLANK, FRAME, scorer=scorer).on
    alone.feed(np.concatenate(pieces))
    assert found.score > alone.finish()[0].score + 0.1
    assert found.score > sum(decoded(scorer, piece[:-1])[0].score for piece in pieces) - 0.1


@settings(deadline=None, max_examples=30)
@given(cuts=st.lists(st.integers(0, 260), max_size=9), seed=st.integers(0, 10**6), hot=st.booleans())
def test_pieces_give_the_whole_across_pauses(make_scorer, cuts, seed, hot):
    rows = np.concatenate(
        [outputs(60, seed), written("", 40), outputs(50, seed + 1), written("", 70), outputs(40, seed + 2)]
    )
    options = {"scorer": make_scorer("word", LABELS), "hot_words": HOT if hot else None, "n_best": 3}
    whole = decoded(options.pop("scorer"), rows, **options)
    decoder = make_decoder(LABELS, BLANK, FRAME, scorer=make_scorer("word", LABELS), **options)
    decoder.reset()
    for piece in np.split(rows, sorted(cuts)):
        decoder.feed(piece)
        times = [time for word in decoder.words() for time in (word.start, word.end)]
        assert times == sorted(times)
    assert decoder.finish() == whole
    assert decoder.words() == whole[0].words
    with pytest.raises(DecoderError, match="finished"):
        decoder.feed(rows)
    with pytest.raises(DecoderError, match="finished"):
        decoder.finish()


def test_other_readings_outlive_a_pause(make_scorer):
    """The likeliest of all ways to read both sentences; quiet behind them takes none away."""
    scorer = make_scorer("word", LABELS)
    found = decoded(scorer, written("ab b", 2 * ENDS, 0.5), written("a", 2 * ENDS, 0.4), n_best=6)
    assert len({reading.text for reading in found}) == 6
    assert [reading.score for reading in found] == sorted((reading.score for reading in found), reverse=True)
    assert found[0].text == decoded(scorer, written("ab b", 2 * ENDS, 0.5), written("a", 2 * ENDS, 0.4))[0].text


def test_quiet_alone_says_nothing(make_scorer):
    (best,) = decoded(make_scorer("word", LABELS), written("", 5 * ENDS))
    assert (best.text, best.words) == ("", [])
