"""One stream's steps through a graph: its inputs, outputs and state, given to onnxruntime once.

On a CPU every array is bound when a stream is made. A step then allocates nothing but what it returns: the state that
it writes is the one that the next reads. There are two of each state, since a graph may read the old one after it has
written the new. Elsewhere the arrays are handed over with each step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from heyjetson.bundle import Bundle
from heyjetson.runtime import for_one

ALIGNED = 64  # bytes: a line of the processor's cache
CPU = ["CPUExecutionProvider"]


class Steps(Protocol):
    """The steps of one stream.

    Attributes:
        states: by name, as the last step left them.
    """

    @property
    def states(self) -> dict[str, np.ndarray]:
        """By name, as the last step left them."""

    def restart(self) -> None:
        """Begin with the state that the model was trained to begin with."""

    def run(self, samples: np.ndarray) -> np.ndarray:
        """Run a step.

        Args:
            samples: [at most a chunk], float32; fewer are the end of the sound.

        Returns:
            the frames [T, V + 1] or [T, W] that hold sound, an array of the caller's own.
        """

    def take(self, states: Mapping[str, np.ndarray], given: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Take what a step gave that was run elsewhere, together with other streams'.

        Args:
            states: by name, [1, ...] each; they are copied.
            given: [1, T, V + 1 or W].
            valid: [1, T].

        Returns:
            what `run` would have.
        """

    def sound(self) -> bool:
        """Whether state and outputs are numbers; a recurrence of onnxruntime's gives finite outputs of a broken one."""


def make_steps(bundle: Bundle, session: Any) -> Steps:
    """The steps of a new stream.

    Args:
        bundle: whose graph it is.
        session: has onnxruntime's `run(outputs, feed)`; one of its own on the CPU alone is bound.
    """
    on_cpu = hasattr(session, "io_binding") and session.get_providers() == CPU
    ports = {port.name: port for port in session.get_outputs()} if on_cpu else {}
    wanted = [ports.get(name) for name in (bundle.output, "valid")]
    # What is bound must have a size that is known and the type that is read.
    fixed = all(
        port and port.type == "tensor(float)" and all(isinstance(size, int) for size in for_one(port.shape))
        for port in wanted
    )
    return BoundSteps(bundle, session) if on_cpu and fixed else FedSteps(bundle, session)


