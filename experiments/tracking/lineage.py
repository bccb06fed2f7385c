"""What a run leaves in W&B as versioned artifacts, and how they hang together: dataset → model → bundle.

Models and bundles are versions of one collection per experiment (`NAME`, `NAME-bundle`), each with the alias `run-ID`
of the run it comes from, so that a later step names its input without asking a server.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.data.preparation import Data
from experiments.errors import ConfigError
from experiments.tracking.artifacts import FETCHED
from experiments.training.best_effort import BestEffort
from heyjetson.bundle import Bundle, file_hash
from manifests import read_manifest
from manifests.lines import write_manifest
from manifests.shard import read_index
from manifests.show import from_here
from manifests.wandb_table import wandb_mode

LOG = logging.getLogger(__name__)


def collection(name: str) -> str:
    """An experiment's name as W&B takes it for an artifact."""
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).lstrip(".-") or "model"


def run_alias(identity: str) -> str:
    """The alias of what a run has made."""
    return f"run-{identity}"


def origin(run: Any, name: str) -> dict[str, Any]:
    """What a `.nemo` keeps of its W&B run, so that its bundle finds its way back.

    Args:
        run: of W&B.
        name: of the experiment.
    """
    return {
        "entity": run.entity or None,
        "project": run.project,
        "group": run.group or None,
        "run": run.id,
        "model": f"{collection(name)}:{run_alias(run.id)}",
    }


def dataset_facts(data: Data) -> dict[str, dict[str, Any]]:
    """Hash, size and length of each manifest of a run, by what it is for."""
    facts: dict[str, dict[str, Any]] = {}
    for name, path in data.named().items():
        facts[name] = {"file": path.name, "sha256": file_hash(path)}
        if data.shards and path == data.train:
            index = read_index(data.shards)
            facts[name] |= {"utterances": index.utterances, "hours": round(index.hours, 3)}
        else:
            lines = read_manifest(path)
            hours = sum(utterance.duration for utterance in lines) / 3600
            facts[name] |= {"utterances": len(lines), "hours": round(hours, 3)}
    return facts


def declare_inputs(run: Any, name: str, data: Data, upload_audio: bool, forgive: BestEffort) -> threading.Thread | None:
    """Make the dataset, and the models fetched before, inputs of a run, beside the training.

    Offline, W&B knows no inputs: hashes and references are in the run's config, and only a dataset whose audio is
    asked for is queued, as an output.

    Args:
        run: of W&B.
        name: of the experiment.
        data: its manifests.
        upload_audio: the recordings as well; manifests alone are recorded by hash and place.
        forgive: failures.

    Returns:
        the thread that does it and ends with the process; None where there is nothing to do.
    """
    facts = dataset_facts(data)
    run.config.update({"dataset": facts, "fetched": dict(FETCHED)}, allow_val_change=True)
    if run.offline and not upload_audio:
        return None

    def declare() -> None:
        with forgive("the dataset as an artifact"):
            artifact = dataset_artifact(f"{collection(name)}-data", data, facts, upload_audio)
            if run.offline:
                run.log_artifact(artifact)
                return
            run.use_artifact(artifact)
            for address in FETCHED.values():
                run.use_artifact(address)

    thread = threading.Thread(target=declare, name="wandb-inputs", daemon=True)
    thread.start()
    return thread


def dataset_artifact(name: str, data: Data, facts: dict[str, dict[str, Any]], upload_audio: bool) -> Any:
    """The manifests of a run as an artifact: by reference and checksum, or whole with their recordings."""
    import wandb

    artifact = wandb.Artifact(name, type="dataset", metadata=facts)
    for split, path in data.named().items():
        if not upload_audio:
            artifact.add_reference(path.as_uri(), name=f"{split}{path.suffix}", checksum=True)
        elif data.shards and path == data.train:
            artifact.add_dir(str(data.shards), name=split, policy="immutable", skip_cache=True)
        else:
            _add_recordings(artifact, split, path)
    return artifact


