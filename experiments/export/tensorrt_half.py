"""A graph that computes in half precision, for TensorRT 11, which takes precisions from the graph alone.

The front-end and the last softmax stay in single precision: the logarithm of a small power and of a small probability
would be lost. Inputs, outputs and states keep their types, so the runtime does not see the difference.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

from experiments.errors import ConfigError
from experiments.export.tensorrt_fold import compare
from experiments.export.tensorrt_operators import float_layers

HALF, SINGLE = TensorProto.FLOAT16, TensorProto.FLOAT
KEPT_OPERATORS = ("LogSoftmax",)
LARGEST = float(np.finfo(np.float16).max)  # of masks such as -1e9, so that a softmax over them is a number


class _Writer:
    """Rewrites the nodes of a graph, in order."""

    def __init__(self, graph: onnx.GraphProto, keep: Collection[str]):
        self.keep = set(keep)
        self.types = {value.name: value.type.tensor_type.elem_type for value in [*graph.input, *graph.value_info]}
        self.types |= {value.name: value.type.tensor_type.elem_type for value in graph.output}
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.outputs = {value.name for value in graph.output}
        self.now = {value.name: SINGLE for value in graph.input}  # precision of each tensor of real numbers
        self.alias: dict[str, str] = {}  # an output's name is taken by its copy in single precision
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self.keep |= self._counting(graph)

    def _counting(self, graph: onnx.GraphProto) -> set[str]:
        """Nodes whose real numbers become whole ones: half precision counts to 2048 only, 20 s of 10 ms frames."""
        whole = (TensorProto.INT32, TensorProto.INT64)
        names: set[str] = set()
        counted: set[str] = set()
        for node in reversed(graph.node):
            casts = any(attribute.name == "to" and attribute.i in whole for attribute in node.attribute)
            if casts or counted & set(node.output):
                counted |= {name for name in node.input if self.real(name) and name not in self.constants}
                names.add(node.name)
        return names

    def real(self, name: str) -> bool:
        if name in self.constants:
            return self.constants[name].dtype == np.float32
        return self.types.get(name) == SINGLE

    def input(self, name: str, wanted: int) -> str:
        """Name of a tensor in the precision wanted, made where it is not there yet."""
        if name in self.constants:
            values = self.constants[name]
            if values.dtype == np.float32 and wanted == HALF:
                name, values = f"{name}_half", np.clip(values, -LARGEST, LARGEST).astype(np.float16)
            self.initializers.setdefault(name, numpy_helper.from_array(values, name))
            return name
        if not name or not self.real(name):
            return name
        name, precision = self.alias.get(name, name), self.now[name]
        if precision == wanted:
            return name
        copy = f"{name}_{'half' if wanted == HALF else 'single'}"
        if copy not in self.now:
            self.nodes.append(helper.make_node("Cast", [name], [copy], f"{copy}_cast", to=wanted))
            self.now[copy] = wanted
        return copy

    def add(self, node: NodeProto) -> None:
        """Write a node in its precision."""
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            return
        kept = node.name in self.keep or node.op_type in KEPT_OPERATORS
        precision = SINGLE if kept else HALF
        inputs = [self.input(name, precision) for name in node.input]
        del node.input[:]
        node.input.extend(inputs)
        if not kept:
            for attribute in node.attribute:
                if attribute.name == "to" and attribute.i == SINGLE:
                    attribute.i = HALF
                elif attribute.type == AttributeProto.TENSOR and attribute.t.data_type == SINGLE:
                    attribute.t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(attribute.t).astype(np.float16)))
        self.nodes.append(node)
        for place, name in enumerate(node.output):
            if not self.real(name):
                continue
            self.now[name] = precision
            if name in self.outputs and precision == HALF:
                self.alias[name] = node.output[place] = f"{name}_half"
                self.nodes.append(helper.make_node("Cast", [f"{name}_half"], [name], f"{name}_cast", to=SINGLE))


def single(model: onnx.ModelProto, keep: Collection[str]) -> set[str]:
    """Names of the nodes that compute in float32 whatever the sound.

    Args:
        model: the graph.
        keep: nodes that are wished to.
    """
    kept = _Writer(onnx.shape_inference.infer_shapes(model).graph, keep).keep
    return kept | {node.name for node in model.graph.node if node.op_type in KEPT_OPERATORS}


def halved(model: onnx.ModelProto, keep: Collection[str]) -> onnx.ModelProto:
    """A copy of a float32 graph that computes in float16.

    Args:
        model: the graph.
        keep: nodes that stay in float32.

    Raises:
        ConfigError: the graph has graphs within.
    """
    graph = onnx.shape_inference.infer_shapes(model).graph
    if any(attribute.type == AttributeProto.GRAPH for node in graph.node for attribute in node.attribute):
        raise ConfigError("A graph with loops or branches cannot be brought to half precision. Export it as fp32.")
    writer = _Writer(graph, keep)
    for node in graph.node:
        writer.add(node)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for part, values in (("node", writer.nodes), ("initializer", writer.initializers.values()), ("value_info", ())):
        result.graph.ClearField(part)
        getattr(result.graph, part).extend(values)
    for name in {value.name for value in graph.output} & set(writer.constants):
        result.graph.initializer.append(numpy_helper.from_array(writer.constants[name], name))
    onnx.checker.check_model(result, full_check=True)
    return result


def half(
    path: Path,
    out: Path,
    tolerance: float = 0.25,
    cases: Sequence[Mapping[str, int]] = ({"batch": 2, "samples": 16000},),
    keep: Collection[str] = (),
) -> float:
    """Write a graph that computes in half precision and compare the two. The manifest is to say `compute: fp16`.

    Args:
        path: float32 graph, its constants folded.
        out: the new one.
        tolerance: largest difference of an output that is accepted; whether texts differ is for a measurement to say.
        cases: sizes of the dimensions that vary, to compare with. A CPU computes the graph in float32, so this shows
            what was written wrongly; what half precision does to it is for `ranges` to say.
        keep: further nodes that stay in float32.

    Returns:
        the largest difference of an output.

    Raises:
        ConfigError: the difference is too large; nothing is written.
    """
    part = out.with_name(f".{out.name}.part")
    try:
        onnx.save(halved(onnx.load(path), [*float_layers(path), *keep]), part)
        difference = compare(path, part, cases)
        if not difference <= tolerance:
            raise ConfigError(
                f"In half precision {path.name} differs by {difference:.2e}, more than {tolerance}. Build it as fp32."
            )
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return difference