class FedSteps:
    """Hands everything over with each step; see `Steps`.

    Args:
        bundle: whose graph it is.
        session: has onnxruntime's `run(outputs, feed)`.
    """

    def __init__(self, bundle: Bundle, session: Any):
        self.session = session
        self.chunk: int = bundle.manifest["chunk_samples"]
        self._entries: list[dict[str, Any]] = bundle.manifest["states"]
        self._outputs = [bundle.output, "valid", *(entry["output"] for entry in self._entries)]
        self._inputs = {port.name for port in session.get_inputs()}
        self.states: dict[str, np.ndarray] = {}
        self._given = self._valid = np.zeros(0, np.float32)
        self.restart()

    def restart(self) -> None:
        """See `Steps`."""
        self.states = {
            entry["name"]: np.full(entry["shape"], entry["initial"], entry["dtype"]) for entry in self._entries
        }

    def run(self, samples: np.ndarray) -> np.ndarray:
        """See `Steps`."""
        length = np.array([len(samples)], np.int64)
        if len(samples) < self.chunk:
            samples = np.pad(samples, (0, self.chunk - len(samples)))
        feed = {"samples": samples.astype(np.float32, copy=False)[None], "length": length, **self.states}
        frames, valid, *states = self.session.run(
            self._outputs, {name: value for name, value in feed.items() if name in self._inputs}
        )
        self.states = dict(zip(self.states, states, strict=True))
        self._given, self._valid = frames[0], valid[0]
        return self._given[self._valid > 0]

    def take(self, states: Mapping[str, np.ndarray], given: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """See `Steps`."""
        self.states = {name: state.copy() for name, state in states.items()}
        self._given, self._valid = given[0].copy(), valid[0].copy()
        return self._given[self._valid > 0]

    def sound(self) -> bool:
        """See `Steps`."""
        floats = [state for state in self.states.values() if state.dtype.kind == "f"]
        # Not a number is not above 0: frames whose `valid` is none would be passed over, and the text be empty.
        given = not np.isnan(self._given).any() and bool(np.isfinite(self._valid).all())
        return given and all(np.isfinite(state).all() for state in floats)


class BoundSteps:
    """Binds all arrays when it is made; see `Steps`.

    Args:
        bundle: whose graph it is.
        session: onnxruntime's, on the CPU.
    """

    def __init__(self, bundle: Bundle, session: Any):
        from onnxruntime import OrtValue

        entries = bundle.manifest["states"]
        inputs = {port.name for port in session.get_inputs()}
        ports = {port.name: port for port in session.get_outputs()}
        shapes = {name: [int(size or 0) for size in for_one(ports[name].shape)] for name in (bundle.output, "valid")}
        self._samples = np.zeros((1, bundle.manifest["chunk_samples"]), np.float32)
        self._length = np.zeros(1, np.int64)
        self._all_valid = np.ones(shapes["valid"]).tolist()
        self._initial = {entry["name"]: entry["initial"] for entry in entries}
        outputs = [{"name": name, "shape": shape, "dtype": "float32"} for name, shape in shapes.items()]
        self._sides = [_Side(entries, outputs), _Side(entries, outputs)]
        self._now = 0  # the side that holds the state
        self._session = session
        self._bindings = []
        for before, after in ((0, 1), (1, 0)):
            binding = session.io_binding()
            takes = {"samples": self._samples, "length": self._length} | self._sides[before].states
            gives = dict(zip(shapes, (self._sides[after].given, self._sides[after].valid), strict=True))
            gives |= {entry["output"]: self._sides[after].states[entry["name"]] for entry in entries}
            # An encoder that does not look at the length exports without it.
            for name, array in takes.items():
                if name in inputs:
                    binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(array))
            for name, array in gives.items():
                binding.bind_ortvalue_output(name, OrtValue.ortvalue_from_numpy(array))
            self._bindings.append(binding)
        self.restart()

    @property
    def states(self) -> dict[str, np.ndarray]:
        """See `Steps`; the arrays change with the next step but one."""
        return self._sides[self._now].states

    def restart(self) -> None:
        """See `Steps`."""
        for name, state in self.states.items():
            state.fill(self._initial[name])

    def run(self, samples: np.ndarray) -> np.ndarray:
        """See `Steps`."""
        count = self._length[0] = len(samples)
        self._samples[0, :count] = samples
        if count < self._samples.shape[1]:
            self._samples[0, count:] = 0.0
        self._session.run_with_iobinding(self._bindings[self._now])
        self._now = 1 - self._now
        return self._frames()

    def _frames(self) -> np.ndarray:
        """A copy of the frames that hold sound, mostly all."""
        side = self._sides[self._now]
        if side.valid.tolist() == self._all_valid:
            return side.given[0].copy()
        return side.given[0][side.valid[0] > 0]

    def take(self, states: Mapping[str, np.ndarray], given: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """See `Steps`."""
        side = self._sides[self._now]
        for name, state in side.states.items():
            state[...] = states[name]
        side.given[...], side.valid[...] = given, valid
        return self._frames()

    def sound(self) -> bool:
        """See `Steps`."""
        return self._sides[self._now].sound()


class _Side:
    """States and what a step gives, in one piece of memory for each of their types, each at a cache line of its own.

    Args:
        entries: states of the manifest.
        outputs: frames and which of them are valid, described alike.
    """

    def __init__(self, entries: list[dict[str, Any]], outputs: list[dict[str, Any]]):
        self.states: dict[str, np.ndarray] = {}
        self._pools: list[np.ndarray] = []
        every = [*entries, *outputs]
        for kind in dict.fromkeys(np.dtype(entry["dtype"]) for entry in every):
            mine = [entry for entry in every if np.dtype(entry["dtype"]) == kind]
            line = ALIGNED // kind.itemsize
            sizes = [-(-int(np.prod(entry["shape"])) // line) * line for entry in mine]
            raw = np.zeros(sum(sizes) + line, kind)
            begin = -raw.ctypes.data % ALIGNED // kind.itemsize
            pool = raw[begin : begin + sum(sizes)]
            if kind.kind == "f":
                self._pools.append(pool)
            place = 0
            for entry, size in zip(mine, sizes, strict=True):
                count = int(np.prod(entry["shape"]))
                self.states[entry["name"]] = pool[place : place + count].reshape(entry["shape"])
                place += size
        self.given, self.valid = (self.states.pop(entry["name"]) for entry in outputs)

    def sound(self) -> bool:
        """Whether states and outputs are numbers; scores may be infinite."""
        # Whatever is no number makes the sum none: a tenth of the time of looking at each.
        if math.isfinite(sum(map(_sum, self._pools))):
            return True
        floats = [state for state in self.states.values() if state.dtype.kind == "f"]
        given = not math.isnan(_sum(self.given)) and math.isfinite(_sum(self.valid))
        return given and math.isfinite(sum(map(_sum, floats)))


def _sum(array: np.ndarray) -> float:
    """Of all numbers, without the layers of Python that `array.sum()` has."""
    return float(np.add.reduce(array, axis=None))
