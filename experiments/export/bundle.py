"""From a `.nemo` to a bundle: one ONNX graph, checked against the model before anything is written."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from nemo.core.classes.common import typecheck
from omegaconf import OmegaConf
from torch import Tensor, nn

from custom_modules.model import SpeechModel
from experiments.entry import ConfigError
from experiments.evaluation import evaluate_bundle
from heyjetson import Bundle, Engine
from heyjetson.bundle import file_hash, write_manifest

LONGEST = 20.0  # seconds at once on the device, where the model's own configuration does not say


class Graph(nn.Module):
    """Front-end, encoder and decoder as one: samples [B, S], length [B] → log_probs [B, T, V + 1], frames [B]."""

    def __init__(self, model: SpeechModel):
        super().__init__()
        self.frontend, self.encoder, self.decoder = model.preprocessor, model.encoder, model.decoder

    def forward(self, samples: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        features, frames = self.frontend(input_signal=samples, length=length)
        encoded, frames = self.encoder(audio_signal=features, length=frames)[:2]
        return self.decoder(encoder_output=encoded), frames.to(torch.int64)


@dataclass(frozen=True)
class Parity:
    """How far a graph is from its model.

    Args:
        difference: largest difference of a log-probability.
        cases: pairs of batch size and seconds tried.
    """

    difference: float
    cases: int


def trace(model: SpeechModel, path: Path, opset: int) -> None:
    """Write the model as ONNX with dynamic batch and time."""
    samples = torch.randn(2, model.preprocessor._sample_rate) * 0.1
    length = torch.tensor([samples.shape[1], samples.shape[1] * 3 // 4])
    with typecheck.disable_checks(), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns of shapes that the parity check covers
        torch.onnx.export(
            Graph(model).eval(),
            (samples, length),
            str(path),
            dynamo=False,  # the other exporter fixes a recurrence's time axis (torch 2.13)
            opset_version=opset,
            input_names=["samples", "length"],
            output_names=["log_probs", "frames"],
            dynamic_axes={
                "samples": {0: "batch", 1: "samples"},
                "length": {0: "batch"},
                "log_probs": {0: "batch", 1: "frames"},
                "frames": {0: "batch"},
            },
        )


def check_parity(
    model: SpeechModel, engine: Engine, seconds: Sequence[float], batch_sizes: Sequence[int], seed: int = 0
) -> Parity:
    """Compare a graph with its model on noise of several lengths and batch sizes, with unequal lengths in a batch.

    Args:
        model: the reference.
        engine: holds the graph.
        seconds: lengths to try.
        batch_sizes: batch sizes to try.
        seed: of the noise.

    Raises:
        ConfigError: the two give another number of frames.
    """
    rng = np.random.default_rng(seed)
    worst, cases = 0.0, 0
    for batch in batch_sizes:
        for duration in seconds:
            total = round(duration * model.preprocessor._sample_rate)
            samples = (rng.standard_normal((batch, total)) * 0.1).astype(np.float32)
            length = np.linspace(total, max(total * 0.6, model.preprocessor.window), batch).astype(np.int64)
            samples[np.arange(total) >= length[:, None]] = 0.0
            with torch.no_grad(), typecheck.disable_checks():
                expected, expected_frames = Graph(model).eval()(torch.from_numpy(samples), torch.from_numpy(length))
            found, frames = engine.log_probs(samples, length)
            if frames.tolist() != expected_frames.tolist() or found.shape != tuple(expected.shape):
                raise ConfigError(
                    f"The graph gives frames {frames.tolist()} where the model gives {expected_frames.tolist()} "
                    f"({batch} x {duration} s). No bundle was written."
                )
            for row, count in enumerate(frames):
                difference = np.abs(found[row, :count] - expected[row, :count].numpy())
                # NaN is a failure, and no comparison with NaN is true.
                worst = max(worst, float(difference.max())) if np.isfinite(difference).all() else float("inf")
            cases += 1
    return Parity(worst, cases)


def describe(model: SpeechModel, nemo: Path, licence: str, parity: Parity) -> dict[str, Any]:
    """What manifest.json says of the model."""
    run = cast(dict[str, Any], OmegaConf.to_container(model.cfg.run)) if "run" in model.cfg else {}
    return {
        "kind": "ctc",
        "precision": "fp32",
        "sample_rate": model.preprocessor._sample_rate,
        "window": model.preprocessor.window,
        "hop": model.preprocessor.hop,
        "subsampling_factor": model.subsampling_factor,
        "labels": model.labels,
        "blank_id": len(model.labels),
        "longest_seconds": run.get("longest", LONGEST),
        "normalisation": "fixed mean and deviation of the training set, inside the graph",
        "inputs": {"samples": ["batch", "samples"], "length": ["batch"]},
        "outputs": {"log_probs": ["batch", "frames", len(model.labels) + 1], "frames": ["batch"]},
        "parameters": model.num_weights,
        "licence": licence,
        "exported": time.strftime("%Y-%m-%d"),
        "parity": {"largest_difference": parity.difference, "cases": parity.cases},
        "training": {**run, "nemo_sha256": file_hash(nemo)},
        "frontend": OmegaConf.to_container(model.cfg.preprocessor),
        "encoder": OmegaConf.to_container(model.cfg.encoder),
        "measured": {},
    }


def annotate(path: Path, record: dict[str, Any]) -> None:
    """Repeat the manifest in the graph's metadata, so that a lone .onnx can be used."""
    graph = onnx.load(path)
    onnx.helper.set_model_props(
        graph, {key: value if isinstance(value, str) else json.dumps(value) for key, value in record.items()}
    )
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


