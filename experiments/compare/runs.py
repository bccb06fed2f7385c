"""A run folder as train.py leaves it, and everything below the folders on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from experiments.compare import bundles
from experiments.compare.inputs import TRIAL, Place, find, short_names
from experiments.compare.keys import flatten
from experiments.compare.record import DIED, DIVERGED, Result, Run, known, number
from experiments.compare.reports import of_present, read_report, with_reports
from experiments.compare.wandb_runs import load_offline, power_recorded, read_offline
from experiments.errors import ConfigError
from experiments.training.history_reader import divergence, read_history
from manifests.progress import threaded

MEASURES = ("val_wer", "val_cer", "val_miss", "val_loss")  # of validations, that are numbers in any run that is well
NEMO = "model.nemo"
UNFINISHED = "no metrics.json: still training, stopped or pruned"
CONTINUED = "it was continued after its metrics.json, and has not ended since: the figures there are of before"


def load(paths: list[Path], bundle_folder: Path) -> list[Run]:
    """Everything that the paths stand for.

    Args:
        paths: of the command line.
        bundle_folder: where bundles of the runs are looked for.

    Raises:
        ConfigError: a path does not exist, or holds nothing to compare.
    """
    places = find(paths)
    loaded = list(threaded(_loaded, places, "reading runs"))
    found = {place.path: run for place, run in zip(places, loaded, strict=True) if run is not None}
    if not found:
        raise ConfigError("There are only W&B runs that trained nothing: of exports, or of data.")
    for run, name in zip(found.values(), short_names(list(found)), strict=True):
        run.name = run.name if run.kind == "offline" else name
    _tell_apart(list(found.values()))
    bundles.attach({path: run for path, run in found.items() if run.kind == "run"}, bundle_folder)
    return list(found.values())


def _loaded(place: Place) -> Run | None:
    loaders: dict[str, Callable[[Path], Run | None]] = {
        "run": load_run,
        "offline": load_offline,
        "bundle": bundles.load_bundle,
    }
    return loaders[place.kind](place.path)


def _tell_apart(runs: list[Run]) -> None:
    """Number what would have one name."""
    seen: dict[str, int] = {}
    for run in runs:
        seen[run.name] = seen.get(run.name, 0) + 1
        if seen[run.name] > 1:
            run.name = f"{run.name} ({seen[run.name]})"


def load_run(folder: Path) -> Run:
    """One run folder.

    Args:
        folder: of the run. What is missing or damaged in it becomes the run's `note`.
    """
    run = Run(folder.name, str(folder))
    config = _config(folder)
    run.config = flatten(config)
    run.choices = _choices(folder)
    run.curve = read_history(folder)
    trained = max((point["step"] for point in run.curve), default=0)
    offline = sorted((folder / "wandb").glob("offline-run-*"))
    if offline and (not run.curve or any(power_recorded(path) for path in offline)):
        logged = read_offline(offline)
        run.curve = run.curve or logged.curve
        run.energy = logged.energy
    nemo = folder / NEMO
    run.bytes = nemo.stat().st_size if nemo.is_file() else None
    path = folder / "metrics.json"
    if said := _diverged(folder):
        run.note, run.curve, run.metrics = f"{DIVERGED}: {said}", [], _spent(path)
        return run
    if (said := _ended(folder)).startswith(DIED) and not _newer(path, folder / TRIAL):
        run.note, run.curve, run.metrics = said, [], _spent(path)
        return run
    if not path.is_file():
        run.note = _ended(folder) or (UNFINISHED if run.curve else "it ended before its first validation")
        return run
    try:
        run.metrics = json.loads(path.read_text())
        tests = dict(run.metrics.pop("test"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        run.metrics, run.note = {}, "metrics.json cannot be read"
        return run
    if isinstance(steps := run.metrics.get("steps"), int) and trained > steps:  # settings are of now, figures are not
        run.note = CONTINUED
        return run
    run.results, run.note = _results(folder, tests)
    if not run.results:
        run.note = run.note or "no test set: its configuration names none"
    return run


def _diverged(folder: Path) -> str:
    """How a run, or a trial of a sweep, diverged; empty where it did not."""
    for name in (TRIAL, "metrics.json"):
        try:
            record = json.loads((folder / name).read_text())
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and record.get("state") == "diverged":
            return str(record.get("reason"))
        if isinstance(record, dict) and isinstance(record.get("diverged"), dict):
            return f"{record['diverged'].get('reason')} at step {record['diverged'].get('step')}"
    return divergence(folder, *MEASURES)


def _newer(path: Path, other: Path) -> bool:
    """Whether a file was written after another: a run that died may have been continued by hand."""
    return path.is_file() and path.stat().st_mtime > other.stat().st_mtime


def _spent(path: Path) -> dict[str, Any]:
    """What metrics.json says of a run beside its accuracy."""
    try:
        found = json.loads(path.read_text())
        return {key: found[key] for key in ("parameters", "steps", "seconds") if key in found}
    except (OSError, ValueError, TypeError):
        return {}


def _ended(folder: Path) -> str:
    """Why a trial of a sweep ended early, as the sweep wrote it down."""
    try:
        trial = json.loads((folder / TRIAL).read_text())
        said = {"pruned": "pruned", "fail": DIED, "interrupted": "interrupted, to be tried again"}[trial["state"]]
        return f"{said}: {trial['reason']}" if trial.get("reason") else said
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


def _results(folder: Path, tests: dict[str, Any]) -> tuple[dict[str, Result], str]:
    """Test sets of metrics.json with their utterances, and what evaluate.py wrote beside the model; and what is wrong
    with that."""
    results: dict[str, Result] = {}
    for name, totals in tests.items():
        report = read_report(folder / f"test_{name}.json", str(name))
        result = report[1] if report else Result(str(name), known(totals))
        if number(result.totals.get("wer")) is not None:
            results[str(name)] = result
    found = {path.name: read_report(path) for path in sorted(folder.glob("evaluation-*.json"))}
    further, said = of_present({name: report[1] for name, report in found.items() if report}, folder / NEMO)
    return with_reports(results, further), said


def _config(folder: Path) -> dict[str, Any]:
    """config.yaml, or what Hydra kept where the run ended before writing it."""
    for path in (folder / "config.yaml", folder / ".hydra" / "config.yaml"):
        try:
            loaded = OmegaConf.load(path)
            config = OmegaConf.to_container(loaded, resolve=True)
        except (OSError, YAMLError, OmegaConfBaseException):
            continue
        if isinstance(loaded, DictConfig) and isinstance(config, dict):
            return {str(key): value for key, value in config.items()}
    return {}


def _choices(folder: Path) -> dict[str, str]:
    """Which file of each group of conf/ the run was composed from."""
    try:
        hydra = OmegaConf.load(folder / ".hydra" / "hydra.yaml")
        chosen = OmegaConf.to_container(OmegaConf.select(hydra, "hydra.runtime.choices"))
    except (OSError, YAMLError, OmegaConfBaseException, ValueError):
        return {}
    left_out = ("experiment", "debug", "local", "logger")  # what these set stands in the keys
    pairs = chosen.items() if isinstance(chosen, dict) else ()
    return {str(key): str(value) for key, value in pairs if value is not None and key not in left_out}
