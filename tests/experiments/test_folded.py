"""The folded front-end gives the features of the one that was trained, and leaves a trained transform alone."""

import pytest
import torch

from custom_modules.frontend import MFCC, LearnedFilterbank, LogMel, LogSpectrogram
from custom_modules.nemo_mel import NemoMel
from experiments.export.folded import folded


@pytest.mark.parametrize("kind", [LogMel, LogSpectrogram, MFCC, NemoMel, LearnedFilterbank])
@pytest.mark.parametrize("samples", [400, 559, 560, 2800])
def test_features_are_the_same(kind, samples):
    frontend = kind().eval()
    sound = torch.randn(2, samples, generator=torch.Generator().manual_seed(0)) * 0.1
    with torch.no_grad():
        expected = frontend.normalised(sound)
        for cheap in (folded(frontend), folded(frontend, samples)):
            assert cheap is not frontend
            assert torch.allclose(cheap.normalised(sound), expected, atol=2e-4)


@pytest.mark.parametrize("kind", [LogMel, MFCC, NemoMel])
@pytest.mark.parametrize("longer", [{"sample_rate": 22050}, {"window_size": 0.05}])
def test_a_window_that_is_longer_than_the_transform_is_heard_whole_in_training_and_after(kind, longer):
    frontend = kind(n_fft=400, **longer)
    sound = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)) * 0.1
    with torch.no_grad():
        expected = frontend.eval().normalised(sound)
        assert torch.allclose(folded(frontend).normalised(sound), expected, atol=2e-4)
        assert torch.allclose(frontend.train().normalised(sound), expected, atol=2e-4)


def test_kernels_that_were_trained_are_not_folded():
    frontend = LearnedFilterbank().eval()
    with torch.no_grad():
        frontend.fourier.weight.add_(0.01)
    assert folded(frontend) is frontend


def test_bins_that_no_band_reads_are_left_out():
    cheap = folded(LogMel(low=300.0, high=4000.0).eval())
    assert len(cheap.fourier.order) == cheap.bank.shape[1] < 100
