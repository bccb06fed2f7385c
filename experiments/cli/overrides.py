"""Overrides, checked before Hydra runs: a misspelt key is answered at once, with the nearest that exist."""

from __future__ import annotations

import difflib
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.cli import resolvers  # noqa: F401  what is composed may use them
from experiments.errors import ConfigError
from experiments.paths import CONF

RENAMED = {"detector.refractory": "detector.debounce"}  # keys of the version before → their names of today
TIME = re.compile(r"\d+:\d\d:\d\d:\d\d")  # as Lightning reads one
VALUED = ("--cfg", "-c", "--package", "-p", "--info", "-i")  # options of Hydra's whose value is a word of its own


def _keys(config: DictConfig, prefix: str = "") -> list[str]:
    found = []
    for key in config:
        path = prefix + str(key)
        found.append(path)
        node = config._get_node(str(key))
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_interpolation():
            found += _keys(node, path + ".")
    return found


@contextmanager
def composing() -> Iterator[None]:
    """Within it `hydra.compose` reads conf/, in a running Hydra job as well as outside one."""
    instance = GlobalHydra.instance()
    running = instance.hydra
    instance.clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            yield
    finally:
        instance.hydra = running


def _nearest_choices(group: Path, choice: str) -> str:
    """The nearest choice of a group to one that does not exist, and those beside it; some groups have folders."""
    choices = sorted(str(path.relative_to(group).with_suffix("")) for path in group.rglob("*.yaml"))
    near = difflib.get_close_matches(choice, choices, 1, 0.4)
    place = (near[0] if near else choice).rpartition("/")[0]
    beside = [other for other in choices if other.rpartition("/")[0] in (place, "")]
    folders = sorted({f"{other.partition('/')[0]}/…" for other in choices if "/" in other and not place})
    return f"{f' Did you mean {near[0]}?' if near else ''} There are: {', '.join(beside + folders)}."


def _referred(config: DictConfig, name: str) -> tuple[str, str] | None:
    """The section above a key that is another's by reference, and the key as that other section has it."""
    node, parts = config, name.split(".")
    for depth, part in enumerate(parts[:-1], 1):
        inner = node._get_node(part, validate_access=False)
        if isinstance(inner, Node) and inner._is_interpolation():
            return ".".join(parts[:depth]), ".".join([str(inner._value()).strip("${}"), *parts[depth:]])
        if not isinstance(inner, DictConfig) or inner._is_none():
            break
        node = inner
    return None


