"""A graph for TensorRT: folded, every operator checked, and in half precision where that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.export.tensorrt_fold import fold
from experiments.export.tensorrt_half import half
from experiments.export.tensorrt_operators import float_layers, require_tensorrt


def for_tensorrt(source: Path, out: Path, precision: str) -> dict[str, Any]:
    """Write a graph that TensorRT 10 and 11 read.

    Args:
        source: float32 graph.
        out: the new one.
        precision: fp32, or fp16 for a graph that computes in half precision, but for the front-end.

    Returns:
        what the manifest must say for the engine to be built right.

    Raises:
        ConfigError: TensorRT has no such operator, or the graph computes something else than before.
    """
    fold(source, out)
    require_tensorrt(out)
    if precision == "fp32":
        return {"tensorrt": {"keep_fp32": float_layers(out)}}
    half(out, out)
    return {"compute": "fp16"}
