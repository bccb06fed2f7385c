"""The Fourier transform as a convolution is the Fourier transform; padding and batches change nothing."""

import librosa
import numpy as np
import pytest
import scipy.fft
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from custom_modules.frontend import LOG_GUARD, MFCC, LearnedFilterbank, LogMel, LogSpectrogram

KINDS = {"log_spectrogram": LogSpectrogram, "log_mel": LogMel, "mfcc": MFCC, "learned": LearnedFilterbank}


def speech_like(samples: int, seed: int = 0) -> torch.Tensor:
    """Noise with a falling spectrum and a moving level."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(samples, generator=generator).cumsum(0) * 0.02
    return (noise - noise.mean()) * torch.linspace(0.01, 1.0, samples)


# In training the transform is an FFT, in use and in the exported graph a convolution.
WAYS = pytest.mark.parametrize("training", [True, False], ids=["fft", "convolution"])


@WAYS
@pytest.mark.parametrize(("window", "hop", "n_fft"), [(320, 160, 320), (400, 160, 400), (400, 160, 512)])
def test_power_equals_torch_stft(window, hop, n_fft, training):
    from custom_modules.frontend import FourierTransform

    samples = speech_like(16000)[None]
    reference = torch.zeros(n_fft)
    start = (n_fft - window) // 2
    reference[start : start + window] = torch.hann_window(window)
    # torch.stft places the window in the middle of n_fft samples: shift the signal so that both see the same ones.
    padded = torch.nn.functional.pad(samples, (start, n_fft - window - start)).double()
    expected = torch.stft(padded, n_fft, hop, n_fft, reference.double(), center=False, return_complex=True).abs() ** 2
    found = FourierTransform(window, hop, n_fft).train(training)(samples)
    assert found.shape == expected.shape
    torch.testing.assert_close(found.sqrt().double(), expected.sqrt(), atol=1e-4, rtol=1e-6)  # as float32 has it


@WAYS
def test_logarithm_equals_torch_stft(training):
    samples = torch.randn(1, 16000, generator=torch.Generator().manual_seed(0)) * 0.1
    window = torch.hann_window(320).double()
    expected = torch.stft(samples.double(), 320, 160, window=window, center=False, return_complex=True).abs() ** 2
    found = LogSpectrogram().train(training).raw_features(samples)
    torch.testing.assert_close(found.double(), torch.log(expected + LOG_GUARD), atol=1e-4, rtol=0)


@WAYS
@pytest.mark.parametrize("name", KINDS)
def test_a_constant_offset_of_the_samples_is_not_heard(compose_config, name, training):
    section = OmegaConf.to_container(compose_config(f"frontend={name}").frontend, resolve=True)
    frontend = KINDS[name](**{key: value for key, value in section.items() if key != "_target_"}).train(training)
    quiet = 0.003 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(frontend.raw_features(quiet + 0.03), frontend.raw_features(quiet), atol=0.02, rtol=0)


def test_log_spectrogram_has_161_bins():
    features, _ = LogSpectrogram()(input_signal=speech_like(16000)[None], length=torch.tensor([16000]))
    assert features.shape == (1, 161, 99)
    with pytest.raises(ValueError, match="161 bins"):
        LogSpectrogram(features=80)


def test_log_mel_equals_librosa():
    samples = speech_like(16000)
    expected = librosa.feature.melspectrogram(
        y=samples.numpy().astype(np.float64), sr=16000, n_fft=400, hop_length=160, n_mels=64, center=False
    )
    found = LogMel().eval().raw_features(samples[None])[0]
    np.testing.assert_allclose(found.detach().numpy(), np.log(expected + LOG_GUARD), atol=1e-4)


def test_mfcc_is_the_cosine_transform_of_log_mel():
    samples = speech_like(8000)[None]
    mel = LogMel(features=40).raw_features(samples)[0].numpy()
    expected = scipy.fft.dct(mel, axis=0, norm="ortho")[:13]
    np.testing.assert_allclose(MFCC().raw_features(samples)[0].numpy(), expected, atol=1e-3)


def test_the_learned_filterbank_starts_as_log_mel_and_learns():
    samples = speech_like(8000)[None]
    frontend = LearnedFilterbank()
    expected = LogMel().eval().raw_features(samples)
    torch.testing.assert_close(frontend.raw_features(samples), expected, atol=1e-5, rtol=0)
    frontend(input_signal=samples, length=torch.tensor([8000]))[0].square().mean().backward()
    assert frontend.fourier.weight.grad.abs().sum() > 0
    assert frontend.bank.grad.abs().sum() > 0
    assert not LogMel().fourier.weight.requires_grad


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=15)
@given(length=st.integers(400, 9000), padding=st.integers(0, 5000))
def test_padding_changes_nothing(kind, length, padding):
    frontend = KINDS[kind]().eval()
    frontend.mean.fill_(-3.0)  # so that a padded frame would not be zero by chance
    samples = speech_like(length, seed=length)[None]
    alone, frames = frontend(input_signal=samples, length=torch.tensor([length]))
    # What lies beyond the length is noise, not zeros: it must not be heard either.
    longer = torch.cat([samples, torch.randn(1, padding)], dim=1)
    batched, same = frontend(input_signal=longer, length=torch.tensor([length]))
    assert int(frames) == int(same) == frontend.frames(length) == alone.shape[2]
    # The convolution sums in another order at another length; the logarithm shows it where a bin is near silence. What
    # is heard of the noise would be a hundred times as much.
    torch.testing.assert_close(batched[:, :, : int(frames)], alone, atol=1e-2, rtol=0)
    assert batched[:, :, int(frames) :].abs().sum() == 0


def test_statistics_normalise_what_they_were_taken_from():
    frontend = LogMel().eval()
    batches = [(speech_like(length, seed=length)[None], torch.tensor([length])) for length in (4000, 9000, 16000)]
    seen = frontend.fit_statistics(batches)
    features = torch.cat([frontend(input_signal=signal, length=length)[0][0] for signal, length in batches], dim=1)
    assert seen == features.shape[1]
    torch.testing.assert_close(features.mean(dim=1), torch.zeros(64), atol=1e-3, rtol=0)
    torch.testing.assert_close(features.std(dim=1), torch.ones(64), atol=2e-2, rtol=0)
    with pytest.raises(ValueError, match="no whole frame"):
        frontend.fit_statistics([(torch.zeros(1, 400), torch.tensor([10]))])
