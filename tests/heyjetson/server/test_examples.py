"""The examples of the documents run as they stand, on bundles of tones."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from heyjetson import Bundle, Engine
from tests.conftest import ROOT
from tests.heyjetson import trigger_fake

PAGES = {path.name: path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
EXAMPLES = {name: re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL) for name, text in PAGES.items()}
ELSEWHERE = {"compare.md"}  # tests/experiments/test_compare_judge.py
HERE = "http://127.0.0.1:8000"


@pytest.fixture
def house(tmp_path, monkeypatch, speech_folder, spoken) -> Path:
    """A folder with what the examples name: a float recording of `ab ba`, and the bundles."""
    samples, rate = soundfile.read(spoken)
    soundfile.write(tmp_path / "hello.wav", 0.9 * samples, rate, "FLOAT")
    soundfile.write(tmp_path / "talk.flac", samples, rate)
    (tmp_path / "bundles").mkdir()
    shutil.copytree(speech_folder, tmp_path / "bundles" / "streaming")
    table = [{"false_alarms_per_hour": 1.0, "threshold": 0.5, "miss_rate": 0.04}]
    rules = {
        "smoothing": 0.12,
        "refractory": 1.0,
        "calibration": dict.fromkeys(trigger_fake.PITCH, table),
        "hours": 1.8,
    }
    trigger_fake.make_trigger(tmp_path / "wake", trigger=rules)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def executed(code: str, **names: object) -> dict:
    space = {"__name__": "example", **names}
    exec(compile(code, "example", "exec"), space)
    return space


def test_every_example_is_run_somewhere():
    assert {name for name, found in EXAMPLES.items() if found} == ELSEWHERE | {
        "serve.md", "device.md", "language-model.md", "trigger.md"
    }  # fmt: skip


@pytest.mark.parametrize("number", range(len(EXAMPLES["serve.md"])))
def test_examples_of_the_server(house, site, capsys, number):
    code = EXAMPLES["serve.md"][number]
    executed(code.replace(HERE, site).replace(HERE.replace("http", "ws"), site.replace("http", "ws")))
    assert capsys.readouterr().out.split("\n")[-2].endswith("ab ba") or number == 1


def test_the_live_example_hears_a_float_file(house, site, capsys):
    (code,) = [code for code in EXAMPLES["serve.md"] if "/v1/listen" in code]
    executed(code.replace(HERE.replace("http", "ws"), site.replace("http", "ws")))
    assert capsys.readouterr().out.splitlines()[-2:] == ["final ab ba", "flushed "]


def test_commands_of_the_server(house, site):
    if not shutil.which("curl"):
        pytest.skip("no curl on this machine")
    commands = [line for line in PAGES["serve.md"].splitlines() if line.startswith("curl")]
    for command in commands:
        done = subprocess.run(shlex.split(command.replace(HERE, site)), capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "ab ba" in done.stdout, command
    assert len(commands) == 2


def test_examples_of_the_device(house, capsys):
    words = "\n".join(EXAMPLES["device.md"]).replace('"jetson"', '"ab"')  # the fake writes two letters
    samples = np.concatenate([trigger_fake.quiet(0.5, 48000), trigger_fake.say("ab ba", 48000)])
    executed(words, source=np.array_split(samples, 5))
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "ab ba" and [line.split()[0] for line in said[-2:]] == ["ab", "ba"]
    engine = Engine(Bundle("bundles/streaming"))
    (code,) = EXAMPLES["language-model.md"]
    stream = executed(code.replace('"jetson"', '"ab"').replace('"turn on"', '"b a"'), engine=engine)["stream"]
    stream.feed(trigger_fake.say("ab"))
    assert stream.finish().text == "ab"


def test_examples_of_wake_words(house, capsys):
    (code,) = EXAMPLES["trigger.md"]
    samples = np.concatenate([trigger_fake.tone("computer", 0.4, 48000), trigger_fake.quiet(0.5, 48000)])
    source = np.array_split(np.stack([samples, samples], axis=1), 5)
    executed(code, source=source, samples=trigger_fake.tone("computer", 0.4))
    assert capsys.readouterr().out.startswith("computer ")
