"""The bundle: a folder with a graph and `manifest.json`, which says everything the runtime needs to know."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from heyjetson import calibration
from heyjetson.errors import BundleError
from heyjetson.verifier import Verifier

FORMAT = 1
MANIFEST = "manifest.json"
_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "kind": str,
    "sample_rate": int,
    "window": int,
    "hop": int,
    "subsampling_factor": int,
    "labels": list,
    "longest_seconds": (int, float),
    "files": dict,
}
_REQUIRED_OF_SPEECH: dict[str, type | tuple[type, ...]] = {"blank_id": int}
_REQUIRED_OF_STREAMS: dict[str, type | tuple[type, ...]] = {
    "chunk_samples": int,
    "shift_samples": int,
    "chunk_frames": int,
    "lookahead_frames": int,
    "states": list,
}
_REQUIRED_OF_TRIGGERS: dict[str, type | tuple[type, ...]] = {"trigger": dict}
TRIGGER = "trigger"
KINDS = ("ctc", "ctc_stream", TRIGGER)
STATE_TYPES = ("float32", "float16", "int64")
_POSITIVE = ("sample_rate", "window", "hop", "subsampling_factor", "longest_seconds", "chunk_samples", "shift_samples")


def file_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_manifest(folder: Path, record: dict[str, Any]) -> None:
    """Hash the bundle's files and write its manifest.

    Args:
        folder: of the bundle; all other files must be there.
        record: the manifest without `format` and `files`.
    """
    names = sorted(path.name for path in folder.iterdir() if path.name != MANIFEST)
    files = {name: {"sha256": file_hash(folder / name), "bytes": (folder / name).stat().st_size} for name in names}
    (folder / MANIFEST).write_text(json.dumps({"format": FORMAT, **record, "files": files}, indent=1) + "\n")


def trigger_rules(written: Mapping[str, Any]) -> dict[str, Any]:
    """A trigger's own values, of bundles and `.nemo` files of any age: `debounce` was called `refractory`, which is
    kept beside it for readers of before.

    >>> trigger_rules({"refractory": 1.0})
    {'refractory': 1.0, 'debounce': 1.0}
    """
    rules = dict(written)
    if "debounce" in rules or "refractory" in rules:
        rules["debounce"] = rules.get("debounce", rules.get("refractory"))
        rules["refractory"] = rules["debounce"]
    return rules


def _fault(manifest: dict[str, Any]) -> str | None:
    """What of a manifest's values cannot be, where the types are right."""
    for key in (*_POSITIVE, "chunk_frames"):
        if key in manifest and not (isinstance(manifest[key], int | float) and 0 < manifest[key] < float("inf")):
            return f"{key} must be positive, found {manifest[key]!r}"
    if not 0.1 <= manifest["longest_seconds"] <= 86400:
        return f"longest_seconds must lie between 0.1 and a day, found {manifest['longest_seconds']!r}"
    if not manifest["labels"] or not all(isinstance(label, str) and label for label in manifest["labels"]):
        return "labels must be texts"
    if not isinstance(manifest.get("graph", ""), str) or not isinstance(manifest.get("measured", {}), dict):
        return "graph must be a name and measured a table"
    if manifest["kind"] == TRIGGER:
        if fault := _trigger_fault(manifest):
            return fault
    elif not 0 <= manifest["blank_id"] <= len(manifest["labels"]):
        return f"blank_id must be an output, found {manifest['blank_id']}"
    elif fault := calibration.fault(manifest):
        return fault
    return None if manifest["kind"] == "ctc" else _stream_fault(manifest)


