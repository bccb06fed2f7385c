"""A model that has learned some words writes them at any level of a microphone, and no others where nothing is said."""

import itertools
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.levels import at_level
from benchmarks.silence import BETWEEN, FILLS, ROWS, filler, placed
from experiments.evaluation.report import word_errors
from heyjetson import Bundle, Engine
from heyjetson.audio import load
from manifests.espeak import speak
from tests.conftest import ROOT

RATE = 16000
WORDS = ("yes", "no", "stop", "left", "right")
LEARN = [
    "encoder=hey_jetson_small", "encoder.convolution.filters=48", "encoder.recurrent.hidden=48",
    "encoder.dense.units=[64]", "augment=voice_from_start", "augment.waveform.speed=0.0", "augment.silence.ramp=0.0",
    "optim=adamw", "optim.lr=4e-3", "data.batch_size=8", "data.num_workers=0", "trainer.max_time=null",
    "trainer.max_steps=400", "trainer.val_check_interval=200", "trainer.check_val_every_n_epoch=null",
    "timed_steps=0", "logger=none",
]  # fmt: skip


def spoken(words: tuple[str, ...], speed: int) -> tuple[np.ndarray, int]:
    """Some words, cut where they are loud, as corpora are, and their sample rate."""
    samples, rate = speak(" ".join(words), "en-us", rate=speed)
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1], rate


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Manifests of one, two and three words; the test has other orders of them than training."""
    folder = tmp_path_factory.mktemp("words")
    said = [words for count in (1, 2, 3) for words in itertools.permutations(WORDS, count)]
    rows = {"train": [], "validation": [], "test": []}
    for number, words in enumerate(said):
        split = "train" if len(words) == 1 or number % 5 > 1 else "validation" if number % 5 == 0 else "test"
        for speed in (150, 175) if split == "train" else (165,):
            path = folder / f"{'_'.join(words)}_{speed}.wav"
            sound, rate = spoken(words, speed)
            soundfile.write(path, sound, rate)
            rows[split].append({"audio_filepath": path.name, "duration": len(sound) / rate, "text": " ".join(words)})
    for split, lines in rows.items():
        (folder / f"{split}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def engine(clips, python, tmp_path_factory) -> Engine:
    """What training with silence as it is by default makes of them."""
    run = tmp_path_factory.mktemp("run") / "run"
    for command in (
        ["train.py", "data=manifests", f"data.folder={clips}", *LEARN, f"hydra.run.dir={run}"],
        ["export.py", f"model={run}", f"out={run}/bundle", "calibration=none"],
    ):
        done = subprocess.run([python, *command], cwd=ROOT, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
    return Engine(Bundle(run / "bundle"))


@pytest.fixture(scope="module")
def heard(clips) -> list[tuple[np.ndarray, str]]:
    lines = [json.loads(line) for line in (clips / "test.jsonl").read_text().splitlines()]
    return [(load(clips / line["audio_filepath"], RATE), line["text"]) for line in lines]


def errors(engine: Engine, clips: list[tuple[np.ndarray, str]]) -> int:
    return sum(word_errors(said, engine.transcribe(sound, RATE).text).count for sound, said in clips)


def test_silence_around_words_and_between_them_costs_none(engine, heard):
    words = sum(len(said.split()) for _, said in heard)
    plain = errors(engine, heard)
    assert plain <= 0.1 * words, f"it has learned too little to be judged: {plain} of {words} words are wrong"
    rows = [row for row in ROWS[1:] if BETWEEN.get(row) != 0]  # without a pause it is no silence
    for row, name in itertools.product(rows, FILLS):
        found = errors(engine, placed(heard, row, filler(name, RATE, 1)))
        assert found <= 1.1 * plain + 0.02 * words, f"{row}, {name}: {found} words wrong for {plain} of {words}"


@pytest.mark.parametrize("name", FILLS)
def test_where_nothing_is_said_nothing_is_written(engine, name):
    assert engine.transcribe(filler(name, RATE, 2)(30.0), RATE).text == ""


@pytest.mark.parametrize("decibels", [-30, 6])
def test_a_quieter_microphone_and_a_louder_one_cost_none(engine, heard, decibels):
    words = sum(len(said.split()) for _, said in heard)
    assert errors(engine, at_level(heard, decibels)) <= 1.1 * errors(engine, heard) + 0.02 * words
