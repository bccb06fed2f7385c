"""Rooms and noise in training: what is drawn is what is heard, padding stays silent, nothing grows before it may."""

import json

import numpy as np
import pytest
import soundfile
import torch
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from nemo.core.classes.common import safe_instantiate

from custom_modules.perturb import WaveformPerturbation
from custom_modules.surroundings import (
    PIECE_SIZE,
    NoiseRecordings,
    apply_rir,
    coloured_noise,
    drawn_noise,
    room_responses,
)
from manifests.acoustics import add_room

RATE = 16000


def batch(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Utterances with pauses and unlike levels, padded."""
    length = torch.tensor(lengths)
    place = torch.arange(int(length.max()))
    samples = torch.randn(len(lengths), len(place)) * torch.sin(place / 1500.0).clamp_min(0) * 0.2
    samples *= torch.linspace(0.2, 1.0, len(lengths))[:, None]
    return samples * (place < length[:, None]), length


def decibels(signal: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
    return 10 * torch.log10(signal.square().sum(1) / rest.square().sum(1))


@pytest.fixture(scope="module")
def hum(tmp_path_factory):
    """A folder of recordings that are tones of 1 kHz: shorter and longer than an utterance, at several rates."""
    folder = tmp_path_factory.mktemp("hum")
    (folder / "deeper").mkdir()
    for name, rate, seconds in (("a.wav", 8000, 0.25), ("deeper/b.flac", 44100, 3.0), ("c.ogg", 16000, 1.0)):
        soundfile.write(folder / name, 0.3 * np.sin(2 * np.pi * 1000 * np.arange(int(rate * seconds)) / rate), rate)
    return folder


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.integers(1, 3000), min_size=1, max_size=5),
    speed=st.sampled_from([0.0, 0.15, 0.4]),
    rooms=st.sampled_from([0.0, 0.5, 1.0]),
    noise=st.sampled_from([0.0, 0.5, 1.0]),
    strength=st.sampled_from([0.0, 1e-6, 0.5, 1.0]),
    seed=st.integers(0, 1000),
)
def test_padding_stays_silent_and_lengths_are_kept(lengths, speed, rooms, noise, strength, seed):
    torch.manual_seed(seed)
    samples, length = batch(*lengths)
    given_samples = samples.clone()
    perturb = WaveformPerturbation(
        speed, level=6.0, colour=0.3, room_probability=rooms, noise_probability=noise, snr_low=-10
    )
    perturb.strength = strength
    changed, new_length = perturb(samples, length)
    assert torch.equal(samples, given_samples)
    assert changed.shape == (len(lengths), int(new_length.max()))
    assert torch.isfinite(changed).all()
    for row, count in enumerate(new_length.tolist()):
        assert not changed[row, count:].any()
        assert lengths[row] / (1 + speed) - 1 <= count <= max(lengths[row] / (1 - speed) + 1, 1)
    if not strength:
        assert torch.equal(changed, samples) and torch.equal(new_length, length)


@settings(deadline=None, max_examples=15)
@given(snr=st.floats(-10, 40), slope=st.floats(0, 3), seed=st.integers(0, 99))
def test_the_ratio_is_the_one_drawn(snr, slope, seed):
    torch.manual_seed(seed)
    samples, length = batch(16000, 7000, 300)
    perturb = WaveformPerturbation(noise_probability=1, snr_low=snr, snr_high=snr, noise_slope=slope)
    noise = perturb(samples, length)[0] - samples
    torch.testing.assert_close(decibels(samples, noise), torch.full([3], snr), atol=0.5, rtol=0)


def test_ratios_fill_their_range():
    torch.manual_seed(0)
    samples, length = batch(*[2000] * 400)
    found = decibels(
        samples, WaveformPerturbation(noise_probability=1, snr_low=5, snr_high=15)(samples, length)[0] - samples
    )
    assert 4.9 < float(found.min()) < 5.5
    assert 14.5 < float(found.max()) < 15.1
    assert float(found.mean()) == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize("part", ["room_probability", "noise_probability"])
def test_the_share_is_the_one_asked_for(part):
    torch.manual_seed(0)
    samples, length = batch(*[800] * 500)
    changed = WaveformPerturbation(**{part: 0.3})(samples, length)[0]
    assert 0.2 < float((changed != samples).any(1).float().mean()) < 0.4


def test_utterances_are_quieter_as_microphones_are():
    torch.manual_seed(0)
    samples, length = batch(*[800] * 2000)
    perturb = WaveformPerturbation(level=6.0, quieter=30.0)

    def gains() -> torch.Tensor:
        heard = perturb(samples, length)[0]
        return 10 * torch.log10(heard.square().sum(1) / samples.square().sum(1))

    full = gains()
    assert -36 < float(full.min()) < -33 and 3 < float(full.max()) < 6
    assert float(full.mean()) == pytest.approx(-15, abs=0.7)
    perturb.strength = 0.1  # as training begins
    first = gains()
    assert -3.6 < float(first.min()) < -3.2 and 0.3 < float(first.max()) < 0.6


def test_everything_grows_from_nothing():
    torch.manual_seed(0)
    samples, length = batch(16000, 12000)
    noisy = WaveformPerturbation(noise_probability=1, snr_low=10, snr_high=10)
    room = WaveformPerturbation(room_probability=1, direct_to_reverberant=15)
    for perturb, expected in ((noisy, 10.0), (room, 15.0)):
        for strength in (1.0, 0.1, 0.01):
            perturb.strength = strength
            ratio = decibels(samples, perturb(samples, length)[0] - samples)
            # A room's tail is cut where the utterance ends, and adds up with itself.
            tolerance = 0.5 if perturb is noisy else 4.0
            wanted = torch.full([2], expected - 20 * float(np.log10(strength)))
            torch.testing.assert_close(ratio, wanted, atol=tolerance, rtol=0)


def test_the_same_seed_draws_the_same(hum):
    samples, length = batch(6000, 5000, 4000)
    perturb = WaveformPerturbation(
        0.1, 6.0, 0.3, room_probability=0.5, noise_probability=0.7, noise_recordings=str(hum), recorded_share=0.5
    )
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        results.append(perturb(samples, length)[0])
    assert torch.equal(results[0], results[1])
    assert results[0].shape != results[2].shape or not torch.equal(results[0], results[2])


def test_half_precision_is_heard_alike():
    samples, length = batch(4000, 3000)
    perturb = WaveformPerturbation(room_probability=1, noise_probability=1)
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        results.append(perturb(samples.to(dtype), length)[0].float())
    assert (decibels(results[0], results[1] - results[0]) > 35).all()


def test_a_room_delays_nothing_and_falls_silent_in_its_time():
    torch.manual_seed(0)
    times, drier = torch.tensor([0.2, 0.5, 0.5]), torch.tensor([-5.0, -5.0, -15.0])
    responses = room_responses(times, drier, RATE, 0.5)
    assert responses.shape == (3, 8000)
    assert (responses[:, 0] == 1).all()
    torch.testing.assert_close(10 * torch.log10(responses[:, 1:].square().sum(1)), drier, atol=0.01, rtol=0)
    # Schroeder's backward integral falls by 60 dB in T60, so from 5 to 25 dB in a third of it.
    energy = responses[:, 1:].square().flip(1).cumsum(1).flip(1)
    level = 10 * torch.log10(energy / energy[:, :1])
    measured = 3 * ((level > -25).sum(1) - (level > -5).sum(1)) / RATE
    torch.testing.assert_close(measured, times, atol=0.03, rtol=0)
    samples = torch.randn(3, 5001)
    heard = apply_rir(samples, responses)
    for row in range(3):
        np.testing.assert_allclose(heard[row], add_room(samples[row].numpy(), responses[row].numpy()), atol=1e-4)


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_has_its_colour(slope):
    torch.manual_seed(0)
    power = torch.fft.rfft(coloured_noise(torch.full([60], slope), RATE)).abs().square().mean(0)
    octaves = [power[low : 2 * low].mean().log2() for low in (250, 500, 1000, 2000, 4000)]
    fall = -np.polyfit(range(5), octaves, 1)[0]
    assert fall == pytest.approx(slope, abs=0.1)


def test_each_part_is_off_by_one_word(compose_config):
    parts = ("room_probability", "noise_probability", "speed", "level", "quieter", "colour")
    cfg = compose_config("augment=full", *(f"augment.waveform.{part}=0" for part in parts)).model.perturb
    samples, length = batch(4000, 3000)
    changed, new_length = instantiate(cfg)(samples, length)
    assert torch.equal(changed, samples) and torch.equal(new_length, length)


def test_the_default_draws_neither_rooms_nor_noise(compose_config):
    default = compose_config().model.perturb
    assert (default.room_probability, default.noise_probability, default.noise_recordings) == (0, 0, None)
    noisy = compose_config("augment=noisy").model
    assert noisy.perturb.room_probability > 0 and noisy.perturb.noise_probability > 0 and noisy.spec_augment is None
    full = compose_config("augment=full", "data.sample_rate=8000").model
    assert full.spec_augment.freq_masks > 0
    assert dict(full.perturb) == dict(noisy.perturb) | {"sample_rate": 8000}


def test_recorded_noise_is_what_was_recorded(hum, tmp_path):
    torch.manual_seed(0)
    lines = [json.dumps({"audio_filepath": str(path), "duration": 1.0}) for path in sorted(hum.rglob("*.*"))]
    (tmp_path / "noise.jsonl").write_text("\n".join(lines))
    samples, length = batch(16000, 9000, 16000, 400)
    for where in (hum, tmp_path / "noise.jsonl"):
        perturb = WaveformPerturbation(
            noise_probability=1, snr_low=3, snr_high=3, noise_recordings=str(where), recorded_share=1
        )
        noise = perturb(samples, length)[0] - samples
        torch.testing.assert_close(decibels(samples, noise), torch.full([4], 3.0), atol=0.5, rtol=0)
        spectrum = torch.fft.rfft(noise[[0, 2]]).abs().square()
        assert (spectrum[:, 950:1050].sum(1) > 0.9 * spectrum.sum(1)).all()


def test_recorded_noise_stays_within_its_memory(tmp_path):
    for number in range(6):
        soundfile.write(tmp_path / f"{number}.wav", np.full(RATE * 30, 0.1 * (number + 1)), RATE)
    few = NoiseRecordings(str(tmp_path), RATE, memory=2 * RATE * 25)
    assert few.samples.numel() == RATE * 25 and len(few.sizes) == 3  # ten seconds, ten, and what is left
    fair = NoiseRecordings(str(tmp_path), RATE, memory=2 * RATE * 120)
    assert fair.sizes.tolist() == [RATE * 20] * 6
    assert torch.equal(fair.samples, NoiseRecordings(str(tmp_path), RATE, memory=2 * RATE * 120).samples)


def test_a_recording_that_cannot_be_read_is_named(hum, tmp_path):
    soundfile.write(tmp_path / "good.wav", np.ones(500) * 0.1, RATE)
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    soundfile.write(tmp_path / "silent.wav", np.zeros(500), RATE)
    with pytest.warns(UserWarning, match="2 noise recordings cannot be used, the first is .*(broken|silent).wav"):
        assert len(NoiseRecordings(str(tmp_path), RATE).sizes) == 1
    (tmp_path / "good.wav").unlink()
    with pytest.raises(ValueError, match="None of 2 recordings in augment.waveform.noise_recordings=.* the first is"):
        NoiseRecordings(str(tmp_path), RATE)
    (tmp_path / "bad.jsonl").write_text('{"path": "a.wav"}\n')
    for where, message in ((tmp_path / "bad.jsonl", "must hold lines like"), (tmp_path / "no", "on this machine")):
        with pytest.raises(ValueError, match=message):
            NoiseRecordings(str(where), RATE)


def test_a_model_is_built_where_its_noise_is_not():
    """Restoring a `.nemo` builds what it was trained with, on a machine that may lack the recordings."""
    cfg = {"_target_": "custom_modules.perturb.WaveformPerturbation", "noise_probability": 0.01}
    perturb = safe_instantiate(cfg | {"noise_recordings": "/gone"})
    with pytest.raises(ValueError, match=r"no noise recordings at /gone: .*augment\.waveform\.noise_recordings"):
        perturb(*batch(4000))
    perturb.noise_probability = 0  # off by one word, wherever the recordings are
    perturb(*batch(4000))


def test_models_from_before_the_ratios_still_build():
    torch.manual_seed(0)
    samples, length = batch(4000, 4000)
    noise = WaveformPerturbation(noise=10.0)(samples, length)[0] - samples
    assert (decibels(samples, noise) > 9.5).all() and (decibels(samples, noise) < 50.5).all()
    assert WaveformPerturbation(noise=None).noise_probability == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("speed", 0.7),
        ("level", -1.0),
        ("quieter", 61.0),
        ("room_probability", 1.1),
        ("reverberation_time", 0.0),
        ("direct_to_reverberant", 20.0),
        ("noise_probability", -0.1),
        ("snr_low", 31.0),
        ("noise_slope", -1.0),
        ("recorded_share", 2.0),
    ],
)
def test_values_that_cannot_be_are_refused_by_their_key(key, value):
    with pytest.raises(ValueError, match=rf"augment\.waveform\.{key} must be .*, found {value}"):
        WaveformPerturbation(**{key: value})


def test_drawn_noise_is_the_same_whenever_it_is_first_made_and_has_no_seams():
    found = []
    for _ in range(2):  # the first makes the noise, the second finds it made
        torch.manual_seed(3)
        found.append(drawn_noise(40, 4000, 1.7, torch.device("cpu")))
    assert torch.equal(*found)
    whole = drawn_noise(6, PIECE_SIZE + 5000, 2.0, torch.device("cpu"))
    assert torch.equal(whole[:, :5000], whole[:, PIECE_SIZE:])
    steps = whole.diff(dim=1).abs()
    assert (steps.amax(1) < 8 * steps.square().mean(1).sqrt()).all()
    tilt = torch.fft.rfft(found[0] * torch.hann_window(4000)).abs().square()
    tilt = 10 * torch.log10(tilt[:, 100:200].mean(1) / tilt[:, 1000:2000].mean(1))  # a decade of frequency
    assert -1.5 < float(tilt.min()) < 2 and 14 < float(tilt.max()) < 19
