"""Transcripts as sounds: by one letter each, in the labels of the experiment that learns them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from manifests.lines import Utterance
from manifests.phones import LABELS, as_sounds, sounds
from tests.conftest import ROOT


def test_letters_are_the_labels_of_the_experiment(compose_config):
    assert list(compose_config("experiment=phones").labels) == list(LABELS)


def test_words_that_sound_alike_are_written_alike():
    assert sounds("two knights") == sounds("too nights") == "tu nYts"
    assert sounds("Computer!") == "kampjutR"
    assert len(sounds("a judge, charged").split()) == 3


def test_what_says_nothing_is_left_out():
    left_out: list[str] = []
    given = [Utterance(Path("a.wav"), 1.0, "stop", extra={"speaker": "anna"}), Utterance(Path("b.wav"), 1.0, "...")]
    (kept,) = as_sounds(given, left_out)
    assert kept.text == "stQp" and kept.extra == {"speaker": "anna"} and kept.audio == Path("a.wav")
    assert len(left_out) == 1 and "b.wav" in left_out[0]


@pytest.mark.parametrize("text", ["stop", "..."])
def test_the_command_writes_a_manifest(tmp_path, text):
    (tmp_path / "a.wav").touch()
    line = {"audio_filepath": str(tmp_path / "a.wav"), "duration": 1.0, "text": text, "speaker": "anna"}
    (tmp_path / "a.jsonl").write_text(json.dumps(line) + "\n")
    command = [
        sys.executable,
        "-m",
        "manifests",
        "phones",
        str(tmp_path / "a.jsonl"),
        "--out",
        str(tmp_path / "b.jsonl"),
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    if text == "...":
        assert ended.returncode and "can be written as sounds" in ended.stderr and not (tmp_path / "b.jsonl").exists()
    else:
        assert ended.returncode == 0, ended.stderr
        assert json.loads((tmp_path / "b.jsonl").read_text()) == line | {"audio_filepath": "a.wav", "text": "stQp"}