def _number(value: Any, lowest: float, highest: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and lowest <= value <= highest


def _trigger_fault(manifest: dict[str, Any]) -> str | None:
    """What of a trigger's own values cannot be."""
    words, rules = manifest["labels"], manifest["trigger"]
    if len(set(words)) != len(words) or any(word != word.strip() for word in words):
        return "labels must be words, each once"
    for key in ("smoothing", "debounce"):
        if not _number(rules.get(key), 0, 60):
            return f"trigger.{key} must lie between 0 and 60 seconds, found {rules.get(key)!r}"
    if not _number(rules.get("hours", 0), 0, 1e6):
        return f"trigger.hours must be 0 or more, found {rules['hours']!r}"
    calibration = rules.get("calibration", {})
    if not isinstance(calibration, dict) or not all(isinstance(table, list) for table in calibration.values()):
        return "trigger.calibration must have a list for each word"
    if unknown := sorted(set(calibration) - set(words)):
        return f"trigger.calibration names {unknown[0]!r}, which is none of the words"
    for word, table in calibration.items():
        for entry in table:
            good = (
                isinstance(entry, dict)
                and _number(entry.get("false_alarms_per_hour"), 0, 1e6)
                and _number(entry.get("threshold"), 1e-6, 1)
                and _number(entry.get("miss_rate"), 0, 1)
            )
            if not good:
                return (
                    f"trigger.calibration of {word!r} must give false_alarms_per_hour, a threshold above 0 and at most "
                    f"1, and a miss_rate, found {entry!r}"
                )
    try:
        _verifier(manifest)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        return f"trigger.verifier: {error}"
    return None


def _verifier(manifest: dict[str, Any]) -> Verifier | None:
    """What checks a trigger's scores, its words in the order of these."""
    if (given := manifest["trigger"].get("verifier")) is None:
        return None
    words = {word: given["words"][word] for word in manifest["labels"]}
    return Verifier(given["labels"], words, given["weight"], given["tolerance"])


def _stream_fault(manifest: dict[str, Any]) -> str | None:
    """What of the values that a stream needs cannot be."""
    if manifest["lookahead_frames"] < 0:
        return f"lookahead_frames must be 0 or more, found {manifest['lookahead_frames']}"
    for state in manifest["states"]:
        texts = isinstance(state, dict) and all(isinstance(state.get(key), str) for key in ("name", "output"))
        if not (texts and isinstance(state.get("shape"), list) and isinstance(state.get("initial"), int | float)):
            return "each of the states must have a name, an output, a shape and an initial value"
        if state.get("dtype") not in STATE_TYPES or not all(isinstance(n, int) and n > 0 for n in state["shape"]):
            return (
                f"the state {state['name']!r} must be one of {', '.join(STATE_TYPES)} and have a shape of whole numbers"
            )
    return None


@dataclass(frozen=True)
class Bundle:
    """A checked bundle.

    Args:
        folder: where it lies.

    Attributes:
        manifest: everything in manifest.json.

    Raises:
        BundleError: it is missing, damaged, or of a newer format.
    """

    folder: Path
    manifest: dict[str, Any]

    def __init__(self, folder: str | os.PathLike[str]):
        folder = Path(folder)
        path = folder / MANIFEST
        if folder.is_file():
            inside = folder.name == MANIFEST or (folder.parent / MANIFEST).is_file()
            cure = f"give its folder, {folder.parent}" if inside else "a bundle is a folder that `export.py` makes"
            raise BundleError(f"{folder} is a file, not a bundle: {cure}.")
        if not path.is_file():
            raise BundleError(f"{folder} is not a bundle: it has no {MANIFEST}. Make one with `python export.py`.")
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
            raise BundleError(f"{path} cannot be read ({error}). Copy the bundle again.") from None
        if not isinstance(manifest, dict) or not isinstance(manifest.get("format"), int):
            raise BundleError(f"{path} is not a bundle's manifest: it names no format. Copy the bundle again.")
        if manifest["format"] > FORMAT:
            raise BundleError(
                f"{folder} has bundle format {manifest['format']}, this heyjetson reads up to {FORMAT}. "
                "Upgrade heyjetson, or export the model again."
            )
        kind = manifest.get("kind")
        if isinstance(kind, str) and kind not in KINDS:
            raise BundleError(
                f"{folder} is a bundle of kind {kind!r}, this heyjetson runs {', '.join(KINDS)}. "
                "Upgrade heyjetson, or choose another bundle."
            )
        required = _REQUIRED | (_REQUIRED_OF_TRIGGERS if kind == TRIGGER else _REQUIRED_OF_SPEECH)
        required |= _REQUIRED_OF_STREAMS if kind in ("ctc_stream", TRIGGER) else {}
        for key, of_type in required.items():
            if not isinstance(manifest.get(key), of_type):
                raise BundleError(f"{path}: the key {key!r} is missing or of the wrong type. Export the model again.")
        if kind == TRIGGER:
            manifest["trigger"] = trigger_rules(manifest["trigger"])
        if fault := _fault(manifest):
            raise BundleError(f"{path}: {fault}. Copy the bundle again, or export the model again.")
        for name, entry in manifest["files"].items():
            file = folder / name
            if Path(name).name != name or not isinstance(entry, dict):
                raise BundleError(f"{path} names a file outside the bundle or has a bad entry: {name!r}.")
            if not file.is_file():
                raise BundleError(f"The bundle {folder} lacks {name}. Copy the bundle again.")
            if file_hash(file) != entry.get("sha256"):
                raise BundleError(
                    f"{file} does not match the hash in {MANIFEST}: the copy is damaged or the file was changed. "
                    "Copy the bundle again, or export it anew."
                )
        if manifest.get("graph", "model.onnx") not in manifest["files"]:
            raise BundleError(f"{path}: graph names no file of the bundle. Export the model again.")
        object.__setattr__(self, "folder", folder)
        object.__setattr__(self, "manifest", manifest)

    @property
    def sample_rate(self) -> int:
        """Hertz the graph expects."""
        return self.manifest["sample_rate"]

    @property
    def labels(self) -> list[str]:
        """What each output stands for, the blank left out; of a trigger, its words."""
        return self.manifest["labels"]

    @property
    def blank_id(self) -> int:
        """The output that stands for nothing."""
        return self.manifest["blank_id"]

    @property
    def frame_seconds(self) -> float:
        """Seconds between two outputs."""
        return self.manifest["hop"] * self.manifest["subsampling_factor"] / self.sample_rate

    @cached_property
    def calibration(self) -> calibration.Calibration | None:
        """Of its word times and of what it needs behind the last word; None where its times are raw."""
        return calibration.Calibration.of(self.manifest)

    @property
    def streams(self) -> bool:
        """Whether it takes sound piece by piece."""
        return self.manifest["kind"] != "ctc"

    @property
    def ahead(self) -> float:
        """Seconds of sound behind the beginning of a frame that are heard before the graph gives the frame."""
        return (self.manifest["lookahead_frames"] + 1) * self.frame_seconds if self.streams else math.inf

    @property
    def is_trigger(self) -> bool:
        """Whether it raises words instead of transcribing."""
        return self.manifest["kind"] == TRIGGER

    @cached_property
    def verifier(self) -> Verifier | None:
        """Of a trigger, what checks its scores by the sounds that were heard; None where nothing does."""
        return _verifier(self.manifest) if self.is_trigger else None

    @property
    def columns(self) -> int:
        """Numbers in a frame of the graph."""
        if self.is_trigger:
            return len(self.labels) + (self.verifier.columns if self.verifier else 0)
        return len(self.labels) + 1

    @property
    def output(self) -> str:
        """What the graph calls its frames."""
        return "scores" if self.is_trigger else "log_probs"

    @property
    def graph(self) -> Path:
        """The ONNX file."""
        return self.folder / self.manifest.get("graph", "model.onnx")

    @property
    def writes_sounds(self) -> bool:
        """Whether words come of its language model alone: without it, sounds are written."""
        scorer = self.manifest.get("scorer")
        return isinstance(scorer, dict) and bool(scorer.get("phones")) and self.scorer is not None

    def scorer_for(self, asked: str | os.PathLike[str] | None) -> str | os.PathLike[str] | None:
        """The language model that takes part where `asked` is given: one that writes sounds has its own in any case.

        Args:
            asked: a scorer file, `bundle`, or None for none.
        """
        return "bundle" if asked is None and self.writes_sounds else asked

    @property
    def scorer(self) -> Path | None:
        """The language model that came with it."""
        path = self.folder / "scorer"
        return path if path.is_file() else None


def name_of(bundle: Bundle) -> str:
    """What a model is called: its folder's name, or that of its training where the folder's says nothing."""
    folder = bundle.folder.resolve()
    if folder.name != "bundle":
        return folder.name
    training = bundle.manifest.get("training")
    name = training.get("name") if isinstance(training, dict) else None
    return str(name or folder.parent.name or folder.name)