def _add_recordings(artifact: Any, split: str, manifest: Path) -> None:
    """Add a manifest's recordings, and the manifest with paths relative to the artifact."""
    lines = read_manifest(manifest)
    names = [f"{split}/{number:07d}{line.audio.suffix}" for number, line in enumerate(lines)]
    for line, name in zip(lines, names, strict=True):
        artifact.add_file(str(line.audio), name=name, policy="immutable", skip_cache=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{split}.jsonl")
        write_manifest(path, (replace(line, audio=Path(name)) for line, name in zip(lines, names, strict=True)))
        artifact.add_file(str(path), name=path.name)


def log_model(run: Any, folder: Path, name: str, record: dict[str, Any], api: Any = None) -> list[str]:
    """Log a finished run's `model.nemo`, `config.yaml` and `metrics.json` as the newest version of the experiment.

    Args:
        run: of W&B; offline, the artifact is queued with a copy of the files.
        folder: of the run.
        name: of the experiment.
        record: metadata; `validation_wer` and `data` decide whether it is the best.
        api: a `wandb.Api` to ask for the best version so far; made when None.

    Returns:
        the aliases it was given: `latest`, `run-ID`, and `best` where W&B could be asked and holds no better version.
    """
    import wandb

    artifact = wandb.Artifact(collection(name), type="model", metadata=record)
    for file in ("model.nemo", "config.yaml", "metrics.json"):
        if (folder / file).is_file():
            artifact.add_file(str(folder / file), policy="mutable" if run.offline else "immutable", skip_cache=True)
    aliases = ["latest", run_alias(run.id)]
    if not run.offline:
        with BestEffort("The model is logged without it.")("the alias best"):
            if is_best(f"{run.entity}/{run.project}/{collection(name)}", record, api or wandb.Api()):
                aliases.append("best")
    run.log_artifact(artifact, aliases=aliases)
    return aliases


def is_best(address: str, record: dict[str, Any], api: Any) -> bool:
    """Whether a model's validation WER is below that of the version `best`, or there is none on the same data.

    Args:
        address: ENTITY/PROJECT/NAME.
        record: metadata of the model.
        api: a `wandb.Api`.
    """
    if record.get("validation_wer") is None:
        return False
    if not api.artifact_exists(f"{address}:best", type="model"):
        return True
    other = api.artifact(f"{address}:best", type="model").metadata
    if other.get("validation_wer") is None or _validation(other) != _validation(record):
        return True
    return record["validation_wer"] < other["validation_wer"]


def _validation(record: dict[str, Any]) -> Any:
    return (record.get("data") or {}).get("validation")


def mark_best(address: str, api: Any) -> Any:
    """Give the alias `best` to the version with the lowest validation WER, among those validated on the newest's data.

    What was trained offline and synced later is logged without it.

    Args:
        address: ENTITY/PROJECT/NAME.
        api: a `wandb.Api`.

    Returns:
        the version.

    Raises:
        ConfigError: no version has a validation WER.
    """
    versions = [each for each in api.artifacts("model", address) if each.metadata.get("validation_wer") is not None]
    if not versions:
        raise ConfigError(f"No version of {address} has a validation WER: train.py logs it once a run has finished.")
    newest = max(versions, key=lambda each: int(each.version.removeprefix("v")))
    rivals = [each for each in versions if _validation(each.metadata) == _validation(newest.metadata)]
    best = min(rivals, key=lambda each: each.metadata["validation_wer"])
    if "best" not in best.aliases:
        best.aliases = [*best.aliases, "best"]
        best.save()
    return best


def log_checkpoint(run: Any, path: Path, wer: float) -> None:
    """Log a checkpoint as the newest and best of its run, in a collection of the run's own.

    Args:
        run: of W&B.
        path: of the checkpoint; copied, since the next better one replaces it.
        wer: on the validation set.
    """
    import wandb

    artifact = wandb.Artifact(f"checkpoint-{run.id}", type="checkpoint", metadata={"validation_wer": wer})
    artifact.add_file(str(path), skip_cache=True)
    run.log_artifact(artifact, aliases=["latest", "best"])


def tracks_bundles(choice: Any) -> bool:
    """Whether export.py logs to W&B: `auto` does where W&B is online by itself.

    Raises:
        ConfigError: the choice is unknown.
    """
    if choice not in ("auto", True, False):
        raise ConfigError(f"wandb must be auto, true or false, found {choice!r}.")
    return choice is True or (choice == "auto" and wandb_mode() == "online")


def log_bundle(bundle: Path, choice: Any) -> None:
    """Log a bundle as an artifact that follows from its model, in a run of its own; failures are said, never raised.

    Args:
        bundle: a finished bundle's folder.
        choice: of conf/export.yaml: auto, true or false.
    """
    if not tracks_bundles(choice):
        return
    record = Bundle(bundle).manifest
    source = record["training"].get("wandb")
    if not source:
        if choice is True:
            LOG.info("The bundle is not logged: its .nemo names no W&B run (train with logger=wandb).")
        return
    with BestEffort(f"{bundle} is complete all the same.")("the bundle in W&B"):
        print(f"W&B     {_log_bundle(bundle, record, source)}")


def _log_bundle(bundle: Path, record: dict[str, Any], source: dict[str, Any]) -> str:
    """Log the bundle; returns where."""
    import wandb

    folder = bundle.absolute().parent
    (folder / "wandb").mkdir(exist_ok=True)
    os.environ.setdefault("WANDB_DATA_DIR", str(folder / "wandb"))
    os.environ.setdefault("WANDB_SILENT", "true")
    facts = {key: record[key] for key in ("kind", "precision", "parameters", "licence", "measured")}
    facts |= {"model": source["model"], "model_run": source["run"], "nemo_sha256": record["training"]["nemo_sha256"]}
    facts["graph_sha256"] = record["files"][record["graph"]]["sha256"]
    mode = wandb_mode()
    with wandb.init(
        entity=source["entity"],
        project=source["project"],
        group=source["group"],
        name=bundle.name,
        job_type="export",
        config=facts,
        dir=str(folder),
        mode=mode,  # type: ignore[arg-type]
    ) as run:
        aliases = ["latest", run_alias(source["run"]), record["precision"]]
        if not run.offline:
            with BestEffort("The bundle is logged without it.")("the lineage from the model"):
                model = run.use_artifact(f"{run.entity}/{run.project}/{source['model']}", type="model")
                aliases += ["best"] * ("best" in model.aliases)
        artifact = wandb.Artifact(f"{source['model'].partition(':')[0]}-bundle", type="bundle", metadata=facts)
        # Offline the files are copied: the next export replaces the folder before it is synced.
        artifact.add_dir(str(bundle), policy="mutable" if run.offline else "immutable", skip_cache=True)
        run.log_artifact(artifact, aliases=aliases)
        figures = record["measured"].get(record["precision"], {})
        if figures:
            run.log({key: value for key, value in figures.items() if isinstance(value, int | float)})
        kept = from_here(Path(run.dir).parent)
        return f"offline; `wandb sync {kept}` uploads it" if run.offline else str(run.url)
