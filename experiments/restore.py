"""Opening a `.nemo` of this project, and refusing any other file."""

from __future__ import annotations

import tarfile
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError  # type: ignore[import-untyped]

from experiments.entry import ConfigError
from experiments.hush import hush

TARGET = "custom_modules.model.SpeechModel"
TRIGGER = "custom_modules.trigger.TriggerModel"


def read_nemo_config(path: Path) -> DictConfig:
    """The configuration inside a `.nemo`, without building the model.

    Raises:
        ConfigError: the file is missing or not a `.nemo`.
    """
    if not path.is_file():
        raise ConfigError(f"There is no file {path}. train.py writes runs/NAME/TIME/model.nemo.")
    try:
        with tarfile.open(path) as archive:
            name = next(name for name in archive.getnames() if name.endswith("model_config.yaml"))
            member = archive.extractfile(name)
            assert member is not None
            return DictConfig(OmegaConf.create(member.read().decode()))
    except (tarfile.TarError, StopIteration, OSError, YAMLError, UnicodeDecodeError):
        raise ConfigError(f"{path} is not a .nemo file: it is not an archive with a model_config.yaml.") from None


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
    hush()
    import custom_modules  # noqa: F401  (registers the project's modules with NeMo)
    from custom_modules.model import SpeechModel
    from custom_modules.trigger import TriggerModel

    try:
        model = (TriggerModel if target == TRIGGER else SpeechModel).restore_from(str(path), map_location="cpu")
    except (RuntimeError, OSError, KeyError, tarfile.TarError) as error:
        raise ConfigError(
            f"{path} cannot be restored ({str(error).splitlines()[0]:.200}). Was the file copied whole, and written by "
            "this version of the project?"
        ) from error
    return model.eval()
