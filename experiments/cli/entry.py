"""The frame of every entry point: overrides checked before Hydra runs, errors as sentences.

Nothing here imports NeMo, which takes over ten seconds: a misspelt key is answered at once.
"""

from __future__ import annotations

import difflib
import functools
import json
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import CompactHydraException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.sweep.relaunch import trial_arguments, trial_folder
from experiments.training import ranks
from experiments.training.diverged import DivergedError
from heyjetson.errors import HeyJetsonError
from manifests import ManifestError
from manifests.show import reader_may_leave
from manifests.whole import NoRoomError

ROOT = Path(__file__).resolve().parent.parent
CONF = ROOT / "conf"
VALUED = ("--cfg", "-c", "--package", "-p", "--info", "-i")  # options of Hydra's whose value is a word of its own


class ConfigError(ValueError):
    """A choice that cannot work, in a sentence with the cause and the cure."""


EXPECTED = (ConfigError, ManifestError, HeyJetsonError, ranks.MainGoneError, DivergedError, NoRoomError)


def run_folder(runs: str, name: str, resume: str | None) -> str:
    """Hydra's run folder: a new one by the clock, the one to continue, or that of a sweep's trial."""
    return str(resume or trial_folder(runs) or f"{runs}/{name}/{datetime.now():%Y-%m-%d_%H-%M-%S}")


def share_of_cores(runs: int | None) -> int:
    """Cores for each of so many runs at a time."""
    return max((os.cpu_count() or 1) // max(runs or 1, 1), 1)


def gpus_or(otherwise: int) -> int:
    """NVIDIA's GPUs in this machine; another number where there are none."""
    return len(list(Path("/dev").glob("nvidia[0-9]*"))) or otherwise


def on_main_rank(value: str) -> str | None:
    """A value where this is the first process of a run, else nothing."""
    return value if ranks.is_main() else None


OmegaConf.register_new_resolver("run_folder", run_folder, replace=True, use_cache=True)
OmegaConf.register_new_resolver("share_of_cores", share_of_cores, replace=True)
OmegaConf.register_new_resolver("gpus_or", gpus_or, replace=True)
OmegaConf.register_new_resolver("on_main_rank", on_main_rank, replace=True)


def _find_run(resume: str, runs: Path) -> Path:
    if resume != "last":
        folder = Path(resume)
    else:
        found = sorted(runs.glob("*/*/checkpoints"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise ConfigError(f"There is no run with a checkpoint below {runs}/ to resume.")
        folder = found[-1].parent
    if not (folder / ".hydra" / "overrides.yaml").is_file():
        raise ConfigError(f"{folder} is not a run folder: it has no .hydra/overrides.yaml. Give runs/NAME/TIME.")
    return folder


def expand_resume(arguments: list[str]) -> list[str]:
    """Put the overrides a run was started with before those given to continue it.

    Args:
        arguments: of the command line.

    Raises:
        ConfigError: the run to continue does not exist.
    """
    given = {key: value for key, _, value in (argument.partition("=") for argument in arguments)}
    resume = given.get("resume", "null")
    if resume in ("null", "", "~"):
        return arguments
    folder = _find_run(resume, Path(given.get("runs", "runs")))
    saved = list(OmegaConf.load(folder / ".hydra" / "overrides.yaml"))
    earlier = [override for override in saved if not str(override).startswith(("resume=", "launcher="))]
    rest = [argument for argument in arguments if not argument.startswith("resume=")]
    return [*earlier, *rest, f"resume={folder}"]


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
    """Refuse overrides of keys that do not exist, naming the nearest that do.

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


def quiet() -> None:
    """Settings of libraries that must stand before they are imported; warnings that concern the user's run stay."""
    # Threads that spin for long at every barrier make a step 60 times slower as soon as another program wants a core.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logging.getLogger("nv_one_logger").setLevel(logging.CRITICAL)  # it takes every exception for an error of its own
    for message in (".*pkg_resources.*", ".*torch.jit.*", ".*num_workers.*", ".*does not have many workers.*"):
        warnings.filterwarnings("ignore", message=message)
    for category in (DeprecationWarning, FutureWarning, SyntaxWarning):
        warnings.filterwarnings("ignore", category=category)


def guarded(task: Callable[..., object]) -> Callable[..., None]:
    """Run `task`; an expected error becomes a paragraph on standard error and exit status 1, or one of its own."""

    @functools.wraps(task)
    def run(*arguments: object) -> None:
        try:
            task(*arguments)
        except EXPECTED as error:
            if HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
                raise CompactHydraException(str(error)) from error  # Hydra goes on with the other runs, then says so
            print(f"\nError: {error}", file=sys.stderr)
            sys.exit(getattr(error, "status", 1))

    return run


def _as_job(task: Callable[[DictConfig], object]) -> Callable[[DictConfig], None]:
    """A recipe as it runs in whatever process a launcher has started."""

    @functools.wraps(task)
    def run(cfg: DictConfig) -> None:
        quiet()
        job = HydraConfig.get().job
        ranks.settle(0 if OmegaConf.is_missing(job, "num") else job.num)
        if ranks.is_main() and "folders" in HydraConfig.get().callbacks:
            from experiments.training import run_folders

            run_folders.hold(Path(HydraConfig.get().runtime.output_dir), run_folders.PATIENCE)
        task(cfg)

    return run


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


def _config_of_run(arguments: list[str], name: str) -> str:
    """The file that a run to be continued was started with, by the run itself; else `name`."""
    resume = next((argument[len("resume=") :] for argument in arguments if argument.startswith("resume=")), "null")
    path = Path(resume, ".hydra", "hydra.yaml")
    return str(OmegaConf.load(path).hydra.job.config_name) if path.is_file() else name


def entry(config_name: str, **others: str) -> Callable[[Callable[[DictConfig], object]], Callable[[], None]]:
    """Turn a recipe `main(cfg)` into a command.

    Args:
        config_name: of the file in conf/.
        others: what `--config-name` may say instead → its file in conf/.
    """

    def wrap(task: Callable[[DictConfig], object]) -> Callable[[], None]:
        @functools.wraps(task)
        @reader_may_leave()
        def run() -> None:
            quiet()

            def checked() -> str:
                given = trial_arguments(sys.argv[1:]) if config_name == "train" else sys.argv[1:]
                name, given = chosen_config(given, config_name, others)
                arguments = expand_resume(given)
                name = _config_of_run(arguments, name)
                if not any(argument in ("--help", "-h", "--hydra-help", "--version") for argument in arguments):
                    check_overrides(name, arguments)
                    check_launcher(arguments)
                return json.dumps([name, arguments])

            name = config_name

            def prepared() -> None:
                nonlocal name
                if not ranks.is_child(sys.argv[1:]):
                    name, sys.argv[1:] = json.loads(ranks.from_main("arguments", checked))

            guarded(prepared)()
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(guarded(_as_job(task)))()

        return run

    return wrap
