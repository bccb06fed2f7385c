"""What a stream keeps between its steps: tensors by name, of modules within modules.

Every module that streams has two methods beside `forward`. `initial_state()` gives the shape of each of its tensors
without the batch; all begin with zeros, which is what `forward` pads with. `step(x, mask, state)` gives the next
frames, their mask and the next state. The mask is 0 where there is no sound: before the first frame and after the last.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor


def named(prefix: str, values: dict[str, Any]) -> dict[str, Any]:
    """Put a module's name before the names of its tensors.

    >>> named("layer", {"past": 1})
    {'layer_past': 1}
    """
    return {f"{prefix}_{name}": value for name, value in values.items()}


def part_of(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of one module, by their own names."""
    start = prefix + "_"
    return {name[len(start) :]: value for name, value in state.items() if name.startswith(start)}


def joined_shapes(modules: Iterable[Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the states of a list of modules, named by their place."""
    shapes: dict[str, tuple[int, ...]] = {}
    for place, module in enumerate(modules):
        shapes |= named(str(place), module.initial_state())
    return shapes
