"""A model repository for NVIDIA's Triton Inference Server, for those who outgrow one device.

python -m experiments.export.triton bundles/digits repository --name digits --batch 16
tritonserver --model-repository repository

A bundle of whole clips is batched as requests come. A streaming bundle becomes a stateful model: Triton keeps the state
of each sequence, and a client sends nothing but its sound and a sequence id.
Source: Triton's model_config.proto, "Implicit State Management" and sequence_state.cc.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx

from experiments.errors import ConfigError
from experiments.export.tokens import tell_sounds
from heyjetson import Bundle
from heyjetson.bundle import MANIFEST
from heyjetson.errors import HeyJetsonError

TYPES = {
    onnx.TensorProto.FLOAT: "TYPE_FP32",
    onnx.TensorProto.FLOAT16: "TYPE_FP16",
    onnx.TensorProto.INT64: "TYPE_INT64",
    onnx.TensorProto.INT32: "TYPE_INT32",
    onnx.TensorProto.BOOL: "TYPE_BOOL",
}
CONFIG = "config.pbtxt"
QUEUE_MICROSECONDS = 5000  # that a request may wait for others to share its batch
IDLE_MICROSECONDS = 60_000_000  # after which Triton forgets a stream whose client went away

# A message of protobuf's text format: names with values, messages, or lists of messages.
Message = dict[str, Any]


class Word(str):
    """A name of the schema's own, written without quotes."""


def text_format(message: Message, indent: int = 0) -> Iterator[str]:
    """Lines of protobuf's text format.

    >>> print("\\n".join(text_format({"name": "digits", "input": [{"data_type": Word("TYPE_FP32"), "dims": [-1]}]})))
    name: "digits"
    input {
      data_type: TYPE_FP32
      dims: [-1]
    }
    """
    space = " " * indent
    for name, value in message.items():
        if isinstance(value, dict):
            yield f"{space}{name} {{"
            yield from text_format(value, indent + 2)
            yield f"{space}}}"
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for one in value:
                yield from text_format({name: one}, indent)
        elif isinstance(value, list):
            yield f"{space}{name}: [{', '.join(map(str, value))}]"
        elif isinstance(value, bool):
            yield f"{space}{name}: {str(value).lower()}"
        elif isinstance(value, str) and not isinstance(value, Word):
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            yield f'{space}{name}: "{escaped}"'
        else:
            yield f"{space}{name}: {value}"


def _tensor(value: onnx.ValueInfoProto, batched: bool) -> Message:
    """Name, type and shape of an input or output; -1 where a size varies."""
    tensor = value.type.tensor_type
    if tensor.elem_type not in TYPES:
        raise ConfigError(f"{value.name} has a type that Triton cannot carry. Export the model again.")
    dims = [size.dim_value or -1 for size in tensor.shape.dim]
    described: Message = {"name": value.name, "data_type": Word(TYPES[tensor.elem_type])}
    if not batched:
        return {**described, "dims": dims}
    if len(dims) > 1:
        return {**described, "dims": dims[1:]}
    # Triton wants a dimension beside the batch; this takes it away again before the graph sees it.
    return {**described, "dims": [1], "reshape": {"shape": []}}


def clip_config(name: str, graph: onnx.GraphProto, batch: int) -> Message:
    """Configuration for whole clips.

    Args:
        name: of the model.
        graph: samples [batch, samples], length [batch] → log_probs [batch, frames, V + 1], frames [batch].
        batch: largest.
    """
    return {
        "name": name,
        "backend": "onnxruntime",
        "default_model_filename": "model.onnx",
        "max_batch_size": batch,
        "input": [_tensor(value, True) for value in graph.input],
        "output": [_tensor(value, True) for value in graph.output],
        "dynamic_batching": {"max_queue_delay_microseconds": QUEUE_MICROSECONDS},
    }


def stream_config(name: str, graph: onnx.GraphProto, states: Sequence[Message], streams: int) -> Message:
    """Configuration for a stream: its states stay with Triton, everything else is the client's.

    Args:
        name: of the model.
        graph: the next piece of sound and the states → outputs and the next states; every shape fixed.
        states: entries of the manifest: name, output, shape, initial.
        streams: most that run at the same time.

    Raises:
        ConfigError: graph and manifest name different states, a state does not begin with zeros, or Triton would mix
            them up.
    """
    inputs = {value.name: value for value in graph.input}
    outputs = {value.name: value for value in graph.output}
    for state in states:
        if state["name"] not in inputs or state["output"] not in outputs:
            raise ConfigError(f"The graph has no state {state['name']} → {state['output']}. Export the model again.")
        if state.get("initial", 0.0):
            raise ConfigError(
                f"The state {state['name']} begins with {state['initial']}; only zeros can be written here."
            )
    # Triton pairs inputs with outputs by their place in alphabetical order (SequenceStates::OutputState).
    by_input = sorted(states, key=lambda state: state["name"])
    if by_input != sorted(states, key=lambda state: state["output"]):
        raise ConfigError(
            "Triton would mix up the states: sorted by input they stand in another order than sorted by output. Name "
            "each output like its input, with the same beginning."
        )
    kept_inputs = {state["name"] for state in states}
    kept_outputs = {state["output"] for state in states}
    entries = []
    for state in by_input:
        tensor = _tensor(inputs[state["name"]], False)
        zeros = {"name": "zeros", "data_type": tensor["data_type"], "dims": tensor["dims"], "zero_data": True}
        entries.append(
            {
                "input_name": state["name"],
                "output_name": state["output"],
                "data_type": tensor["data_type"],
                "dims": tensor["dims"],
                "initial_state": [zeros],
            }
        )
    return {
        "name": name,
        "backend": "onnxruntime",
        "default_model_filename": "model.onnx",
        # The graph takes one stream at a time, and says so in its first dimension.
        "max_batch_size": 0,
        "input": [_tensor(value, False) for value in graph.input if value.name not in kept_inputs],
        "output": [_tensor(value, False) for value in graph.output if value.name not in kept_outputs],
        "sequence_batching": {
            "max_sequence_idle_microseconds": IDLE_MICROSECONDS,
            # One instance serves many sequences; the other strategy, `direct`, would give each its own.
            "oldest": {"max_candidate_sequences": streams},
            "state": entries,
        },
    }


