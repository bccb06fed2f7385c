"""What a graph is made of, read from its ONNX file: the package onnx is not on the device.

Only the fields of onnx.proto3 that are shown are read, by the wire format of protocol buffers; weights are skipped.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
LAYERS = 400  # that are told of at most


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a message; what holds bytes is not copied.

    Raises:
        ValueError, IndexError: it is no message.
    """
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == VARINT:
            value, place = _varint(data, place)
            yield key >> 3, value
        elif kind == BYTES:
            size, place = _varint(data, place)
            if place + size > len(data):
                raise ValueError("a field is longer than its message")
            yield key >> 3, data[place : place + size]
            place += size
        elif kind in (FIXED64, FIXED32):
            place += 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"there is no wire type {kind}")


def _text(value: memoryview) -> str:
    return bytes(value).decode(errors="replace")


def _dimensions(tensor: memoryview) -> tuple[str, list[int]]:
    """Name and shape of a TensorProto."""
    name, shape = "", []
    for number, value in _fields(tensor):
        if number == 8:
            name = _text(value)
        elif number == 1 and isinstance(value, int):
            shape.append(value)
        elif number == 1:  # packed
            place = 0
            while place < len(value):
                size, place = _varint(value, place)
                shape.append(size)
    return name, shape


def _node(node: memoryview) -> dict[str, Any]:
    """Inputs, outputs, name and operator of a NodeProto; the shape of its tensor where it is a constant."""
    found: dict[str, Any] = {"inputs": [], "outputs": [], "name": "", "operator": "", "shape": None}
    for number, value in _fields(node):
        if number in (1, 2):
            found["inputs" if number == 1 else "outputs"].append(_text(value))
        elif number in (3, 4):
            found["name" if number == 3 else "operator"] = _text(value)
        elif number == 5 and found["operator"] in ("", "Constant"):
            tensors = [inner for field, inner in _fields(value) if field == 5 and isinstance(inner, memoryview)]
            found["shape"] = _dimensions(tensors[0])[1] if tensors else found["shape"]
    return found


@lru_cache(4)
def layers(path: Path) -> dict[str, Any] | None:
    """The operators of a graph, and those that hold weights, in the order in which they run.

    Args:
        path: of the ONNX file.

    Returns:
        nodes and parameters (numbers), opset, operators ({"operator", "count"}, the most frequent first), and layers
        ({"operator", "name", "shapes" of its weights, "parameters"}); None where the file cannot be read.
    """
    try:
        return _described(memoryview(path.read_bytes()))
    except (OSError, ValueError, IndexError):
        return None


def _described(model: memoryview) -> dict[str, Any]:
    opset = None
    nodes: list[dict[str, Any]] = []
    weights: dict[str, list[int]] = {}
    for number, value in _fields(model):
        if number == 8:
            fields = dict(_fields(value))
            if not fields.get(1):
                opset = fields.get(2)
        elif number == 7:
            for part, inner in _fields(value):
                if part == 1:
                    nodes.append(_node(inner))
                elif part == 5:
                    name, shape = _dimensions(inner)
                    weights[name] = shape
    weights |= {node["outputs"][0]: node["shape"] for node in nodes if node["operator"] == "Constant" and node["shape"]}
    working = [node for node in nodes if node["operator"] != "Constant"]
    counts = Counter(node["operator"] for node in working)
    found = []
    for node in working:
        shapes = [weights[name] for name in node["inputs"] if math.prod(weights.get(name, [])) > 1]
        parameters = sum(math.prod(shape) for shape in shapes)
        if any(len(shape) > 1 for shape in shapes):
            found.append(
                {"operator": node["operator"], "name": node["name"], "shapes": shapes, "parameters": parameters}
            )
    return {
        "opset": opset,
        "nodes": len(working),
        "parameters": sum(math.prod(shape) for shape in weights.values()),
        "operators": [{"operator": name, "count": count} for name, count in counts.most_common()],
        "layers": found[:LAYERS],
    }
