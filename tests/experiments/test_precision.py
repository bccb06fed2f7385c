"""Smaller bundles say what they lost, and are refused when it is too much; each target gets a graph it can read."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import soundfile

from experiments.errors import ConfigError
from experiments.export.bundle import ExportOptions, export_bundle
from experiments.export.known_borders import make_clips
from experiments.export.parity import check_parity
from experiments.export.precision import store
from experiments.export.ranges import recordings
from experiments.lm.tune import emissions
from heyjetson import Bundle, Engine
from heyjetson.cli import main
from heyjetson.processor import Processor, processor
from manifests import read_manifest, write_manifest

QUICK = {"seconds": [0.5, 1.3], "batch_sizes": [2]}


@pytest.mark.parametrize(("precision", "share", "difference"), [("fp16", 0.66, 0.2), ("int8", 0.66, 0.5)])
@pytest.mark.parametrize("kind", ["small_model", "streaming_model"])
def test_stored_small_and_computed_the_same(kind, precision, share, difference, request, nemo_file, tmp_path):
    model = request.getfixturevalue(kind)
    options = ExportOptions(precision=precision, **QUICK)
    assert export_bundle(model, nemo_file, tmp_path / "b", options).difference < difference
    export_bundle(model, nemo_file, tmp_path / "exact", ExportOptions(**QUICK))
    small, exact = Bundle(tmp_path / "b"), Bundle(tmp_path / "exact")
    assert small.graph.stat().st_size < share * exact.graph.stat().st_size
    assert small.manifest["precision"] == precision


def test_weights_lose_less_than_half_a_step(tmp_path, bundle):
    """Every 8-bit weight is within half a step of its float32 value, one step being 1/127 of its row's largest."""
    store(Bundle(bundle).graph, tmp_path / "int8.onnx", "int8")
    exact = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(Bundle(bundle).graph).graph.initializer
    }
    small = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in onnx.load(tmp_path / "int8.onnx").graph.initializer
    }
    checked = 0
    for name, values in small.items():
        if not name.endswith("_integers"):
            continue
        scale = small[name.replace("_integers", "_scale")].astype(np.float32)
        original = exact.get(name.removesuffix("_integers"))
        if original is None:  # a constant of the graph, not an initializer
            continue
        assert values.dtype == np.int8
        assert (np.abs(values * scale - original) <= scale * 0.5001).all()
        checked += 1
    assert checked >= 5


def test_in_8_bits_a_recording_has_no_neighbours(small_model, nemo_file, tmp_path):
    """Weights alone are 8-bit: a scale of activations would be that of the loudest in the batch."""
    export_bundle(small_model, nemo_file, tmp_path / "b", ExportOptions(precision="int8", **QUICK))
    engine, rng = Engine(Bundle(tmp_path / "b")), np.random.default_rng(0)
    faint, loud = (level * rng.standard_normal(16000).astype(np.float32) for level in (0.01, 1.0))
    alone, frames = engine.log_probs(faint[None])
    together, _ = engine.log_probs(np.stack([loud, faint, loud]))
    np.testing.assert_allclose(together[1, : frames[0]], alone[0, : frames[0]], atol=1e-4)


def test_what_an_export_hears_is_the_channel_that_is_asked_for(small_model, nemo_file, bundle, corpus, tmp_path):
    """A telephone call has somebody else on the other channel."""
    rng, lines = np.random.default_rng(0), read_manifest(corpus / "validation.jsonl")
    called = [replace(one, audio=tmp_path / f"{one.line}.wav") for one in lines]
    for one, call in zip(lines, called, strict=True):
        heard, rate = soundfile.read(one.audio, dtype="float32")
        both = np.stack([0.1 * rng.standard_normal(len(heard)), heard], axis=1)
        soundfile.write(call.audio, both, rate, subtype="FLOAT")
    write_manifest(tmp_path / "calls.jsonl", called)
    alone, calls = corpus / "validation.jsonl", tmp_path / "calls.jsonl"

    def difference(sound) -> float:
        pairs = zip(sound(alone, "mix"), sound(calls, "second"), strict=True)
        return max(float(np.abs(one - other).max()) for one, other in pairs)

    opened = Bundle(bundle)
    assert difference(lambda manifest, channels: recordings(opened, manifest, channels)) < 1e-6
    assert difference(
        lambda manifest, channels: [
            one.samples for one in make_clips(read_manifest(manifest), 16000, 20.0, 60.0, channels=channels)
        ]
    ) < 1e-4  # fmt: skip
    assert difference(
        lambda manifest, channels: [
            one.pieces[0] for one in emissions(Engine(opened), read_manifest(manifest), channels)
        ]
    ) < 1e-3  # fmt: skip
    told = []
    for manifest, channels in ((alone, "mix"), (calls, "second"), (calls, "mix")):
        options = ExportOptions(manifest=manifest, channels=channels, calibration=manifest, **QUICK)
        export_bundle(small_model, nemo_file, tmp_path / channels, options)
        told.append(Bundle(tmp_path / channels).manifest["measured"]["fp32"])
    assert [told[0][key] for key in ("wer", "cer")] == [told[1][key] for key in ("wer", "cer")]
    assert told[0]["cer"] != told[2]["cer"]


