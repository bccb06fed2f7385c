"""The mel front-end that NeMo's pretrained encoders expect."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nemo.collections.asr.modules import AudioToMelSpectrogramPreprocessor

from custom_modules.nemo_mel import NemoMel, from_nemo


@settings(max_examples=12, deadline=None)
@given(window=st.sampled_from([0.02, 0.025]), preemphasis=st.sampled_from([0.0, 0.97]), seed=st.integers(0, 99))
def test_the_mel_values_are_those_of_nemo(window, preemphasis, seed):
    section = {"window_size": window, "features": 20, "preemph": preemphasis, "dither": 0.0, "normalize": "NA"}
    theirs = AudioToMelSpectrogramPreprocessor(**section, pad_to=0).eval()
    settings_ = from_nemo(section)
    assert settings_.pop("_target_") == "custom_modules.nemo_mel.NemoMel"
    ours = NemoMel(**settings_)
    samples = torch.randn(1, 8000, generator=torch.Generator().manual_seed(seed)) * 0.2
    # Theirs centre frame t on sample t * hop, so with this delay their frame t + 2 begins where our t does.
    delay = 2 * ours.hop - ours.window // 2
    late = torch.nn.functional.pad(samples, (delay, 0))
    expected, _ = theirs(input_signal=late, length=torch.tensor([late.shape[1]]))
    for training in (True, False):  # by Fourier transform, and by convolution
        found, frames = ours.train(training)(input_signal=samples, length=torch.tensor([8000]))
        assert int(frames) == found.shape[2] == (8000 - ours.window) // ours.hop + 1
        # The first sample has none before it, which theirs see as zero or as the padding.
        torch.testing.assert_close(found[:, :, 1:], expected[:, :, 3 : 2 + int(frames)], atol=2e-3, rtol=1e-3)
