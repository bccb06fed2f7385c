"""Models for sherpa-onnx: its text is ours, and what it cannot compute is refused."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch

from experiments.errors import ConfigError
from experiments.export.bundle import ExportOptions
from experiments.export.graphs import kind_of
from experiments.export.sherpa import parity, require_loadable, require_sherpa, write_sherpa
from tests.conftest import SMALL, drawn_model
from tests.experiments.voiced import digit_clips, hears_voices, text_of

PROGRAM = Path(__file__).with_name("sherpa_program.py")
NEMO = [*SMALL, "frontend=nemo_mel", "encoder.dense.units=[128]"]
MODELS = {
    "clip": ["encoder=hey_jetson_small", *NEMO, "frontend.features=64"],
    "stream": ["encoder=hey_jetson_streaming", *NEMO, "encoder.lookahead=3", "encoder.attention.left=10"],
}
CLIPS = 24


@pytest.fixture(scope="module")
def clips(recordings):
    return digit_clips(recordings, CLIPS)


@pytest.fixture(scope="module", params=MODELS)
def model(request, compose_config, clips):
    """A model that hears something, of each kind."""
    drawn = drawn_model(compose_config(*MODELS[request.param]), seed=2)
    hears_voices(drawn, clips)
    return drawn


def sherpa(folder, clips, bands, front, tail, tmp_path):
    np.savez(tmp_path / "clips.npz", **{f"{place:03d}": clip for place, clip in enumerate(clips)})
    command = [sys.executable, PROGRAM, folder, tmp_path / "clips.npz", bands, front, tail]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_sherpa_writes_our_text(model, clips, tmp_path):
    assert write_sherpa(model, tmp_path / "made", ExportOptions()) < 1e-3
    if importlib.util.find_spec("sherpa_onnx") is None:
        pytest.skip("sherpa-onnx is not installed (make .venv/ready)")
    readme = (tmp_path / "made" / "README.md").read_text()
    zeros = [int(count) for count in re.findall(r"np\.zeros\((\d+), np\.float32\)", readme)]
    front, tail = (*zeros, 0)[:2]
    assert (tail > 0) == (kind_of(model) == "ctc_stream")
    bands = model.preprocessor.features
    found = sherpa(tmp_path / "made", clips, bands, front, tail, tmp_path)
    expected = [text_of(model, np.concatenate([clip, np.zeros(tail, np.float32)])) for clip in clips]
    assert len(set(expected)) > 4
    same = sum(one == other for one, other in zip(found, expected, strict=True))
    # This decoder has hardly a margin between its letters; without what the README says half of the texts differ.
    assert same >= 0.9 * CLIPS
    unprepared = sherpa(tmp_path / "made", clips, bands, 0, tail, tmp_path)
    assert sum(one == other for one, other in zip(unprepared, expected, strict=True)) < same
    # The README's own program.
    soundfile.write(tmp_path / "made" / "a.wav", clips[0], 16000, subtype="FLOAT")
    code = readme.partition("```python\n")[2].partition("```")[0]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "made", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == found[0]


def test_precisions(model, tmp_path):
    write_sherpa(model, tmp_path / "made", ExportOptions(precision="int8"))
    write_sherpa(model, tmp_path / "exact", ExportOptions())
    sizes = [(tmp_path / name / "model.onnx").stat().st_size for name in ("made", "exact")]
    assert sizes[0] < sizes[1]


def test_what_sherpa_would_end_on_is_refused(model, tmp_path):
    folder = tmp_path / "made"
    write_sherpa(model, folder, ExportOptions())
    graph = onnx.load(folder / "model.onnx")
    tokens = (folder / "tokens.txt").read_text()
    (folder / "tokens.txt").write_text(tokens.replace("<blk>", "blank"))
    with pytest.raises(ConfigError, match="does not name each"):
        require_loadable(folder, model.preprocessor.features)
    (folder / "tokens.txt").write_text(tokens)
    graph.graph.output[0].name = "logits"
    next(node for node in graph.graph.node if "log_probs" in node.output).output[0] = "logits"
    onnx.save(graph, folder / "model.onnx")
    with pytest.raises(ConfigError, match="sherpa-onnx wants"):
        require_loadable(folder, model.preprocessor.features)


def test_another_models_graph_is_not_its_parity(model, tmp_path):
    write_sherpa(model, tmp_path / "made", ExportOptions())
    window = 16 if kind_of(model) == "ctc_stream" else 0
    with torch.no_grad():
        model.decoder.decoder_layers[0].bias[0] += 1
        try:
            assert parity(model, tmp_path / "made" / "model.onnx", window, [1.0]) > 1e-3
        finally:
            model.decoder.decoder_layers[0].bias[0] -= 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["frontend=log_mel"], "cannot compute LogMel"),
        (["frontend=log_spectrogram"], "cannot compute LogSpectrogram"),
        (
            ["frontend=nemo_mel", "frontend.preemphasis=0.9"],
            "has preemphasis=0.97",
        ),
        (["frontend=nemo_mel", "frontend.high=4000"], "has high=8000"),
        (["frontend=nemo_mel", "frontend.normalize=per_feature"], "normalises each utterance"),
        (["frontend=nemo_mel", "frontend.window_stride=0.0125"], "has window_stride=0.01"),
    ],
)
def test_front_ends_that_sherpa_cannot_compute(overrides, message, compose_config, tmp_path):
    with pytest.raises(ConfigError, match=message):
        require_sherpa(drawn_model(compose_config(*SMALL, *overrides), seed=0))


def test_other_folders_are_left_alone(model, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="not a model for sherpa-onnx"):
        write_sherpa(model, tmp_path, ExportOptions())


@pytest.mark.parametrize("model", ["clip"], indirect=True)
def test_a_model_of_sounds_says_that_it_writes_them(model, compose_config, tmp_path, capsys):
    write_sherpa(model, tmp_path / "letters", ExportOptions())
    assert "sounds" not in capsys.readouterr().err + (tmp_path / "letters" / "README.md").read_text()
    sounding = drawn_model(compose_config(*MODELS["clip"], "+sounds@_global_=english"), seed=0)
    write_sherpa(sounding, tmp_path / "sounds", ExportOptions())
    told = "gives sherpa-onnx sounds, a character each"
    assert told in capsys.readouterr().err and told in (tmp_path / "sounds" / "README.md").read_text()
