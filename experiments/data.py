"""The data section of a configuration as manifests on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.entry import ConfigError
from manifests import ManifestError


@dataclass
class Data:
    """Manifests of a run.

    Args:
        train: to learn from.
        validation: to choose the best weights by.
        test: to report on, by name.
    """

    train: Path
    validation: Path
    test: dict[str, Path]

    def named(self) -> dict[str, Path]:
        """All manifests by what they are for."""
        return {"train": self.train, "validation": self.validation, **self.test}


def prepare_data(cfg: DictConfig) -> Data:
    """Make the corpus where the choice says how, and name its manifests.

    Raises:
        ManifestError: the corpus cannot be made.
        ConfigError: a manifest is not given.
    """
    missing = [key for key in ("train", "validation") if OmegaConf.is_missing(cfg.data, key)]
    if missing:
        needed = " ".join(f"data.{key}=FILE.jsonl" for key in missing)
        raise ConfigError(f"Which recordings? Give {needed}, or choose a corpus: data=synthetic or data=digits.")
    if cfg.data.prepare:
        instantiate(cfg.data.prepare)
    test = {name: Path(path).absolute() for name, path in cfg.data.test.items()}
    data = Data(Path(cfg.data.train).absolute(), Path(cfg.data.validation).absolute(), test)
    for name, path in data.named().items():
        if not path.is_file():
            raise ManifestError(
                f"The manifest of data.{name}, {path}, does not exist. Correct the path, or make it first."
            )
    return data
