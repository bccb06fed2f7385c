"""The bundle: graph, manifest and card, written only when graph and model agree."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import onnx
from omegaconf import OmegaConf

from experiments.errors import ConfigError
from experiments.evaluation.evaluate import evaluate_bundle
from experiments.export.card import model_card
from experiments.export.check import pack_check
from experiments.export.graphs import (
    GRAPHS,
    OUTPUTS,
    Model,
    StreamGeometry,
    following,
    kind_of,
    stream_states,
    trace_clip,
    trace_stream,
    width_of,
)
from experiments.export.kept_scorer import keep_scorer
from experiments.export.parity import Parity, check_parity, rounding
from experiments.export.precision import PRECISIONS, store
from experiments.export.tensorrt import for_tensorrt
from experiments.export.times import calibrate
from heyjetson import Bundle, calibration
from heyjetson.bundle import MANIFEST, file_hash, trigger_rules, write_manifest
from heyjetson.processor import processor
from manifests.convert import require_channels
from manifests.whole import whole_folder

LOG = logging.getLogger(__name__)
TARGETS = ("onnx", "tensorrt", "triton", "sherpa", "onnx-asr")
LONGEST = 20.0  # seconds at once on the device, where the model's own configuration does not say
CARD = "MODEL_CARD.md"
STEP = 0.16  # seconds of a stream's step: live, such cost 0.6 times those of 80 ms
UNCALIBRATED = {"smoothing": 0.12, "debounce": 1.0, "calibration": {}, "hours": 0.0}  # of a trigger


@dataclass(frozen=True)
class ExportOptions:
    """Choices of conf/export.yaml.

    Args:
        precision: how weights are stored: fp32, fp16 or int8. For TensorRT, what the graph computes in: fp32 or fp16.
        target: what the graph is for: onnxruntime, TensorRT (checked, folded), Triton or sherpa-onnx.
        opset: ONNX operator set.
        licence: of the weights.
        chunk_frames: output frames of a stream's step; None takes what suits the kind of bundle.
        tolerance: largest difference of a log-probability that is accepted from the float32 graph.
        seconds: lengths to check.
        batch_sizes: batch sizes to check.
        manifest: measure the bundle on this and write the figures into it.
        max_wer_increase: refuse a precision that loses more than this, absolute.
        check: recording that the bundle carries for `heyjetson doctor`; a synthetic voice when None.
        calibration: utterances to correct word times by, see `experiments.export.times`; None leaves them raw.
        channels: of recordings of either manifest that have several; see `heyjetson.audio.to_mono`.
    """

    precision: str = "fp32"
    target: str = "onnx"
    opset: int = 17
    licence: str = "unspecified"
    chunk_frames: int | None = None
    tolerance: float = 1e-4
    seconds: Sequence[float] = (0.3, 1.0, 2.57, 7.9)
    batch_sizes: Sequence[int] = (1, 3)
    manifest: Path | None = None
    max_wer_increase: float = 0.005
    check: Path | None = None
    calibration: Path | None = None
    channels: str = "mix"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision must be one of {', '.join(PRECISIONS)}, found {self.precision!r}.")
        if self.target not in TARGETS:
            raise ConfigError(f"target must be one of {', '.join(TARGETS)}, found {self.target!r}.")
        if self.target == "tensorrt" and self.precision == "int8":
            raise ConfigError(
                "TensorRT has no 8-bit kernels for recurrent layers, and would only expand 8-bit weights. Choose "
                "precision=fp16."
            )
        if self.chunk_frames is not None and self.chunk_frames < 1:
            raise ConfigError(f"chunk_frames must be at least 1, found {self.chunk_frames}.")
        require_channels(self.channels)

    @property
    def together(self) -> bool:
        """Whether the graph steps several streams at once: what others than onnxruntime read has every shape fixed."""
        return self.target == "onnx"

    def geometry(self, model: Model) -> StreamGeometry:
        """How a model's stream is cut."""
        frame = model.preprocessor.hop * model.subsampling_factor / model.preprocessor._sample_rate
        return StreamGeometry.of(model, self.chunk_frames or max(round(STEP / frame), 1))


