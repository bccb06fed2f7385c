"""The configuration is what Triton's own schema reads, and names what the graph has."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from onnx import TensorProto, helper, numpy_helper

from experiments.errors import ConfigError
from experiments.export.triton import main, stream_config, write_repository
from heyjetson.bundle import Bundle, write_manifest
from manifests.phones import LABELS

# The messages and fields used here, with the types of Triton's model_config.proto (package inference).
SCHEMA = {
    "Shape": {"shape": "int64*"},
    "Tensor": {"name": "string", "data_type": "DataType", "dims": "int64*", "reshape": "Shape"},
    "Zeros": {"name": "string", "data_type": "DataType", "dims": "int64*", "zero_data": "bool"},
    "State": {
        "input_name": "string",
        "output_name": "string",
        "data_type": "DataType",
        "dims": "int64*",
        "initial_state": "Zeros*",
    },
    "Oldest": {"max_candidate_sequences": "int32"},
    "Sequences": {"max_sequence_idle_microseconds": "uint64", "oldest": "Oldest", "state": "State*"},
    "Dynamic": {"max_queue_delay_microseconds": "uint64"},
    "ModelConfig": {
        "name": "string",
        "backend": "string",
        "default_model_filename": "string",
        "max_batch_size": "int32",
        "input": "Tensor*",
        "output": "Tensor*",
        "dynamic_batching": "Dynamic",
        "sequence_batching": "Sequences",
    },
}
DATA_TYPES = ("TYPE_INVALID", "TYPE_BOOL", "TYPE_INT32", "TYPE_INT64", "TYPE_FP16", "TYPE_FP32")


@pytest.fixture(scope="module")
def model_config():
    """The message ModelConfig; anything else in the text is an error of the parser."""
    file = descriptor_pb2.FileDescriptorProto(name="model_config.proto", package="inference", syntax="proto3")
    enum = file.enum_type.add(name="DataType")
    for number, name in enumerate(DATA_TYPES):
        enum.value.add(name=name, number=number)
    for message, fields in SCHEMA.items():
        described = file.message_type.add(name=message)
        for number, (name, kind) in enumerate(fields.items(), 1):
            field = described.field.add(name=name, number=number, label=3 if kind.endswith("*") else 1)
            kind = kind.rstrip("*")
            if kind in SCHEMA or kind == "DataType":
                field.type = field.TYPE_ENUM if kind == "DataType" else field.TYPE_MESSAGE
                field.type_name = f".inference.{kind}"
            else:
                field.type = getattr(field, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))


def read(model_config, folder):
    return text_format.Parse((folder / "config.pbtxt").read_text(), model_config())


@pytest.fixture
def stream(tmp_path):
    """A streaming bundle with two states; log_probs is the sound plus what came before."""
    sizes = {"samples": [1, 4], "state_0": [1, 4], "state_1": [1, 1], "log_probs": [1, 4]}
    sizes |= {"next_state_0": [1, 4], "next_state_1": [1, 1]}
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in sizes.items()}
    graph = helper.make_graph(
        [
            helper.make_node("Add", ["samples", "state_0"], ["log_probs"]),
            helper.make_node("Identity", ["samples"], ["next_state_0"]),
            helper.make_node("Add", ["state_1", "one"], ["next_state_1"]),
        ],
        "stream",
        [values["samples"], values["state_0"], values["state_1"]],
        [values["log_probs"], values["next_state_0"], values["next_state_1"]],
        [numpy_helper.from_array(np.ones((1, 1), np.float32), "one")],
    )
    folder = tmp_path / "stream"
    folder.mkdir()
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "stream.onnx")
    states = [
        {
            "name": f"state_{place}",
            "output": f"next_state_{place}",
            "shape": sizes[f"state_{place}"],
            "dtype": "float32",
            "initial": 0.0,
        }
        for place in (1, 0)
    ]
    record = {"kind": "ctc_stream", "graph": "stream.onnx", "sample_rate": 16000, "window": 3, "hop": 2}
    record |= {"subsampling_factor": 1, "labels": ["a"], "blank_id": 1, "longest_seconds": 20, "states": states}
    record |= {"chunk_samples": 4, "shift_samples": 3, "chunk_frames": 4, "lookahead_frames": 2}
    write_manifest(folder, record)
    return Bundle(folder)


def test_whole_clips_are_batched_as_they_come(model_config, bundle, tmp_path):
    folder = write_repository(Bundle(bundle), tmp_path / "repository", "digits", batch=16)
    config = read(model_config, folder)
    assert (config.name, config.backend, config.max_batch_size) == ("digits", "onnxruntime", 16)
    assert config.HasField("dynamic_batching") and not config.HasField("sequence_batching")
    samples, length = config.input
    assert (samples.name, DATA_TYPES[samples.data_type], list(samples.dims)) == ("samples", "TYPE_FP32", [-1])
    assert (length.name, DATA_TYPES[length.data_type], list(length.dims)) == ("length", "TYPE_INT64", [1])
    assert length.HasField("reshape") and not samples.HasField("reshape")
    log_probs, frames = config.output
    assert (log_probs.name, list(log_probs.dims)) == ("log_probs", [-1, 29])
    assert (frames.name, list(frames.dims), frames.HasField("reshape")) == ("frames", [1], True)


def test_a_model_of_sounds_says_that_it_gives_them(model_config, stream, tmp_path, capsys):
    told = "gives Triton's clients sounds, a character each"
    write_repository(stream, tmp_path / "repository", "letters")
    record = {key: value for key, value in stream.manifest.items() if key not in ("format", "files")}
    write_manifest(stream.folder, record | {"labels": list(LABELS), "blank_id": len(LABELS)})
    assert told not in capsys.readouterr().err
    folder = write_repository(Bundle(stream.folder), tmp_path / "repository", "sounds")
    assert told in capsys.readouterr().err and told in (folder / "config.pbtxt").read_text()
    read(model_config, folder)


def test_the_named_shapes_run_as_triton_would_run_them(model_config, bundle, tmp_path):
    folder = write_repository(Bundle(bundle), tmp_path)
    config = read(model_config, folder)
    session = onnxruntime.InferenceSession(str(folder / "1" / "model.onnx"), providers=["CPUExecutionProvider"])
    feed = {}
    for value in config.input:
        dims = list(value.reshape.shape) if value.HasField("reshape") else list(value.dims)
        shape = [config.max_batch_size, *(size if size > 0 else 8000 for size in dims)]
        floats = DATA_TYPES[value.data_type] == "TYPE_FP32"
        feed[value.name] = np.zeros(shape, np.float32) if floats else np.full(shape, 8000, np.int64)
    found = session.run([value.name for value in config.output], feed)
    for value, array in zip(config.output, found, strict=True):
        dims = list(value.reshape.shape) if value.HasField("reshape") else list(value.dims)
        assert array.shape[0] == config.max_batch_size
        assert all(wanted in (-1, size) for wanted, size in zip(dims, array.shape[1:], strict=True))


def test_the_states_of_a_stream_stay_with_triton(model_config, stream, tmp_path):
    folder = write_repository(stream, tmp_path / "repository", streams=32)
    config = read(model_config, folder)
    assert config.max_batch_size == 0 and not config.HasField("dynamic_batching")
    assert [value.name for value in config.input] == ["samples"]
    assert [value.name for value in config.output] == ["log_probs"]
    assert list(config.input[0].dims) == [1, 4]
    batching = config.sequence_batching
    assert batching.oldest.max_candidate_sequences == 32
    assert [(state.input_name, state.output_name) for state in batching.state] == [
        ("state_0", "next_state_0"),
        ("state_1", "next_state_1"),
    ]
    for state in batching.state:
        (zeros,) = state.initial_state
        assert zeros.zero_data and zeros.name
        assert (zeros.data_type, zeros.dims) == (state.data_type, state.dims)


def test_a_sequence_run_as_configured_gives_the_streams_answer(model_config, stream, tmp_path):
    folder = write_repository(stream, tmp_path / "repository")
    config = read(model_config, folder)
    session = onnxruntime.InferenceSession(str(folder / "1" / "model.onnx"), providers=["CPUExecutionProvider"])
    states = {state.input_name: np.zeros(list(state.dims), np.float32) for state in config.sequence_batching.state}
    for step in range(3):
        outputs = ["log_probs", *(state.output_name for state in config.sequence_batching.state)]
        answer, *after = session.run(outputs, {"samples": np.full((1, 4), step, np.float32), **states})
        states = dict(zip(states, after, strict=True))
        assert (answer == step + max(step - 1, 0)).all()
    assert states["state_1"] == 3


def test_the_note_says_what_a_client_sends(bundle, stream, tmp_path):
    text = (write_repository(stream, tmp_path, "s") / "config.pbtxt").read_text()
    assert "# A request holds samples [1, 4].\n" in text
    assert "the last 1 samples are sent again" in text and "lookahead of 2 frames" in text
    folder = write_repository(Bundle(bundle), tmp_path, "c")
    assert "length [1, 1], how many of them are sound" in (folder / "config.pbtxt").read_text()
    assert json.loads((folder / "manifest.json").read_text())["labels"][0] == " "


def test_states_that_triton_would_mix_up_are_refused(stream):
    graph = onnx.load(stream.folder / "stream.onnx").graph
    states = stream.manifest["states"]
    swapped = [{**states[0], "output": states[1]["output"]}, {**states[1], "output": states[0]["output"]}]
    with pytest.raises(ConfigError, match="mix up the states"):
        stream_config("s", graph, swapped, 8)
    with pytest.raises(ConfigError, match="no state gone"):
        stream_config("s", graph, [{**states[0], "name": "gone"}], 8)
    with pytest.raises(ConfigError, match="begins with 1"):
        stream_config("s", graph, [{**states[0], "initial": 1.0}], 8)


def test_what_lies_there_is_left_alone(bundle, tmp_path):
    (tmp_path / "digits").mkdir()
    with pytest.raises(ConfigError, match="not a model of Triton"):
        write_repository(Bundle(bundle), tmp_path, "digits")
    with pytest.raises(ConfigError, match="without slashes"):
        write_repository(Bundle(bundle), tmp_path, "../digits")
    with pytest.raises(ConfigError, match="At least one clip"):
        write_repository(Bundle(bundle), tmp_path, "other", batch=0)
    folder = write_repository(Bundle(bundle), tmp_path, "other")
    assert write_repository(Bundle(bundle), tmp_path, "other") == folder


def test_the_command(bundle, tmp_path, capsys):
    assert main([str(bundle), str(tmp_path), "--name", "m", "--batch", "4"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "m")
    assert main([str(tmp_path / "nothing"), str(tmp_path)]) == 1
    assert "is not a bundle" in capsys.readouterr().err
