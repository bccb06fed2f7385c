"""Which keys of the configuration differ between runs, under names as short as they can be told apart."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from dataclasses import dataclass
from typing import Any

from experiments.compare.record import Run

# Where a run lies, what follows from other keys, and what W&B and NeMo add.
LEFT_OUT = ("name", "runs", "resume", "threads", "parameters", "nemo_version", "target", "encoder.feat_in", "data.out")
RATE, CHOSEN_RATE = ".sample_rate", "data.sample_rate"  # of many parts, and the key that they follow
LEFT_OUT_BELOW = (
    "_wandb.",
    "cfg.",
    "data.prepare.",
    "data.source",
    "data.test.",
    "data.validation",
    "debug.",
    "git.",
    "hydra.",
    "launcher.",
    "logger.",
    "model.decoder",
    "model.decoding",
    "model.delay",
    "model.encoder",
    "model.labels",
    "model.optim",
    "model.perturb",
    "model.preprocessor",
    "model.silence",
    "model.spec_augment",
)
LOG_RATIO = 10  # values that span more are drawn on a logarithmic axis


@dataclass(frozen=True)
class Differing:
    """A key that is not the same in all runs.

    Args:
        key: dotted.
        name: shown.
        values: of each run; None where a run has no such key.
    """

    key: str
    name: str
    values: tuple[Any, ...]

    @property
    def numeric(self) -> bool:
        """Whether all known values are numbers."""
        return all(value is None or _is_number(value) for value in self.values)

    @property
    def logarithmic(self) -> bool:
        """Whether its values are better spread on a logarithmic axis."""
        known = sorted({value for value in self.values if value is not None}) if self.numeric else []
        if not known or known[0] <= 0 or known[-1] < LOG_RATIO * known[0]:
            return False
        return _off_centre([math.log(value) for value in known]) <= _off_centre(known) + 1e-9


def _off_centre(values: list[float]) -> float:
    """How far the middle one of sorted values lies from the middle of their range, as a share of it."""
    return abs((statistics.median(values) - values[0]) / (values[-1] - values[0]) - 0.5)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Nested sections as dotted keys; a section that names a class stands for it under its own name.

    >>> flatten({"optim": {"lr": 0.1}, "encoder": {"_target_": "nemo.modules.ConvASREncoder"}})
    {'optim.lr': 0.1, 'encoder': 'ConvASREncoder'}
    """
    flat: dict[str, Any] = {}
    for key, value in (config or {}).items():
        name = f"{prefix}{key}"
        if key == "_target_" and prefix:
            flat[prefix[:-1]] = str(value).rpartition(".")[2]
        elif isinstance(value, dict):
            flat |= flatten(value, name + ".")
        else:
            flat[name] = value
    return flat


def _comparable(value: Any) -> str:
    return repr(float(value)) if _is_number(value) else json.dumps(value, sort_keys=True, default=str)


def differing(runs: list[Run]) -> list[Differing]:
    """The keys that have at least two values among the runs that have them, in the order of the configuration.

    Args:
        runs: to compare. Where a group's choice differs (`encoder=…`), its name stands for the class.
    """
    configs = [dict(run.config) for run in runs]
    for group in {group for run in runs for group in run.choices}:
        chosen = [run.choices.get(group) for run in runs]
        if len({choice for choice in chosen if choice}) > 1 and not group.startswith("hydra/"):
            for config, choice in zip(configs, chosen, strict=True):
                if choice:
                    config[group] = choice
    found = [
        key
        for key in dict.fromkeys(key for config in configs for key in config)
        if not (key in LEFT_OUT or key.startswith(LEFT_OUT_BELOW) or (key.endswith(RATE) and key != CHOSEN_RATE))
        and len({_comparable(config[key]) for config in configs if key in config}) > 1
    ]
    names = short_keys(found)
    return [Differing(key, names[key], tuple(_value(config, key) for config in configs)) for key in found]


def _value(config: dict[str, Any], key: str) -> Any:
    """None stands for no such key, so a key that is set to nothing is `null`."""
    return "null" if config.get(key, 0) is None else config.get(key)


def short_keys(keys: list[str]) -> dict[str, str]:
    """The last part of each dotted key, and as many before it as make it the only one.

    >>> short_keys(["optim.lr", "encoder.recurrent.dropout", "encoder.dense.dropout"])
    {'optim.lr': 'lr', 'encoder.recurrent.dropout': 'recurrent.dropout', 'encoder.dense.dropout': 'dense.dropout'}
    """
    names: dict[str, str] = {}
    for key in keys:
        parts = key.split(".")
        for count in range(1, len(parts) + 1):
            names[key] = ".".join(parts[-count:])
            if Counter(".".join(other.split(".")[-count:]) for other in keys)[names[key]] == 1:
                break
    return names


def value_text(value: Any) -> str:
    """A value as it would be typed, numbers short.

    >>> value_text(0.00049999), value_text(True), value_text([5, 5]), value_text(None)
    ('0.0005', 'true', '[5, 5]', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 40 else text[:19] + "…" + text[-20:]
