"""Outputs divided by what a model gives whatever it hears."""

import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.lm.pack import open_model, pack
from heyjetson.decoding.beam import BeamOptions
from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.priors import SMALLEST, Priors
from heyjetson.decoding.scorer import RECORD, Scorer
from heyjetson.errors import DecoderError, ScorerError
from tests.heyjetson.test_beam import BLANK, HOT, LABELS, outputs
from tests.heyjetson.test_scorer import change

LOG = tuple(np.log([0.1, 0.2, 0.05, 0.65]))


@pytest.fixture
def scorer(language_model, tmp_path):
    path = tmp_path / "scorer"
    pack(open_model(language_model(), LABELS), LABELS, path, 0.7, 0.4, 12, Priors(LOG, 0.4))
    return path


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0, 2))
def test_what_is_left_are_probabilities_less_the_priors(seed, scale):
    rows = outputs(5, seed).astype(float)
    left = Priors(LOG, scale).divide(rows)
    assert np.exp(left).sum(axis=1) == pytest.approx(1)
    taken = rows - left - scale * np.array(LOG)
    assert taken == pytest.approx(np.repeat(taken[:, :1], len(LOG), axis=1))


def test_they_are_the_mean_of_all_frames_with_the_blank_last():
    pieces = [np.log([[0.7, 0.3, 0.0 + 1e-9]]), np.log([[0.1, 0.9, 1e-9], [0.1, 0.9, 1e-9]])]
    found = np.exp(Priors.estimate(pieces, blank_id=1).log)
    assert found == pytest.approx([0.3, SMALLEST, 0.7], abs=1e-4)


@pytest.mark.parametrize("hot_words", [None, HOT])
@pytest.mark.parametrize("seed", range(4))
def test_a_search_reads_the_divided_outputs(scorer, language_model, tmp_path, hot_words, seed):
    opened, plain = Scorer.open(scorer, LABELS), tmp_path / "plain"
    pack(open_model(language_model(), LABELS), LABELS, plain, 0.7, 0.4, 12)
    rows = outputs(60, seed)
    divided = Priors(LOG, 0.4).divide(rows.astype(float))
    found = []
    for path, heard, options in (
        (scorer, rows, None),
        (plain, divided, None),
        (scorer, rows, BeamOptions(12, prior_scale=0.0)),
        (plain, rows, None),
    ):
        decoder = make_decoder(
            LABELS, BLANK, 0.04, scorer=Scorer.open(path, LABELS), hot_words=hot_words, n_best=3, options=options
        )
        for piece in np.array_split(heard, 7):
            decoder.feed(piece)
        found.append(decoder.finish())
    assert opened.priors == Priors(LOG, 0.4)
    for one, other in zip(found[::2], found[1::2], strict=True):
        assert [reading.text for reading in one] == [reading.text for reading in other]
        assert [reading.score for reading in one] == pytest.approx([reading.score for reading in other], abs=1e-3)
    assert [reading.score for reading in found[0]] != pytest.approx([reading.score for reading in found[2]], abs=1e-3)


def test_older_readers_are_told(scorer, language_model, tmp_path):
    pack(open_model(language_model(), LABELS), LABELS, tmp_path / "plain", 0.7, 0.4, 12)
    formats = []
    for path in (scorer, tmp_path / "plain"):
        with zipfile.ZipFile(path) as archive:
            formats.append(json.loads(archive.read(RECORD))["format"])
    assert formats == [2, 1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"priors": [-1.0, -1.0]}, "2 priors for 4 outputs"),
        ({"priors": [1.0, -1.0, -1.0, -1.0]}, "at most 0"),
        ({"priors": ["a"] * 4}, "priors in .* are none"),
        ({"priors": 3}, "priors in .* are none"),
        ({"prior_scale": -1.0}, "0 or more"),
        ({"prior_scale": float("nan")}, "0 or more"),
        ({"prior_scale": None}, "priors in .* are none"),
    ],
)
def test_priors_that_cannot_be(scorer, changes, said):
    change(scorer, **changes)
    with pytest.raises(ScorerError, match=f"is damaged.*{said}"):
        Scorer.open(scorer, LABELS)


def test_a_scale_that_cannot_be():
    with pytest.raises(DecoderError, match="prior_scale must not be negative, found -0.1"):
        BeamOptions(prior_scale=-0.1)
