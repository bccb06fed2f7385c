"""One swept parameter of a sweep.yaml: what W&B documents, as an Optuna distribution."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from experiments.errors import ConfigError

KEYS = ("value", "values", "probabilities", "distribution", "min", "max", "mu", "sigma", "q", "parameters")
TAIL = 0.001  # of a normal distribution, cut off at both ends


@dataclass(frozen=True)
class Parameter:
    """A parameter as it is drawn and as it reaches the command.

    Args:
        name: of the key in the configuration.
        drawn: what Optuna draws it by; None where there is only one value.
        distribution: to draw from; None where there is only one value.
        value: from what was drawn to the value of the command line.
        corners: values at the ends of its range, or all it can take.
        grid: all values, where they can be counted.
    """

    name: str
    drawn: str | None
    distribution: BaseDistribution | None
    value: Callable[[Any], Any]
    corners: tuple[Any, ...]
    grid: tuple[Any, ...] | None


def parse_parameters(tree: Any, prefix: str = "") -> list[Parameter]:
    """The `parameters` of a sweep; nested ones become dotted.

    Raises:
        ConfigError: one cannot be drawn.
    """
    if not isinstance(tree, dict) or not tree:
        raise ConfigError(f"{prefix or 'parameters'} must map keys to what they may be.")
    found: list[Parameter] = []
    for key, given in tree.items():
        name = f"{prefix}{key}"
        if not isinstance(given, dict):
            raise ConfigError(f"{name} must say what it may be, as in {{values: [1, 2]}} or {{value: {given!r}}}.")
        if unknown := [item for item in given if item not in KEYS]:
            near = difflib.get_close_matches(str(unknown[0]), KEYS, 1)
            hint = f" Did you mean {near[0]}?" if near else f" There are: {', '.join(KEYS)}."
            raise ConfigError(f"{name} has no setting {unknown[0]}.{hint}")
        if "parameters" in given:
            found += parse_parameters(given["parameters"], f"{name}.")
        else:
            found.append(_parse(name, given))
    return found


def _parse(name: str, given: dict[str, Any]) -> Parameter:
    kind = given.get("distribution") or _default_kind(name, given)
    if kind not in MAKERS:
        near = difflib.get_close_matches(str(kind), MAKERS, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{name}: Optuna cannot draw from {kind}.{hint} There are: {', '.join(MAKERS)}.")
    return MAKERS[kind](name, given)


def _default_kind(name: str, given: dict[str, Any]) -> str:
    if "values" in given:
        return "categorical"
    if "value" in given:
        return "constant"
    if "min" in given and "max" in given:
        return "int_uniform" if all(type(given[end]) is int for end in ("min", "max")) else "uniform"
    raise ConfigError(f"{name} needs value, values, or min and max.")


def _number(name: str, given: dict[str, Any], key: str) -> float:
    found = given.get(key)
    if found is None:
        raise ConfigError(f"{name} needs {key}.")
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        return found
    mantissa, _, exponent = str(found).lower().partition("e")
    try:
        written = f"{float(mantissa)}e{int(exponent):+d}"
    except ValueError:
        raise ConfigError(f"{name}: {key} must be a number, found {found!r}.") from None
    raise ConfigError(
        f"{name}: {key} is the text {found!r}, since YAML as W&B reads it wants a point and a signed exponent. "
        f"Write {written}."
    )


def _range(name: str, given: dict[str, Any], positive: bool = False) -> tuple[float, float]:
    low, high = _number(name, given, "min"), _number(name, given, "max")
    if low > high or not (math.isfinite(low) and math.isfinite(high)):
        raise ConfigError(f"{name}: min {low} must not be above max {high}, and both must be finite.")
    if positive and low <= 0:
        raise ConfigError(f"{name}: min {low} must be above 0 on a logarithmic scale.")
    return low, high


def _refuse_none(name: str, value: Any) -> None:
    if value is None or (isinstance(value, list) and any(item is None for item in value)):
        raise ConfigError(f'{name}: W&B passes null on as the text None. Write "null", in quotes, for no value.')


def _constant(name: str, given: dict[str, Any]) -> Parameter:
    if "value" not in given:
        raise ConfigError(f"{name} needs value.")
    value = given["value"]
    _refuse_none(name, value)
    return Parameter(name, None, None, lambda drawn: value, (value,), (value,))


def _categorical(name: str, given: dict[str, Any]) -> Parameter:
    values = given.get("values")
    if not isinstance(values, list) or not values:
        raise ConfigError(f"{name}: values must be a list with something in it.")
    for value in values:
        _refuse_none(name, value)
    if "probabilities" in given:
        return _weighted(name, values, given["probabilities"])
    # Optuna stores texts faithfully, lists not; these are the very texts of the command line.
    by_text = {str(value): value for value in values}
    distinct = tuple(by_text.values())
    return Parameter(name, name, CategoricalDistribution(tuple(by_text)), by_text.__getitem__, distinct, distinct)


def _weighted(name: str, values: list[Any], shares: Any) -> Parameter:
    if not isinstance(shares, list) or len(shares) != len(values) or not all(type(s) in (int, float) for s in shares):
        raise ConfigError(f"{name}: probabilities must be a list of one number for each of the {len(values)} values.")
    if min(shares) < 0 or abs(sum(shares) - 1.0) > 1e-6:
        raise ConfigError(f"{name}: probabilities must add up to 1, found {sum(shares):g}.")

    def chosen(quantile: float) -> Any:
        reached = 0.0
        for value, share in zip(values, shares, strict=True):
            reached += share
            if quantile < reached:
                return value
        return values[-1]

    return _quantile(name, chosen, tuple(values), 0.0)


def _quantile(name: str, value: Callable[[float], Any], corners: tuple[Any, ...], tail: float) -> Parameter:
    """What Optuna has no distribution for is drawn by its quantile, and named so in the storage."""
    return Parameter(name, f"{name} (quantile)", FloatDistribution(tail, 1.0 - tail), value, corners, None)


def _int_uniform(name: str, given: dict[str, Any]) -> Parameter:
    low, high = _range(name, given)
    if low != int(low) or high != int(high):
        raise ConfigError(f"{name}: min and max of int_uniform must be whole, found {low} and {high}.")
    span = range(int(low), int(high) + 1)
    return Parameter(name, name, IntDistribution(span[0], span[-1]), int, (span[0], span[-1]), tuple(span))


def _uniform(name: str, given: dict[str, Any]) -> Parameter:
    low, high = _range(name, given)
    return Parameter(name, name, FloatDistribution(low, high), float, (low, high), None)


def _log(ends: Callable[[str, dict[str, Any]], tuple[float, float]], quantised: bool) -> Callable[..., Parameter]:
    def make(name: str, given: dict[str, Any]) -> Parameter:
        low, high = ends(name, given)
        value = _rounding(name, given) if quantised else float
        return Parameter(name, name, FloatDistribution(low, high, log=True), value, (value(low), value(high)), None)

    return make


def _values(name: str, given: dict[str, Any]) -> tuple[float, float]:
    return _range(name, given, positive=True)


def _exponents(name: str, given: dict[str, Any]) -> tuple[float, float]:
    low, high = _range(name, given)
    return math.exp(low), math.exp(high)


def _negative_exponents(name: str, given: dict[str, Any]) -> tuple[float, float]:
    low, high = _range(name, given)
    return math.exp(-high), math.exp(-low)


def _rounding(name: str, given: dict[str, Any]) -> Callable[[float], float]:
    q = _number(name, {"q": 1} | given, "q")
    if q <= 0:
        raise ConfigError(f"{name}: q must be above 0, found {q}.")
    return lambda drawn: round(drawn / q) * q if isinstance(q, int) else round(round(drawn / q) * q, 12)


def _q_uniform(name: str, given: dict[str, Any]) -> Parameter:
    low, high = _range(name, given)
    rounded = _rounding(name, given)
    q = _number(name, {"q": 1} | given, "q")
    every = tuple(rounded(step * q) for step in range(round(low / q), round(high / q) + 1))
    distribution: BaseDistribution
    if isinstance(q, int):
        distribution = IntDistribution(int(every[0]), int(every[-1]), step=q)
    else:
        distribution = FloatDistribution(every[0], every[-1], step=q)
    return Parameter(name, name, distribution, rounded, (every[0], every[-1]), every)


def _normal(log: bool, quantised: bool) -> Callable[..., Parameter]:
    def make(name: str, given: dict[str, Any]) -> Parameter:
        mu, sigma = (_number(name, {"mu": 0.0, "sigma": 1.0} | given, key) for key in ("mu", "sigma"))
        if sigma <= 0:
            raise ConfigError(f"{name}: sigma must be above 0, found {sigma}.")
        normal = NormalDist(mu, sigma)
        rounded = _rounding(name, given) if quantised else float

        def value(quantile: float) -> float:
            drawn = normal.inv_cdf(quantile)
            return rounded(math.exp(drawn) if log else drawn)

        return _quantile(name, value, (value(TAIL), value(1.0 - TAIL)), TAIL)

    return make


MAKERS: dict[str, Callable[[str, dict[str, Any]], Parameter]] = {
    "constant": _constant,
    "categorical": _categorical,
    "int_uniform": _int_uniform,
    "uniform": _uniform,
    "q_uniform": _q_uniform,
    "log_uniform": _log(_exponents, quantised=False),
    "log_uniform_values": _log(_values, quantised=False),
    "q_log_uniform": _log(_exponents, quantised=True),
    "q_log_uniform_values": _log(_values, quantised=True),
    "inv_log_uniform": _log(_negative_exponents, quantised=False),
    "inv_log_uniform_values": _log(_values, quantised=False),
    "normal": _normal(log=False, quantised=False),
    "q_normal": _normal(log=False, quantised=True),
    "log_normal": _normal(log=True, quantised=False),
    "q_log_normal": _normal(log=True, quantised=True),
}