def note(bundle: Bundle, graph: onnx.GraphProto) -> list[str]:
    """What a client sends, as comments."""
    manifest = bundle.manifest
    has_length = any(value.name == "length" for value in graph.input)
    lines = [f"{bundle.sample_rate} Hz mono float32 samples within [-1, 1]; labels and blank are in {MANIFEST}."]
    if manifest["kind"] == "ctc":
        lines.append(
            f"One request a clip of at most {manifest['longest_seconds']} s: samples [1, S]"
            + _and_length(has_length, "[1, 1]")
        )
        if has_length:
            lines.append(
                "Clips share a batch where S is the same: fill up with zeros to whole seconds, the rest is ignored."
            )
        return lines
    chunk, shift = manifest["chunk_samples"], manifest["shift_samples"]
    lines += [
        "A stream is a sequence: one sequence id, sequence_start in the first request, sequence_end in the last.",
        f"A request holds samples [1, {chunk}]" + _and_length(has_length, "[1]"),
        f"Each begins {shift} samples after the one before: the last {chunk - shift} samples are sent again.",
        "At the end: zeros fill up the last piece, and pieces of zeros with length 0 follow until the lookahead of "
        f"{manifest['lookahead_frames']} frames is out.",
        "A later request with sequence_start begins anew with zero states.",
    ]
    return lines


def _and_length(has_length: bool, shape: str) -> str:
    return f" and length {shape}, how many of them are sound." if has_length else "."


def write_repository(
    bundle: Bundle, repository: Path, name: str | None = None, batch: int = 8, streams: int = 64
) -> Path:
    """Write `<name>/config.pbtxt`, `<name>/1/model.onnx` and the bundle's manifest.

    Args:
        bundle: to serve.
        repository: folder of all models; others in it are left alone.
        name: of the model; None takes the bundle's folder.
        batch: largest batch of whole clips.
        streams: most streams at the same time.

    Returns:
        the model's folder.

    Raises:
        ConfigError: the bundle cannot be served, or something else lies there.
    """
    name = name or bundle.folder.resolve().name
    if Path(name).name != name:
        raise ConfigError(f"{name!r} is not a name for a model. Choose one without slashes.")
    if batch < 1 or streams < 1:
        raise ConfigError(f"At least one clip and one stream must fit, found batch {batch} and streams {streams}.")
    graph_file = bundle.folder / bundle.manifest.get("graph", "model.onnx")
    graph = onnx.load(graph_file).graph
    kind = bundle.manifest["kind"]
    if kind == "ctc":
        config = clip_config(name, graph, batch)
    elif kind == "ctc_stream":
        config = stream_config(name, graph, bundle.manifest["states"], streams)
    else:
        raise ConfigError(f"Bundles of kind {kind!r} cannot be served by Triton, ctc and ctc_stream can.")
    folder = repository / name
    if folder.exists() and not (folder / CONFIG).is_file():
        raise ConfigError(f"{folder} exists and is not a model of Triton; nothing was written. Choose another name.")
    (folder / "1").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(graph_file, folder / "1" / "model.onnx")
    shutil.copyfile(bundle.folder / MANIFEST, folder / MANIFEST)
    notes = [*note(bundle, graph), *filter(None, [tell_sounds(bundle.labels, "Triton's clients")])]
    lines = [f"# {line}" for line in notes] + list(text_format(config))
    (folder / CONFIG).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a bundle into a model repository."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.export.triton", description="Write a bundle into a Triton model repository."
    )
    parser.add_argument("bundle", help="folder written by export.py")
    parser.add_argument("repository", type=Path, help="folder of Triton's models")
    parser.add_argument("--name", help="of the model (default: the bundle's folder)")
    parser.add_argument("--batch", type=int, default=8, help="largest batch of whole clips (default 8)")
    parser.add_argument("--streams", type=int, default=64, help="most streams at the same time (default 64)")
    options = parser.parse_args(arguments)
    try:
        print(
            write_repository(Bundle(options.bundle), options.repository, options.name, options.batch, options.streams)
        )
    except (ConfigError, HeyJetsonError) as error:
        print(f"triton: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