def _variants(overrides: list[Override]) -> list[list[str]]:
    """The overrides with the first of several values, and with each other choice of a group, one at a time."""
    values = [
        [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
        if override.is_sweep_override()
        else [str(override.input_line)]
        for override in overrides
    ]
    first = [found[0] for found in values]
    return [first] + [
        [*first[:index], choice, *first[index + 1 :]]
        for index, override in enumerate(overrides)
        if (CONF / override.key_or_group).is_dir()
        for choice in values[index][1:]
    ]


def check_overrides(config_name: str, arguments: list[str]) -> None:
    """Refuse overrides of keys that do not exist or are another's by reference, naming the right ones.

    Args:
        config_name: of the file in conf/.
        arguments: of the command line.

    Raises:
        ConfigError: a key or a choice does not exist, or a value cannot be read.
    """
    given = [
        argument
        for before, argument in zip(["", *arguments], arguments, strict=False)
        if not argument.startswith("-") and before not in VALUED
    ]
    try:
        overrides: list[Override] = OverridesParser.create().parse_overrides(given)
    except HydraException as error:
        raise ConfigError(f"Cannot read the overrides: {str(error).splitlines()[0]} Write KEY=VALUE.") from None
    if swept := [override for override in overrides if override.is_sweep_override()]:
        if not {"-m", "--multirun"} & set(arguments):
            raise ConfigError(f"{swept[0].input_line} names several values. Add -m to have a run with each of them.")
        for variant in _variants(overrides):
            check_overrides(config_name, variant)
        return
    with composing():
        groups: list[str] = []
        for override in overrides:
            name = override.key_or_group
            if (CONF / name).is_dir():
                choice = override.value()
                if isinstance(choice, str) and not (CONF / name / f"{choice}.yaml").is_file():
                    raise ConfigError(f"{name}={choice}: no such choice.{_nearest_choices(CONF / name, choice)}")
                groups.append(str(override.input_line))
        try:
            config = compose(config_name, groups)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(f"The configuration does not compose: {error}") from None
        known = _keys(config)
        for override in overrides:
            name = override.key_or_group
            if referred := _referred(config, name):  # Hydra would put this one key in place of the whole section
                raise ConfigError(f"{referred[0]} is another section by reference. Write {referred[1]}.")
            plain = not (override.is_add() or override.is_force_add() or override.is_delete())
            if not plain or (CONF / name).is_dir() or name.startswith("hydra") or name in known:
                continue
            parent = name.rpartition(".")[0]
            node = OmegaConf.select(config, parent) if parent else None
            near = difflib.get_close_matches(name, known, 3, 0.5)
            if not near:  # the leaf may be right and the path to it wrong
                near = [key for key in known if key.rpartition(".")[2] == name.rpartition(".")[2]][:3]
            hint = f" The nearest are: {', '.join(near)}." if near else ""
            add = f" A new key of {parent} is written +{name}=…" if isinstance(node, DictConfig) else ""
            raise ConfigError(f"There is no key {name} in conf/{config_name}.yaml.{hint}{add}")
        try:
            compose(config_name, given)
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(f"The configuration does not compose: {error}") from None


def renamed(arguments: list[str]) -> list[str]:
    """The arguments with keys by their names of today; each that was called otherwise is said.

    >>> renamed(["seed=2", "detector.debounce=0.5"])
    ['seed=2', 'detector.debounce=0.5']
    """
    found = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        name = key.lstrip("+~")
        if name in RENAMED:
            print(f"{name} is now called {RENAMED[name]}; the old name works for one more version.", file=sys.stderr)
            argument = key.replace(name, RENAMED[name]) + equals + value
        found.append(argument)
    return found


def check_launcher(arguments: list[str]) -> None:
    """Refuse a launcher that would not be used, or cannot be.

    Args:
        arguments: of the command line.

    Raises:
        ConfigError: `-m` is missing, or Slurm is.
    """
    given = [argument for argument in arguments if argument in ("launcher=slurm", "launcher=local_parallel")]
    if not given or {"--cfg", "-c", "--info", "-i"} & set(arguments):
        return
    if not {"-m", "--multirun"} & set(arguments):
        raise ConfigError(f"{given[0]} starts runs elsewhere, with one value for each key as with several. Add -m.")
    if given[0] == "launcher=slurm" and not shutil.which("sbatch"):
        raise ConfigError("launcher=slurm: there is no sbatch on this machine. Run it on a login node of the cluster.")


def require_keys(cfg: DictConfig, *keys: str) -> None:
    """Refuse a command whose mandatory keys were not given.

    Raises:
        ConfigError: names them.
    """
    missing = [key for key in keys if OmegaConf.is_missing(cfg, key)]
    if missing:
        raise ConfigError(f"Give {' '.join(f'{key}=…' for key in missing)} as well; --help shows examples.")


def require_time(cfg: DictConfig) -> None:
    """Refuse a `trainer.max_time` that Lightning does not understand, before data are prepared.

    Raises:
        ConfigError: it says how a time is written.

    >>> require_time(OmegaConf.create({"trainer": {"max_time": "00:00:06:00"}}))
    """
    given = cfg.trainer.max_time
    if given is None or OmegaConf.is_dict(given) or isinstance(given, str) and TIME.fullmatch(given):
        return
    raise ConfigError(
        f"trainer.max_time={given} is no time. It is written DAYS:HOURS:MINUTES:SECONDS: 00:00:06:00 is six minutes; "
        "null sets no limit, and then trainer.max_steps or trainer.max_epochs ends the run."
    )


def chosen_config(arguments: list[str], default: str, others: Mapping[str, str]) -> tuple[str, list[str]]:
    """Which file in conf/ a command line asks for, and the command line without that.

    Args:
        arguments: of the command line.
        default: where it names none.
        others: what may be named → its file.

    Raises:
        ConfigError: it names something else.

    >>> chosen_config(["--config-name", "trigger", "seed=2"], "evaluate", {"trigger": "evaluate_trigger"})
    ('evaluate_trigger', ['seed=2'])
    """
    name, rest, given = default, [], iter(arguments)
    for argument in given:
        option, equals, value = argument.partition("=")
        if option == "--protocol":  # as the benchmarks of wake words are spoken of
            rest.append(f"protocol={value if equals else next(given, '')}")
            continue
        if option not in ("--config-name", "-cn"):
            rest.append(argument)
            continue
        asked = value if equals else next(given, "")
        if asked not in (default, *others):
            raise ConfigError(f"--config-name {asked}: there are {', '.join([default, *others])}.")
        name = others.get(asked, default)
    return name, rest
