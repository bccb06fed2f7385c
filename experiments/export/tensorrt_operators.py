"""Can TensorRT read a graph? Each operator, attribute and type is held against the list of its ONNX parser.

python -m experiments.export.tensorrt_operators bundles/digits/model.onnx        # what TensorRT 10.3 refuses
python -m experiments.export.tensorrt_operators bundles/digits/model.onnx --release 11.4 --fold folded.onnx --show

The list is tensorrt_operators.tsv beside this file, which names its source.
"""

from __future__ import annotations

import argparse
import csv
import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper, numpy_helper

from experiments.errors import ConfigError

TABLE = Path(__file__).with_name("tensorrt_operators.tsv")
JETPACK_6 = "10.3"  # JetPack 6.1 and 6.2
FRONTEND = "/frontend/"  # how the tracer names what is in the module `frontend`
# Highest operator set by release, as documented for 9.2, 10.15 and 11; what lies between counts as the lower.
OPSETS = {(10, 0): 19, (10, 15): 24, (11, 0): 25}
TYPES = {
    "FLOAT": "FP32",
    "DOUBLE": "FP32",  # cast down by the parser
    "FLOAT16": "FP16",
    "BFLOAT16": "BF16",
    "FLOAT8E4M3FN": "FP8",
    "FLOAT4E2M1": "FP4",
}
# The input whose type the list means, where it is not the first; None where it means none of the inputs.
DATA_INPUT: dict[str, int | None] = {
    "Where": 1,
    "OneHot": 2,
    "ConstantOfShape": None,
    "HannWindow": None,
    "HammingWindow": None,
    "BlackmanWindow": None,
    "If": None,
    "Loop": None,
}


@dataclass(frozen=True)
class Operator:
    """A row of the list.

    Args:
        since: first release that reads it; None for never.
        types: of its data.
        limits: in words.
    """

    since: tuple[int, ...] | None
    types: frozenset[str]
    limits: str


def release_number(release: str) -> tuple[int, ...]:
    """Major and minor of a release.

    >>> release_number("10.3.0")
    (10, 3)

    Raises:
        ConfigError: it is not a number.
    """
    try:
        major, minor, *_ = [int(part) for part in f"{release}.0".split(".")]
    except ValueError:
        raise ConfigError(f"A TensorRT release is written like 10.3, found {release!r}.") from None
    return major, minor


@functools.cache
def operators() -> dict[str, Operator]:
    """The list, by operator."""
    with open(TABLE, encoding="utf-8", newline="") as file:
        rows = csv.DictReader((line for line in file if not line.startswith("#")), delimiter="\t")
        return {
            row["operator"]: Operator(
                None if row["since"] == "-" else release_number(row["since"]),
                frozenset((row["types"] or "").split()),
                row["limits"] or "",
            )
            for row in rows
        }


@dataclass
class Scope:
    """What is known of the tensors of a graph.

    Args:
        types: element type of each tensor, as ONNX names it.
        shapes: of each tensor where known; None for a dimension that varies.
        constants: value of each tensor that is known before the graph runs; None where only that much is known.
        release: of TensorRT.
    """

    release: tuple[int, ...]
    types: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, list[int | None]] = field(default_factory=dict)
    constants: dict[str, np.ndarray | None] = field(default_factory=dict)

    def enter(self, graph: GraphProto) -> Scope:
        """This scope and what a graph within adds to it."""
        inner = Scope(self.release, dict(self.types), dict(self.shapes), dict(self.constants))
        for value in [*graph.input, *graph.output, *graph.value_info]:
            tensor = value.type.tensor_type
            if tensor.elem_type:
                inner.types[value.name] = TensorProto.DataType.Name(tensor.elem_type)
            if tensor.HasField("shape"):
                sizes = [size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim]
                inner.shapes[value.name] = sizes
        for tensor in graph.initializer:
            inner.types[tensor.name] = TensorProto.DataType.Name(tensor.data_type)
            inner.shapes[tensor.name] = list(tensor.dims)
            inner.constants[tensor.name] = numpy_helper.to_array(tensor)
        for node in graph.node:
            if node.op_type == "Constant":
                value = attributes(node).get("value")
                inner.constants[node.output[0]] = numpy_helper.to_array(value) if value is not None else None
            elif node.op_type == "Identity" and node.input[0] in inner.constants:
                inner.constants[node.output[0]] = inner.constants[node.input[0]]
        return inner

    def is_constant(self, node: NodeProto, place: int) -> bool:
        """Whether an input is left out or known before the graph runs."""
        return len(node.input) <= place or not node.input[place] or node.input[place] in self.constants


