"""benchmarks/wake_word_peers.py on tones and a bundle that hears them: all hear the same, and nothing twice."""

import argparse

import numpy as np
import pytest
import soundfile

from benchmarks import wake_word_peers, wake_word_sound, wake_word_systems
from tests.heyjetson.trigger_fake import PITCH, RATE, make_trigger, write_words


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """wake_words/WORD, a corpus in Kaldi's layout of which one utterance has a word, and noise with rooms."""
    folder = tmp_path_factory.mktemp("data")
    write_words(folder / "wake_words", 12)
    rng = np.random.default_rng(0)
    for name in ("ljspeech", "commands", "noise", "noise/rooms", "speechocean/WAVE", "speechocean/test"):
        (folder / name).mkdir(parents=True)
        for number in range(20 if name != "speechocean/test" else 0):
            soundfile.write(folder / name / f"{number}.wav", 0.1 * rng.standard_normal(RATE // 2), RATE)
    test = folder / "speechocean" / "test"
    (test / "wav.scp").write_text("".join(f"u{number} WAVE/{number}.wav\n" for number in range(20)))
    said = [f"u{number} {'SAY ' + next(iter(PITCH)).upper() if number == 3 else 'GOOD DAY'}" for number in range(20)]
    (test / "text").write_text("\n".join(said) + "\n")
    return folder


def test_speech_comes_once_and_holds_no_word(data):
    pieces = list(wake_word_sound.speech(data, list(PITCH), 1.0))
    parts = wake_word_sound.of_part([data / f"{number}.wav" for number in range(20)], "test")
    assert len(pieces) == 19 + 3 * len(parts)  # of noise the test part alone, too
    assert len({piece.tobytes() for piece in pieces}) == len(pieces)
    assert len(list(wake_word_sound.speech(data, list(PITCH), 1e-3))) < len(pieces)
    more = list(wake_word_sound.speech(data, list(PITCH), 1.0, [data / "noise" / "rooms"]))
    assert len(more) == len(pieces) + 20


def test_a_clip_is_whole_chunks_and_says_where_its_word_is(data):
    (said, *_) = wake_word_sound.recordings(data, list(PITCH), "all", 1)
    noises, rooms = [np.ones(RATE, np.float32)], [np.ones(1, np.float32)]
    for condition in wake_word_sound.CONDITIONS:
        samples, start, end = wake_word_sound.clip(said, condition, noises, rooms, 1)
        again, *_ = wake_word_sound.clip(said, condition, noises, rooms, 1)
        assert samples.dtype == np.int16 and len(samples) % wake_word_systems.CHUNK == 0
        assert (samples == again).all()
        assert 1.0 <= start < end <= len(samples) / RATE
        assert end - start == pytest.approx((said.end - said.start) / RATE)


def test_an_engine_that_raises_a_word_in_every_frame_is_one_event():
    once, chunk = wake_word_systems.Once(), np.zeros(1280, np.int16)
    raised = [bool(once(chunk, "alexa", at % 30 in range(5))) for at in range(60)]
    assert np.flatnonzero(raised).tolist() == [0, 30]


def test_the_row_of_a_bundle_that_hears_its_tones(data, tmp_path, monkeypatch):
    monkeypatch.setattr(wake_word_peers, "rooms", lambda data: [np.ones(1, np.float32)])
    calibration = {word: [{"false_alarms_per_hour": 0.5, "threshold": 0.2, "miss_rate": 0.0}] for word in PITCH}
    rules = {"smoothing": 0.12, "refractory": 1.0, "calibration": calibration, "hours": 1.8}
    bundle = make_trigger(tmp_path / "wake", trigger=rules).folder
    ask = wake_word_peers.Ask(data, list(PITCH), "all", 4, 0.005, [])
    heard = wake_word_peers.listen(wake_word_systems.Ours, str(bundle), ask)
    assert heard.counts["clean"] == {word: [4, 4] for word in PITCH}
    assert set(heard.counts) == set(wake_word_sound.CONDITIONS)
    assert heard.hours == pytest.approx(0.005, rel=0.1) and sum(heard.accepts.values()) == 0
    cells = [cell.strip() for cell in heard.row("tones").split("|")[1:-1]]
    assert len(cells) == len(wake_word_peers.HEADS) and cells[:2] == ["tones", "0.0%"]


def test_what_is_not_there_is_named(capsys):
    given = argparse.Namespace(bundles=["a=b", "c"], only=["heed-wakeword 0.1.4", "Porcupine 1.9.5"], heed=None)
    names = [(name, path) for name, _, path in wake_word_peers.systems(given)]
    assert names[:2] == [("a", "b"), ("c", "c")] and len(names) <= 3
    assert "left out: heed-wakeword 0.1.4" in capsys.readouterr().out
