"""A graph for TensorRT: folded, every operator checked, and in half precision where that is asked for."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import onnx

from experiments.errors import ConfigError
from experiments.export.ranges import measure, on_gpu, recordings, require_range, to_keep
from experiments.export.tensorrt_fold import fold
from experiments.export.tensorrt_half import half, single
from experiments.export.tensorrt_operators import float_layers, require_tensorrt
from heyjetson.bundle import Bundle

LOG = logging.getLogger(__name__)

TOLERANCE = 0.25  # of an output in half precision; whether texts differ is for a measurement to say


def for_tensorrt(
    bundle: Bundle, out: Path, precision: str, manifest: Path | None = None, channels: str = "mix"
) -> dict[str, Any]:
    """Write a graph that TensorRT 10 and 11 read.

    Args:
        bundle: with the float32 graph.
        out: the new one.
        precision: fp32, or fp16 for a graph that computes in half precision, but for the front-end and what half
            precision cannot hold.
        manifest: of real sound, which says what that is; without one it is noise at several levels.
        channels: of its recordings that have several; see `heyjetson.audio.to_mono`.

    Returns:
        what the manifest must say for the engine to be built right.

    Raises:
        ConfigError: TensorRT has no such operator, or the graph computes something else than before.
    """
    fold(bundle.graph, out)
    require_tensorrt(out)
    if precision == "fp32":
        return {"tensorrt": {"keep_fp32": float_layers(out)}}
    model, sounds = onnx.load(out), list(recordings(bundle, manifest, channels))
    kept = single(model, float_layers(out))
    found = measure(model, bundle, sounds)
    more = sorted(to_keep(model, found.beyond()) - kept)
    if broken := next((name for name, value in found.largest.items() if not value < float("inf")), None):
        raise ConfigError(f"The graph gives numbers that are none, in float32 as well, at {broken}. Train it again.")
    difference = require_range(model, kept | set(more), bundle, sounds, TOLERANCE)
    half(out, out, TOLERANCE, keep=more)
    gpu = on_gpu(out, model, bundle, sounds, TOLERANCE)
    heard = manifest.name if manifest else "noise; give a manifest for real sound"
    LOG.info(f"Half precision: {found.seconds:.0f} s heard ({heard}), outputs differ by {difference:.1e} at most.")
    if more:
        LOG.info(f"Kept in float32, beyond what half precision holds: {', '.join(more)}.")
    return {
        "compute": "fp16",
        "half": {
            "sound": manifest.name if manifest else "noise",
            "seconds": round(found.seconds, 1),
            "kept_fp32": more,
            "largest_difference": difference,
            **({} if gpu is None else {"largest_difference_gpu": gpu}),
        },
    }
