"""What surprises in streams, for the encoder and the rules that conf/trigger.yaml has."""

import numpy as np
import pytest
import torch

from heyjetson.wakeword.detector import Detector

FRAME = 0.04


@pytest.fixture
def cfg(compose_config):
    return compose_config("words=[jarvis]", "logger=none", name="trigger")


def detector(cfg) -> Detector:
    return Detector(["jarvis"], FRAME, np.array([0.5]), **cfg.detector)


def heard(cfg, *stretches: tuple[float, float, float]) -> int:
    """Events of a stream with scores of so much from one second to another."""
    scores = np.zeros((round(8 / FRAME), 1))
    for start, stop, score in stretches:
        scores[round(start / FRAME) : round(stop / FRAME)] = score
    return len(detector(cfg).feed(scores))


def test_an_echo_is_not_another_word(cfg):
    assert heard(cfg, (1, 1.4, 0.9), (1.6, 2.0, 0.8), (2.2, 2.4, 0.7)) == 1


def test_a_word_that_is_said_again_is(cfg):
    assert heard(cfg, (1, 1.4, 0.9), (2.5, 2.9, 0.9)) == 2


def test_a_word_that_is_drawn_out_is_one(cfg):
    assert heard(cfg, (1, 4, 0.9)) == 1


def test_a_word_at_the_beginning_counts_and_one_after_reset_is_not_the_one_before(cfg):
    listening = detector(cfg)
    said = np.full((10, 1), 0.9)
    assert len(listening.feed(said)) == 1
    listening.reset()
    assert not listening.feed(np.zeros((50, 1)))
    listening.reset()
    assert len(listening.feed(said)) == 1


def test_the_encoder_forgets_and_does_not_ask_where_a_recording_begins(cfg):
    from hydra.utils import instantiate

    torch.manual_seed(1)
    encoder = instantiate(cfg.encoder).eval()
    unit, later = encoder.subsampling_factor, 52 * encoder.subsampling_factor  # 2.1 s
    sound = torch.randn(2, cfg.frontend.features, 100 * unit)
    other = sound.clone()
    other[:, :, :later] = torch.randn_like(other[:, :, :later]) * 3
    with torch.no_grad():
        length = torch.tensor([sound.shape[2]] * 2)
        one, _ = encoder(audio_signal=sound, length=length)
        two, _ = encoder(audio_signal=other, length=length)
        cut, _ = encoder(audio_signal=sound[:, :, 3 * unit :], length=length - 3 * unit)
    assert torch.allclose(one[:, :, 99], two[:, :, 99], atol=1e-5)
    assert not torch.allclose(one[:, :, 53], two[:, :, 53], atol=1e-3)
    assert torch.allclose(one[:, :, 53:], cut[:, :, 50:], atol=1e-5)
