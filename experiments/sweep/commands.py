"""The command of a trial, by W&B's own code; its check against conf/, and what it needs before the first."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra import compose
from omegaconf import OmegaConf
from wandb.sdk.launch.sweeps.utils import DEFAULT_SWEEP_COMMAND, create_sweep_command, create_sweep_command_args

from experiments.cli.overrides import check_overrides, composing
from experiments.errors import ConfigError
from experiments.paths import CONF, ROOT
from experiments.sweep.definition import Definition

ARGS = ("args", "args_no_hyphens", "args_no_boolean_flags", "args_no_equals", "args_json")
ARGS_HYDRA = ("args_append_hydra", "args_override_hydra")
CORPUS = ("prepare", "folder", "shards", "train", "validation", "test")  # keys of `data` that say which one it is
MACROS = ("env", "interpreter", "program", *ARGS, *ARGS_HYDRA)


def expand(definition: Definition, values: Mapping[str, Any], interpreter: str = sys.executable) -> list[str]:
    """The command that `wandb agent` runs for these values.

    Args:
        definition: of the sweep.
        values: of its parameters.
        interpreter: in place of W&B's `python`.

    Raises:
        ConfigError: the command holds an unknown macro.
    """
    parts = create_sweep_command(list(definition.command or DEFAULT_SWEEP_COMMAND))
    filled = create_sweep_command_args({"args": {name: {"value": value} for name, value in values.items()}})
    filled |= {"env": ["/usr/bin/env"], "interpreter": [interpreter], "program": [definition.program]}
    command: list[str] = []
    for part in map(str, parts):
        macro = re.fullmatch(r"\$\{(.*)\}", part)
        if macro and macro[1] not in MACROS:
            raise ConfigError(f"command: {part} is not known here. There are: {', '.join(MACROS)}, envvar:NAME.")
        command += filled[macro[1]] if macro else [part]
    return command


def overrides(definition: Definition, values: Mapping[str, Any]) -> list[str]:
    """What follows the program in the command.

    Raises:
        ConfigError: the command does not run the program.
    """
    command = expand(definition, values)
    if definition.program not in command:
        raise ConfigError("command must hold ${program}.")
    return command[command.index(definition.program) + 1 :]


def shown(definition: Definition, values: Mapping[str, Any]) -> str:
    """The command as a user types it."""
    return shlex.join(["python", definition.program, *overrides(definition, values)])


def corners(definition: Definition) -> list[dict[str, Any]]:
    """As few combinations as hold each end and each value of every parameter."""
    most = max(len(parameter.corners) for parameter in definition.parameters)
    return [{p.name: p.corners[turn % len(p.corners)] for p in definition.parameters} for turn in range(most)]


def configuration(definition: Definition) -> str | None:
    """The file of conf/ that the program reads; None for a program that is not the project's."""
    program = Path(definition.program)
    if program.resolve().parent == ROOT and (CONF / f"{program.stem}.yaml").is_file():
        return program.stem
    return None


def check_definition(definition: Definition) -> None:
    """Compose every corner as the trials will.

    Raises:
        ConfigError: the program is not there, or its configuration does not take a key or a value.
    """
    if not Path(definition.program).is_file():
        raise ConfigError(f"{definition.source}: there is no program {definition.program}.")
    config = configuration(definition)
    for values in corners(definition):
        try:
            arguments = overrides(definition, values)
            if config is None:
                continue
            if hyphened := [argument for argument in arguments if argument.startswith("-")]:
                raise ConfigError(f"Hydra cannot read {hyphened[0]}; command wants ${{args_no_hyphens}}.")
            check_overrides(config, arguments)
        except ConfigError as error:
            raise ConfigError(f"{definition.source}: {error}") from None


def prepare(definition: Definition) -> None:
    """Make each corpus before the first trial, so that none counts its making among its minutes.

    Raises:
        ManifestError: it cannot be made.
        ConfigError: a manifest is not given.
    """
    if configuration(definition) != "train":
        return
    from experiments.data.preparation import prepare_data

    made: list[Any] = []
    for values in corners(definition):
        with composing():
            config = compose("train", overrides(definition, values))
        data: Any = OmegaConf.to_container(config.data, resolve=True)
        data = {key: data.get(key) for key in CORPUS}
        if data not in made:
            made.append(data)
            prepare_data(config)
