"""Every graph of the project can be read by TensorRT; what cannot is named, operator by operator."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from experiments.errors import ConfigError
from experiments.export.tensorrt_fold import compare, feeds, fold, show
from experiments.export.tensorrt_half import half
from experiments.export.tensorrt_operators import (
    check_graph,
    float_layers,
    main,
    operators,
    release_number,
    require_tensorrt,
)
from tests.conftest import drawn_model, narrow

RELEASES = ("10.3", "10.15", "11.4")
FEW = ["encoder.convolution.filters=8", "encoder.recurrent.hidden=8", "encoder.dense.units=[8]"]
SMALL = ["encoder=hey_jetson_small", *FEW]
GRAPHS = {
    "log_mel": [*SMALL, "frontend=log_mel"],
    "log_spectrogram": [*SMALL, "frontend=log_spectrogram"],
    "mfcc": [*SMALL, "frontend=mfcc"],
    "learned": [*SMALL, "frontend=learned"],
    "gru": [*SMALL, "encoder.recurrent.cell=gru"],
    "lstm": [*SMALL, "encoder.recurrent.cell=lstm"],
    "hey_jetson": ["encoder=hey_jetson", "encoder.recurrent.layers=2", *FEW],
    "streaming": ["encoder=hey_jetson_streaming", *FEW],
    "jasper": ["encoder=nemo_jasper_4x1"],
    "quartznet": ["encoder=nemo_quartznet"],
    "conformer": ["encoder=nemo_conformer_small", "encoder.n_layers=2", "encoder.d_model=32"],
}


@pytest.fixture(scope="module")
def graphs(compose_config, tmp_path_factory):
    """Graphs of the project by name, traced when they are asked for."""
    folder = tmp_path_factory.mktemp("graphs")

    def graph(name):
        path = folder / f"{name}.onnx"
        if not path.exists():
            from experiments.export.graphs import StreamGeometry, trace_clip, trace_stream

            model = drawn_model(narrow(compose_config("logger=none", *GRAPHS[name])), seed=0)
            if name == "streaming":
                trace_stream(model, path, 17, StreamGeometry.of(model, 4))
            else:
                trace_clip(model, path, 17, 20.0)
        return path

    return graph


@pytest.mark.parametrize("name", GRAPHS)
def test_every_graph_of_the_project_can_be_read(graphs, name):
    for release in RELEASES:
        assert check_graph(graphs(name), release) == []


@pytest.mark.parametrize("name", GRAPHS)
def test_every_graph_folds_and_computes_the_same(graphs, name, tmp_path):
    pytest.importorskip("onnx_graphsurgeon")
    folded = fold(graphs(name), tmp_path / "folded.onnx")
    assert folded.after < folded.before
    assert folded.difference < 1e-4
    assert list(tmp_path.iterdir()) == [tmp_path / "folded.onnx"]
    assert check_graph(tmp_path / "folded.onnx") == []
    assert float_layers(tmp_path / "folded.onnx")
    before, after = onnx.load(graphs(name)), onnx.load(tmp_path / "folded.onnx")
    assert [value.name for value in after.graph.input] == [value.name for value in before.graph.input]
    assert [value.name for value in after.graph.output] == [value.name for value in before.graph.output]


def test_weights_stored_small_can_be_read_once_they_are_folded(graphs, tmp_path):
    pytest.importorskip("onnx_graphsurgeon")
    from experiments.export.precision import store

    for precision in ("fp16", "int8"):
        small, folded = tmp_path / f"{precision}.onnx", tmp_path / f"{precision}-folded.onnx"
        store(graphs("log_mel"), small, precision)
        assert bool(check_graph(small)) == (precision == "int8")
        assert fold(small, folded).difference < 1e-5
        assert check_graph(folded) == []


def test_the_layers_to_keep_in_single_precision_are_the_front_ends(graphs):
    layers = float_layers(graphs("log_mel"))
    operators_kept = {name.rpartition("/")[2].rstrip("_0123456789") for name in layers}
    assert {"MatMul", "Log", "Mul", "Add", "Sub"} <= operators_kept
    assert not {"Shape", "Range", "Less", "Constant"} & operators_kept
    assert all(name.startswith("/frontend/") for name in layers)


@pytest.mark.parametrize("name", ["log_mel", "hey_jetson", "streaming", "conformer"])
def test_a_graph_in_half_precision_keeps_its_front_end_and_its_counts(graphs, name, tmp_path):
    # 21 s: NeMo's convolutions count frames in real numbers, and half precision has no 2061.
    difference = half(graphs(name), tmp_path / "half.onnx", cases=[{"batch": 1, "samples": 330000}])
    kept = float_layers(graphs(name))
    assert 0 < difference < 0.05
    assert check_graph(tmp_path / "half.onnx", "11.4") == []
    before, after = onnx.load(graphs(name)), onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "half.onnx"))
    for one, other in ((before.graph.input, after.graph.input), (before.graph.output, after.graph.output)):
        assert [(value.name, value.type.tensor_type.elem_type) for value in one] == [
            (value.name, value.type.tensor_type.elem_type) for value in other
        ]
    types = {value.name: value.type.tensor_type.elem_type for value in after.graph.value_info}
    types |= {tensor.name: tensor.data_type for tensor in after.graph.initializer}
    for node in after.graph.node:
        if node.op_type in ("GRU", "LSTM"):
            assert {types[name] for name in node.input[:3]} == {TensorProto.FLOAT16}
        if node.op_type in ("Log", "LogSoftmax") or node.name in kept:
            assert TensorProto.FLOAT16 not in {types.get(name) for name in node.output}


def test_half_precision_that_is_too_far_off_is_refused(graphs, tmp_path):
    with pytest.raises(ConfigError, match="Build it as fp32"):
        half(graphs("log_mel"), tmp_path / "half.onnx", tolerance=1e-9)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="loops or branches"):
        half(loop(tmp_path, False, True), tmp_path / "half.onnx")


def test_a_graph_can_be_looked_at(graphs):
    assert "log_probs" in show(graphs("log_mel"))


def make(tmp_path, nodes, inputs=None, outputs=("y",), constants=None, opset=17, kind=TensorProto.FLOAT):
    """A graph of a few nodes."""
    given = inputs if inputs is not None else {"x": ["batch", 8, 16]}
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in given.items()],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    for output in graph.output:
        output.ClearField("type")
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    path = tmp_path / "graph.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def gru(**attributes):
    return helper.make_node("GRU", ["x", "w", "r"], ["y"], "gru", hidden_size=4, **attributes)


def weights(directions=1):
    return {"w": np.zeros((directions, 12, 16), np.float32), "r": np.zeros((directions, 12, 4), np.float32)}


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "s", "z"], "q")], "TensorRT has no DynamicQuantize"),
        ([helper.make_node("MatMulInteger", ["x", "x"], ["y"], "m")], "MatMulInteger m: TensorRT has no"),
        ([helper.make_node("QAttention", ["x"], ["y"], "a", domain="com.microsoft")], "com.microsoft are not ONNX's"),
        ([helper.make_node("Swish", ["x"], ["y"], "s")], "TensorRT has no Swish"),
        ([helper.make_node("TopK", ["x", "k"], ["y", "i"], "t", sorted=0)], "sorted must be 1"),
        ([helper.make_node("MaxPool", ["x"], ["y"], "p", kernel_shape=[3])], "2-D or 3-D"),
        ([helper.make_node("MaxPool", ["x"], ["y", "i"], "p", kernel_shape=[3, 3])], "only the first output"),
        ([helper.make_node("AveragePool", ["x"], ["y"], "p", kernel_shape=[3, 3], dilations=[2, 2])], "dilations"),
        ([helper.make_node("Cast", ["x"], ["y"], "c", to=TensorProto.INT8)], "INT8 is not among its types"),
        ([helper.make_node("Cast", ["x"], ["y"], "c", to=TensorProto.STRING)], "STRING is not among"),
        ([helper.make_node("Cast", ["x"], ["b"], "c", to=9), helper.make_node("Add", ["b", "b"], ["y"], "a")], "BOOL"),
        ([helper.make_node("Unsqueeze", ["x", "length"], ["y"], "u")], "its axes must be constant"),
        ([helper.make_node("LayerNormalization", ["x", "k"], ["y", "m"], "n")], "only the first output"),
        ([helper.make_node("Constant", [], ["y"], "c", value_string="a")], "value_string is not supported"),
        ([helper.make_node("Resize", ["x"], ["y"], "r", mode="cubic")], "mode must be nearest or linear"),
        ([helper.make_node("QuantizeLinear", ["x", "one", "k"], ["y"], "q")], "its zero point must be 0"),
        ([helper.make_node("ScatterND", ["x", "k", "x"], ["y"], "s", reduction="add")], "reduction must be none"),
    ],
)
def test_what_tensorrt_refuses_is_named(tmp_path, nodes, message):
    path = make(
        tmp_path,
        nodes,
        {"x": ["batch", 8, 16], "length": [1]},
        constants={"k": np.array([3], np.int64), "one": np.array(1.0, np.float32)},
    )
    complaints = check_graph(path)
    assert any(message in complaint for complaint in complaints), complaints


@pytest.mark.parametrize(
    ("node", "directions", "message"),
    [
        (gru(layout=1), 1, "layout must be 0"),
        (
            gru(direction="bidirectional", activations=["Sigmoid", "Tanh", "Sigmoid", "Relu"]),
            2,
            "activations of both directions",
        ),
        (gru(linear_before_reset=1, clip=1.0), 1, None),
        (gru(direction="reverse", linear_before_reset=0), 1, None),
        (helper.make_node("LSTM", ["x", "w", "r"], ["y"], "lstm", hidden_size=4, input_forget=1), 1, "input_forget"),
    ],
)
def test_limits_of_recurrences(tmp_path, node, directions, message):
    complaints = check_graph(make(tmp_path, [node], constants=weights(directions)))
    assert [message in complaint for complaint in complaints] == ([True] if message else [])


def loop(tmp_path, scan, constant_trips):
    carried = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("before", "after")]
    number = helper.make_tensor_value_info("i", TensorProto.INT64, [])
    flags = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("go", "on")]
    nodes = [
        helper.make_node("Identity", ["go"], ["on"]),
        helper.make_node("Unique", ["before"], ["after"], "inside"),
    ]
    body = helper.make_graph(
        nodes, "body", [number, flags[0], carried[0]], [flags[1], carried[1], *([carried[1]] if scan else [])]
    )
    trips = "trips" if constant_trips else "x"
    node = helper.make_node("Loop", [trips, "", "start"], ["y", *(["z"] if scan else [])], "loop", body=body)
    constants = {"trips": np.array(3, np.int64), "start": np.zeros(2, np.float32)}
    return make(tmp_path, [node], {"x": []}, constants=constants, kind=TensorProto.INT64)


def test_limits_of_loops_and_what_is_within(tmp_path):
    def said(scan, constant_trips):
        return check_graph(loop(tmp_path, scan, constant_trips))

    assert said(False, False) == said(True, True) == ["Unique inside: TensorRT has no Unique"]
    assert said(True, False)[0] == "Loop loop: the length of its scan outputs must be constant"


def test_the_fourier_transform_depends_on_the_release(tmp_path):
    node = helper.make_node("STFT", ["x", "step", "window"], ["y"], "stft")
    constants = {"step": np.array(160, np.int64), "window": np.ones(400, np.float32)}
    path = make(tmp_path, [node], {"x": [1, 16000, 1]}, constants=constants)
    assert check_graph(path, "10.3") == ["STFT stft: TensorRT reads STFT since 10.5, not in 10.3"]
    assert check_graph(path, "10.7") == []
    path = make(tmp_path, [node], {"x": [1, 16000, 1], "window": [400]}, constants={"step": constants["step"]})
    assert check_graph(path, "11.4") == ["STFT stft: window must be an initializer"]


def test_the_operator_set_depends_on_the_release(tmp_path):
    path = make(tmp_path, [helper.make_node("Relu", ["x"], ["y"], "r")], opset=20)
    assert check_graph(path, "10.3") == ["Operator set 20: TensorRT 10.3 reads up to 19; export with opset=19"]
    assert check_graph(path, "11.0") == []


def test_a_bad_graph_is_refused_in_one_message(tmp_path):
    path = make(tmp_path, [helper.make_node("Unique", ["x"], ["y"], "u")])
    with pytest.raises(ConfigError, match=r"TensorRT 10.3 would refuse graph.onnx:\n  Unique u: .*\n.*target=onnx"):
        require_tensorrt(path)
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(ConfigError, match="is not an ONNX graph"):
        check_graph(tmp_path / "text.onnx")
    with pytest.raises(ConfigError, match="written like 10.3"):
        release_number("ten")


def test_the_list_is_whole():
    known = operators()
    assert len(known) == 200
    kinds = {"FP32", "FP16", "BF16", "FP8", "FP4", "INT4", "INT8", "UINT8", "INT32", "INT64", "BOOL"}
    for name, operator in known.items():
        assert operator.types <= kinds
        assert (operator.since is None) == (not operator.types), name
        assert onnx.defs.has(name) or name in ("ImageScaler", "ParametricSoftplus", "ScaledTanh")


def test_folding_that_changes_the_result_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("onnx_graphsurgeon")
    import experiments.export.tensorrt_fold as module

    path = make(tmp_path, [helper.make_node("Relu", ["x"], ["y"], "r")])
    model = onnx.load(path)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 8, 16]))
    onnx.save(model, path)
    model.graph.node[0].op_type = "Neg"
    monkeypatch.setattr(module, "_folded", lambda _: model)
    with pytest.raises(ConfigError, match="changes its outputs"):
        fold(path, tmp_path / "out.onnx")
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_cast_that_is_read_twice_survives_folding(tmp_path):
    """The pattern of which onnx-graphsurgeon 0.6.1 loses a node."""
    pytest.importorskip("onnx_graphsurgeon")
    nodes = [
        helper.make_node("Cast", ["n"], ["f"], "c", to=TensorProto.FLOAT),
        helper.make_node("Add", ["f", "one"], ["sum"], "a"),
        helper.make_node("Cast", ["sum"], ["u"], "c1", to=TensorProto.INT64),
        helper.make_node("Cast", ["sum"], ["v"], "c2", to=TensorProto.INT64),
        helper.make_node("Unsqueeze", ["u", "axis"], ["y"], "u1"),
        helper.make_node("Unsqueeze", ["v", "axis"], ["z"], "u2"),
    ]
    constants = {"one": np.array(1.0, np.float32), "axis": np.array([1], np.int64)}
    path = make(tmp_path, nodes, {"n": ["batch"]}, ("y", "z"), constants, kind=TensorProto.INT64)
    for output in (model := onnx.load(path)).graph.output:
        output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.INT64, ["batch", 1]))
    onnx.save(model, path)
    assert fold(path, tmp_path / "folded.onnx").difference == 0
    assert compare(path, tmp_path / "folded.onnx", [{"batch": 2}]) == 0


def test_inputs_are_drawn_for_every_kind_of_graph(graphs):
    given = feeds(onnx.load(graphs("log_mel")), {"batch": 3, "samples": 1000})
    assert given["samples"].shape == (3, 1000)
    assert given["length"].tolist() == [1000, 800, 600]


def test_the_command(tmp_path, graphs, capsys):
    assert main([str(graphs("log_mel"))]) == 0
    assert "TensorRT 10.3 reads every operator" in capsys.readouterr().out
    bad = make(tmp_path, [helper.make_node("Unique", ["x"], ["y"], "u")])
    assert main([str(bad), "--release", "11.4"]) == 1
    assert "Unique u: TensorRT has no Unique." in capsys.readouterr().out
    assert main([str(tmp_path / "none.onnx")]) == 2
