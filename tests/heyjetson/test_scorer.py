"""The scorer file: what comes out is what went in, and what is wrong is named."""

import json
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.lm.pack import open_model, pack
from heyjetson.decoding import core
from heyjetson.decoding.beam import BeamDecoder
from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.scorer import RECORD, Scorer, write_scorer
from heyjetson.errors import DecoderError, ScorerError

LABELS = list(" ab")
MODEL = "lm.binary" if core.library() else "lm.arpa"  # what `pack` makes of an ARPA file


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of its own for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def scorer(language_model, tmp_path):
    """A word scorer."""
    path = tmp_path / "scorer"
    pack(open_model(language_model("word"), LABELS), LABELS, path, 0.6, 0.9, 32)
    return path


def change(path, **changes) -> None:
    """Rewrite keys of scorer.json; None removes one."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    record = json.loads(parts[RECORD]) | changes
    parts[RECORD] = json.dumps({key: value for key, value in record.items() if value is not None}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def test_a_scorer_says_everything(scorer, cache, capfd):
    opened = Scorer.open(scorer, LABELS)
    assert (opened.unit, opened.order, opened.alpha, opened.beta, opened.beam_size) == ("word", 3, 0.6, 0.9, 32)
    assert opened.record["sources"][0]["name"] == "word3.arpa"
    lexicon = opened.lexicon(["ba"])
    assert [lexicon.number(word) for word in ("a", "ab", "b", "ba", "bb")] == [0, 1, 2, 3, None]
    assert lexicon.ahead("c") == (float("-inf"), frozenset())
    assert lexicon.ahead("a")[0] >= lexicon.ahead("ab")[0]
    assert [lexicon.ahead(beginning)[1] for beginning in ("", "a", "b", "ba")] == [{"a", "b"}, {"b"}, {"a"}, set()]
    assert [path.suffix for path in (cache / "heyjetson").iterdir()] == [Path(MODEL).suffix]
    with zipfile.ZipFile(scorer) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    assert capfd.readouterr() == ("", "")  # KenLM draws a progress bar by itself


def test_the_cache_is_used_again_and_mended(scorer, cache):
    (model,) = (cache / "heyjetson").iterdir()
    before = model.stat().st_mtime_ns
    Scorer.open(scorer, LABELS)
    assert model.stat().st_mtime_ns == before
    model.write_bytes(b"half")
    Scorer.open(scorer, LABELS)
    assert model.stat().st_size > 4


def test_a_home_that_cannot_be_written(scorer, monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    opened = Scorer.open(scorer, LABELS)
    folder = opened.ngram.path.parent
    assert folder.name.startswith("heyjetson-")
    del opened
    assert not folder.exists()
    monkeypatch.setattr("tempfile.mkdtemp", lambda **_: (_ for _ in ()).throw(OSError("No space left on device")))
    with pytest.raises(ScorerError, match="finds no room on the disk.*needs .* MB"):
        Scorer.open(scorer, LABELS)


def test_what_is_wrong_is_named(scorer, tmp_path):
    with pytest.raises(ScorerError, match="There is no scorer"):
        Scorer.open(tmp_path / "none", LABELS)
    with pytest.raises(ScorerError, match="made for the labels ' ab', the model writes ' abc'.*--labels-from"):
        Scorer.open(scorer, list(" abc"))
    text = tmp_path / "text"
    text.write_text("no scorer at all")
    with pytest.raises(ScorerError, match="is not a scorer"):
        Scorer.open(text, LABELS)
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme", "")
    with pytest.raises(ScorerError, match=f"not a scorer: it holds no {RECORD}"):
        Scorer.open(other, LABELS)
    cut = tmp_path / "cut"
    cut.write_bytes(scorer.read_bytes()[:-200])
    with pytest.raises(ScorerError, match="cut off or damaged.*Copy it again"):
        Scorer.open(cut, LABELS)
    change(scorer, format=3)
    with pytest.raises(ScorerError, match="has format 3, this heyjetson reads up to 2. Upgrade"):
        Scorer.open(scorer, LABELS)


@pytest.mark.parametrize(
    "changes",
    [{"unit": "syllable"}, {"order": 9}, {"alpha": None}, {"alpha": float("nan")}, {"files": {}}, {"format": "1"},
     {"model": "../../lm.arpa"}, {"beam_size": 0}],
)  # fmt: skip
def test_a_record_that_cannot_be(scorer, changes):
    change(scorer, **changes)
    with pytest.raises(ScorerError, match="is damaged"):
        Scorer.open(scorer, LABELS)


def test_a_model_that_does_not_match_its_hash(scorer, cache):
    with zipfile.ZipFile(scorer) as archive:
        files = json.loads(archive.read(RECORD))["files"]
    files[MODEL]["sha256"] = "0" * 64
    change(scorer, files=files)
    with pytest.raises(ScorerError, match=f"{MODEL} does not match its hash"):
        Scorer.open(scorer, LABELS)
    assert len(list((cache / "heyjetson").iterdir())) == 1  # that of the good one; no half file is left


def test_kenlm_cannot_read_it(tmp_path):
    for name, content in (("bad.arpa", "\\data\\\nngram 1=2\n"), ("bad.binary", "nonsense"), ("empty.arpa", "")):
        model = tmp_path / name
        model.write_text(content)
        write_scorer(tmp_path / "bad", model, unit="word", order=3, labels=LABELS, words={"a": -1.0})
        with pytest.raises(ScorerError, match="KenLM cannot read|is not an ARPA language model, or it is cut off"):
            Scorer.open(tmp_path / "bad", LABELS)


def without_flashlight(monkeypatch) -> None:
    for name in list(sys.modules):
        if name.startswith("flashlight"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flashlight", None)


@pytest.mark.skipif(core.library() is None, reason="the compiled search is not built")
def test_the_compiled_search_needs_no_library(scorer, monkeypatch):
    without_flashlight(monkeypatch)
    decoder = make_decoder(LABELS, 3, 0.04, scorer=Scorer.open(scorer, LABELS), hot_words={"bb": 1.0})
    decoder.feed(np.log(np.full((20, 4), 0.25)))
    assert decoder.finish()


@pytest.mark.skipif(core.library() is None, reason="the compiled search is not built")
def test_what_the_compiled_search_cannot_read_numpy_searches(scorer, monkeypatch):
    monkeypatch.setattr("heyjetson.decoding.probing.PROBING", 9)  # as if the file were one of KenLM's tries
    opened = Scorer.open(scorer, LABELS)
    assert opened.mapped is None
    decoder = make_decoder(LABELS, 3, 0.04, scorer=opened)
    assert type(decoder.on) is BeamDecoder
    decoder.feed(np.log(np.full((20, 4), 0.25)))
    assert decoder.finish()


def test_the_numpy_search_names_the_library_that_it_needs(scorer, monkeypatch):
    without_flashlight(monkeypatch)
    monkeypatch.setenv(core.SWITCH, "numpy")
    with pytest.raises(DecoderError, match=r'pip install "heyjetson\[lm\]"'):
        Scorer.open(scorer, LABELS)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1), st.integers(0, 255), st.booleans())
def test_damaged_files_are_refused_or_read(scorer, place, value, cut):
    content = bytearray(scorer.read_bytes())
    position = int(place * (len(content) - 1))
    if cut:
        del content[position:]
    else:
        content[position] = value
    damaged = scorer.with_name("damaged")
    damaged.write_bytes(content)
    try:
        opened = Scorer.open(damaged, LABELS)
    except ScorerError:
        return
    assert opened.lexicon() is not None


def test_writing_is_all_or_nothing(scorer, tmp_path, language_model):
    before = scorer.read_bytes()
    with pytest.raises(OSError):
        write_scorer(scorer, tmp_path / "none.arpa", unit="word", order=3, labels=LABELS)
    assert scorer.read_bytes() == before
    assert os.listdir(tmp_path).count("scorer") == 1
