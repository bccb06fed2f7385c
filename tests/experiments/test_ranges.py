"""What half precision does to real sound is seen without a GPU: rounded, named, kept in float32 or refused."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from experiments.errors import ConfigError
from experiments.export.precision import fits_half, store
from experiments.export.ranges import measure, on_gpu, recordings, require_range, rounded, to_keep
from experiments.export.tensorrt_half import half, halved
from heyjetson.bundle import Bundle, write_manifest

RATE = 16000


def bundle_of(folder, gain: float, gru_behind: bool = False) -> Bundle:
    """samples → (samples × gain) ÷ gain → log_probs [1, S, 2]; a bundle of whole clips."""
    folder.mkdir()
    constants = {"gain": np.float32(gain), "back": np.float32(1 / gain), "last": np.array([2], np.int64)}
    nodes = [
        helper.make_node("Mul", ["samples", "gain"], ["loud"], "louder"),
        helper.make_node("Mul", ["loud", "back"], ["soft"], "softer"),
        helper.make_node("Unsqueeze", ["soft", "last"], ["column"], "unsqueeze"),
        helper.make_node("Concat", ["column", "column"], ["both"], "join", axis=2),
    ]
    last = "both"
    if gru_behind:
        rng = np.random.default_rng(0)
        constants |= {"w": rng.standard_normal((1, 6, 2)).astype(np.float32) * 0.1}
        constants |= {"r": rng.standard_normal((1, 6, 2)).astype(np.float32) * 0.1}
        nodes += [
            helper.make_node("Transpose", ["both"], ["time"], "transpose", perm=[1, 0, 2]),
            helper.make_node("GRU", ["time", "w", "r"], ["y"], "gru", hidden_size=2),
            helper.make_node("Squeeze", ["y", "one"], ["flat"], "squeeze"),
            helper.make_node("Transpose", ["flat"], ["read"], "back_again", perm=[1, 0, 2]),
        ]
        constants["one"] = np.array([1], np.int64)
        last = "read"
    nodes += [
        helper.make_node("Identity", [last], ["log_probs"], "out"),
        helper.make_node("Identity", ["length"], ["frames"], "count"),
    ]

    def port(name, kind, shape):
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        nodes, "gain",
        [port("samples", TensorProto.FLOAT, ["b", "s"]), port("length", TensorProto.INT64, ["b"])],
        [port("log_probs", TensorProto.FLOAT, ["b", "s", 2]), port("frames", TensorProto.INT64, ["b"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx"
    )
    write_manifest(folder, {
        "kind": "ctc", "graph": "model.onnx", "sample_rate": RATE, "window": 1, "hop": 1, "subsampling_factor": 1,
        "labels": ["a"], "blank_id": 1, "longest_seconds": 10.0,
    })  # fmt: skip
    return Bundle(folder)


@pytest.fixture
def speech():
    """Loud in places, as speech is."""
    return [(0.9 * np.sin(np.arange(4000) / 5)).astype(np.float32)]


@pytest.mark.parametrize("gain", [1e5, 1e-9])
def test_what_half_precision_cannot_hold_is_kept_in_float32_by_name(tmp_path, speech, gain):
    bundle = bundle_of(tmp_path / "b", gain)
    model = onnx.load(bundle.graph)
    found = measure(model, bundle, speech)
    assert set(found.beyond()) == {"loud"} and found.largest["loud"] == pytest.approx(0.9 * gain, rel=0.01)
    keep = to_keep(model, found.beyond())
    assert keep == {"louder", "softer"}
    with pytest.raises(ConfigError, match="Build it as fp32"):
        require_range(model, (), bundle, speech, 0.25)
    assert require_range(model, keep, bundle, speech, 0.25) < 1e-3
    half(bundle.graph, tmp_path / "half.onnx", keep=keep)
    types = {value.name: value.type.tensor_type.elem_type for value in onnx.shape_inference.infer_shapes(
        onnx.load(tmp_path / "half.onnx")).graph.value_info}  # fmt: skip
    assert types["loud"] == TensorProto.FLOAT and TensorProto.FLOAT16 in types.values()


def test_a_cpu_says_nothing_of_half_precision_and_rounding_does(tmp_path, speech):
    """Of the graph in float16 onnxruntime's CPU says that all is well: it computes in float32."""
    bundle = bundle_of(tmp_path / "b", 1e5)
    model = onnx.load(bundle.graph)
    feed = {"samples": speech[0][None], "length": np.array([4000])}

    def computed(graph):
        return onnxruntime.InferenceSession(graph.SerializeToString()).run(["log_probs"], feed)[0]

    assert np.isfinite(computed(halved(model, ()))).all()
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(rounded(model, ()).SerializeToString(), options)
    assert not np.isfinite(session.run(["log_probs"], feed)[0]).all()


def test_what_a_recurrence_swallows_is_named_before_it(tmp_path, speech):
    bundle = bundle_of(tmp_path / "b", 1e5, gru_behind=True)
    with pytest.raises(ConfigError, match="In half precision louder gives numbers beyond 65,504 or none"):
        require_range(onnx.load(bundle.graph), (), bundle, speech, np.inf)


def test_sound_is_of_the_manifest_or_noise_at_all_levels(tmp_path, corpus):
    bundle = bundle_of(tmp_path / "b", 1.0)
    heard = list(recordings(bundle, corpus / "test.jsonl"))
    assert heard and all(sound.dtype == np.float32 and sound.any() for sound in heard)
    levels = [float(np.abs(sound).max()) for sound in recordings(bundle, None)]
    assert levels[0] == 1.0 and levels[-1] == 0.0


def test_without_a_gpu_nothing_is_said_of_one(tmp_path, speech):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("there is a GPU")
    bundle = bundle_of(tmp_path / "b", 2.0)
    assert on_gpu(bundle.graph, onnx.load(bundle.graph), bundle, speech, 0.25) is None


def test_weights_that_half_precision_does_not_hold_are_stored_whole(tmp_path, capsys):
    weight = np.full((32, 32), 7e4, np.float32)
    assert not fits_half(weight) and not fits_half(weight * 1e-13) and fits_half(weight / 2) and fits_half(weight * 0)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "m")], "g",
        [helper.make_tensor_value_info("x", 1, [1, 32])], [helper.make_tensor_value_info("y", 1, [1, 32])],
        [numpy_helper.from_array(weight, "w")],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "a.onnx")
    store(tmp_path / "a.onnx", tmp_path / "b.onnx", "fp16")
    (kept,) = onnx.load(tmp_path / "b.onnx").graph.initializer
    assert kept.data_type == TensorProto.FLOAT
    assert "w is stored in float32" in capsys.readouterr().out
