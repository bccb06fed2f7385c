"""The file a fine-tuning starts from: found by path, run folder, name or W&B address, and read without being built."""

from __future__ import annotations

import difflib
import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from experiments.errors import ConfigError
from experiments.pretrained.restore import TRIGGER, read_nemo_config, require_no_resolvers
from experiments.tracking.artifacts import is_reference, local_model
from experiments.training.best_effort import first_line

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model_weights.ckpt"


@dataclass(frozen=True)
class Source:
    """A model's file.

    Args:
        path: of a `.nemo` or of a Lightning checkpoint of a NeMo model.
        config: the model's section of the configuration it was trained with.
    """

    path: Path
    config: DictConfig

    @property
    def labels(self) -> list[str] | None:
        """What its CTC decoder writes; None where that is not characters."""
        decoder = self.config.get("decoder") or {}
        labels = [str(label) for label in decoder.get("vocabulary") or self.config.get("labels") or []]
        of_characters = labels and all(len(label) == 1 for label in labels)
        return labels if of_characters and str(decoder.get("_target_")).endswith(".ConvASRDecoder") else None

    def weights(self) -> dict[str, Tensor]:
        """All tensors by name, on the CPU.

        Raises:
            ConfigError: they cannot be read.
        """
        import torch

        from experiments.training.averaging import weights_of
        from experiments.training.checkpoints import DAMAGED, read_checkpoint, refuse_foreign

        try:
            if self.path.suffix == ".ckpt":
                return weights_of(read_checkpoint(self.path, mmap=True))
            with tarfile.open(self.path) as archive:
                name = next(name for name in archive.getnames() if name.endswith(WEIGHTS))
                member = archive.extractfile(name)
                assert member is not None
                return torch.load(io.BytesIO(member.read()), map_location="cpu", weights_only=True)
        except ConfigError:
            raise
        except StopIteration:
            raise ConfigError(
                f"{self.path} has no {WEIGHTS}: give a .nemo that holds its weights in one file."
            ) from None
        except (*DAMAGED, tarfile.TarError) as error:
            refuse_foreign(self.path, error)
            raise ConfigError(
                f"The weights in {self.path} cannot be read ({first_line(error)}). Was the file copied whole?"
            ) from error


def open_source(reference: str) -> Source:
    """Find the file of `init_from` and read its configuration.

    Args:
        reference: a `.nemo`, a Lightning checkpoint, a run folder, a `wandb:` address or the name of a pretrained
            NeMo model, which is downloaded.

    Raises:
        ConfigError: nothing is there, it cannot be fetched, or it is not a model that can be continued.
    """
    path = _locate(reference)
    config = _checkpoint_config(path) if path.suffix == ".ckpt" else read_nemo_config(path)
    if str(config.get("target")) == TRIGGER:
        raise ConfigError(f"{path} is a trigger: it hears words and writes none. Give a model that transcribes.")
    if not all(config.get(section) for section in ("preprocessor", "encoder")):
        raise ConfigError(
            f"{path} holds a {config.get('target', 'model')} without a front-end or an encoder: it is not a model of "
            "speech recognition that can be trained on."
        )
    return Source(path, config)


def origin(reference: str) -> str:
    """A reference as it can stand in a published model: without folders of this machine.

    >>> origin("/home/ada/runs/synthetic/2026-01-31_12-00-00/model.nemo"), origin("stt_en_jasper10x5dr")
    ('synthetic/2026-01-31_12-00-00', 'stt_en_jasper10x5dr')
    """
    path = Path(reference)
    if is_reference(reference) or not (path.suffix in (".nemo", ".ckpt") or path.is_dir()):
        return reference
    folder = path.parent.parent if path.parent.name == "checkpoints" else path if path.is_dir() else path.parent
    of_run = path.is_dir() or path.suffix == ".ckpt" or path.name == "model.nemo"
    return "/".join(folder.absolute().parts[-2:]) if of_run else path.name


def _locate(reference: str) -> Path:
    if is_reference(reference):
        path = local_model(reference)
        if path.suffix not in (".nemo", ".ckpt"):
            raise ConfigError(f"{reference} holds a bundle, and its graph cannot be trained. Name a model's artifact.")
        return path
    path = Path(reference)
    if path.is_dir():
        return _in_run(path)
    if path.is_file():
        if path.suffix not in (".nemo", ".ckpt"):
            raise ConfigError(f"{path} is neither a .nemo nor a .ckpt file. Give what train.py or NeMo saved.")
        return path
    head, _, tail = reference.partition("/")
    if path.suffix in (".nemo", ".ckpt") or path.is_absolute() or "/" in tail or (tail and os.path.isdir(head)):
        raise ConfigError(f"init_from={reference}: there is no such file or folder. Correct the path.")
    return _download(reference)


def _in_run(folder: Path) -> Path:
    """The best weights of a run: of its end, else of its best validation, else its last."""
    if (folder / "model.nemo").is_file():
        return folder / "model.nemo"
    for pattern in ("best*.ckpt", "*.ckpt"):
        found = sorted((folder / "checkpoints").glob(pattern), key=lambda path: path.stat().st_mtime)
        if found:
            return found[-1]
    raise ConfigError(f"{folder} holds neither a model.nemo nor checkpoints/*.ckpt. Give a run folder, runs/NAME/TIME.")


def _checkpoint_config(path: Path) -> DictConfig:
    from experiments.training.checkpoints import CheckpointError, ForeignError, read_checkpoint

    try:
        held = read_checkpoint(path, mmap=True)
        given = held["hyper_parameters"]
        require_no_resolvers(given, path)
        config: Any = given["cfg"]
        if not held["state_dict"]:
            raise KeyError("state_dict")
        return DictConfig(OmegaConf.create(OmegaConf.to_container(OmegaConf.create(config), resolve=True)))
    except ForeignError:
        raise
    except (CheckpointError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path} is not a checkpoint of a NeMo model ({first_line(error)}): it needs weights and the model's "
            "configuration. Give one that train.py wrote, or a .nemo."
        ) from error


def _download(name: str) -> Path:
    """A pretrained model of NVIDIA's or of the Hugging Face Hub, from NeMo's cache or the network."""
    from experiments.cli.log_levels import set_log_levels

    set_log_levels()
    from nemo.collections.asr.models import ASRModel

    known = {model.pretrained_model_name: model.location for model in ASRModel.list_available_models()}
    if "/" not in name and name not in known:
        near = [model for model in known if name.lower() in model] or difflib.get_close_matches(name, known, 5, 0.4)
        hint = f" The nearest of the {len(known)} it knows are: {', '.join(near[:5])}." if near else ""
        raise ConfigError(
            f"init_from={name} is neither a file or folder nor the name of a pretrained NeMo model.{hint} Give a "
            ".nemo, a checkpoint, a run folder, a name, or wandb:ENTITY/PROJECT/NAME:VERSION."
        )
    try:
        path = Path(ASRModel.from_pretrained(name, return_model_file=True))
    except Exception as error:  # whatever the two hubs' clients raise
        place = known.get(name) or f"https://huggingface.co/{name}"
        raise ConfigError(
            f"init_from={name} cannot be downloaded ({first_line(error)}). Where there is a network, download the "
            f".nemo from {place}, copy it here, and give its path instead of the name."
        ) from None
    found = [path] if path.is_file() else sorted(path.rglob("*.nemo"))
    if not found:
        raise ConfigError(f"init_from={name}: the repository holds no .nemo file.")
    return found[0]
