"""benchmarks/wake_word.py on tones and on a bundle that hears them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks import wake_word
from experiments.trigger.evaluation import recipe
from experiments.trigger.evaluation.sources import Noise, Recording
from experiments.trigger.evaluation.streams import score
from experiments.trigger.evaluation.strict import negative_stream
from tests.heyjetson.trigger_fake import PITCH, RATE, make_trigger, write_words


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return make_trigger(tmp_path_factory.mktemp("trigger") / "wake").folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """As the benchmark wants it: wake_words/WORD and three folders of backgrounds."""
    folder = tmp_path_factory.mktemp("data")
    write_words(folder / "wake_words", 30)
    rng = np.random.default_rng(0)
    for name in wake_word.BACKGROUNDS:
        (folder / name).mkdir()
        for number in range(20):
            soundfile.write(folder / name / f"{name}{number}.wav", 0.1 * rng.standard_normal(2 * RATE), RATE)
    return folder


def test_a_bundle_hears_a_stream_as_the_device_does(bundle, data):
    between = [Recording(path, 2 * RATE) for path in sorted((data / "fsdd").iterdir())]
    stream = negative_stream(between, Noise(None, 1), 0.01)
    scorer = recipe.scorer_of(bundle)
    assert list(scorer.words) == list(PITCH)
    whole = scorer.scores(stream.read(0, len(stream.sound)))
    for block in (3.1, 300.0):
        found = score(scorer, stream, block)
        length = min(len(whole), len(found))
        assert abs(len(whole) - len(found)) <= 1
        assert np.allclose(found[:length], whole[:length], atol=1e-5)


def test_the_rows_have_the_columns_of_their_heads(bundle, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(wake_word, "SOAK", 1)
    given = [f"tones={bundle}", f"again={bundle}", "--data", str(data), "--no-peer", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["wake_word.py", *given, "--hours", "0.01", "--negative-hours", "0.01"])
    wake_word.main()
    printed = capsys.readouterr().out
    tables = [block for block in printed.split("\n\n") if block.lstrip().startswith("|")]
    assert len(tables) == 3
    for table in tables:
        lines = table.strip().splitlines()
        assert len({line.count("|") for line in lines}) == 1
        assert sum(line.startswith(("| tones", "| again")) for line in lines) == 2
    for name in ("tones", "again"):
        for ending in (".json", ".svg", ".png"):
            assert (tmp_path / f"{name}{ending}").is_file()
