"""Bundles: which run each was exported from, what was measured with it, and a bundle as a row of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.compare.inputs import Place, below
from experiments.compare.keys import flatten
from experiments.compare.record import Deployed, Result, Run, known, number
from experiments.compare.reports import of_present, read_report, with_reports
from heyjetson.bundle import MANIFEST, file_hash


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle; empty where it cannot be read."""
    try:
        described = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return {}
    return described if isinstance(described, dict) else {}


def described(folder: Path, manifest: dict[str, Any]) -> Deployed:
    """The figures of a bundle.

    Args:
        folder: of the bundle.
        manifest: its manifest.json.
    """
    precision = str(manifest.get("precision", "fp32"))
    measured = known(manifest.get("measured", {}).get(precision, {}))
    graph = manifest.get("files", {}).get(manifest.get("graph", ""), {})
    return Deployed(
        folder.name,
        str(folder),
        precision,
        int(graph.get("bytes", measured.get("bytes", 0))),
        measured.get("real_time_factor"),
        measured.get("wer"),
        measured.get("wer_low"),
        measured.get("wer_high"),
        measured_on(manifest),
    )


def measured_on(manifest: dict[str, Any]) -> str | None:
    """The name that the training gave the test set a bundle was measured on, found by the hash of its manifest.

    Args:
        manifest: of the bundle.
    """
    measured = manifest.get("measured", {}).get(manifest.get("precision", "fp32"), {})
    names = {str(value): str(key) for key, value in manifest.get("training", {}).get("data", {}).items()}
    return names.get(str(measured.get("manifest_sha256")))


def attach(runs: dict[Path, Run], folder: Path) -> None:
    """Give each run the bundles exported from it.

    Args:
        runs: by folder. A bundle is a run's when it lies in the run's folder as `bundle`, or when its manifest names
            the run's name, folder and, where the run still has it, the very `model.nemo`.
        folder: where bundles lie; it may be missing.
    """
    places = {place.path.resolve(): place for place in below(folder)} if folder.is_dir() else {}
    for home in runs:
        if (home / "bundle" / MANIFEST).is_file():
            places[(home / "bundle").resolve()] = Place("bundle", home / "bundle")
    hashes: dict[Path, str] = {}
    for place in places.values():
        if place.kind != "bundle":
            continue
        manifest = read_manifest(place.path)
        training = manifest.get("training", {})
        for home, run in runs.items():
            own = place.path.resolve() == (home / "bundle").resolve()
            named = training.get("folder") == home.name and training.get("name") == run.config.get("name")
            nemo = home / "model.nemo"
            if not own and named and nemo.is_file() and "nemo_sha256" in training:
                named = hashes.setdefault(nemo, file_hash(nemo)) == training["nemo_sha256"]
            if own or named:
                run.bundles.append(described(place.path, manifest))


def load_bundle(folder: Path) -> Run:
    """A bundle as a row of its own, with the reports that evaluate.py wrote beside it.

    Args:
        folder: of the bundle.
    """
    manifest = read_manifest(folder)
    figures = described(folder, manifest)
    training = manifest.get("training", {})
    run = Run(folder.name, str(folder), "bundle")
    run.config = flatten({"encoder": manifest.get("encoder"), "frontend": manifest.get("frontend")})
    run.config["precision"] = figures.precision
    run.metrics = {key: training[key] for key in ("steps", "epochs", "validation_wer") if number(training.get(key))}
    run.metrics["parameters"] = manifest.get("parameters")
    run.bundles = [figures]
    reports = {path.name: read_report(path) for path in sorted(folder.parent.glob(f"{folder.name}-*.json"))}
    # A name may begin with another's: a report also says what it is of.
    named = {name: report[1] for name, report in reports.items() if report and Path(report[0]).name == folder.name}
    own, run.note = of_present(named, folder)
    alone = [result for result in own if not result.scorer]
    run.results = with_reports({}, alone or own)
    measured = manifest.get("measured", {}).get(figures.precision, {})
    if measured and not run.results:
        name = figures.test or Path(str(measured.get("manifest", "test"))).stem
        run.results[name] = Result(name, known(measured))
    if not run.results:
        run.note = run.note or "nothing measured: export it with manifest=FILE.jsonl"
    return run
