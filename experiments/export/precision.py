"""Smaller files: weights stored as half-precision numbers or as 8-bit integers and expanded when the graph is loaded.

onnxruntime has no 8-bit kernel for a GRU and no half-precision one for a CPU, and folds constants at load: a weight
that is stored small and expanded by two operators costs nothing after that. Every device computes in float32, except
where TensorRT is told otherwise; what changes is the size, and the rounding of the weights.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LOG = logging.getLogger(__name__)

PRECISIONS = ("fp32", "fp16", "int8")
SMALLEST = 512  # values; what is smaller (biases, normalisation) weighs nothing and is kept whole
SMALLEST_SCALE = 2.0**-14  # the smallest half-precision number with all its digits
# Operators whose weights are shortened: which inputs they are, and which axes share one scale: all but the outputs'.
# Without axes (biases) 8 bits are too few and half precision is used.
WEIGHTS: dict[str, dict[int, tuple[int, ...]]] = {
    "Conv": {1: (1, 2)},
    "GRU": {1: (2,), 2: (2,), 3: ()},
    "LSTM": {1: (2,), 2: (2,), 3: ()},
    "MatMul": {0: (1,), 1: (0,)},
    "Gemm": {1: (0,)},
}


def store(source: Path, out: Path, precision: str) -> None:
    """Write a graph with its weights stored at another precision.

    int8 is symmetric with one scale an output of a layer. The Fourier kernels of the front-end are stored as half
    precision at most: 8 bits would raise a noise floor 50 dB below the loudest bin.

    Args:
        source: a float32 graph.
        out: the new one.
        precision: see `PRECISIONS`.
    """
    model = onnx.load(source)
    if precision != "fp32":
        graph = model.graph
        constants = _constants(graph)
        expanded: list[onnx.NodeProto] = []
        for name, axes in _weights(graph):
            values = constants.get(name)
            if values is None or values.dtype != np.float32 or values.size < SMALLEST:
                continue
            if (not axes or precision == "fp16") and not fits_half(values):
                LOG.info(f"{name} is stored in float32: half precision does not hold its values.")
                continue
            _remove(graph, name)
            del constants[name]  # a weight that two operators share is stored once
            expanded += (
                _integer(graph, name, values, axes) if axes and precision == "int8" else _half(graph, name, values)
            )
        nodes = [*expanded, *graph.node]
        del graph.node[:]
        graph.node.extend(nodes)
        onnx.checker.check_model(model)
    onnx.save(model, out)


def fits_half(values: np.ndarray) -> bool:
    """Whether half precision holds an array: none too large, and not all lost as too small."""
    largest = float(np.abs(values).max(initial=0.0))
    limits = np.finfo(np.float16)
    return largest <= float(limits.max) and (largest == 0 or largest >= float(limits.smallest_normal))


def _weights(graph: onnx.GraphProto) -> list[tuple[str, tuple[int, ...]]]:
    """Names of the inputs that may be weights, and the axes that share a scale: none for the front-end's."""
    found = []
    for node in graph.node:
        for place, axes in WEIGHTS.get(node.op_type, {}).items():
            if place >= len(node.input):
                continue
            if node.op_type == "Gemm" and _attribute(node, "transB"):
                axes = (1,)
            found.append((node.input[place], () if node.name.startswith("/frontend/") else axes))
    return found


def _constants(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return constants


def _remove(graph: onnx.GraphProto, name: str) -> None:
    for tensor in graph.initializer:
        if tensor.name == name:
            graph.initializer.remove(tensor)
            return
    for node in graph.node:
        if name in node.output:
            graph.node.remove(node)
            return


def _attribute(node: onnx.NodeProto, name: str) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), 0)


def _half(graph: onnx.GraphProto, name: str, values: np.ndarray) -> list[onnx.NodeProto]:
    graph.initializer.append(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
    return [helper.make_node("Cast", [f"{name}_half"], [name], f"{name}_expand", to=TensorProto.FLOAT)]


def _integer(graph: onnx.GraphProto, name: str, values: np.ndarray, axes: tuple[int, ...]) -> list[onnx.NodeProto]:
    largest = np.abs(values).max(axis=axes, keepdims=True)
    scale = np.maximum(largest / 127, SMALLEST_SCALE).astype(np.float16)
    scale = np.where(scale.astype(np.float32) * 127 < largest, np.nextafter(scale, np.float16(np.inf)), scale)
    integers = np.clip(np.rint(values / scale.astype(np.float32)), -127, 127).astype(np.int8)
    graph.initializer.append(numpy_helper.from_array(integers, f"{name}_integers"))
    graph.initializer.append(numpy_helper.from_array(scale, f"{name}_scale"))
    return [
        helper.make_node("Cast", [f"{name}_integers"], [f"{name}_numbers"], f"{name}_cast", to=TensorProto.FLOAT),
        helper.make_node("Cast", [f"{name}_scale"], [f"{name}_step"], f"{name}_cast_scale", to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}_numbers", f"{name}_step"], [name], f"{name}_expand"),
    ]
