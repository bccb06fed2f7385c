"""Fetching models from W&B by reference: `wandb:ENTITY/PROJECT/NAME:ALIAS`.

The alias is a version (`v3`), `latest`, `best` or `run-ID`. experiments/tracking/lineage.py logs what is fetched here.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.errors import ConfigError
from experiments.training.best_effort import first_line
from heyjetson.bundle import MANIFEST
from heyjetson.user_cache import user_cache
from manifests.show import typed

LOG = logging.getLogger(__name__)

PREFIX = "wandb:"
MODEL = "model.nemo"  # of a run
PATTERN = re.compile(r"wandb:([\w-][\w.-]*)/([\w-][\w .-]*)/([\w-][\w.-]*):([\w-][\w.-]*)", re.ASCII)
VERSION = re.compile(r"v\d+", re.ASCII)
FETCHED: dict[str, str] = {}  # reference → ENTITY/PROJECT/NAME:VERSION, of this process: inputs of its run


@dataclass(frozen=True)
class Reference:
    """An artifact's address in W&B.

    Args:
        entity: user or team.
        project: of the entity.
        name: of the artifact, without its version.
        alias: `v3`, `latest`, `best`, `run-ID`, or another.
    """

    entity: str
    project: str
    name: str
    alias: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read `wandb:ENTITY/PROJECT/NAME:ALIAS`.

        Raises:
            ConfigError: it is not of this form.
        """
        found = PATTERN.fullmatch(text)
        if found is None:
            raise ConfigError(
                f"{text!r} is not a W&B reference. Write wandb:ENTITY/PROJECT/NAME:ALIAS, for example "
                "wandb:me/hey-jetson/synthetic:v3; the alias may also be latest or best."
            )
        return cls(*found.groups())

    @property
    def address(self) -> str:
        """As W&B writes it: ENTITY/PROJECT/NAME:ALIAS."""
        return f"{self.entity}/{self.project}/{self.name}:{self.alias}"


def is_reference(text: str | os.PathLike[str] | None) -> bool:
    """Whether `text` is meant as a W&B reference rather than as a path."""
    return isinstance(text, str) and text.startswith(PREFIX)


def local_model(text: str) -> Path:
    """The path of a model that is given as a path, as a run's folder, or as a W&B reference, which then is fetched.

    Raises:
        ConfigError: the reference cannot be fetched, or the run has no model yet.
    """
    if is_reference(text):
        return fetch_model(text)
    path = Path(text)
    if not path.is_dir() or (path / MANIFEST).is_file():
        return path
    if (path / MODEL).is_file():
        return path / MODEL
    if (path / "checkpoints").is_dir():
        raise ConfigError(
            f"The run {path} holds no {MODEL}: it has not ended. `python train.py {typed(path, 'resume=')}` goes on "
            "and writes it; a smaller trainer.max_time ends it sooner."
        )
    return path


def fetch_model(reference: str, api: Any = None) -> Path:
    """Download a model from W&B, or take it from the cache where its version is known.

    Where a W&B run is under way and online, the artifact becomes an input of it.

    Args:
        reference: `wandb:ENTITY/PROJECT/NAME:ALIAS`.
        api: a `wandb.Api` to ask; made when None.

    Returns:
        the `.nemo` file (or the checkpoint) of the artifact, or its folder when it holds a bundle.

    Raises:
        ConfigError: the reference is malformed, W&B cannot be asked, or the artifact is missing or holds no model.
    """
    wanted = Reference.parse(reference)
    cached = _place(wanted, wanted.alias)
    if VERSION.fullmatch(wanted.alias) and cached.is_dir():  # a version never changes
        FETCHED[reference] = wanted.address
        return _model_in(cached, reference)
    artifact = _find(wanted, api)
    version = str(artifact.version)
    place = _place(wanted, version if VERSION.fullmatch(version) else f"digest-{artifact.digest}")
    if not place.is_dir():
        LOG.info(f"Fetching {wanted.address} ({version}, {artifact.size / 1e6:.1f} MB).")
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".fetching-") as temporary:
            whole = Path(temporary, "whole")
            try:
                artifact.download(root=str(whole), skip_cache=True)
                whole.rename(place)
            except Exception as error:  # W&B's client raises errors of many kinds
                if not place.is_dir():  # another process may have been faster
                    raise ConfigError(f"{reference} could not be downloaded: {first_line(error)}.") from error
    FETCHED[reference] = replace(wanted, alias=version).address
    return _model_in(place, reference)


def _find(wanted: Reference, api: Any) -> Any:
    """Ask W&B for the artifact."""
    refusal = f"{PREFIX}{wanted.address} cannot be fetched"
    run = None if api is not None or "wandb" not in sys.modules else sys.modules["wandb"].run
    try:
        if run is not None and not run.offline:
            return run.use_artifact(wanted.address)
        return (api or connect(refusal)).artifact(wanted.address)
    except ConfigError:
        raise
    except Exception as error:  # W&B's client raises errors of many kinds
        raise ConfigError(
            f"{refusal}: {first_line(error)}. Check the reference, the network and the key; aliases of an artifact "
            "are listed in its W&B page."
        ) from error


def connect(refusal: str) -> Any:
    """A `wandb.Api`, without ever asking for a key.

    Args:
        refusal: beginning of the message where there is none.

    Raises:
        ConfigError: W&B is switched off, no key is configured, or the server cannot be reached.
    """
    if os.environ.get("WANDB_MODE") in ("offline", "dryrun", "disabled"):
        raise ConfigError(
            f"{refusal}: WANDB_MODE={os.environ['WANDB_MODE']} switches W&B off. Unset it, or give a path instead. "
            "Versions fetched before (:v3, not :latest) are found without a network."
        )
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    try:
        if wandb.login(prompt=False, verify=False):
            return wandb.Api()
    except Exception as error:  # W&B's client raises errors of many kinds
        raise ConfigError(f"{refusal}: {first_line(error)}. Check the network and the key.") from error
    raise ConfigError(
        f"{refusal}: no W&B key is configured. Set WANDB_API_KEY (or run `wandb login`), or give a path instead."
    )


def _place(wanted: Reference, version: str) -> Path:
    """Where a version lies in the cache."""
    return user_cache() / "wandb" / wanted.entity / wanted.project / f"{wanted.name}-{version}"


def _model_in(folder: Path, reference: str) -> Path:
    """The model in a fetched artifact."""
    if (folder / MANIFEST).is_file():
        return folder
    for suffix in (".nemo", ".ckpt"):
        found = sorted(folder.rglob(f"*{suffix}"))
        if len(found) == 1:
            return found[0]
    held = ", ".join(sorted(path.name for path in folder.rglob("*") if path.is_file())[:8]) or "nothing"
    raise ConfigError(f"{reference} is no model: it holds {held}. Name an artifact of type model or bundle.")
