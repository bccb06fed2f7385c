"""A run that is continued is of the model that it began with, whatever conf/ says by then.

Light: every command looks here before it composes its configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from experiments.errors import ConfigError

KEPT = ("frontend", "encoder", "labels", "data.sample_rate")  # what weights mean depends on them, shapes mostly not
FREE = ("dropout", "stochastic_depth", "dither")  # in keys of what no weight's meaning depends on
ABSENT = object()


def began_with(folder: Path) -> DictConfig | None:
    """The configuration of a run that is continued, its interpolations resolved; None of one that begins.

    Args:
        folder: of the run.
    """
    if not (folder / "config.yaml").is_file() or not any((folder / "checkpoints").glob("*.ckpt")):
        return None
    return DictConfig(OmegaConf.load(folder / "config.yaml"))


def refuse_other_model(folder: Path, earlier: Sequence[str], now: Sequence[str]) -> None:
    """Refuse what would give the weights of a run another meaning, before anything is written into its folder.

    Args:
        folder: of the run.
        earlier: overrides that it was started with.
        now: those that it is to go on with as well.

    Raises:
        ConfigError: the front-end, the encoder, the labels or the sample rate would be others.
    """
    if (before := began_with(folder)) is None:
        return
    cure = f"Leave it out, or start a new run from this one: init_from={folder}/model.nemo."
    typed = [one for one in now if one not in earlier and one.lstrip("+~").startswith(KEPT)]
    try:
        overrides = OverridesParser.create().parse_overrides(typed)
    except HydraException:  # Hydra says of its own what it cannot read
        return
    for override in overrides:
        name = override.key_or_group
        if name in ("frontend", "encoder"):
            raise ConfigError(
                f"{override.input_line}: a run that is continued keeps its {name}, by which its weights were learnt. "
                f"{cure}"
            )
        then, value = _at(before, name), ABSENT if override.is_delete() else override.value()
        free = any(part in name.rpartition(".")[2] for part in FREE) and ABSENT not in (then, value)
        if _is_kept(name) and then != value and not free:
            raise ConfigError(
                f"{name} was {_shown(then)} when this run began and cannot become {_shown(value)}: its weights were "
                f"learnt with that. {cure}"
            )


def keep_model(cfg: DictConfig, before: DictConfig, typed: Iterable[str]) -> None:
    """Put what a run that is continued began with into the configuration: `KEPT`.

    Args:
        cfg: the whole configuration, changed in place.
        before: see `began_with`.
        typed: keys that the command line changes.
    """
    free = {
        name: OmegaConf.select(cfg, name) for name in typed if any(part in name.rpartition(".")[2] for part in FREE)
    }
    for key in KEPT:
        if (then := OmegaConf.select(before, key, default=ABSENT)) is not ABSENT:
            OmegaConf.update(cfg, key, then, merge=False, force_add=True)
    for name, value in free.items():
        if OmegaConf.select(cfg, name, default=ABSENT) is not ABSENT:
            OmegaConf.update(cfg, name, value)


def _is_kept(name: str) -> bool:
    return any(name == key or name.startswith(f"{key}.") for key in KEPT)


def _at(cfg: DictConfig, name: str) -> Any:
    value = OmegaConf.select(cfg, name, default=ABSENT)
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _shown(value: Any) -> str:
    return "absent" if value is ABSENT else f"{value!r:.120}"
