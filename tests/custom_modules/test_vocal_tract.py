"""Formants that move: where a tone goes, what stays, and what is refused."""

import librosa
import numpy as np
import pytest
import torch
from nemo.core.classes.common import safe_instantiate
from omegaconf import OmegaConf

from custom_modules.model import SpeechModel
from custom_modules.vocal_tract import VocalTractPerturbation, warped
from tests.conftest import SMALL

BANDS = 64
CENTRES = librosa.mel_frequencies(BANDS + 2, fmin=0, fmax=8000)[1:-1]


@pytest.mark.parametrize("factor", [0.85, 1.0, 1.15])
def test_a_formant_moves_by_the_factor_and_the_highest_stays(factor):
    module = VocalTractPerturbation(warp=0.15)
    places = module.sources(np.array([factor]), BANDS)
    for hertz in (500.0, 1500.0, 3000.0):
        spectrum = torch.exp(-(((torch.arange(BANDS) - np.interp(hertz, CENTRES, range(BANDS))) / 2) ** 2)).float()
        moved = warped(spectrum[None, :, None], places)[0, :, 0]
        assert int(moved.argmax()) == pytest.approx(np.interp(hertz * factor, CENTRES, range(BANDS)), abs=1.0)
    assert float(places[0, -1]) == pytest.approx(BANDS - 1, abs=0.5)
    assert bool((places.diff() >= 0).all()) and bool(((places >= 0) & (places <= BANDS - 1)).all())


def test_each_utterance_has_a_factor_of_its_own_and_time_is_untouched():
    torch.manual_seed(0)
    spectrogram = torch.randn(6, BANDS, 1).expand(6, BANDS, 20).contiguous()
    module = VocalTractPerturbation(warp=0.2)
    heard = module(input_spec=spectrogram, length=torch.full((6,), 20))
    assert torch.equal(heard, heard[..., :1].expand_as(heard))
    assert all(not torch.allclose(one, two) for one, two in zip(heard, spectrogram, strict=True))
    same = torch.randn(1, BANDS, 1).expand(2, BANDS, 20)
    one, other = module(input_spec=same, length=torch.full((2,), 20))
    assert not torch.allclose(one, other)


def test_nothing_moves_before_it_may_and_padding_stays_silent():
    spectrogram = torch.randn(2, BANDS, 12)
    spectrogram[1, :, 7:] = 0
    module = VocalTractPerturbation(warp=0.3, ramp=0.5)
    assert not module(input_spec=spectrogram, length=torch.tensor([12, 7]))[1, :, 7:].any()
    module.strength = 0.0
    assert torch.equal(module(input_spec=spectrogram, length=torch.tensor([12, 7])), spectrogram)


def test_the_model_raises_it_as_training_goes_on(compose_config):
    from experiments.training.fit import model_config

    model = SpeechModel(model_config(compose_config("augment=voices", *SMALL)))
    model.follow_budget(0.15)
    assert model.spec_augmentation.strength == pytest.approx(0.5)
    model.follow_budget(0.9)
    assert model.spec_augmentation.strength == 1.0


@pytest.mark.parametrize("frontend", ["mfcc", "log_spectrogram"])
def test_features_that_are_no_bands_of_a_mel_scale_are_refused(compose_config, frontend):
    from experiments.errors import ConfigError
    from experiments.training.fit import make_model

    given = ("augment=formants", f"frontend={frontend}", *SMALL)
    with pytest.raises(ConfigError, match=r"Formants can be moved among bands of a mel scale alone"):
        make_model(SpeechModel, compose_config(*given), None)
    make_model(SpeechModel, compose_config(*given, "augment.spectrogram.warp=0"), None)


def test_the_bands_are_those_of_the_front_end(compose_config):
    chosen = compose_config("augment=voices", "frontend.low=60.0", "frontend.high=7000.0").model.spec_augment
    assert (chosen.low, chosen.high) == (60.0, 7000.0)
    assert compose_config("augment=voices", "frontend=log_spectrogram").model.spec_augment.low == 75.0


def test_a_trigger_moves_formants_of_its_own_bands_and_hears_as_it_is_in_use(compose_config):
    from custom_modules.trigger import TriggerModel
    from experiments.training.fit import model_config

    moved = ("logger=none", "model.spec_augment.warp=0.12", "model.spec_augment.ramp=0.5")
    model = TriggerModel(model_config(compose_config(*moved, name="trigger")))
    moving = model.spec_augmentation
    assert isinstance(moving, VocalTractPerturbation) and moving.warp == 0.12
    assert (moving.low, moving.high) == (60.0, 7600.0)
    model.follow_budget(0.25)
    assert moving.strength == pytest.approx(0.5) and model.loss.strength == pytest.approx(0.25)
    moving.strength = 1.0
    clips = torch.randn(2, 16000, generator=torch.Generator().manual_seed(1)) * 0.1
    heard = [model.train().logits(clips) for _ in range(2)]
    assert heard[0].shape == (2, 25, 1) and not torch.allclose(*heard)
    model.eval()
    assert torch.equal(model.logits(clips), model.logits(clips))


def test_a_warp_out_of_range_is_refused():
    config = OmegaConf.create({"_target_": "custom_modules.vocal_tract.VocalTractPerturbation", "warp": 0.4})
    with pytest.raises(Exception, match=r"augment\.spectrogram\.warp .*must be at least 0 and below 0\.4, found 0\.4"):
        safe_instantiate(config)
