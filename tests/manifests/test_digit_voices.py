"""Digits by synthetic voices beside recorded ones: whose they are, where they go, and that the tests stay the same."""

import json

import numpy as np
import pytest
import soundfile

from manifests import ManifestError, digit_voices, fsdd, read_manifest
from manifests.digit_voices import VoiceOptions, as_recorded, build, draw_speaker, prepare
from manifests.fsdd import DigitOptions

FEW = {"train": 4, "validation": 3, "test_seen": 3, "test_unseen": 3, "longest": 3}
VOICES = {"voices": ("espeak",), "speakers": {"espeak": 4}, "spoken": 6, "spoken_validation": 2}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """The dataset's layout: two speakers and the unseen one, tones in place of words."""
    folder = tmp_path_factory.mktemp("fsdd")
    for number, speaker in enumerate(("ann", "bob", fsdd.UNSEEN_SPEAKER)):
        for digit in range(10):
            for take in (0, 5, 9):
                tone = 0.3 * np.sin(np.arange(1600) * (digit + 2) * (0.05 + 0.02 * number) + take)
                soundfile.write(folder / f"{digit}_{speaker}_{take}.flac", tone, 8000)
    return folder


@pytest.fixture(scope="module")
def made(dataset, tmp_path_factory):
    """A corpus with synthetic voices in it, and its folder."""
    out = tmp_path_factory.mktemp("made") / "digits"
    return build(dataset, out, VoiceOptions(**FEW, **VOICES)), out


def speakers(manifest):
    return [line.extra["speaker"] for line in read_manifest(manifest)]


def test_tests_are_those_of_the_recordings_alone(dataset, made, tmp_path):
    alone = fsdd.build(dataset, tmp_path / "alone", DigitOptions(**FEW))
    for split in ("test_seen", "test_unseen"):
        pairs = zip(read_manifest(alone[split]), read_manifest(made[0][split]), strict=True)
        assert all(one.text == two.text and one.audio.read_bytes() == two.audio.read_bytes() for one, two in pairs)
    assert set(speakers(made[0]["test_unseen"])) == {fsdd.UNSEEN_SPEAKER}


def test_voices_join_training_and_validation_which_share_none(made):
    train, validation = speakers(made[0]["train"]), speakers(made[0]["validation"])
    assert set(train[:4]) <= {"ann", "bob"} and len(train) == 10
    assert set(validation[:3]) <= {"ann", "bob"} and len(validation) == 5
    voices = [{name.split()[1] for name in part} for part in (train[4:], validation[3:])]
    assert not voices[0] & voices[1] and all(name.startswith("espeak ") for name in train[4:] + validation[3:])
    for line in read_manifest(made[0]["train"]):
        samples, rate = soundfile.read(line.audio)
        assert rate == 16000 and 0.2 < np.abs(samples).max() <= 1 and len(line.text.split()) in (2, 3)


def test_a_speaker_keeps_voice_and_pitch_and_says_each_digit():
    requests = draw_speaker("espeak", "train", 3, seed=1)
    assert [request.text.rstrip("!?") for request in requests] == fsdd.DIGITS
    assert len({(request.voice, request.pitch) for request in requests}) == 1
    assert requests == draw_speaker("espeak", "train", 3, seed=1) != draw_speaker("espeak", "train", 4, seed=1)


def test_a_word_is_cut_tightly_and_has_no_more_of_the_spectrum_than_recordings():
    rng = np.random.default_rng(0)
    word = np.sin(np.arange(8000) * 0.2) + np.sin(np.arange(8000) * 2.4)  # 509 and 6112 Hz
    word = np.concatenate([np.zeros(16000), 0.2 * word, np.zeros(9000)]).astype(np.float32)
    cut = as_recorded(word, rng)
    assert 8000 <= len(cut) <= 8000 + 16000 * 0.07
    power = np.abs(np.fft.rfft(cut)) ** 2
    assert power[len(power) // 2 + 100 :].sum() < 1e-3 * power.sum()


def test_a_speaker_can_be_held_out_for_validation_alone(dataset, tmp_path):
    options = {**FEW, "voices": [], "speakers": {}, "spoken": 0, "spoken_validation": 0, "held_out": "bob"}
    splits = prepare(str(dataset), str(tmp_path / "out"), options)
    assert {name: set(speakers(path)) for name, path in splits.items()} == {
        "train": {"ann"}, "validation": {"bob"}, "test_seen": {"ann"}, "test_unseen": {fsdd.UNSEEN_SPEAKER},
    }  # fmt: skip
    for name in ("cem", fsdd.UNSEEN_SPEAKER):
        with pytest.raises(ManifestError, match="the speakers to learn from are ann, bob"):
            prepare(str(dataset), str(tmp_path / "other"), {**options, "held_out": name})


def test_a_corpus_is_reused_and_another_one_is_refused(dataset, made, monkeypatch):
    monkeypatch.setattr(digit_voices, "write_strings", lambda *_: pytest.fail("it was written again"))
    _, out = made
    assert build(dataset, out, VoiceOptions(**FEW, **VOICES)) == made[0]
    assert json.loads((out / "corpus.json").read_text())["options"]["spoken"] == 6
    with pytest.raises(ManifestError, match=r"strings of digits made with other options"):
        build(dataset, out, VoiceOptions(**FEW, **{**VOICES, "spoken": 7}))
