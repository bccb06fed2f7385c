"""A sweep.yaml, read as W&B reads it and checked before anything runs."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from experiments.errors import ConfigError
from experiments.sweep.parameters import Parameter, parse_parameters

KEYS = (
    "program",
    "method",
    "metric",
    "parameters",
    "early_terminate",
    "command",
    "run_cap",
    "name",
    "project",
    "entity",
    "description",
)
METHODS = ("grid", "random", "bayes")
HYPERBAND = ("type", "min_iter", "max_iter", "s", "eta", "strict")


@dataclass(frozen=True)
class Metric:
    """What a sweep is about.

    Args:
        name: as it is logged.
        maximize: larger is better.
        target: the sweep ends once a trial is there.
    """

    name: str
    maximize: bool = False
    target: float | None = None

    def better(self, one: float, other: float) -> bool:
        """Is `one` better than `other`?"""
        return one > other if self.maximize else one < other

    def best(self, values: list[float]) -> float:
        """The best of them."""
        return max(values) if self.maximize else min(values)

    @property
    def worst(self) -> float:
        """Worse than any value."""
        return float("-inf") if self.maximize else float("inf")

    def shown(self, value: float) -> str:
        """A value as a reader wants it: error rates in percent."""
        rate = re.search(r"(^|[/_])(wer|cer)$", self.name)
        return f"{value:.1%}" if rate else f"{value:.4g}"


@dataclass(frozen=True)
class Definition:
    """A sweep.yaml.

    Args:
        source: the file.
        name: W&B's, else the file's.
        program: that a trial runs.
        method: grid, random or bayes.
        metric: what is optimised.
        parameters: what is swept.
        command: with W&B's macros; empty is W&B's default.
        early_terminate: W&B's section, None without one.
        run_cap: most trials.
        comparable: what must be the same for trials to belong to one study.
    """

    source: Path
    name: str
    program: str
    method: str
    metric: Metric
    parameters: tuple[Parameter, ...]
    command: tuple[str, ...]
    early_terminate: dict[str, Any] | None
    run_cap: int | None
    comparable: dict[str, str]

    @property
    def grid_size(self) -> int:
        """Points of the grid."""
        return prod(len(parameter.grid or ()) for parameter in self.parameters)


def load_definition(path: Path) -> Definition:
    """Read and check a sweep.yaml.

    Raises:
        ConfigError: says what is wrong and where.
    """
    try:
        tree = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"There is no sweep definition {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or error
        where = f"line {mark.line + 1}: " if mark else ""
        raise ConfigError(f"{path} is not YAML: {where}{problem}.") from None
    try:
        return _parse(path, tree)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _parse(path: Path, tree: Any) -> Definition:
    if not isinstance(tree, dict):
        raise ConfigError("a sweep is a mapping with program, method, metric and parameters.")
    if unknown := [key for key in tree if key not in KEYS]:
        near = difflib.get_close_matches(str(unknown[0]), KEYS, 1)
        raise ConfigError(f"there is no key {unknown[0]}." + (f" Did you mean {near[0]}?" if near else ""))
    if missing := [key for key in KEYS[:4] if not tree.get(key)]:
        raise ConfigError(f"{' and '.join(missing)} must be given.")
    method = tree["method"]
    if method not in METHODS:
        raise ConfigError(f"method must be one of {', '.join(METHODS)}, found {method!r}.")
    parameters = tuple(parse_parameters(tree["parameters"]))
    names = [parameter.name for parameter in parameters]
    if double := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"{double[0]} is given twice.")
    if method == "grid" and (endless := [p.name for p in parameters if p.grid is None]):
        raise ConfigError(f"a grid needs values that can be counted; {', '.join(endless)} cannot. Give values.")
    return Definition(
        source=path,
        name=re.sub(r"[^\w.-]+", "-", str(tree.get("name") or path.stem)).strip("-."),
        program=str(tree["program"]),
        method=method,
        metric=_metric(tree["metric"]),
        parameters=parameters,
        command=_command(tree.get("command")),
        early_terminate=_early_terminate(tree.get("early_terminate")),
        run_cap=_run_cap(tree.get("run_cap")),
        comparable={
            key: json.dumps(tree.get(key), sort_keys=True)
            for key in ("program", "method", "metric", "parameters", "command")
        },
    )


def _metric(given: Any) -> Metric:
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise ConfigError("metric must be a mapping with the name of what is logged, as in {name: val_wer}.")
    goal, target = given.get("goal", "minimize"), given.get("target")
    if goal not in ("minimize", "maximize"):
        raise ConfigError(f"metric.goal must be minimize or maximize, found {goal!r}.")
    if target is not None and type(target) not in (int, float):
        raise ConfigError(f"metric.target must be a number, found {target!r}.")
    if given.get("impute", "worst") != "worst":  # W&B's default; what it does elsewhere is not done here
        raise ConfigError(f"metric.impute must be worst, for trials that fail; found {given['impute']!r}.")
    return Metric(given["name"], goal == "maximize", target)


def _command(given: Any) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, list) or not given:
        raise ConfigError("command must be a list, as in [${env}, ${interpreter}, ${program}, ${args_no_hyphens}].")
    return tuple(str(part) for part in given)


def _early_terminate(given: Any) -> dict[str, Any] | None:
    if given is None:
        return None
    if not isinstance(given, dict) or given.get("type") != "hyperband":
        raise ConfigError("early_terminate must be a mapping with type: hyperband.")
    if unknown := [key for key in given if key not in HYPERBAND]:
        raise ConfigError(f"early_terminate has no setting {unknown[0]}. There are: {', '.join(HYPERBAND)}.")
    for key in ("min_iter", "max_iter", "s"):
        if key in given and (type(given[key]) is not int or given[key] < 1):
            raise ConfigError(f"early_terminate.{key} must be a whole number from 1, found {given[key]!r}.")
    if "min_iter" not in given and not {"max_iter", "s"} <= given.keys():
        raise ConfigError("early_terminate needs min_iter, or max_iter and s.")
    eta = given.get("eta", 3)
    if type(eta) not in (int, float) or eta <= 1:
        raise ConfigError(f"early_terminate.eta must be a number above 1, found {eta!r}.")
    return given


def _run_cap(given: Any) -> int | None:
    if given is not None and (type(given) is not int or given < 1):
        raise ConfigError(f"run_cap must be a whole number from 1, found {given!r}.")
    return given
