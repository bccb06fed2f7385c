"""Reports of single test sets: what train.py and evaluate.py write, every utterance included."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

from experiments.compare.record import Result, known
from experiments.evaluation.report import Row, hashes_of
from heyjetson.errors import BundleError
from manifests import ManifestError
from manifests import read_manifest as read_lines

HASHES = ("model_sha256", "scorer_sha256")
ROW = {field.name for field in fields(Row)}


def read_report(path: Path, name: str | None = None) -> tuple[str, Result] | None:
    """One report.

    Args:
        path: of the JSON.
        name: of the test set; the manifest's when None.

    Returns:
        the model it is of and the result; None where the file is no report, or is cut short.
    """
    try:
        record = json.loads(path.read_text())
        rows = [Row(**{key: value for key, value in row.items() if key in ROW}) for row in record["utterance_results"]]
        manifest = Path(record["manifest"])
        model = str(record["model"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    scorer = str(record["scorer"]) if record.get("scorer") else None
    rows = _with_speakers(rows, manifest)
    corpus, hashes = manifest.resolve().parent.name, tuple((key, str(record[key])) for key in HASHES if key in record)
    return model, Result(name or manifest.stem, known(record), tuple(rows), scorer, corpus, hashes)


def of_present(reports: dict[str, Result], model: Path) -> tuple[list[Result], str]:
    """The reports on a model as it is.

    Args:
        reports: of evaluate.py, by name.
        model: a `.nemo` or a bundle, which may have been trained further, or written anew.

    Returns:
        them, and what is to be said of the others; empty where there are none.
    """
    old = []
    for name, result in reports.items():
        try:
            now = hashes_of(model, result.scorer) if result.hashes else {}
        except (OSError, BundleError):
            now = {}
        if any(now.get(key, value) != value for key, value in result.hashes):
            old.append(name)
    said = f"{', '.join(old)} left out, of another {model.name} than the present one" if old else ""
    return [result for name, result in reports.items() if name not in old], said


def _with_speakers(rows: list[Row], manifest: Path) -> list[Row]:
    """Rows of a report from before reports named speakers take them from the manifest, where it still is."""
    if any(row.speaker for row in rows) or not manifest.is_file():
        return rows
    try:
        lines = {str(line.audio): line.extra.get("speaker") for line in read_lines(manifest)}
    except (ManifestError, OSError):
        return rows
    return [replace(row, speaker=str(lines[row.audio]) if lines.get(row.audio) else None) for row in rows]


def with_reports(results: dict[str, Result], reports: list[Result]) -> dict[str, Result]:
    """Results with further reports, except of test sets that are there already; others of the same name are known by
    their folder as well.

    Args:
        results: by test set.
        reports: of evaluate.py.
    """
    merged = dict(results)
    for report in reports:
        if not any(report.rows and report.same_set(other) for other in merged.values()):
            name = report.name if report.name not in merged else f"{report.corpus}/{report.name}"
            merged.setdefault(name, replace(report, name=name))
    return merged
