"""The mel front-end that NeMo's pretrained encoders expect."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nemo.collections.asr.modules import AudioToMelSpectrogramPreprocessor

from custom_modules.nemo_mel import NemoMel, from_nemo
from tests.conftest import SMALL, drawn_model


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


@settings(max_examples=8, deadline=None)
@given(
    lengths=st.lists(st.integers(480, 8000), min_size=1, max_size=3),
    preemphasis=st.sampled_from([0.0, 0.97]),
    seed=st.integers(0, 99),
)
def test_per_feature_is_nemo_itself_in_any_batch(lengths, preemphasis, seed):
    section = {"window_size": 0.025, "features": 20, "preemph": preemphasis, "dither": 0.0}
    theirs = AudioToMelSpectrogramPreprocessor(**section, pad_to=0).eval()
    settings_ = from_nemo(section) | {"normalize": "per_feature"}
    settings_.pop("_target_")
    ours = NemoMel(**settings_)
    generator = torch.Generator().manual_seed(seed)
    samples = torch.randn(len(lengths), max(lengths), generator=generator) * 0.2  # noise behind the ends as well
    for training in (True, False):
        found, frames = ours.train(training)(input_signal=samples, length=torch.tensor(lengths))
        for row, count, alone, length in zip(found, frames, samples, lengths, strict=True):
            expected, counts = theirs(input_signal=alone[None, :length], length=torch.tensor([length]))
            assert int(count) == int(counts) == length // ours.hop == ours.frames(length)
            torch.testing.assert_close(row[:, :count], expected[0, :, :count], atol=5e-3, rtol=1e-3)
            assert not row[:, count:].any()


def test_statistics_of_each_utterance_do_not_stream(compose_config):
    with pytest.raises(ValueError, match="per_feature needs all of an utterance"):
        drawn_model(
            compose_config(
                *SMALL, "encoder=hey_jetson_streaming", "frontend=nemo_mel", "frontend.normalize=per_feature"
            ),
            seed=0,
        )
    with pytest.raises(ValueError, match="frontend.normalize must be one of"):
        NemoMel(normalize="all_features")
