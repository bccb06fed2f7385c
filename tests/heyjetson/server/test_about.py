"""What the server says of itself."""

import httpx
import onnx
import pytest

import heyjetson
from heyjetson.server.about.graph import layers
from tests.heyjetson import trigger_fake


def test_the_server_says_what_runs(site):
    found = httpx.get(f"{site}/v1/about").json()
    assert found["running"]["provider"] == "cpu"
    assert found["versions"]["heyjetson"] == heyjetson.__version__
    assert "onnxruntime" in found["versions"]
    assert found["model"]["name"] == "tones"
    assert found["model"]["labels"] == ["a", "b", " "]
    assert found["model"]["step_seconds"] == found["model"]["frame_seconds"] == 0.04  # a frame a step
    assert found["model"]["card"] is None
    assert found["model"]["graph"]["inputs"][0] == {"name": "samples", "shape": ["1", str(trigger_fake.CHUNK)]}
    thresholds = {one["word"]: one["threshold"] for one in found["trigger"]["words"]}
    assert thresholds == {"hey jetson": 0.6, "computer": 0.5}
    assert found["limits"]["queue"] == 16


def test_no_folder_of_the_machine_is_told(site, speech_folder):
    assert str(speech_folder.parent) not in httpx.get(f"{site}/v1/about").text


@pytest.mark.parametrize("graph", [trigger_fake.trigger_graph, trigger_fake.speech_graph])
def test_the_layers_are_those_that_onnx_reads(graph, tmp_path):
    model = onnx.helper.make_model(graph(), opset_imports=[onnx.helper.make_opsetid("", 17)])
    onnx.save(model, tmp_path / "graph.onnx")
    found = layers(tmp_path / "graph.onnx")
    assert found["opset"] == 17
    assert found["nodes"] == len(model.graph.node) == sum(one["count"] for one in found["operators"])
    weights = {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
    assert found["parameters"] == sum(value.size for value in weights.values())
    (convolution,) = (one for one in found["layers"] if one["operator"] == "Conv")
    assert convolution["shapes"] == [list(weights["kernel"].shape)]
    assert convolution["parameters"] == weights["kernel"].size


def test_constants_within_the_graph_are_weights_too(tmp_path):
    value = onnx.helper.make_tensor("value", onnx.TensorProto.FLOAT, [2, 3], [0.0] * 6)
    nodes = [
        onnx.helper.make_node("Constant", [], ["weight"], value=value),
        onnx.helper.make_node("MatMul", ["x", "weight"], ["y"], name="/dense/MatMul"),
    ]
    ports = [onnx.helper.make_tensor_value_info(name, 1, ["n", size]) for name, size in (("x", 2), ("y", 3))]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", ports[:1], ports[1:])), tmp_path / "g.onnx")
    found = layers(tmp_path / "g.onnx")
    assert found["nodes"] == 1
    assert found["layers"] == [{"operator": "MatMul", "name": "/dense/MatMul", "shapes": [[2, 3]], "parameters": 6}]


@pytest.mark.parametrize("content", [b"\x3a\xff\xff\xff\xff", b"\x80", b"\x0f", b"no protocol buffer at all"])
def test_what_is_no_graph_has_no_layers(content, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(content)
    assert layers(tmp_path / "broken.onnx") is None


def test_a_missing_graph_has_no_layers(tmp_path):
    assert layers(tmp_path / "missing.onnx") is None