def describe(model: Model, nemo: Path, options: ExportOptions) -> dict[str, Any]:
    """What manifest.json says of the model."""
    run = cast(dict[str, Any], OmegaConf.to_container(model.cfg.run)) if "run" in model.cfg else {}
    kind, rules = kind_of(model), trigger_rules(run.pop("trigger", None) or UNCALIBRATED)
    return {
        "kind": kind,
        "graph": GRAPHS[kind],
        "precision": options.precision,
        "sample_rate": model.preprocessor._sample_rate,
        "window": model.preprocessor.window,
        "hop": model.preprocessor.hop,
        "subsampling_factor": model.subsampling_factor,
        "labels": model.labels,
        **({"trigger": rules | _verifier(model)} if kind == "trigger" else {"blank_id": len(model.labels)}),
        "longest_seconds": run.get("longest", LONGEST),
        "normalisation": _normalisation(model),
        **(_clip_shapes(model) if kind == "ctc" else _stream_shapes(model, options)),
        "parameters": model.num_weights + _unlearnt(model),
        "licence": options.licence,
        "exported": time.strftime("%Y-%m-%d"),
        "training": {**run, "nemo_sha256": file_hash(nemo)},
        "frontend": OmegaConf.to_container(model.cfg.preprocessor),
        "encoder": OmegaConf.to_container(model.cfg.encoder),
        "measured": {},
    }


def _unlearnt(model: Any) -> int:
    """Parameters that no training changes: of a trigger's verifier."""
    verifier = getattr(model, "verifier", None)
    return sum(weight.numel() for weight in verifier.parameters()) if verifier else 0


def _verifier(model: Any) -> dict[str, Any]:
    """What checks a trigger's scores."""
    return {} if model.verifier is None else {"verifier": asdict(model.verifier.rules)}


def _normalisation(model: Model) -> str:
    if getattr(model.preprocessor, "per_utterance", False):
        return "each recording's own mean and deviation, inside the graph"
    return "fixed mean and deviation of the training set, inside the graph"


def _clip_shapes(model: Model) -> dict[str, Any]:
    return {
        "inputs": {"samples": ["batch", "samples"], "length": ["batch"]},
        "outputs": {"log_probs": ["batch", "frames", len(model.labels) + 1], "frames": ["batch"]},
    }


def _stream_shapes(model: Model, options: ExportOptions) -> dict[str, Any]:
    geometry, batch = options.geometry(model), "batch" if options.together else 1
    kind, frames = kind_of(model), geometry.chunk_frames
    return {
        **asdict(geometry),
        "inputs": {"samples": [batch, geometry.chunk_samples], "length": [batch]},
        "outputs": {OUTPUTS[kind]: [batch, frames, width_of(model)], "valid": [batch, frames]},
        "states": [
            {"name": name, "output": following(name), "shape": [1, *shape], "dtype": "float32", "initial": 0.0}
            for name, shape in stream_states(model, geometry).items()
        ],
    }


def annotate(path: Path, record: dict[str, Any]) -> None:
    """Repeat the manifest in the graph's metadata, so that a lone .onnx can be used."""
    graph = onnx.load(path)
    onnx.helper.set_model_props(
        graph, {key: value if isinstance(value, str) else json.dumps(value) for key, value in record.items()}
    )
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


