"""What a graph in half precision does to real sound, found without a GPU.

onnxruntime's CPU computes a float16 graph in float32, so its parity there says nothing of a GPU. Here every number that
the half-precision graph would hold is rounded to half precision on its way, and infinite where it passes 65,504; and
the largest of each is looked at in float32 first, so that what would not fit is computed in float32, by its name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from experiments.errors import ConfigError
from heyjetson.bundle import Bundle
from heyjetson.check import largest_difference
from manifests import read_manifest
from manifests.convert import sound_of

LARGEST = float(np.finfo(np.float16).max)
SMALLEST = float(np.finfo(np.float16).smallest_subnormal)
HEADROOM = 2.0  # that the sound heard here leaves to the loudest there is
SECONDS = 30.0  # of real sound that are heard
GPU = "CUDAExecutionProvider"


@dataclass
class Ranges:
    """Largest magnitude of each tensor over some sound.

    Args:
        seconds: that were heard.
        largest: tensor → magnitude.
    """

    seconds: float = 0.0
    largest: dict[str, float] = field(default_factory=dict)

    def beyond(self) -> dict[str, float]:
        """Tensors that half precision cannot hold: too large, or all of them lost as too small."""
        return {
            name: value
            for name, value in self.largest.items()
            if not value * HEADROOM <= LARGEST or 0 < value < SMALLEST
        }


def recordings(bundle: Bundle, manifest: Path | None, channels: str = "mix") -> Iterator[np.ndarray]:
    """Real sound [S] of a manifest at a bundle's rate, up to `SECONDS`; without one, noise of all levels, silence."""
    rate, left = bundle.sample_rate, SECONDS
    if manifest is None:
        rng = np.random.default_rng(0)
        for level in (1.0, 0.1, 1e-3, 0.0):
            yield np.clip(level * rng.standard_normal(2 * rate), -1, 1).astype(np.float32)
        return
    for utterance in read_manifest(manifest):
        if left <= 0:
            return
        samples = sound_of(utterance, rate, channels)
        left -= len(samples) / rate
        yield samples


