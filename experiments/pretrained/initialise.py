"""Starting from the weights of a trained model: which of them fit, and what is said about it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from experiments.errors import ConfigError
from experiments.pretrained.inherit_config import PARTS, frontend_of
from experiments.pretrained.resolve_checkpoint import Source, open_source

LOG = logging.getLogger(__name__)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from custom_modules.model import SpeechModel

ALMOST_NOTHING = 0.05  # of the encoder's values
SHOWN = 3  # names in a line of the report


@dataclass
class Loaded:
    """What of one part was loaded.

    Args:
        part: of the model.
        tensors: loaded, and in the model.
        values: numbers in them, loaded and in the model.
        note: what there is to say.
        names: what was not loaded, by why.
    """

    part: str
    tensors: tuple[int, int]
    values: tuple[int, int]
    note: str
    names: dict[str, list[str]] = field(default_factory=dict)


def load(cfg: DictConfig, model: SpeechModel) -> list[Loaded]:
    """Load the weights that fit by name and shape, and print what was and what was not loaded.

    A character that file and model both have keeps its row of the decoder, as does the blank; new ones start anew.

    Args:
        cfg: the whole configuration, after `inherit_config`.
        model: to load into.

    Returns:
        a record for each part of the model.

    Raises:
        ConfigError: the encoder finds next to nothing in the file.
    """
    source = open_source(str(cfg.init_from))
    weights = source.weights()
    report = []
    for part in PARTS:
        if part not in cfg.init_parts:
            report.append(_nothing(part, model, "left out by init_parts"))
        elif part == "preprocessor":
            report.append(_load_frontend(source, weights, model))
        elif part == "decoder":
            report.append(_load_decoder(source, weights, model))
        else:
            report.append(_load_part(part, weights, model))
    show(source, report)
    encoder = report[PARTS.index("encoder")]
    if "encoder" in cfg.init_parts and encoder.values[0] < ALMOST_NOTHING * encoder.values[1]:
        held = str(source.config.encoder.get("_target_")).rpartition(".")[2]
        raise ConfigError(
            f"Only {encoder.values[0] / encoder.values[1]:.1%} of the encoder fits what {source.path} holds, a {held}. "
            "Take its architecture with init_architecture=file, or choose an encoder of its class and sizes."
        )
    return report


def _sizes(module: nn.Module) -> tuple[int, int]:
    own = module.state_dict()
    return len(own), sum(tensor.numel() for tensor in own.values())


def _nothing(part: str, model: SpeechModel, note: str, names: dict[str, list[str]] | None = None) -> Loaded:
    tensors, values = _sizes(getattr(model, part))
    return Loaded(part, (0, tensors), (0, values), note, names or {})


def _load_part(part: str, weights: Mapping[str, Tensor], model: SpeechModel) -> Loaded:
    """Whatever fits by name and shape."""
    module = getattr(model, part)
    own = module.state_dict()
    there = {name.removeprefix(f"{part}."): value for name, value in weights.items() if name.startswith(f"{part}.")}
    fitting = {name: there[name] for name in own if name in there and there[name].shape == own[name].shape}
    module.load_state_dict(fitting, strict=False)
    tensors, values = _sizes(module)
    names = {
        "not in the file": [name for name in own if name not in there],
        "of another shape": [
            _reshaped(name, there[name], own[name]) for name in own if name in there and name not in fitting
        ],
        "only in the file": [name for name in there if name not in own],
    }
    loaded = sum(value.numel() for value in fitting.values())
    return Loaded(
        part, (len(fitting), tensors), (loaded, values), "all" if len(fitting) == tensors else "a part", names
    )


def _reshaped(name: str, before: Tensor, after: Tensor) -> str:
    return f"{name} {list(before.shape)} → {list(after.shape)}"


def _load_frontend(source: Source, weights: Mapping[str, Tensor], model: SpeechModel) -> Loaded:
    """All or nothing: a front-end of other settings must not get half of the file's numbers."""
    import torch

    from custom_modules.nemo_mel import statistics_from_nemo

    renewed = "statistics of the new data"
    try:
        theirs = _settings(frontend_of(source))
    except ConfigError:
        theirs = {}
    if theirs != _settings(model.cfg.preprocessor):
        return _nothing("preprocessor", model, f"other settings; {renewed}")
    section = source.config.preprocessor
    if str(section.get("_target_")).startswith("custom_modules."):
        loaded = _load_part("preprocessor", weights, model)
        model.preprocessor.fitted = loaded.note == "all"
        loaded.note = "with its statistics" if model.preprocessor.fitted else renewed
        return loaded
    fixed = statistics_from_nemo(section, model.preprocessor.features)
    if fixed:
        for name, numbers in zip(("mean", "deviation"), fixed, strict=True):
            getattr(model.preprocessor, name).copy_(torch.tensor(numbers))
        model.preprocessor.fitted = True
    return _nothing("preprocessor", model, f"rebuilt; {'its fixed statistics' if fixed else renewed}")


def _settings(section: Mapping[str, Any]) -> dict[str, Any]:
    """What a front-end computes in evaluation."""
    return {key: value for key, value in section.items() if key != "dither"}


def _load_decoder(source: Source, weights: Mapping[str, Tensor], model: SpeechModel) -> Loaded:
    """Copy the rows of the characters that both alphabets have, and of the blank."""
    if source.labels is None:
        return _nothing("decoder", model, "starts anew: the file's writes no characters")
    before, after = [*source.labels, "blank"], [*model.labels, "blank"]
    own = model.decoder.state_dict()
    there = {name: weights[f"decoder.{name}"] for name in own if f"decoder.{name}" in weights}
    misfits = [
        _reshaped(name, there[name], own[name])
        for name in there
        if there[name].shape[0] != len(before) or there[name].shape[1:] != own[name].shape[1:]
    ]
    if misfits or len(there) < len(own):
        return _nothing("decoder", model, "starts anew", {"of another shape": misfits})
    shared = [label for label in after if label in before]
    for name, tensor in own.items():
        tensor[[after.index(label) for label in shared]] = there[name][[before.index(label) for label in shared]].to(
            tensor.dtype
        )
    tensors, values = _sizes(model.decoder)
    note = "all" if before == after else f"{len(shared) - 1} of {len(after) - 1} characters"
    names = {
        "new characters": [repr(label) for label in after if label not in before],
        "characters dropped": [repr(label) for label in before if label not in after],
    }
    return Loaded("decoder", (tensors, tensors), (values * len(shared) // len(after), values), note, names)


def show(source: Source, report: list[Loaded]) -> None:
    """Print a table of the parts, and the names that were not loaded."""
    LOG.info(f"Started from {source.path}:")
    table = Table("part", "tensors", "values", "loaded")
    for loaded in report:
        (tensors, of), (values, of_values) = loaded.tensors, loaded.values
        table.add_row(loaded.part, f"{tensors} of {of}", f"{values:,} of {of_values:,}", loaded.note)
    Console().print(table)
    for loaded in report:
        for why, names in loaded.names.items():
            if names:
                more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
                LOG.info(f"  {loaded.part}, {len(names)} {why}: {', '.join(names[:SHOWN])}{more}")
