"""Models for onnx-asr: its text is ours, to the letter, and what it cannot compute is refused."""

import importlib.util
import json

import numpy as np
import pytest
import torch

from experiments.errors import ConfigError
from experiments.export.bundle import ExportOptions
from experiments.export.onnx_asr import KIND, parity, require_onnx_asr, write_onnx_asr
from tests.conftest import SMALL, drawn_model
from tests.experiments.voiced import digit_clips, hears_voices, text_of

NEMO = ["frontend=nemo_mel", "frontend.normalize=per_feature"]
CLIPS = 120


@pytest.fixture(scope="module")
def clips(recordings):
    return digit_clips(recordings, CLIPS)


@pytest.fixture(scope="module")
def model(compose_config, clips):
    """A model that hears something."""
    drawn = drawn_model(compose_config("encoder=hey_jetson_small", *SMALL, *NEMO, "encoder.dense.units=[128]"), seed=2)
    hears_voices(drawn, clips[:24])
    return drawn


def test_onnx_asr_writes_our_text(model, clips, tmp_path):
    assert write_onnx_asr(model, tmp_path / "made", ExportOptions()) < 1e-3
    if importlib.util.find_spec("onnx_asr") is None:
        pytest.skip("onnx-asr is not installed (make .venv/ready)")
    import onnx_asr

    theirs = onnx_asr.load_model(KIND, tmp_path / "made")
    # Of unequal lengths together, and cut at no whole frame.
    texts = [text for start in range(0, CLIPS, 8) for text in theirs.recognize(clips[start : start + 8])]
    expected = [text_of(model, clip) for clip in clips]
    assert len(set(expected)) > 10
    assert [" ".join(text.split()) for text in texts] == expected
    # Shorter than a frame of features, than one of the output, and one alone, which has no deviation.
    assert [theirs.recognize(np.zeros(count, np.float32)) for count in (100, 200, 500)] == ["", "", ""]
    # The factor is needed: without it the text ends early.
    config = json.loads((tmp_path / "made" / "config.json").read_text())
    assert config.pop("subsampling_factor") == model.subsampling_factor
    (tmp_path / "made" / "config.json").write_text(json.dumps(config))
    assert len(onnx_asr.load_model(KIND, tmp_path / "made").recognize(clips[0])) < len(expected[0])


def test_another_models_graph_is_not_its_parity(model, tmp_path):
    write_onnx_asr(model, tmp_path / "made", ExportOptions())
    with torch.no_grad():
        model.decoder.decoder_layers[0].bias[0] += 1
        try:
            assert parity(model, tmp_path / "made" / "model.onnx", [1.0]) > 1e-3
        finally:
            model.decoder.decoder_layers[0].bias[0] -= 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["frontend=log_mel"], "cannot compute LogMel"),
        (["frontend=nemo_mel"], "trained with those of the training set"),
        ([*NEMO, "frontend.features=64"], "has 80 or 128 mel bands"),
        ([*NEMO, "frontend.preemphasis=0.9"], "has preemphasis=0.97"),
        ([*NEMO, "frontend.window_size=0.02"], "has window_size=0.025"),
    ],
)
def test_front_ends_that_onnx_asr_cannot_compute(overrides, message, compose_config):
    with pytest.raises(ConfigError, match=message):
        require_onnx_asr(drawn_model(compose_config(*SMALL, *overrides), seed=0))


def test_other_folders_are_left_alone(model, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="not a model for onnx-asr"):
        write_onnx_asr(model, tmp_path, ExportOptions())


def test_a_model_of_sounds_says_that_it_writes_them(compose_config, tmp_path, capsys):
    sounding = ["encoder=hey_jetson_small", *SMALL, *NEMO, "+sounds@_global_=english"]
    write_onnx_asr(drawn_model(compose_config(*sounding), seed=0), tmp_path / "made", ExportOptions())
    told = "gives onnx-asr sounds, a character each"
    assert told in capsys.readouterr().err and told in (tmp_path / "made" / "README.md").read_text()
