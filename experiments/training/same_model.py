"""What may not change where a run goes on: what its checkpoint would be taken for something else by, or cannot fill."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from experiments.errors import ConfigError
from experiments.training.checkpoints import read_checkpoint

LEAVE = "Leave that out, or begin another run: init_from=RUN takes what fits of this one."


def require_same_model(checkpoint: Path, model: Any) -> None:
    """Refuse to go on with weights of other labels, of another front-end or of other sizes.

    Where shapes agree, nothing else would say so: a letter would be read as the one in its place, and features would be
    normalised by the mean and deviation of others.

    Args:
        checkpoint: to go on from; one that does not say what it was trained as is believed.
        model: as it is configured now.

    Raises:
        ConfigError: names what differs, and what to do.
    """
    state = read_checkpoint(checkpoint, mmap=True)
    kept = (state.get("hyper_parameters") or {}).get("cfg") or {}
    for key, what in (("labels", "labels (of a trigger: words)"), ("preprocessor", "frontend")):
        if key not in kept:
            continue
        before, now = _plain(kept[key]), _plain(model.cfg[key])
        if isinstance(before, dict) and isinstance(now, dict):
            names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
            before, now = ({name: given.get(name) for name in names} for given in (before, now))
        if before != now:
            raise ConfigError(f"A run goes on with the {what} it was begun with, {before}, not with {now}. {LEAVE}")
    sizes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    for name, tensor in state["state_dict"].items():
        if (now := sizes.get(name)) is not None and now != list(tensor.shape):
            raise ConfigError(
                f"A run goes on with the encoder and the labels it was begun with: {name} is of {list(tensor.shape)} "
                f"numbers there, and of {now} in this configuration. {LEAVE}"
            )


def require_same_groups(checkpoint: Path, model: Any) -> None:
    """Refuse to go on with an optimiser whose groups of parameters are others: what it knows of each is kept by its
    place in them.

    Args:
        checkpoint: to go on from.
        model: with its optimiser as it is configured now.

    Raises:
        ConfigError: says what may not change.
    """
    held, optimizer = read_checkpoint(checkpoint, mmap=True), model._optimizer
    if set(held["state_dict"]) != set(model.state_dict()):  # a trigger gets its verifier, and groups, as it is loaded
        return
    for state in (held.get("optimizer_states") or [])[:1]:
        before, now = (
            [len(group["params"]) for group in one] for one in (state["param_groups"], optimizer.param_groups)
        )
        mine = (parameter for group in optimizer.param_groups for parameter in group["params"])
        others = (
            getattr(value, "ndim", 0) and value.shape != parameter.shape
            for number, parameter in enumerate(mine)
            for value in state["state"].get(number, {}).values()
        )
        if before != now or any(others):
            raise ConfigError(
                "A run goes on with the optimiser (optim=) and the factors of its rate (optim.layer_decay, "
                f"optim.lr_scales) it was begun with; optim.lr and the like may change. {LEAVE}"
            )


def _plain(section: Any) -> Any:
    """Labels as a list, or what a front-end computes in evaluation."""
    held: Any = OmegaConf.to_container(section, resolve=True) if OmegaConf.is_config(section) else section
    return {key: value for key, value in held.items() if key != "dither"} if isinstance(held, Mapping) else list(held)
