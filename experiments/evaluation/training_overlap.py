"""Was a model trained on what it is measured on? Said where its training set is still found."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from experiments.pretrained.restore import read_nemo_config
from heyjetson.bundle import Bundle, file_hash
from manifests import read_manifest
from manifests.overlap import Set, compare
from manifests.shard import INDEX, read_listing
from manifests.show import from_here

LOG = logging.getLogger(__name__)


def heard_in_training(model: Path, manifest: Path) -> int | None:
    """How many utterances of a manifest a model was trained on; says so where there are any.

    The training set is looked for where the run lies and beside the manifest, and is known by the hash that the model
    carries.

    Args:
        model: a `.nemo` or a bundle.
        manifest: JSON lines.

    Returns:
        the count; None where the training set is not found.
    """
    run = run_of(model)
    hashes = run.get("data") or {}
    if hashes.get("validation") == file_hash(manifest):
        LOG.info(f"Note: by {from_here(manifest)} the best weights were chosen; the figures flatter them.")
    trained = next(
        (path for path in _places(run, model, manifest) if path.is_file() and file_hash(path) == hashes.get("train")),
        None,
    )
    if trained is None:
        return None
    listed = (
        read_listing(trained.parent, "the training set")
        if trained.name == INDEX
        else Set("the training set", from_here(trained), read_manifest(trained))
    )
    if listed is None:
        return None
    (shared,) = compare([listed, Set(str(from_here(manifest)), from_here(manifest), read_manifest(manifest))]).shared
    if shared.same:
        LOG.info(
            f"Warning: {shared.fault()}\nThe model was trained on them: its figures say little about new recordings."
        )
    return len(shared.same)


def run_of(model: Path) -> dict[str, Any]:
    """What a model keeps of its training.

    Args:
        model: a `.nemo` or a bundle.
    """
    if model.is_dir():
        return dict(Bundle(model).manifest.get("training") or {})
    run = OmegaConf.select(read_nemo_config(model), "run")
    return {} if run is None else cast(dict[str, Any], OmegaConf.to_container(run))


def _places(run: dict[str, Any], model: Path, manifest: Path) -> list[Path]:
    """Where the training set may be, the surest first."""
    folders = [model.parent, Path("runs", str(run.get("name")), str(run.get("folder")))]
    found = [folder / "train.checked.jsonl" for folder in folders]
    for config in (folder / "config.yaml" for folder in folders):
        if config.is_file():
            given = OmegaConf.select(OmegaConf.load(config), "data.train")
            found += [Path(str(given))] if given else []
    return [*found, manifest.parent / "train.jsonl"]
