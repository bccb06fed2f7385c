"""`heyjetson record`: takes from sound as it comes, checked and kept."""

import argparse
import io
import sys
import types

import numpy as np
import pytest
import soundfile
import soxr

from heyjetson import AudioError, OptionError, microphone
from heyjetson.commands import record
from heyjetson.wakeword.recordings import take
from manifests.espeak import speak

RATE = 16000


def speech(*texts: str, rate: int = RATE, gain: float = 1.0) -> np.ndarray:
    """Words [S] int16 with two seconds of a quiet room around each."""
    pieces = [np.zeros(2 * rate, np.float32)]
    for text in texts:
        samples, found = speak(text, "en-us+f2")
        pieces += [soxr.resample(samples, found, rate) * gain, np.zeros(2 * rate, np.float32)]
    sound = np.concatenate(pieces)
    sound += 1e-3 * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    return (sound.clip(-1, 1) * 32767).astype(np.int16)


def recorded(monkeypatch, sound: np.ndarray, *arguments: object) -> int:
    """The command with sound on standard input."""
    parser = argparse.ArgumentParser()
    record.add(parser.add_subparsers())
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(sound.astype("<i2").tobytes())))
    options = parser.parse_args(["record", *map(str, arguments)])
    return options.run(options)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_each_word_becomes_a_trimmed_file_at_16_kilohertz(monkeypatch, tmp_path, capsys, rate):
    sound = speech("hey jetson", "computer", "alexa", rate=rate)
    assert recorded(monkeypatch, sound, tmp_path, "--word", "Hey Jetson", "--stdin", "--rate", rate) == 0
    files = sorted((tmp_path / "hey-jetson").iterdir())
    assert len(files) == 3 and all(path.name.startswith("hey-jetson-") for path in files)
    for path in files:
        samples, found = soundfile.read(path, dtype="float32")
        assert found == 16000 and soundfile.info(path).subtype == "PCM_16"
        kept = take(samples, found)
        assert 0.3 < (kept.end - kept.start) / found < 1.0 and len(samples) / found < 1.6
    out = capsys.readouterr().out
    assert out.count("recording ") == 3 and f"3 recordings in {tmp_path / 'hey-jetson'}" in out


def test_a_folder_is_named_as_its_word_in_any_script(monkeypatch, tmp_path):
    for word, name in {"नमस्ते दुनिया": "नमस्ते-दुनिया", "Tom's_Bot!": "tom-s_bot"}.items():
        assert recorded(monkeypatch, speech("computer"), tmp_path, "--word", word, "--stdin") == 0
        assert [path.suffix for path in (tmp_path / name).iterdir()] == [".wav"]


def test_nothing_is_overwritten_and_the_count_ends_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(record.time, "strftime", lambda form: "20260102-030405")  # all in one second
    sound = speech("computer", "computer", "computer")
    for _ in range(2):
        assert recorded(monkeypatch, sound, tmp_path, "--stdin", "--count", 2) == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"recording-20260102-030405{end}.wav" for end in ("-2", "-3", "-4", "")]
    assert "recording 2 of 2: " in capsys.readouterr().out


def test_what_is_wrong_is_said_for_each_take(monkeypatch, tmp_path, capsys):
    clipped, good = speech("computer", gain=20.0), speech("computer")
    click = speech()
    click[RATE : RATE + 200] = 20000
    assert recorded(monkeypatch, np.concatenate([clipped, click, good]), tmp_path, "--stdin") == 0
    out = capsys.readouterr().out
    assert "left out: The word is clipped" in out and out.count("left out: ") == 2
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("texts", [("computer", "computer"), ("hey", "jetson")])
def test_of_two_words_none_is_lost_without_a_word(monkeypatch, tmp_path, capsys, texts):
    quiet = np.zeros(2 * RATE, np.float32)
    words = [soxr.resample(*speak(text, "en-us+f2"), RATE) for text in texts]
    pause = np.zeros(int(0.35 * RATE), np.float32)  # longer than within a word, shorter than --silence
    sound = np.concatenate([quiet, words[0], pause, words[1], quiet])
    sound += 1e-3 * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    sound = (sound.clip(-1, 1) * 32767).astype(np.int16)
    assert recorded(monkeypatch, np.concatenate([sound, speech("computer")]), tmp_path, "--stdin") == 0
    assert len(list(tmp_path.iterdir())) == 1
    out = capsys.readouterr().out
    assert "left out: It holds 2 words, 0.4 s apart" in out and "1 recording in" in out
    assert recorded(monkeypatch, sound, tmp_path / "short", "--stdin", "--silence", 0.3) == 0
    assert len(list((tmp_path / "short").iterdir())) == 2  # as it says


def test_a_sound_that_never_ends_is_left_out(monkeypatch, tmp_path, capsys):
    tone = (9000 * np.sin(np.arange(5 * RATE) * 0.3)).astype(np.int16)
    with pytest.raises(AudioError, match="No recording was kept"):
        recorded(monkeypatch, np.concatenate([speech(), tone]), tmp_path, "--stdin", "--longest", 2)
    assert "left out: The recording lasts 2.0 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--count", "0"], "--count"),
        (["--word", "!?"], "--word"),
        (["--silence", "0"], "silence"),
        (["--longest", "0.5"], "--longest must be more than --silence, 0.7 s, found 0.5"),
    ],
)
def test_wrong_choices_are_refused(monkeypatch, tmp_path, arguments, said):
    with pytest.raises((OptionError, AudioError), match=said):
        recorded(monkeypatch, speech(), tmp_path, "--stdin", *arguments)


def test_a_file_is_not_heard_as_raw_samples():
    made = io.BytesIO()
    soundfile.write(made, np.zeros(800), 44100, format="WAV")
    with pytest.raises(AudioError, match="a file of sound, which begins with RIFF, not raw 16-bit samples"):
        list(microphone.from_pipe(io.BufferedReader(io.BytesIO(made.getvalue())), 16000))


def test_silence_is_no_take_and_the_folder_must_be_one(monkeypatch, tmp_path):
    with pytest.raises(AudioError, match="No recording was kept"):
        recorded(monkeypatch, speech(), tmp_path, "--stdin")
    (tmp_path / "file").write_text("")
    with pytest.raises(AudioError, match="cannot be made"):
        recorded(monkeypatch, speech(), tmp_path / "file", "--stdin")


def test_ctrl_c_ends_it_and_what_is_kept_stays(monkeypatch, tmp_path, capsys):
    sound = speech("computer")

    def source(rate, device, *_):
        yield sound
        raise KeyboardInterrupt

    monkeypatch.setattr(microphone, "from_microphone", source)
    assert recorded(monkeypatch, sound, tmp_path, "--word", "computer", "--device", "3") == 0
    assert len(list((tmp_path / "computer").iterdir())) == 1