def test_figures_of_each_precision_are_written(small_model, nemo_file, corpus, tmp_path, capsys):
    options = ExportOptions(precision="int8", manifest=corpus / "validation.jsonl", max_wer_increase=2.0, **QUICK)
    export_bundle(small_model, nemo_file, tmp_path / "b", options)
    bundle = Bundle(tmp_path / "b")
    assert set(bundle.manifest["measured"]) == {"fp32", "int8"}
    assert bundle.manifest["measured"]["int8"]["bytes"] < bundle.manifest["measured"]["fp32"]["bytes"]
    card = (tmp_path / "b" / "MODEL_CARD.md").read_text()
    assert card.startswith("---\nlicence: unspecified")
    assert "| int8 | validation.jsonl (4 utterances)" in card
    assert f"on one core of {processor()}" in card
    for row in bundle.manifest["measured"].values():
        assert row["wer_low"] <= row["wer"] <= row["wer_high"]
        assert f"{row['wer']:.2%} ({row['wer_low'] * 100:.2f}–{row['wer_high'] * 100:.2f})" in card
        assert Processor(**row["processor"]) == processor()
    assert main(["info", str(tmp_path / "b")]) == 0
    shown = " ".join(word for word in capsys.readouterr().out.split() if word != "│")
    assert "4 utterances of validation.jsonl" in shown
    assert "95 % interval" in shown


def test_a_precision_that_loses_too_much_is_refused(small_model, nemo_file, corpus, tmp_path):
    options = ExportOptions(precision="fp16", manifest=corpus / "validation.jsonl", max_wer_increase=-0.1, **QUICK)
    with pytest.raises(ConfigError, match="raises the WER on validation.jsonl"):
        export_bundle(small_model, nemo_file, tmp_path / "b", options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("chunk_frames", [1, 3, 16])
def test_streams_of_any_step(streaming_model, nemo_file, tmp_path, chunk_frames):
    options = ExportOptions(chunk_frames=chunk_frames, **QUICK)
    assert export_bundle(streaming_model, nemo_file, tmp_path / "b", options).difference < 1e-4
    exported = Bundle(tmp_path / "b")
    assert check_parity(streaming_model, exported, [0.025, 0.03, 0.7, 4.1], [1], seed=3).difference < 1e-4
    properties = {prop.key: prop.value for prop in onnx.load(exported.graph).metadata_props}
    states = json.loads(properties["states"])
    shapes = {value.name: value.shape for value in Engine(exported).session.get_inputs()}
    assert {state["name"]: ["batch", *state["shape"][1:]] for state in states} == {
        name: shape for name, shape in shapes.items() if name not in ("samples", "length")
    }


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_graph_for_tensorrt(streaming_model, nemo_file, tmp_path, precision):
    options = ExportOptions(target="tensorrt", precision=precision, **QUICK)
    assert export_bundle(streaming_model, nemo_file, tmp_path / "b", options).difference < (
        1e-4 if precision == "fp32" else 0.3
    )
    manifest = Bundle(tmp_path / "b").manifest
    if precision == "fp32":
        assert manifest["tensorrt"]["keep_fp32"]
    else:
        assert manifest["compute"] == "fp16"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int4"}, "fp32, fp16, int8"),
        ({"target": "coreml"}, "onnx, tensorrt, triton"),
        ({"target": "tensorrt", "precision": "int8"}, "Choose precision=fp16"),
        ({"chunk_frames": 0}, "at least 1"),
    ],
)
def test_choices_that_cannot_work(options, message):
    with pytest.raises(ConfigError, match=message):
        ExportOptions(**options)
