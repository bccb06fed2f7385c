"""The best trial as an experiment of its own: conf/experiment/best_NAME.yaml."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from optuna.study import Study

from experiments.cli.overrides import composing
from experiments.errors import ConfigError
from experiments.paths import CONF
from experiments.sweep.claims import RUN, values_of
from experiments.sweep.commands import configuration, overrides
from experiments.sweep.definition import Definition
from experiments.sweep.ranking import best_trial


def write_best(study: Study, definition: Definition) -> Path:
    """Write the best trial's configuration as an experiment; it composes to the very same.

    Args:
        study: of the sweep.
        definition: of the sweep.

    Returns:
        the file.

    Raises:
        ConfigError: no trial has finished, or its command cannot be written as an experiment.
    """
    if configuration(definition) != "train":
        raise ConfigError(f"best=true writes an experiment of train.py, and this sweep runs {definition.program}.")
    best = best_trial(study, definition.metric)
    if best is None:
        raise ConfigError("No trial has finished, so there is no best one to write.")
    given = overrides(definition, values_of(definition, best.params))
    name = f"best_{study.study_name}"
    value = definition.metric.shown(best.value or 0.0)
    comment = (
        f"# python train.py experiment={name}       {best.user_attrs[RUN]} of {definition.source.name}, "
        f"{definition.metric.name} {value}, {time.strftime('%Y-%m-%d')}\n"
        "# The trial exactly, its limits of time and data included: raise those of trainer for a full training.\n"
    )
    path = CONF / "experiment" / f"{name}.yaml"
    before = path.read_text() if path.exists() else None
    with composing():
        wanted = compose("train", given, return_hydra_config=True)
    path.write_text("# @package _global_\n" + comment + experiment_text(given, _base(wanted), name))
    try:
        with composing():
            same = _without_hydra(wanted) == compose("train", [f"experiment={name}"])
        if not same:
            raise ConfigError(f"The trial's overrides cannot be written as an experiment: {' '.join(given)}")
    except Exception:
        path.unlink() if before is None else path.write_text(before)
        raise
    return path


def _base(config: DictConfig) -> str:
    return str(config.hydra.runtime.choices.experiment)


def _without_hydra(config: DictConfig) -> DictConfig:
    tree: Any = OmegaConf.to_container(config)
    tree.pop("hydra")
    return OmegaConf.create(tree)


def experiment_text(given: list[str], base: str, name: str) -> str:
    """An experiment's YAML from overrides: groups become defaults, keys a tree.

    Args:
        given: overrides of train.py.
        base: the experiment they were given on top of.
        name: of the experiment to be.

    Raises:
        ConfigError: an override takes something away, or the experiment would be its own base.
    """
    if base == name:
        raise ConfigError(f"The sweep ran on top of experiment={name}, which would be overwritten. Give name=OTHER.")
    defaults: list[Any] = [base]
    tree = OmegaConf.create({})
    for override in OverridesParser.create().parse_overrides(given):
        key = override.key_or_group
        if override.is_delete() or override.package:
            raise ConfigError(f"{override.input_line} cannot be written into an experiment.")
        if key.startswith("hydra.") or key == "experiment":
            continue
        if (CONF / key).is_dir():
            defaults.append({f"override /{key}": override.value()})
        else:
            OmegaConf.update(tree, key, override.value(), force_add=True)
    return OmegaConf.to_yaml({"defaults": [*defaults, "_self_"]}) + (OmegaConf.to_yaml(tree) if tree else "")
