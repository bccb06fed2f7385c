"""Corpora are the same from the same seed, and what is held out is held out."""

import hashlib
import json
import random

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from manifests import ManifestError, fsdd, read_manifest, synthetic
from manifests.acoustics import add_noise, add_room, coloured_noise, room
from manifests.espeak import speak
from manifests.sentences import AN4, RARE_WORDS, draw_sentence

LABELS = set(" abcdefghijklmnopqrstuvwxyz'")


@given(st.integers(0, 10**9), st.sampled_from([AN4, RARE_WORDS]))
def test_sentences_stay_within_the_labels(seed, mix):
    transcript, spoken = draw_sentence(random.Random(seed), mix)
    assert set(transcript) <= LABELS
    assert transcript == " ".join(transcript.split()) != ""
    assert len(spoken.split()) == len(transcript.split())


def test_the_synthetic_corpus(corpus):
    splits = {split: read_manifest(corpus / f"{split}.jsonl") for split in synthetic.VOICES}
    assert [len(utterances) for utterances in splits.values()] == [12, 4, 8]
    variants = {
        split: {utterance.extra["speaker"].partition("+")[2] for utterance in utterances}
        for split, utterances in splits.items()
    }
    assert not variants["train"] & (variants["test"] | variants["validation"])
    for utterance in splits["test"]:
        samples, rate = soundfile.read(utterance.audio)
        assert rate == 16000
        assert len(samples) / rate == pytest.approx(utterance.duration, abs=1e-3)
        assert 0.05 < np.abs(samples).max() <= 1.0


def test_no_voice_is_in_two_splits_and_all_exist():
    voices = [voice for split in synthetic.VOICES.values() for voice in split]
    assert len(voices) == len(set(voices))
    for voice in voices:
        assert len(speak("one", f"en-us+{voice}")[0]) > 2000
    for accent in synthetic.ACCENTS:
        speak("one", f"{accent}+f1")
    with pytest.raises(ValueError, match="no voice"):
        speak("one", "en-us-atlantis+nobody")


def test_the_same_seed_gives_the_same_sound(corpus, tmp_path):
    again = tmp_path / "again"
    options = synthetic.SyntheticOptions(train=12, validation=4, test=8)
    synthetic.build(again, options, workers=1)
    for path in sorted(corpus.rglob("*.wav")):
        twin = again / path.relative_to(corpus)
        assert hashlib.md5(path.read_bytes()).digest() == hashlib.md5(twin.read_bytes()).digest(), path.name
    # A finished corpus is reused; another one is not overwritten.
    synthetic.build(again, options)
    with pytest.raises(ManifestError, match="made with other options"):
        synthetic.build(again, synthetic.SyntheticOptions(train=13, validation=4, test=8))


@given(snr=st.floats(-5, 40), slope=st.floats(0, 2), seed=st.integers(0, 99))
def test_noise_is_mixed_at_its_ratio(snr, slope, seed):
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal(4001).astype(np.float32)
    noise = coloured_noise(rng, 4001, slope)
    added = add_noise(signal, noise, snr) - signal
    assert 10 * np.log10(np.mean(signal**2) / np.mean(added**2)) == pytest.approx(snr, abs=0.05)


def test_a_room_delays_nothing_and_decays():
    response = room(np.random.default_rng(0), 16000, 0.4, 5.0)
    assert response[0] == 1.0
    assert 10 * np.log10(1 / np.sum(response[1:] ** 2)) == pytest.approx(5.0, abs=0.01)
    assert np.sum(response[3200:] ** 2) < 0.01 * np.sum(response[1:] ** 2)
    click = np.zeros(8000, np.float32)
    click[100] = 1.0
    heard = add_room(click, response)
    assert len(heard) == 8000
    assert np.abs(heard).argmax() == 100


def fake_digits(folder):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for speaker in ("george", "lucas", fsdd.UNSEEN_SPEAKER):
        for digit in range(10):
            for take in range(9):
                samples = rng.standard_normal(2400) * 0.1
                soundfile.write(folder / f"{digit}_{speaker}_{take}.wav", samples, 8000)
    return folder


