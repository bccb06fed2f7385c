"""Taking the architecture of a trained model into the configuration, so that config.yaml says what is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from experiments.errors import ConfigError
from experiments.paths import CONF
from experiments.pretrained.resolve_checkpoint import Source, open_source
from experiments.training.ranks import rank_zero_first

PARTS = ("preprocessor", "encoder", "decoder")
GROUPS = {"preprocessor": "frontend", "encoder": "encoder"}  # part of the model: key of the configuration
ARCHITECTURES = (None, "file", "config")
MEL = "AudioToMelSpectrogramPreprocessor"


def inherit_config(cfg: DictConfig) -> None:
    """Put the front-end, the encoder and the labels of `init_from` into the configuration.

    Single values given on the command line stay. When a run is continued, its own config.yaml says what it is.

    Args:
        cfg: the whole configuration, changed in place.

    Raises:
        ConfigError: the file cannot be used, or contradicts what was chosen.
    """
    if cfg.init_from == "":
        raise ConfigError("Which model is fine-tuned? Give init_from=runs/NAME/TIME/model.nemo, or another file.")
    if not cfg.init_from:
        return
    parts = _checked(cfg)
    if cfg.resume and (Path(cfg.resume) / "config.yaml").is_file():
        trained = DictConfig(OmegaConf.load(Path(cfg.resume) / "config.yaml"))
        overrides = _overrides()
        for key in GROUPS.values():
            _put_below(cfg, key, trained[key], _typed(key, overrides), "the run that is continued")
        if "labels" not in overrides:
            _put(cfg, "labels", trained.labels)
        return
    source = rank_zero_first("init_from", lambda: open_source(str(cfg.init_from)))
    if cfg.init_architecture != "config":
        overrides = _overrides()
        plain = _plain()
        if "preprocessor" in parts:
            _take(cfg, "frontend", frontend_of(source), overrides, plain)
        if "encoder" in parts:
            _take(cfg, "encoder", source.config.encoder, overrides, plain)
        given = "labels" in overrides or list(cfg.labels) != list(plain.labels)
        if "decoder" in parts and source.labels and not given:
            _put(cfg, "labels", source.labels)
    _require_fit(cfg)


def frontend_of(source: Source) -> DictConfig:
    """The front-end of a file as this project builds it; NeMo's mel becomes the one that can be exported.

    Raises:
        ConfigError: it has no counterpart here.
    """
    section = source.config.preprocessor
    name = str(section.get("_target_"))
    if name.startswith("custom_modules."):
        return section
    import custom_modules  # noqa: F401
    from custom_modules.nemo_mel import from_nemo

    if name.endswith(f".{MEL}"):
        try:
            return OmegaConf.create(from_nemo(section))
        except ValueError as error:
            cause = str(error)
    else:
        cause = f"its front-end is {name}, which has no counterpart here"
    raise ConfigError(
        f"{source.path} cannot be continued with its own front-end: {cause}. init_parts=[encoder] takes its encoder "
        "alone, which then learns to hear with the front-end of frontend=…."
    )


def _checked(cfg: DictConfig) -> list[str]:
    if cfg.init_architecture not in ARCHITECTURES:
        raise ConfigError(f"init_architecture must be null, file or config, found {cfg.init_architecture!r}.")
    parts = list(cfg.init_parts)
    if not parts or set(parts) - set(PARTS):
        raise ConfigError(f"init_parts is a list of {', '.join(PARTS)}; found {parts}.")
    return parts


def _overrides() -> dict[str, Override]:
    """What the command line changes, by key."""
    if not HydraConfig.initialized():
        return {}
    given = list(HydraConfig.get().overrides.task)
    return {override.key_or_group: override for override in OverridesParser.create().parse_overrides(given)}


def _plain() -> DictConfig:
    """conf/train.yaml with nothing changed."""
    if GlobalHydra.instance().is_initialized():  # a job runs: Hydra knows its folder
        return compose("train")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train")


def _take(cfg: DictConfig, key: str, section: DictConfig, overrides: dict[str, Override], plain: DictConfig) -> None:
    """Put a section of the file in the place of the configuration's, and what was typed for it on top."""
    typed = _typed(key, overrides)
    chosen = key in overrides or _without(cfg, key, typed) != _without(plain, key, typed)
    if chosen and cfg.init_architecture is None and OmegaConf.to_container(cfg[key], resolve=True) != section:
        raise ConfigError(
            f"Another {key} than conf/train.yaml's is chosen, and {cfg.init_from} brings its own. Say which is meant: "
            f"init_architecture=file takes the file's, init_architecture=config keeps the chosen {key} and loads the "
            "weights that fit."
        )
    _put_below(cfg, key, section, typed, str(cfg.init_from))


def _typed(key: str, overrides: dict[str, Override]) -> dict[str, Override]:
    """The single values of a section that the command line gives."""
    return {name: override for name, override in overrides.items() if name.startswith(f"{key}.")}


def _put_below(cfg: DictConfig, key: str, section: DictConfig, typed: dict[str, Override], where: str) -> None:
    """Put a section in the place of the configuration's, and what was typed for it on top.

    Raises:
        ConfigError: what was typed is none of its keys.
    """
    values = {name: OmegaConf.select(cfg, name) for name in typed}
    _put(cfg, key, section)
    absent = object()
    for name, override in typed.items():
        added = override.is_add() or override.is_force_add()
        if not added and OmegaConf.select(cfg, name, default=absent) is absent:
            raise ConfigError(
                f"{name} is no key of the {key} in {where}, a {str(section.get('_target_'))}. Leave it out, or "
                "keep the architecture of this configuration with init_architecture=config."
            )
        OmegaConf.update(cfg, name, values[name], force_add=True)


def _without(cfg: DictConfig, key: str, typed: dict[str, Override]) -> Any:
    """A section as it is written, less the values typed for it."""
    section = DictConfig(OmegaConf.to_container(cfg[key], resolve=False))
    for name in typed:
        parent, _, leaf = name.removeprefix(f"{key}.").rpartition(".")
        holder = OmegaConf.select(section, parent) if parent else section
        if isinstance(holder, DictConfig):
            holder.pop(leaf, None)
    return OmegaConf.to_container(section, resolve=False)


def _put(cfg: DictConfig, key: str, value: Any) -> None:
    OmegaConf.update(cfg, key, value, merge=False, force_add=True)


def _require_fit(cfg: DictConfig) -> None:
    """Front-end, data and encoder must agree where they come from different places.

    Raises:
        ConfigError: they do not.
    """
    rate = cfg.frontend.get("sample_rate", cfg.data.sample_rate)
    if rate != cfg.data.sample_rate:
        raise ConfigError(
            f"The front-end of {cfg.init_from} hears {rate} Hz and data.sample_rate is {cfg.data.sample_rate}. Add "
            f"data.sample_rate={rate}, with a data.out of its own."
        )
    if cfg.encoder.get("feat_in", cfg.frontend.features) != cfg.frontend.features:
        raise ConfigError(
            f"The encoder takes {cfg.encoder.feat_in} features a frame, and the front-end gives "
            f"{cfg.frontend.features}. Take both from the file (init_parts), or set frontend.features."
        )