def export_bundle(model: Model, nemo: Path, out: Path, options: ExportOptions | None = None) -> Parity:
    """Write a bundle; all or nothing.

    Args:
        model: to export, in evaluation mode; its parameters stay as they are.
        nemo: the file it came from.
        out: the bundle's folder.
        options: choices.

    Returns:
        how far the bundle's graph is from the model.

    Raises:
        ConfigError: graph and model disagree, the precision loses too much, or `out` holds something else.
    """
    options = options or ExportOptions()
    if options.manifest is not None and kind_of(model) == "trigger":
        raise ConfigError("A trigger writes no text: leave manifest out, and measure it with evaluate.py.")
    if options.target == "triton" and kind_of(model) == "trigger":
        raise ConfigError("A trigger cannot be served by Triton, models that transcribe can: leave target out.")
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MANIFEST).exists())):
        raise ConfigError(f"{out} exists and is not a bundle; nothing was written. Choose another out=DIR.")
    record = describe(model, nemo, options)
    with whole_folder(out) as folder:
        exact = folder.with_name("fp32")
        exact.mkdir()
        longest = record["longest_seconds"]
        _trace(model, exact / record["graph"], options, longest)
        write_manifest(exact, record)
        lengths = [*options.seconds, longest]  # what a graph keeps of its tracing shows at the longest
        parity = check_parity(model, Bundle(exact), lengths, options.batch_sizes)
        _require_parity(model, parity, lengths, options)
        if options.target == "tensorrt":
            graph = folder / record["graph"]
            record |= for_tensorrt(Bundle(exact), graph, options.precision, options.manifest, options.channels)
        else:
            store(exact / record["graph"], folder / record["graph"], options.precision)
        write_manifest(folder, record)
        if options.precision != "fp32":
            parity = check_parity(model, Bundle(folder), lengths, options.batch_sizes)
        if options.calibration is not None and record["kind"] != "trigger":
            found = calibrate(exact, options.calibration, channels=options.channels)
            record |= {calibration.KEY: found.record()} if found else {}
            for place in (exact, folder):
                write_manifest(place, record)
        pack_check(folder, options.check)
        record["parity"] = {"largest_difference": parity.difference, "cases": parity.cases}
        if options.manifest is not None:
            record["measured"] = _measure(exact, folder, options)
        annotate(folder / record["graph"], record)
        (folder / CARD).write_text(model_card(record), encoding="utf-8")
        language_model = keep_scorer(out, folder, record)
        write_manifest(folder, record)
        Bundle(folder)
    if language_model:
        LOG.warning(language_model)
    return parity


def _require_parity(model: Model, parity: Parity, seconds: Sequence[float], options: ExportOptions) -> None:
    """Refuse a graph that is farther from its model than the tolerance, and than rounding.

    Raises:
        ConfigError: it is.
    """
    if parity.difference <= options.tolerance:
        return
    # Only deep stacks come to this. Graph and model each have their own rounding, hence twice it.
    own = rounding(model, seconds, options.batch_sizes)
    if not parity.difference <= 2 * own:
        raise ConfigError(
            f"The exported graph differs from the model by {parity.difference:.2e} in log-probability, more than "
            f"parity.tolerance={options.tolerance:.0e} and than rounding explains ({own:.1e}). "
            "No bundle was written. An operator of this encoder is exported wrongly: another opset may help. "
            "parity.tolerance=1e-2 writes the bundle all the same, and evaluate.py says whether it hears as well."
        )


def _trace(model: Model, path: Path, options: ExportOptions, longest: float) -> None:
    if kind_of(model) != "ctc":
        trace_stream(model, path, options.opset, options.geometry(model), options.together)
    else:
        trace_clip(model, path, options.opset, longest)


def _measure(exact: Path, folder: Path, options: ExportOptions) -> dict[str, dict[str, Any]]:
    """Figures of the exact graph and of the stored one on the same recordings, by precision."""
    manifest = cast(Path, options.manifest)
    measured = {}
    for precision, place in {"fp32": exact, options.precision: folder}.items():
        size = (place / Bundle(place).manifest["graph"]).stat().st_size
        totals = evaluate_bundle(place, manifest, channels=options.channels).totals()
        measured[precision] = {
            **totals,
            "bytes": size,
            "manifest": manifest.name,
            "manifest_sha256": file_hash(manifest),
            "processor": asdict(processor()),
            "date": time.strftime("%Y-%m-%d"),
        }
    increase = measured[options.precision]["wer"] - measured["fp32"]["wer"]
    if increase > options.max_wer_increase:
        raise ConfigError(
            f"precision={options.precision} raises the WER on {manifest.name} by {increase:.2%}, from "
            f"{measured['fp32']['wer']:.2%}, more than max_wer_increase={options.max_wer_increase:.2%}. No bundle was "
            "written. Choose fp16 or fp32, or allow more."
        )
    return measured
