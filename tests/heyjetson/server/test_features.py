"""Features to look at: the same values as librosa's, on frames that are not padded."""

import librosa
import numpy as np
import pytest

from heyjetson.server.explore import features

RATE = 16000


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    """A chirp in noise, [S]."""
    noise = 0.01 * np.random.default_rng(0).standard_normal(RATE)
    time = np.arange(RATE) / RATE
    return (0.5 * np.sin(2 * np.pi * (100 * time + 3450 * time**2)) + noise).astype(np.float32)


def librosa_power(sound: np.ndarray, window: int, n_fft: int) -> np.ndarray:
    """librosa centres a short window in its transform: as much silence around the sound gives the same frames."""
    padded = np.pad(sound.astype(np.float64), (n_fft - window) // 2)
    spectrum = librosa.stft(padded, n_fft=n_fft, hop_length=160, win_length=window, center=False)
    return np.abs(spectrum) ** 2 * (2 / librosa.filters.get_window("hann", window).sum()) ** 2


def decibels(power: np.ndarray) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, features.GUARD))


def test_the_log_spectrogram_has_161_bins_and_librosas_values(sound):
    found = features.log_spectrogram(sound, RATE)
    assert found.shape == (161, 99)
    np.testing.assert_allclose(found, decibels(librosa_power(sound, 320, 320)), atol=0.05)


def test_a_full_sine_has_a_peak_of_0_decibels():
    sine = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    found = features.log_spectrogram(sine, RATE)
    assert found.max() == pytest.approx(0, abs=0.01)
    assert set(found.argmax(axis=0)) == {20}


def test_the_mel_bands_are_librosas(sound):
    bank = librosa.filters.mel(sr=RATE, n_fft=1024, n_mels=80)
    np.testing.assert_allclose(features.mel_bank(RATE, 1024, 80), bank, atol=1e-6)
    found = features.mel(sound, RATE)
    assert found.shape == (80, 98)
    np.testing.assert_allclose(found, decibels(bank @ librosa_power(sound, 400, 1024)), atol=0.05)


def test_the_cepstral_coefficients_are_librosas(sound):
    bands = features.mel(sound, RATE)
    np.testing.assert_allclose(features.mfcc(bands), librosa.feature.mfcc(S=bands, n_mfcc=13), atol=1e-3)


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_every_band_hears_something_at_other_rates(rate):
    noise = np.random.default_rng(1).standard_normal(rate).astype(np.float32)
    assert (features.mel(noise, rate).max(axis=1) > -80).all()


def test_mel_scale_and_its_inverse():
    hertz = np.array([0.0, 440, 1000, 4000, 8000])
    np.testing.assert_allclose(features.mel_scale(hertz), librosa.hz_to_mel(hertz), atol=1e-9)
    np.testing.assert_allclose(features.mel_hertz(features.mel_scale(hertz)), hertz, atol=1e-6)


def test_sound_shorter_than_a_window_has_no_frame():
    assert features.log_spectrogram(np.zeros(100, np.float32), RATE).shape == (161, 0)


def test_the_envelope_holds_every_peak():
    samples = np.zeros(10_000, np.float32)
    samples[1234], samples[9999] = 0.5, -0.25
    low, high = features.envelope(samples, 1200)
    assert len(low) == len(high) == 1200
    assert (high.max(), low.min()) == (0.5, -0.25)
    assert len(features.envelope(samples[:7], 1200)[0]) == 7
