"""Folding a graph's constants for TensorRT, with the proof that it still computes the same, and looking at a graph.

Both are polygraphy's: `polygraphy surgeon sanitize --fold-constants` and `polygraphy inspect model`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from experiments.errors import ConfigError
from heyjetson.check import largest_difference


def feeds(model: onnx.ModelProto, sizes: Mapping[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    """Noise for each input of a graph; whole numbers are lengths, no two of a batch alike.

    Args:
        model: the graph.
        sizes: of the dimensions that vary, by name.
        seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    shapes = {
        value.name: [size.dim_value or sizes.get(size.dim_param, 1) for size in value.type.tensor_type.shape.dim]
        for value in model.graph.input
    }
    longest = shapes.get("samples", [1])[-1]
    given = {}
    for value in model.graph.input:
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if np.issubdtype(dtype, np.integer):
            count = int(np.prod(shapes[value.name]))
            given[value.name] = np.linspace(longest, longest * 0.6, count).astype(dtype).reshape(shapes[value.name])
        else:
            given[value.name] = (0.1 * rng.standard_normal(shapes[value.name])).astype(dtype)
    return given


def compare(one: Path, other: Path, cases: Iterable[Mapping[str, int]]) -> float:
    """Largest difference between the outputs of two graphs with the same inputs, run with onnxruntime.

    Args:
        one: ONNX file.
        other: ONNX file.
        cases: sizes of the dimensions that vary.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    model = onnx.load(one)
    sessions = [
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]) for path in (one, other)
    ]
    worst = 0.0
    for case in cases:
        given = feeds(model, case)
        first, second = (session.run(None, given) for session in sessions)
        for left, right in zip(first, second, strict=True):
            worst = max(worst, largest_difference(right, left))
    return worst


@dataclass(frozen=True)
class Folded:
    """What folding did.

    Args:
        before: nodes of the graph.
        after: nodes of the folded graph.
        difference: largest difference of an output.
    """

    before: int
    after: int
    difference: float


def _with_single_casts(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which no two Casts turn the same tensor into the same type.

    onnx-graphsurgeon 0.6.1 drops the pair of Casts around an operator on shapes and forgets all but one of the nodes
    that read a second Cast of its output, as NeMo's strided convolutions have it.
    """
    merged = onnx.ModelProto()
    merged.CopyFrom(model)
    first: dict[tuple[str, int], str] = {}
    renamed: dict[str, str] = {}
    results = {value.name for value in merged.graph.output}
    for node in list(merged.graph.node):
        for place, name in enumerate(node.input):
            node.input[place] = renamed.get(name, name)
        if node.op_type != "Cast" or node.output[0] in results:
            continue
        known = first.setdefault((node.input[0], node.attribute[0].i), node.output[0])
        if known != node.output[0]:
            renamed[node.output[0]] = known
            merged.graph.node.remove(node)
    return merged


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        import onnx_graphsurgeon
    except ImportError:
        raise ConfigError("Folding needs onnx-graphsurgeon: pip install onnx-graphsurgeon.") from None
    import onnxruntime
    from polygraphy.backend.onnx import fold_constants
    from polygraphy.logger import G_LOGGER

    onnxruntime.set_default_logger_severity(3)
    try:
        with G_LOGGER.verbosity(G_LOGGER.ERROR):
            folded = fold_constants(_with_single_casts(model), allow_onnxruntime_shape_inference=False)
    finally:
        onnxruntime.set_default_logger_severity(2)  # onnxruntime's own default
    graph = onnx_graphsurgeon.import_onnx(folded)
    graph.cleanup().toposort()
    clean = onnx_graphsurgeon.export_onnx(graph, do_type_check=False)
    clean.ir_version = model.ir_version
    helper.set_model_props(clean, {prop.key: prop.value for prop in model.metadata_props})
    return clean


def fold(path: Path, out: Path, tolerance: float = 1e-4, batch_sizes: Sequence[int] = (1, 3)) -> Folded:
    """Compute what does not depend on the input once and for all, as `polygraphy surgeon sanitize --fold-constants`.

    Args:
        path: ONNX file.
        out: folded graph to write.
        tolerance: largest difference of an output that is accepted.
        batch_sizes: to compare the two with, where the batch varies.

    Raises:
        ConfigError: onnx-graphsurgeon is missing, or the folded graph computes something else; nothing is written.
    """
    model = onnx.load(path)
    folded = _folded(model)
    try:
        onnx.checker.check_model(folded)
    except onnx.checker.ValidationError as error:
        raise ConfigError(f"Folding the constants of {path.name} broke it ({error}). Use the graph as it is.") from None
    part = out.with_name(f".{out.name}.part")
    try:
        onnx.save(folded, part)
        cases = [{"batch": batch, "samples": 4000 * (place + 2)} for place, batch in enumerate(batch_sizes)]
        difference = compare(path, part, cases)
        if not difference <= tolerance:
            raise ConfigError(
                f"Folding the constants of {path.name} changes its outputs by {difference:.2e}, more than "
                f"{tolerance:.0e}. Use the graph as it is."
            )
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return Folded(len(model.graph.node), len(folded.graph.node), difference)


def show(path: Path) -> str:
    """Inputs, outputs and operators of a graph, as `polygraphy inspect model` prints them."""
    from polygraphy.backend.onnx.util import str_from_onnx

    return str_from_onnx(onnx.load(path))
