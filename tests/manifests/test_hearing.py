"""Noise that was mixed in is found again, and clipping is what was clipped."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from heyjetson.audio import is_clipped
from manifests.acoustics import add_noise, coloured_noise
from manifests.hearing import estimate_snr

RATE = 16000


def speech(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Syllables with pauses: harmonics that swell and fade, a third of the time nothing."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 1.3 * time)) / rate
    voice = sum(np.sin(k * pitch + rng.uniform(0, 6)) / k for k in range(1, 20))
    swell = np.clip(np.sin(2 * np.pi * 2.1 * time + rng.uniform(0, 6)) + 0.3, 0, None)
    return (0.1 * voice * swell).astype(np.float32)


@pytest.mark.parametrize("slope", [0.0, 1.0])
@pytest.mark.parametrize("snr", [0.0, 10.0, 20.0, 30.0])
def test_the_noise_that_was_mixed_in_is_found(snr, slope):
    for seed in range(3):
        clean = speech(3.0, seed)
        noisy = add_noise(clean, coloured_noise(np.random.default_rng(seed), len(clean), slope), snr)
        assert estimate_snr(noisy, RATE) == pytest.approx(snr, abs=2.5)


@pytest.mark.parametrize("snr", [5.0, 15.0])
def test_noise_in_recordings_of_people(recordings, snr):
    found = []
    for seed, path in enumerate(sorted((recordings / "an4" / "wav").rglob("*.sph"))[:10]):
        samples, rate = soundfile.read(path, dtype="float32")
        noise = coloured_noise(np.random.default_rng(seed), len(samples), 1.0)
        found.append(estimate_snr(add_noise(samples, noise, snr), rate))
    assert np.median(found) == pytest.approx(snr, abs=2.5)


@given(
    gain=st.floats(0.01, 1),
    offset=st.floats(-0.2, 0.2),
    padding=st.integers(0, 40),
    rate=st.sampled_from([8000, 44100]),
)
@settings(max_examples=10, deadline=None)
def test_neither_level_nor_offset_nor_padding_is_noise(gain, offset, padding, rate):
    clean = speech(2.0, rate=rate)
    noisy = add_noise(clean, coloured_noise(np.random.default_rng(0), len(clean), 0.0), 15.0)
    changed = np.concatenate(
        [noisy * np.float32(gain) + np.float32(offset), np.zeros(padding * rate // 50, np.float32)]
    )
    assert estimate_snr(changed, rate) == pytest.approx(estimate_snr(noisy, rate), abs=0.1)


def test_snr_where_there_is_little_to_hear():
    assert estimate_snr(speech(0.1), RATE) is None
    assert estimate_snr(np.zeros(RATE, np.float32), RATE) is None
    assert estimate_snr(np.empty(0, np.float32), RATE) is None
    assert estimate_snr(np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32), RATE) < 0
    assert 40 < estimate_snr(speech(3.0), RATE) < 110  # pauses of zeros are pauses, not padding


@given(
    level=st.floats(0.3, 1.0), channel=st.integers(0, 1), sign=st.sampled_from([-1, 1]), held=st.integers(1, 6),
    at=st.integers(0, 900),
)  # fmt: skip
def test_three_samples_at_the_extreme_are_clipping(level, channel, sign, held, at):
    sound = np.random.default_rng(0).uniform(-0.2, 0.2, (1000, 2)).astype(np.float32)
    sound[at : at + held, channel] = sign * level
    assert is_clipped(sound) == (held >= 3)


def test_what_is_not_clipping():
    time = np.arange(RATE) / RATE
    for hertz, peak in ((100, 0.99), (50, 0.3), (60, 0.01)):
        tone = np.round(peak * np.sin(2 * np.pi * hertz * time) * 2**15) / 2**15
        assert not is_clipped(tone[:, None].astype(np.float32)), (hertz, peak)
    assert is_clipped(np.clip(3 * speech(1.0) / 0.3, -2, 2)[:, None])  # beyond full scale, as decoders of mp3 return
    assert not is_clipped(np.zeros((100, 1), np.float32))
    assert not is_clipped(np.ones((2, 1), np.float32))
