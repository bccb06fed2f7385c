"""A clip that ends on its last letter: other searches with a word list take another word there."""

import numpy as np
import pytest

from heyjetson.decoding.beam import BeamOptions
from heyjetson.decoding.factory import make_decoder
from tests.heyjetson.test_beam import BLANK, LABELS, outputs


@pytest.mark.parametrize("unit", [None, "word", "character"])
def test_the_last_word_needs_no_separator_behind_it(make_scorer, unit):
    """The quiet that may follow, a frame of nothing but the blank or the space, changes no text and no score."""
    scorer = make_scorer(unit, LABELS) if unit else None

    def best(log_probs):
        decoder = make_decoder(LABELS, BLANK, 0.04, scorer=scorer, options=BeamOptions(beam_size=64))
        decoder.feed(log_probs)
        return decoder.finish()[0]

    ended = 0
    for seed in range(40):
        log_probs = outputs(8, seed)
        log_probs[-1, [0, BLANK]] = -30.0  # the last frame is a letter's
        alone = best(log_probs)
        for column in (BLANK, 0):
            quiet = np.full((1, 4), -1e4)
            quiet[0, column] = 0.0
            followed = best(np.concatenate([log_probs, quiet]))
            assert followed.text == alone.text
            assert followed.score == pytest.approx(alone.score, abs=1e-3)
        ended += bool(alone.text)
    assert ended > 20
