"""`resume=`: a run goes on with the overrides and the configuration it was started with."""

from __future__ import annotations

from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from experiments.cli.overrides import VALUED
from experiments.errors import ConfigError
from experiments.pretrained.continued import refuse_other_model
from manifests.show import for_hydra


def _value(text: str) -> str:
    """What Hydra reads in the value of an override, without its quotes; the text where it reads none.

    >>> _value('"runs/a (1)"'), _value("runs/a"), _value("runs/a (1)")
    ('runs/a (1)', 'runs/a', 'runs/a (1)')
    """
    try:
        value = OverridesParser.create().parse_override(f"resume={text}").value()
    except HydraException:
        return text
    return value if isinstance(value, str) else text


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
        ConfigError: the run to continue does not exist, several runs are asked for, or another model is.
    """
    given = {key: value for key, _, value in (argument.partition("=") for argument in arguments)}
    resume = given.get("resume", "null")
    if resume in ("null", "", "~"):
        return arguments
    if several := {"-m", "--multirun"} & set(arguments):
        raise ConfigError(
            f"resume= goes on with one run in its folder, and {several.pop()} begins runs in folders of their own. "
            "Leave one of them out; init_from=RUN has several runs begin with what one has learnt."
        )
    folder = _find_run(_value(resume), Path(_value(given.get("runs", "runs"))))
    saved = list(OmegaConf.load(folder / ".hydra" / "overrides.yaml"))
    earlier = [override for override in saved if not str(override).startswith(("resume=", "launcher="))]
    options = [
        argument
        for before, argument in zip(["", *arguments], arguments, strict=False)
        if argument.startswith("-") or before in VALUED
    ]
    rest = [argument for argument in arguments if not argument.startswith("resume=") and argument not in options]
    refuse_other_model(folder, earlier, rest)
    return [*options, *earlier, *rest, f"resume={for_hydra(str(folder))}"]


def config_of_run(arguments: list[str], name: str) -> str:
    """The file that a run to be continued was started with, by the run itself; else `name`."""
    resume = next((argument[len("resume=") :] for argument in arguments if argument.startswith("resume=")), "null")
    path = Path(_value(resume), ".hydra", "hydra.yaml")
    return str(OmegaConf.load(path).hydra.job.config_name) if path.is_file() else name
