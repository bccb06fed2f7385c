"""Noise and rooms baked into recordings: at the ratio that is written down, the same on any number of threads."""

import json

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifests import ManifestError, read_manifest
from manifests.acoustics import add_room
from manifests.espeak import speak
from manifests.mix import MixOptions, mix, noise_piece, room_response, skipped

RATE = 16000
TEXTS = ("turn on the light", "seven four nine", "what is the time")


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """A manifest of three spoken sentences with an extra key."""
    folder = tmp_path_factory.mktemp("speech")
    lines = []
    for number, text in enumerate(TEXTS):
        samples, rate = speak(text, "en-us+f1")
        samples = soxr.resample(samples, rate, RATE) * np.float32(0.2 / np.abs(samples).max())
        soundfile.write(folder / f"{number}.wav", samples, RATE)
        line = {
            "audio_filepath": f"{number}.wav",
            "duration": len(samples) / RATE,
            "text": text,
            "speaker": f"s{number}",
        }
        lines.append(json.dumps(line))
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n")
    return folder / "train.jsonl"


@pytest.fixture(scope="module")
def noises(tmp_path_factory):
    """Noise of several formats, rates, channels and lengths, and a file that is none."""
    folder = tmp_path_factory.mktemp("noises")
    (folder / "street").mkdir()
    rng = np.random.default_rng(0)
    soundfile.write(folder / "long.flac", rng.standard_normal(8000 * 20) * 0.1, 8000)
    soundfile.write(folder / "street" / "short.wav", rng.standard_normal((4410, 2)) * 0.1, 44100)
    soundfile.write(folder / "middle.ogg", rng.standard_normal(RATE * 2) * 0.1, RATE)
    (folder / "broken.wav").write_bytes(b"RIFF but not really")
    return folder


def sounds(manifest):
    return [(utterance, soundfile.read(utterance.audio, dtype="float32")[0]) for utterance in read_manifest(manifest)]


def decibels(signal, rest):
    return 10 * np.log10(np.mean(signal**2) / np.mean(rest**2))


@pytest.mark.parametrize("recorded", [False, True])
def test_the_ratio_is_the_one_in_the_manifest(speech, noises, tmp_path, recorded):
    options = MixOptions(noise=noises if recorded else None, snr_low=0, snr_high=20, room_probability=0, copies=3)
    made = sounds(mix(speech, tmp_path, options))
    assert len(made) == 9
    clean = sounds(speech)
    ratios = []
    for number, (utterance, samples) in enumerate(made):
        source, expected = clean[number // 3]
        assert (utterance.text, utterance.extra["speaker"]) == (source.text, source.extra["speaker"])
        assert utterance.duration == pytest.approx(source.duration, abs=1e-4)
        assert utterance.extra["rir"] is None
        assert decibels(expected, samples - expected) == pytest.approx(utterance.extra["snr"], abs=0.1)
        ratios.append(utterance.extra["snr"])
        known = {"long.flac", "street/short.wav", "middle.ogg"}
        assert utterance.extra["noise"] in known if recorded else utterance.extra["noise"].startswith("drawn: 1/f^")
    assert 0 <= min(ratios) < max(ratios) <= 20
    named = skipped(tmp_path / "train.jsonl")
    assert (tmp_path / "train.skipped.txt").exists() == recorded
    assert len(named) == recorded and all(f"{noises / 'broken.wav'} cannot be decoded" in one for one in named)


def test_the_sound_depends_on_the_seed_alone(speech, noises, tmp_path):
    options = MixOptions(noise=noises, room_probability=0.5, copies=2, seed=3)
    once = sounds(mix(speech, tmp_path / "a", options, workers=1))
    twice = sounds(mix(speech, tmp_path / "b", options, workers=3))
    for (one, samples), (two, again) in zip(once, twice, strict=True):
        assert (one.text, one.extra) == (two.text, two.extra)
        np.testing.assert_array_equal(samples, again)
    assert len({samples.tobytes() for _, samples in once}) == 6
    other = sounds(mix(speech, tmp_path / "c", MixOptions(noise=noises, room_probability=0.5, copies=2, seed=4)))
    assert not {samples.tobytes() for _, samples in once} & {samples.tobytes() for _, samples in other}


@pytest.mark.parametrize(("gain", "rate"), [(0.3, RATE), (-0.02, RATE), (0.3, 48000)])
def test_a_room_keeps_level_and_delays_nothing(speech, tmp_path, gain, rate):
    response = np.zeros(4000, np.float32)
    response[900] = gain  # a direct sound that comes late, and nothing else
    soundfile.write(tmp_path / "late.wav", response, rate, subtype="FLOAT")
    options = MixOptions(rir=tmp_path / "late.wav", room_probability=1, noise_probability=0)
    made = sounds(mix(speech, tmp_path / "out", options))
    for (utterance, samples), (_, clean) in zip(made, sounds(speech), strict=True):
        assert (utterance.extra["rir"], utterance.extra["noise"], utterance.extra["snr"]) == ("late.wav", None, None)
        assert len(samples) == len(clean)
        assert decibels(clean, samples - clean) > 30


def test_the_echoes_of_a_room_are_heard(tmp_path):
    response = np.zeros(4000, np.float32)
    response[[500, 1300]] = 0.5, 0.25
    soundfile.write(tmp_path / "echo.flac", response, RATE)
    found, lead = room_response(tmp_path / "echo.flac", RATE)
    click = np.zeros(3000, np.float32)
    click[100] = 1
    heard = add_room(np.pad(click, (0, lead)), found)[lead:]
    assert heard[[100, 900]] == pytest.approx([1.0, 0.5], abs=1e-3)


def test_nothing_clips(tmp_path):
    tone = np.sin(np.arange(RATE) * 0.3).astype(np.float32) * 0.99
    soundfile.write(tmp_path / "a.wav", tone, RATE)
    (tmp_path / "loud.jsonl").write_text('{"audio_filepath": "a.wav", "duration": 1.0, "text": "a"}\n')
    options = MixOptions(snr_low=-5, snr_high=-5, room_probability=1)
    ((utterance, samples),) = sounds(mix(tmp_path / "loud.jsonl", tmp_path / "out", options))
    peak = np.abs(samples).max()
    assert 0.999 < peak <= 1
    assert (np.abs(samples) == peak).sum() <= 2
    assert utterance.extra["rir"].startswith("drawn: ")


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    length=st.integers(3, 9000),  # fewer may be less than one sample at another rate
    rate=st.sampled_from([8000, 11025, 16000, 44100]),
    samples=st.integers(1, 9000),
    seed=st.integers(0, 99),
)
def test_a_piece_of_noise_is_as_long_as_asked(tmp_path, length, rate, samples, seed):
    source = np.random.default_rng(seed).uniform(0.5, 1.0, length).astype(np.float32)
    soundfile.write(tmp_path / "n.wav", source, rate, subtype="FLOAT")
    piece = noise_piece(tmp_path / "n.wav", np.random.default_rng(seed), samples, RATE)
    assert piece.shape == (samples,)
    assert np.isfinite(piece).all()
    if rate == RATE:  # a loop or a crop: nothing that is not in the recording
        assert np.isin(piece, source).all()
        assert len(np.unique(piece)) == min(len(np.unique(source)), len(piece)) or length > samples


