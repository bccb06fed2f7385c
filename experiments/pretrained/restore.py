"""Opening a `.nemo` of this project, and refusing any other file."""

from __future__ import annotations

import pickle
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError  # type: ignore[import-untyped]

from experiments.cli.log_levels import set_log_levels
from experiments.errors import ConfigError
from experiments.training.best_effort import first_line
from heyjetson.errors import no_room
from manifests.show import typed

TARGET = "custom_modules.model.SpeechModel"
TRIGGER = "custom_modules.trigger.TriggerModel"
LARGEST = 20  # times the size of an archive that its parts may have; weights hardly shrink
SPARE = 16e6  # bytes beside that, and of a configuration


_FAILURES = (
    RuntimeError, OSError, EOFError, LookupError, ValueError, TypeError, AttributeError, ImportError,
    pickle.UnpicklingError, HydraException, tarfile.TarError, zlib.error,
)  # fmt: skip


def read_nemo_config(path: Path) -> DictConfig:
    """The configuration inside a `.nemo`, without building the model.

    Raises:
        ConfigError: the file is missing or not a `.nemo`, or asks for more than a model needs: see
            `require_no_resolvers`.
    """
    if not path.is_file():
        wrong = f"{path} is a folder without model.nemo" if path.is_dir() else f"There is no file {path}"
        raise ConfigError(f"{wrong}. train.py writes runs/NAME/TIME/model.nemo.")
    try:
        with tarfile.open(path) as archive:
            members = archive.getmembers()
            unpacked = sum(member.size for member in members)
            described = next(member for member in members if member.name.endswith("model_config.yaml"))
            if unpacked > LARGEST * path.stat().st_size + SPARE or described.size > SPARE:
                raise ConfigError(f"{path} is refused: it unpacks to {unpacked / 1e6:,.0f} MB, too much for its size.")
            member = archive.extractfile(described)
            if member is None:
                raise tarfile.ReadError("no file")
            config = DictConfig(OmegaConf.create(member.read().decode()))
    except (tarfile.TarError, StopIteration, OSError, EOFError, zlib.error, YAMLError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        cure = ""
        if path.suffix == ".ckpt":
            known = path.parent.name == "checkpoints"
            resume = typed(path.parent.parent, "resume=") if known else "resume=RUN"
            cure = f" It is a checkpoint: `python train.py {resume}` goes on from it and writes model.nemo."
        raise ConfigError(f"{path} is not a .nemo file: it is not an archive with a model_config.yaml.{cure}") from None
    require_no_resolvers(config, path)
    return config


def require_no_resolvers(config: Any, path: Path) -> None:
    """Refuse a file's configuration that would be filled in from this machine, by `${oc.env:HOME}` and the like.

    References to other keys of its own, `${encoder.d_model}`, are what they are.

    Args:
        config: not resolved.
        path: of the file, for the message.

    Raises:
        ConfigError: names what is asked for.
    """
    held = [OmegaConf.to_container(config, resolve=False) if OmegaConf.is_config(config) else config]
    while held:
        one = held.pop()
        if isinstance(one, dict):
            held += one.values()
        elif isinstance(one, list | tuple):
            held += one
        elif OmegaConf.is_config(one):
            held.append(OmegaConf.to_container(one, resolve=False))
        elif isinstance(one, str) and "${" in one and ":" in one.partition("${")[2]:
            raise ConfigError(
                f"{path} is refused: its configuration asks for {one[:80]!r}, which would be filled in from this "
                "machine. Ask its maker for a file that holds the values themselves."
            )


def _refusal(path: Path, error: Exception) -> ConfigError:
    """What NeMo says against a file, as a sentence."""
    from experiments.training.checkpoints import refuse_foreign

    if full := no_room(error):
        return ConfigError(
            f"{path} does not fit into {tempfile.gettempdir()}, where NeMo unpacks it ({full.strerror}). Make room "
            "there, or set TMPDIR to a larger folder."
        )
    refuse_foreign(path, error)
    if type(error).__name__ == "UnsafeTargetError":
        return ConfigError(
            f"{path} is refused: its configuration names a class or a function that is no part of a model "
            f"({first_line(error)}). Do not use it."
        )
    return ConfigError(
        f"{path} cannot be restored ({first_line(error):.200}). Was the file copied whole, and written by this version "
        "of the project?"
    )


def restore_model(path: Path, trigger: bool | None = False):
    """Restore a model in evaluation mode, on the CPU.

    Args:
        path: a `.nemo` file written by train.py.
        trigger: whether it must be a trigger; None takes both.

    Returns:
        a `SpeechModel` or a `TriggerModel`.

    Raises:
        ConfigError: the file is missing, not a `.nemo`, or holds another project's model.
    """
    target = str(OmegaConf.select(read_nemo_config(path), "target"))
    if target in (TARGET, TRIGGER) and trigger is not None and trigger != (target == TRIGGER):
        what, cure = ("a trigger", "Add --config-name trigger.") if target == TRIGGER else (
            "a model that transcribes", "Leave out --config-name trigger."
        )  # fmt: skip
        raise ConfigError(f"{path} is {what}. {cure}")
    if target not in (TARGET, TRIGGER):
        raise ConfigError(
            f"{path} is a .nemo of another project: it holds a {target}, not a {TARGET}. Use one written by this "
            "project's train.py."
        )
    set_log_levels()
    import custom_modules  # noqa: F401  (registers the project's modules with NeMo)
    from custom_modules.model import SpeechModel
    from custom_modules.trigger import TriggerModel

    try:
        model = (TriggerModel if target == TRIGGER else SpeechModel).restore_from(str(path), map_location="cpu")
    except _FAILURES as error:
        raise _refusal(path, error) from error
    return model.eval()
