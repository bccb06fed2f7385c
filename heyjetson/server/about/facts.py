"""What runs here: the model and where it comes from, its graph, versions, limits."""

from __future__ import annotations

import importlib.metadata
import os
import platform as machine
from pathlib import Path
from typing import Any

import heyjetson
from heyjetson.bundle import Bundle, name_of
from heyjetson.errors import ProviderError
from heyjetson.installed import load_onnxruntime
from heyjetson.server.about import graph
from heyjetson.server.app_state import AppState
from heyjetson.wakeword.trigger import Trigger, TriggerRules

PACKAGES = ("numpy", "onnxruntime", "onnxruntime-gpu", "tensorrt", "soundfile", "soxr", "fastapi", "uvicorn", "plotly")
TRAINING = (
    "name",
    "date",
    "steps",
    "epochs",
    "seconds",
    "validation_wer",
)  # of the run; its folder is nobody's business
CARD_CHARACTERS = 100_000


def about(here: AppState) -> dict[str, Any]:
    """Everything that the page About shows; nothing of the machine's folders, keys or users.

    Returns:
        model and trigger (see `_bundle`; None where there is no trigger), running, versions, limits.
    """
    engine, settings = here.engine, here.settings
    return {
        "model": _bundle(engine.bundle) | {"name": here.model_name, "graph": _graph(engine.bundle, engine.session)},
        "trigger": _trigger(here.trigger) if here.trigger else None,
        "running": {
            "provider": engine.provider,
            "engine": _engine_file(engine.session),
            "available": _available(),
            "threads": settings.threads,
            "scorer": bool(engine.bundle.scorer_for(settings.scorer)),
        },
        "versions": _versions(),
        "limits": {
            "workers": settings.workers,
            "queue": settings.queue,
            "streams": settings.streams,
            "streams_per_client": settings.share,
            "work_seconds": settings.work_seconds,
            "upload_bytes": settings.upload_bytes,
            "audio_seconds": settings.audio_seconds,
            "requests_per_minute": settings.requests_per_minute,
            "keys": bool(settings.keys),
            "keeps_recordings": settings.keep is not None,
            "keep_bytes": settings.keep_bytes if settings.keep else None,
            "results_bytes": settings.results_bytes,
            "free_bytes": settings.free_bytes,
        },
    }


def _bundle(bundle: Bundle) -> dict[str, Any]:
    """A bundle's model card and what its manifest says."""
    manifest = bundle.manifest
    training = manifest.get("training")
    training = training if isinstance(training, dict) else {}
    return {
        "kind": manifest["kind"],
        "streams": bundle.streams,
        "precision": manifest.get("precision"),
        "sample_rate": bundle.sample_rate,
        "frame_seconds": round(bundle.frame_seconds, 6),
        "step_seconds": round(manifest.get("chunk_frames", 0) * bundle.frame_seconds, 6),
        "lookahead_seconds": round(manifest.get("lookahead_frames", 0) * bundle.frame_seconds, 6),
        "longest_seconds": manifest["longest_seconds"],
        "labels": bundle.labels,
        "parameters": manifest.get("parameters"),
        "bytes": sum(entry.get("bytes", 0) for entry in manifest["files"].values()),
        "licence": manifest.get("licence"),
        "exported": manifest.get("exported"),
        "measured": manifest.get("measured", {}),
        "training": {key: training[key] for key in TRAINING if key in training},
        "card": _card(bundle.folder / "MODEL_CARD.md"),
    }


def _card(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:CARD_CHARACTERS]
    except OSError:
        return None


def _graph(bundle: Bundle, session: Any) -> dict[str, Any]:
    """Inputs and outputs as what runs them has them, and the layers of the file."""
    ports = {"inputs": session.get_inputs(), "outputs": getattr(session, "get_outputs", list)()}
    shapes = {
        side: [{"name": port.name, "shape": [str(size) for size in port.shape]} for port in values]
        for side, values in ports.items()
    }
    return {**shapes, "file": bundle.graph.name, "layers": graph.layers(bundle.graph)}


def _trigger(trigger: Trigger) -> dict[str, Any]:
    """A trigger's words with the thresholds at which they are detected, and its calibration."""
    rules = trigger.bundle.manifest["trigger"]
    thresholds = TriggerRules().thresholds(trigger.bundle).tolist()
    words = [
        {"word": word, "threshold": round(threshold, 4), "calibration": rules.get("calibration", {}).get(word, [])}
        for word, threshold in zip(trigger.words, thresholds, strict=True)
    ]
    return _bundle(trigger.bundle) | {
        "name": name_of(trigger.bundle),
        "provider": trigger.provider,
        "words": words,
        "smoothing": rules["smoothing"],
        "debounce": rules["debounce"],
        "refractory": rules["debounce"],  # the old name, for one more version
        "hours": rules.get("hours"),
        "graph": _graph(trigger.bundle, trigger.session),
    }


def _engine_file(session: Any) -> str | None:
    """The file of a TensorRT engine, without its folder."""
    path = getattr(session, "path", None)
    return Path(path).name if path is not None else None


def _available() -> list[str]:
    try:
        return list(load_onnxruntime().get_available_providers())
    except ProviderError:  # an engine of TensorRT runs without it
        return []


def _versions() -> dict[str, str]:
    found = {"heyjetson": heyjetson.__version__, "Python": machine.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found | {"machine": machine.machine(), "system": machine.system(), "cores": str(os.cpu_count())}