def test_pauses_of_a_noise_are_passed_over(speech, tmp_path):
    noise = np.zeros(RATE * 30, np.float32)
    noise[: RATE * 6] = np.random.default_rng(0).standard_normal(RATE * 6) * 0.1
    soundfile.write(tmp_path / "mostly_silent.wav", noise, RATE)
    made = sounds(mix(speech, tmp_path / "out", MixOptions(tmp_path / "mostly_silent.wav", room_probability=0)))
    for (utterance, samples), (_, clean) in zip(made, sounds(speech), strict=True):
        assert decibels(clean, samples - clean) == pytest.approx(utterance.extra["snr"], abs=0.5)


def test_bad_recordings_are_named_and_not_fatal(speech, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(RATE), RATE)
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    good = read_manifest(speech)[0].audio
    bad = [tmp_path / name for name in ("silent.wav", "broken.wav", "missing.wav")]
    lines = [json.dumps({"audio_filepath": str(path), "duration": 1.0, "text": "a"}) for path in [*bad, good]]
    (tmp_path / "m.jsonl").write_text("\n".join(lines))
    target = mix(tmp_path / "m.jsonl", tmp_path / "out", MixOptions(copies=2))
    assert len(read_manifest(target)) == 2
    assert len(skipped(target)) == 3
    for path, fault in zip(bad, skipped(target), strict=True):
        assert fault.startswith(f"{path} ")
    (tmp_path / "all_bad.jsonl").write_text("\n".join(lines[:3]))
    with pytest.raises(ManifestError, match="None of the 3 recordings"):
        mix(tmp_path / "all_bad.jsonl", tmp_path / "out", MixOptions())


def test_a_finished_mix_is_kept_and_another_is_not_overwritten(speech, tmp_path):
    target = mix(speech, tmp_path, MixOptions())
    written = [utterance.audio.stat().st_mtime_ns for utterance in read_manifest(target)]
    assert mix(speech, tmp_path, MixOptions()) == target
    assert [utterance.audio.stat().st_mtime_ns for utterance in read_manifest(target)] == written
    with pytest.raises(ManifestError, match="made in another way"):
        mix(speech, tmp_path, MixOptions(seed=2))
    with pytest.raises(ManifestError, match="made in another way"):  # its own source least of all
        mix(speech, speech.parent, MixOptions())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"snr_low": 20, "snr_high": 0}, "goes from low to high"),
        ({"snr_low": float("nan")}, "goes from low to high"),
        ({"room_probability": 1.5}, "room_probability is a share"),
        ({"noise_probability": -1}, "noise_probability is a share"),
        ({"copies": 0}, "copies must be at least 1"),
        ({"seed": -1}, "seed at least 0"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ManifestError, match=message):
        MixOptions(**options)


def test_noise_that_is_not_there_is_refused(speech, tmp_path):
    with pytest.raises(ManifestError, match="no noise to mix in: .* does not exist"):
        mix(speech, tmp_path / "out", MixOptions(noise=tmp_path / "nowhere"))
    with pytest.raises(ManifestError, match="no room to mix in: .* holds no recordings"):
        mix(speech, tmp_path / "out", MixOptions(rir=tmp_path))


def test_real_speech_in_real_noise(recordings, tmp_path):
    digits = sorted((recordings / "fsdd" / "recordings").glob("7_*_0.flac"))
    lines = [
        {"audio_filepath": str(path), "duration": soundfile.info(path).duration, "text": "seven"} for path in digits
    ]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "noise").mkdir()
    for path in [*sorted((recordings / "commands").glob("*.flac"))[:5], *(recordings / "broken").glob("*.flac")]:
        (tmp_path / "noise" / path.name).symlink_to(path)
    options = MixOptions(noise=tmp_path / "noise", room_probability=0.5, copies=3)
    target = mix(tmp_path / "test.jsonl", tmp_path / "out", options)
    made = sounds(target)
    assert len(made) == 3 * len(digits)
    assert all(np.isfinite(samples).all() and np.abs(samples).max() > 0.01 for _, samples in made)
    assert all(soundfile.info(utterance.audio).samplerate == 8000 for utterance, _ in made)
    assert {utterance.extra["rir"] is None for utterance, _ in made} == {True, False}