def test_digit_strings(tmp_path):
    source = fake_digits(tmp_path / "source")
    options = fsdd.DigitOptions(train=30, validation=5, test_seen=5, test_unseen=6)
    made = fsdd.build(source, tmp_path / "out", options)
    for split, path in made.items():
        utterances = read_manifest(path)
        assert len(utterances) == getattr(options, split)
        for utterance in utterances:
            assert 2 <= len(utterance.text.split()) <= 6
            assert (utterance.extra["speaker"] == fsdd.UNSEEN_SPEAKER) == (split == "test_unseen")
            assert soundfile.info(utterance.audio).samplerate == 16000
    with pytest.raises(ManifestError, match="other options"):
        fsdd.build(source, tmp_path / "out", fsdd.DigitOptions(train=31))
    with pytest.raises(ManifestError, match="does not hold the Free Spoken Digit Dataset"):
        fsdd.build(tmp_path / "out", tmp_path / "other", options)


def test_a_speaker_of_the_digits_can_be_held_out_to_choose_by(tmp_path):
    source = fake_digits(tmp_path / "source")
    few = {"train": 20, "validation": 8, "test_seen": 8, "test_unseen": 2}
    made = fsdd.build(source, tmp_path / "lucas", fsdd.DigitOptions(**few, held_out="lucas"))
    speakers = {split: {line.extra["speaker"] for line in read_manifest(path)} for split, path in made.items()}
    assert speakers == {
        "train": {"george"}, "validation": {"lucas"}, "test_seen": {"george"}, "test_unseen": {fsdd.UNSEEN_SPEAKER}
    }  # fmt: skip
    with pytest.raises(ManifestError, match="the speakers to learn from are george, lucas"):
        fsdd.build(source, tmp_path / "none", fsdd.DigitOptions(held_out=fsdd.UNSEEN_SPEAKER))
    # What was made before there was this option is taken again.
    fsdd.build(source, tmp_path / "all", fsdd.DigitOptions(**few))
    stamp = json.loads((tmp_path / "all" / "corpus.json").read_text())
    before = {**few, "shortest": 2, "longest": 6, "seed": 1, "sample_rate": 16000}
    described = json.dumps([fsdd.VERSION, before, fsdd.listing(fsdd.find_recordings(source))], sort_keys=True)
    assert stamp["fingerprint"] == hashlib.sha256(described.encode()).hexdigest()[:12]


def test_digit_strings_from_takes_kept_apart():
    for a, b in [("train", "validation"), ("train", "test_seen"), ("validation", "test_seen")]:
        assert not set(fsdd.TAKES[a]) & set(fsdd.TAKES[b])


def test_the_real_digits(recordings, tmp_path):
    options = fsdd.DigitOptions(train=4, validation=2, test_seen=2, test_unseen=2)
    made = fsdd.build(recordings / "fsdd", tmp_path / "digits", options)
    assert {utterance.extra["speaker"] for utterance in read_manifest(made["test_unseen"])} == {"yweweler"}


def test_an_unreachable_download_names_the_cure(tmp_path):
    from manifests.download import fetch_archive

    with pytest.raises(ManifestError, match="--source"):
        fetch_archive("http://127.0.0.1:9/nothing.tar.gz", tmp_path / "target")
    assert list(tmp_path.iterdir()) == []


def test_a_download_is_unpacked_once(tmp_path):
    import tarfile

    from manifests.download import fetch_archive

    (tmp_path / "clip.txt").write_text("sound")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "clip.txt", "inside/clip.txt")
    url = (tmp_path / "a.tar.gz").as_uri()
    folder = fetch_archive(url, tmp_path / "target")
    assert (folder / "inside" / "clip.txt").read_text() == "sound"
    (tmp_path / "a.tar.gz").unlink()
    assert fetch_archive(url, tmp_path / "target") == folder
    (tmp_path / "bad.tar.gz").write_bytes(b"no archive")
    with pytest.raises(ManifestError, match="did not unpack"):
        fetch_archive((tmp_path / "bad.tar.gz").as_uri(), tmp_path / "other")
