"""With a language model a pause ends a sentence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.sentences import PAUSE
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


@pytest.mark.parametrize("unit", ["word", "character"])
def test_two_sentences_are_read_as_two(make_scorer, unit):
    """Each as it is read alone, with the scores of both, and later by where it lies."""
    scorer = make_scorer(unit, LABELS)
    first, second = written("b a ab", ENDS, 0.5), written("ab a", 0, 0.5)
    (one,), (other,) = decoded(scorer, first[:-1]), decoded(scorer, written("", ENDS // 2), second)
    (both,) = decoded(scorer, first, second)
    assert both.text == f"{one.text} {other.text}"
    assert both.score == pytest.approx(one.score + other.score, abs=0.01)
    later = (len(first) - ENDS // 2) * FRAME
    starts = [word.start for word in one.words] + [word.start + later for word in other.words]
    assert [word.start for word in both.words] == pytest.approx(starts, abs=2e-3)


def test_a_shorter_pause_and_none_end_nothing(make_scorer):
    scorer = make_scorer("word", LABELS)
    for frames, same in ((ENDS - 1, True), (ENDS, False)):
        rows = np.concatenate([written("b a ab", frames, 0.5), written("ab a", 0, 0.5)])
        one = make_decoder(LABELS, BLANK, FRAME, scorer=scorer).decoder  # takes all for one sentence
        one.feed(rows)
        assert (decoded(scorer, rows) == one.finish()) is same
    assert not hasattr(make_decoder(LABELS, BLANK, FRAME, hot_words=HOT), "decoder")  # nothing says what a sentence is


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