def runs(bundle: Bundle, session: Any, sound: np.ndarray, outputs: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
    """Outputs of a graph on a recording [S]: once for a whole clip, at each step of a stream."""
    names = {port.name for port in session.get_inputs()}
    manifest = bundle.manifest
    if not bundle.streams:
        feed = {"samples": sound[None], "length": np.array([len(sound)], np.int64)}
        feed = {name: value for name, value in feed.items() if name in names}
        yield dict(zip(outputs, session.run(list(outputs), feed), strict=True))
        return
    states = {one["name"]: np.full(one["shape"], one["initial"], one["dtype"]) for one in manifest["states"]}
    following = [one["output"] for one in manifest["states"]]
    wanted = list(dict.fromkeys([*outputs, *following]))
    chunk, shift = manifest["chunk_samples"], manifest["shift_samples"]
    for begin in range(0, max(len(sound) - chunk, 0) + 1, shift):
        samples = np.zeros((1, chunk), np.float32)
        piece = sound[begin : begin + chunk]
        samples[0, : len(piece)] = piece
        feed = {"samples": samples, "length": np.array([len(piece)], np.int64)} | states
        feed = {name: value for name, value in feed.items() if name in names}
        given = dict(zip(wanted, session.run(wanted, feed), strict=True))
        states = {one["name"]: given[one["output"]] for one in manifest["states"]}
        yield given


def _session(model: onnx.ModelProto) -> Any:
    """As it stands: an optimised graph has other tensors, and no rounding that can be seen to be undone."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _real(model: onnx.ModelProto) -> dict[str, NodeProto]:
    """Tensors of real numbers that nodes give, and the node of each."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in [*graph.value_info, *graph.output]}
    return {
        name: node
        for node in graph.node
        if node.op_type != "Constant"
        for name in node.output
        if name and types.get(name) == TensorProto.FLOAT
    }


def _showing(model: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """A copy that gives these tensors as well."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    known = {value.name for value in model.graph.output}
    shown.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in known
    )
    return shown


def measure(model: onnx.ModelProto, bundle: Bundle, sounds: Sequence[np.ndarray]) -> Ranges:
    """The largest magnitudes of a float32 graph's tensors.

    Args:
        model: the graph.
        bundle: how it is fed.
        sounds: [S] each.
    """
    names = list(_real(model))
    session, found = _session(_showing(model, names)), Ranges()
    for sound in sounds:
        for given in runs(bundle, session, sound, names):
            for name in names:
                largest = float(np.abs(given[name]).max(initial=0.0))
                # NaN is larger than all.
                if not largest <= found.largest.get(name, -1.0):
                    found.largest[name] = largest
        found.seconds += len(sound) / bundle.sample_rate
    return found


def to_keep(model: onnx.ModelProto, beyond: Collection[str]) -> set[str]:
    """Names of the nodes that must compute in float32 for some tensors: those that give and those that take them."""
    return {node.name for node in model.graph.node if set(beyond) & {*node.input, *node.output}}


def rounded(model: onnx.ModelProto, keep: Collection[str]) -> onnx.ModelProto:
    """A copy of a float32 graph whose numbers are those that half precision holds.

    Args:
        model: the graph.
        keep: nodes that compute in float32.
    """
    real = _real(model)
    made: list[NodeProto] = []
    for node in model.graph.node:
        copy = NodeProto()
        copy.CopyFrom(node)
        made.append(copy)
        for place, name in enumerate(node.output):
            if name not in real or node.name in keep:
                continue
            copy.output[place] = f"{name}_exact"
            made.append(helper.make_node("Cast", [f"{name}_exact"], [f"{name}_rounded"], to=TensorProto.FLOAT16))
            made.append(helper.make_node("Cast", [f"{name}_rounded"], [name], to=TensorProto.FLOAT))
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for part in ("node", "value_info"):
        result.graph.ClearField(part)
    result.graph.node.extend(made)
    return result


def require_range(
    model: onnx.ModelProto, keep: Collection[str], bundle: Bundle, sounds: Sequence[np.ndarray], tolerance: float
) -> float:
    """Run a graph on sound as half precision would, and refuse what it does to it.

    Args:
        model: float32 graph.
        keep: nodes that compute in float32.
        bundle: how it is fed.
        sounds: [S] each.
        tolerance: largest difference of an output that is accepted.

    Returns:
        the largest difference of an output.

    Raises:
        ConfigError: a number passes what half precision holds, or an output is too far off.
    """
    real = _real(model)
    names = list(real)
    exact, half = _session(model), _session(_showing(rounded(model, keep), names))
    worst, output = 0.0, bundle.output
    for sound in sounds:
        pairs = zip(runs(bundle, exact, sound, [output]), runs(bundle, half, sound, [output, *names]), strict=True)
        for right, given in pairs:
            broken = next((name for name in names if not np.isfinite(given[name]).all()), None)
            if broken is not None and np.isfinite(right[output]).all():
                raise ConfigError(
                    f"In half precision {real[broken].name} gives numbers beyond {LARGEST:,.0f} or none, and "
                    "what follows may hide it. Build it as fp32."
                )
            worst = max(worst, largest_difference(given[output], right[output]))
    _require_near(worst, tolerance, "Rounded to half precision")
    return worst


def on_gpu(
    path: Path, model: onnx.ModelProto, bundle: Bundle, sounds: Sequence[np.ndarray], tolerance: float
) -> float | None:
    """Run a half-precision graph on the GPU, where onnxruntime has one, and refuse it where it is too far off.

    Args:
        path: of the graph in half precision.
        model: the same in float32.
        bundle: how both are fed.
        sounds: [S] each.
        tolerance: largest difference of an output that is accepted.

    Returns:
        the largest difference of an output; None without a GPU.

    Raises:
        ConfigError: it is too far off.
    """
    import onnxruntime

    if GPU not in onnxruntime.get_available_providers():
        return None
    half = onnxruntime.InferenceSession(str(path), providers=[GPU, "CPUExecutionProvider"])
    if half.get_providers()[0] != GPU:
        return None
    exact, worst, output = _session(model), 0.0, [bundle.output]
    for sound in sounds:
        for right, given in zip(runs(bundle, exact, sound, output), runs(bundle, half, sound, output), strict=True):
            worst = max(worst, largest_difference(given[bundle.output], right[bundle.output]))
    _require_near(worst, tolerance, "In half precision on this GPU")
    return worst


def _require_near(worst: float, tolerance: float, how: str) -> None:
    if not worst <= tolerance:
        raise ConfigError(
            f"{how}, the outputs differ by {worst:.2e} on the sound heard, more than {tolerance}. Build it as fp32."
        )