def export_bundle(
    model: SpeechModel,
    nemo: Path,
    out: Path,
    *,
    opset: int = 17,
    licence: str = "unspecified",
    tolerance: float = 1e-4,
    seconds: Sequence[float] = (0.3, 1.0, 2.57, 7.9),
    batch_sizes: Sequence[int] = (1, 3),
    manifest: Path | None = None,
) -> Parity:
    """Write a bundle; all or nothing.

    Args:
        model: to export, in evaluation mode; its parameters stay as they are.
        nemo: the file it came from.
        out: the bundle's folder.
        opset: ONNX operator set.
        licence: of the weights.
        tolerance: largest difference of a log-probability that is accepted.
        seconds: lengths to check.
        batch_sizes: batch sizes to check.
        manifest: measure the bundle on this and write the figures into it.

    Raises:
        ConfigError: graph and model disagree, or `out` holds something else than a bundle.
    """
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / "manifest.json").exists())):
        raise ConfigError(f"{out} exists and is not a bundle; nothing was written. Choose another out=DIR.")
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=f".{out.name}-") as temporary:
        folder = Path(temporary, "bundle")
        folder.mkdir()
        trace(model, folder / "model.onnx", opset)
        record = describe(model, nemo, licence, Parity(0.0, 0))
        write_manifest(folder, record)
        parity = check_parity(model, Engine(Bundle(folder)), seconds, batch_sizes)
        if not parity.difference <= tolerance:
            raise ConfigError(
                f"The exported graph differs from the model by {parity.difference:.2e} in log-probability, more than "
                f"parity.tolerance={tolerance:.0e}. No bundle was written. An operator of this encoder is exported "
                "wrongly; another opset may help."
            )
        record = describe(model, nemo, licence, parity)
        if manifest is not None:
            totals = evaluate_bundle(folder, manifest).totals()
            record["measured"] = {"fp32": {**totals, "manifest": manifest.name, "manifest_sha256": file_hash(manifest)}}
        annotate(folder / "model.onnx", record)
        write_manifest(folder, record)
        Bundle(folder)
        if out.exists():
            shutil.rmtree(out)
        folder.replace(out)
    return parity