def attributes(node: NodeProto) -> dict[str, Any]:
    """Attributes of a node as Python values."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _recurrent(node: NodeProto, scope: Scope) -> Iterator[str]:
    given = attributes(node)
    if given.get("layout", 0):
        yield "layout must be 0"
    if given.get("input_forget", 0):
        yield "input_forget must be 0"
    if _text(given.get("direction", "forward")) == "bidirectional":
        for name in ("activations", "activation_alpha", "activation_beta"):
            values = [_text(value) for value in given.get(name, [])]
            if values[: len(values) // 2] != values[len(values) // 2 :]:
                yield f"{name} of both directions must be the same"


def _pooling(node: NodeProto, scope: Scope) -> Iterator[str]:
    given = attributes(node)
    if any(step != 1 for step in given.get("dilations", [])):
        yield "dilations must be 1"
    if node.op_type != "LpPool" and len(given.get("kernel_shape", [0, 0])) not in (2, 3):
        yield "it must be 2-D or 3-D"
    if node.op_type == "LpPool" and given.get("p", 2) not in (1, 2):
        yield "p must be 1 or 2"
    yield from _one_output(node, scope)


def _one_output(node: NodeProto, scope: Scope) -> Iterator[str]:
    if any(node.output[1:]):
        yield "only the first output is given"
    if attributes(node).get("training_mode", 0):
        yield "training_mode must be 0"


def _constant_axes(node: NodeProto, scope: Scope) -> Iterator[str]:
    if not scope.is_constant(node, 1):
        yield "its axes must be constant; fold the graph first"


def _cumulative(node: NodeProto, scope: Scope) -> Iterator[str]:
    if scope.release < (10, 8):
        yield from _constant_axes(node, scope)


def _zero_point(node: NodeProto, scope: Scope) -> Iterator[str]:
    if len(node.input) > 2 and node.input[2]:
        value = scope.constants.get(node.input[2])
        if value is None or np.any(value):
            yield "its zero point must be 0"


def _constant(node: NodeProto, scope: Scope) -> Iterator[str]:
    for name in {"sparse_value", "value_string", "value_strings"} & set(attributes(node)):
        yield f"{name} is not supported"


def _loop(node: NodeProto, scope: Scope) -> Iterator[str]:
    body = attributes(node)["body"]
    inner = scope.enter(body)
    carried = len(node.input) - 2
    if len(node.output) > carried and (not node.input[0] or not scope.is_constant(node, 0)):
        yield "the length of its scan outputs must be constant"
    for before, after in zip(body.input[2:], body.output[1 : carried + 1], strict=False):
        shapes = inner.shapes.get(before.name), inner.shapes.get(after.name)
        if None not in shapes and shapes[0] != shapes[1]:
            yield f"the shape of {before.name} must stay the same"


def _resize(node: NodeProto, scope: Scope) -> Iterator[str]:
    given = attributes(node)
    if given.get("antialias", 0):
        yield "antialias is not supported"
    if _text(given.get("keep_aspect_ratio_policy", "stretch")) != "stretch":
        yield "keep_aspect_ratio_policy must be stretch"
    if _text(given.get("mode", "nearest")) not in ("nearest", "linear"):
        yield "mode must be nearest or linear"


def _spectrum(node: NodeProto, scope: Scope) -> Iterator[str]:
    for place, name in ((1, "frame_step"), (2, "window")):
        if not scope.is_constant(node, place):
            yield f"{name} must be an initializer"


def _power(node: NodeProto, scope: Scope) -> Iterator[str]:
    if scope.release < (10, 12) and scope.types.get(node.input[0], "").startswith("INT"):
        yield "an integer base is read since 10.12"


def _top(node: NodeProto, scope: Scope) -> Iterator[str]:
    if not attributes(node).get("sorted", 1):
        yield "sorted must be 1"


def _scatter(node: NodeProto, scope: Scope) -> Iterator[str]:
    if _text(attributes(node).get("reduction", "none")) != "none":
        yield "reduction must be none"


REDUCTIONS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare".split()
RULES: dict[str, Any] = {
    **dict.fromkeys(("GRU", "LSTM", "RNN"), _recurrent),
    **dict.fromkeys(("AveragePool", "MaxPool", "LpPool"), _pooling),
    **dict.fromkeys(("LayerNormalization", "BatchNormalization"), _one_output),
    **dict.fromkeys(("Squeeze", "Unsqueeze", *(f"Reduce{name}" for name in REDUCTIONS)), _constant_axes),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), _zero_point),
    "CumSum": _cumulative,
    "Constant": _constant,
    "Loop": _loop,
    "Resize": _resize,
    "STFT": _spectrum,
    "Pow": _power,
    "TopK": _top,
    "ScatterND": _scatter,
}


def _types(node: NodeProto, scope: Scope) -> Iterator[str]:
    """Types of a node that the list has to have."""
    given = attributes(node)
    place = DATA_INPUT.get(node.op_type, 0)
    if place is not None and len(node.input) > place:
        yield scope.types.get(node.input[place], "")
    if node.op_type == "Cast":
        yield TensorProto.DataType.Name(given["to"])
    if node.op_type in ("Constant", "ConstantOfShape") and "value" in given:
        yield TensorProto.DataType.Name(given["value"].data_type)


def _check_nodes(graph: GraphProto, scope: Scope) -> Iterator[str]:
    scope = scope.enter(graph)
    release = ".".join(map(str, scope.release))
    for node in graph.node:
        name = f"{node.op_type} {node.name or node.output[0]}"
        known = operators().get(node.op_type)
        if node.domain not in ("", "ai.onnx"):
            yield f"{name}: operators of {node.domain} are not ONNX's own"
            continue
        if known is None or known.since is None:
            yield f"{name}: TensorRT has no {node.op_type}"
            continue
        if known.since > scope.release:
            since = ".".join(map(str, known.since))
            yield f"{name}: TensorRT reads {node.op_type} since {since}, not in {release}"
            continue
        for kind in dict.fromkeys(_types(node, scope)):
            if kind and TYPES.get(kind, kind) not in known.types:
                yield f"{name}: {kind} is not among its types ({', '.join(sorted(known.types))})"
        if node.op_type in RULES:
            yield from (f"{name}: {complaint}" for complaint in RULES[node.op_type](node, scope))
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _check_nodes(attribute.g, scope)


def check_graph(path: Path, release: str = JETPACK_6) -> list[str]:
    """Everything in a graph that TensorRT would refuse, a sentence each; empty where it would read it.

    Args:
        path: ONNX file.
        release: of TensorRT; the default is JetPack 6's.

    Raises:
        ConfigError: the file is not a graph.
    """
    number = release_number(release)
    try:
        model = onnx.shape_inference.infer_shapes(onnx.load(path))
    except Exception as error:  # protobuf's and onnx's own exceptions share no base class
        raise ConfigError(f"{path} is not an ONNX graph ({error}).") from None
    complaints = []
    highest = max((opset for first, opset in OPSETS.items() if first <= number), default=0)
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version > highest:
            complaints.append(
                f"Operator set {opset.version}: TensorRT {release} reads up to {highest}; export with opset={highest}"
            )
    return complaints + list(_check_nodes(model.graph, Scope(number)))


def require_tensorrt(path: Path, release: str = JETPACK_6) -> None:
    """Refuse a graph that TensorRT would refuse.

    Raises:
        ConfigError: with each operator that stands in the way.
    """
    complaints = check_graph(path, release)
    if complaints:
        shown = "\n".join(f"  {complaint}." for complaint in complaints[:20])
        raise ConfigError(
            f"TensorRT {release} would refuse {path.name}:\n{shown}\n"
            "Choose another encoder or front-end, or export with target=onnx."
        )


def float_layers(path: Path, prefix: str = FRONTEND) -> list[str]:
    """Names of the nodes below a prefix that give real numbers: what an fp16 engine keeps in fp32.

    The logarithm of a power in half precision loses everything below 6e-8.

    Args:
        path: ONNX file.
        prefix: of their names.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    types = Scope((10, 0)).enter(model.graph).types
    real = ("FLOAT", "FLOAT16", "DOUBLE")
    return [
        node.name
        for node in model.graph.node
        if node.name.startswith(prefix)
        and node.op_type not in ("Constant", "Identity")
        and any(types.get(name) in real for name in node.output)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, and fold or show where asked; returns 0 where TensorRT would read the graph."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.export.tensorrt_operators",
        description="Say what TensorRT would refuse in an ONNX graph.",
    )
    parser.add_argument("graph", type=Path, help="ONNX file")
    parser.add_argument("--release", default=JETPACK_6, help=f"of TensorRT (default {JETPACK_6}, JetPack 6)")
    parser.add_argument("--fold", type=Path, metavar="OUT", help="write the graph with its constants folded")
    parser.add_argument("--show", action="store_true", help="print inputs, outputs and layers")
    options = parser.parse_args(arguments)
    from experiments.export.tensorrt_fold import fold, show

    try:
        complaints = check_graph(options.graph, options.release)
        for complaint in complaints:
            print(f"{complaint}.")
        if not complaints:
            print(f"TensorRT {options.release} reads every operator of {options.graph}.")
        if options.show:
            print(show(options.graph))
        if options.fold:
            folded = fold(options.graph, options.fold)
            print(f"{options.fold}: {folded.before} nodes became {folded.after}, difference {folded.difference:.1e}.")
    except ConfigError as error:
        print(f"tensorrt_operators: {error}", file=sys.stderr)
        return 2
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
