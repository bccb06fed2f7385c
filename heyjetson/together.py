"""Steps of many streams at once: their weights are read once for all, which is most of what a step costs.

What feeds a stream is a generator that yields its steps and is sent their frames. `alone` runs them one by one,
`Together` runs those that several streams yield at the same time as one batch. A stream that has no step to run is not
in the batch, and its state stays as it is.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

import numpy as np

from heyjetson.bundle import Bundle
from heyjetson.frames import Step

T = TypeVar("T")
Work = Generator[Step, np.ndarray, T]
LARGEST = 32  # streams in a batch


def alone(work: Work[T]) -> T:
    """Run the steps of one stream and return what its work does."""
    try:
        step = next(work)
        while True:
            step = work.send(step.run())
    except StopIteration as end:
        return end.value


class Together:
    """Runs the steps of streams of one bundle.

    Args:
        bundle: of all of them.
        session: of its graph, with onnxruntime's `run(outputs, feed)`. One that takes a single stream, of a bundle from
            before graphs had a batch or of TensorRT, runs them in turn.
    """

    def __init__(self, bundle: Bundle, session: Any):
        self.bundle, self.session = bundle, session
        takes = {port.name: port.shape for port in session.get_inputs()}
        self._inputs = set(takes)
        self.batches = bundle.streams and not isinstance(takes["samples"][0], int)
        self._entries: list[dict[str, Any]] = bundle.manifest["states"] if bundle.streams else []
        self._outputs = [bundle.output, "valid", *(entry["output"] for entry in self._entries)]

    def run(self, works: Sequence[Work[T]]) -> list[T | Exception]:
        """Run the work of several streams, no two of one stream.

        Returns:
            what each returns, or the exception that it ended with: no stream ends another's.
        """
        results: list[Any] = [None] * len(works)
        waiting: dict[int, Step] = {}

        def resume(place: int, given: np.ndarray | None) -> None:
            try:
                waiting[place] = next(works[place]) if given is None else works[place].send(given)
            except StopIteration as end:
                results[place] = end.value
            except Exception as error:
                results[place] = error

        for place in range(len(works)):
            resume(place, None)
        while waiting:
            places = list(waiting)[:LARGEST]
            found = self.frames([waiting.pop(place) for place in places])
            for place, given in zip(places, found, strict=True):
                resume(place, given)
        return results

    def frames(self, steps: Sequence[Step]) -> list[np.ndarray]:
        """Frames [T, V + 1] or [T, W] of each step; see `FrameStream.step` for those that fail."""
        if len(steps) == 1 or not self.batches:
            return [step.run() for step in steps]
        samples = np.stack([step.samples for step in steps]).astype(np.float32, copy=False)
        feed = {"samples": samples, "length": np.full(len(steps), samples.shape[1], np.int64)}
        before = [step.stream.steps.states for step in steps]
        for entry in self._entries:
            feed[entry["name"]] = np.concatenate([states[entry["name"]] for states in before])
        feed = {name: value for name, value in feed.items() if name in self._inputs}
        try:
            given, valid, *after = self.session.run(self._outputs, feed)
        except Exception as error:  # of the runtime: nothing of this batch was run
            return [step.stream.failed(error) for step in steps]
        found: list[np.ndarray] = []
        for i, step in enumerate(steps):
            mine = slice(i, i + 1)
            states = {entry["name"]: state[mine] for entry, state in zip(self._entries, after, strict=True)}
            frames = step.stream.steps.take(states, given[mine], valid[mine])
            found.append(step.stream.checked(frames))
        return found
