"""The acoustic half of a stream: samples in, frames of the graph out, the same ones however the samples are cut.

A frame is the log-probabilities of V labels and the blank, or of a trigger the scores of its W words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from heyjetson.bundle import Bundle
from heyjetson.errors import StreamError
from heyjetson.steps import make_steps


class FrameStream:
    """Runs a stream's graph step by step and keeps its state.

    Samples wait in a buffer until they fill a step, so the steps never depend on how the samples came. Memory is
    bounded: what is left of the samples, the state, and `history`.

    Args:
        bundle: whose graph it is.
        session: has onnxruntime's `run(outputs, feed)`.
    """

    def __init__(self, bundle: Bundle, session: Any):
        manifest = bundle.manifest
        self.chunk: int = manifest["chunk_samples"]
        self.shift: int = manifest["shift_samples"]
        self.window: int = manifest["window"]
        self.remember(0)
        self.flushes = -(-manifest["lookahead_frames"] // manifest["chunk_frames"])
        self.rate: int = manifest["sample_rate"]
        self.steps = make_steps(bundle, session)
        self.reset()

    def remember(self, history: int) -> None:
        """Keep so many samples from now on for `rewind`."""
        self.history = history
        self._room = 2 * history + 4 * self.chunk  # samples, so that what is kept moves every few steps only

    def reset(self, position: int = 0) -> None:
        """Forget everything; the next sample is number `position`."""
        self.position = position
        self._begin = self._end = 0
        self._buffer = np.zeros(self._room, np.float32)
        self._restart()

    def _restart(self) -> None:
        self.fresh = True
        self.steps.restart()

    def rewind(self, samples: int) -> int:
        """Begin anew `samples` before the next step, as far as the history reaches.

        The first sound of what comes is not lost, and the state is the one the model was trained to begin with.

        Returns:
            number of the sample that the new beginning lies at.
        """
        back = min(samples, self._begin)
        self._begin -= back
        self.position -= back
        self._restart()
        return self.position

    def push(self, samples: np.ndarray) -> None:
        """Take samples [S], float32 at the bundle's rate."""
        end = self._end + len(samples)
        if end > len(self._buffer):
            self._make_room(len(samples))
            end = self._end + len(samples)
        self._buffer[self._end : end] = samples
        self._end = end

    def _make_room(self, count: int) -> None:
        """For `count` samples more; what is neither waiting nor history goes."""
        keep = max(self._begin - self.history, 0)
        held = self._buffer[keep : self._end]
        size = max(len(held) + count, self._room)
        if size != len(self._buffer):
            self._buffer = np.empty(size, np.float32)
        self._buffer[: len(held)] = held
        self._begin -= keep
        self._end = len(held)

    @property
    def begun(self) -> bool:
        """Whether there was enough sound for a frame since the beginning."""
        return not self.fresh or self._end - self._begin >= self.window

    def waiting(self) -> np.ndarray | None:
        """The samples of the next step, where there are enough."""
        end = self._begin + self.chunk
        return self._buffer[self._begin : end] if end <= self._end else None

    def skip(self) -> None:
        """Let the samples of a step pass without running it; time goes on."""
        self._advance(self.shift)

    def _advance(self, samples: int) -> None:
        self._begin += samples
        self.position += samples

    @property
    def missing(self) -> int:
        """Samples that must come before there is another step."""
        return max(self._begin + self.chunk - self._end, 0)

    def begin_step(self) -> Step | None:
        """The next step, for the caller to run; None where there are not enough samples. Time goes on."""
        samples = self.waiting()
        if samples is None:
            return None
        self._advance(self.shift)
        return Step(self, samples)

    def step(self) -> np.ndarray | None:
        """Run the next step.

        Returns:
            frames [T, V + 1] or [T, W], or None where there are not enough samples.

        Raises:
            StreamError: state or frames are no numbers; the state begins anew and the step's sound is lost.
        """
        samples = self.waiting()
        if samples is None:
            return None
        self._advance(self.shift)
        return self._run(samples)

    def hear(self, chunks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Take chunks [S] each, as `push` does, and give the frames of each step that they complete."""
        for chunk in chunks:
            self.push(chunk)
            while (frames := self.step()) is not None:
                yield frames

    def finish(self) -> list[np.ndarray]:
        """Run what is left, then what the lookahead holds. Only `reset` may follow.

        Returns:
            frames [T, V + 1] or [T, W] of each step.
        """
        given = []
        while (frames := self.step()) is not None:
            given.append(frames)
        rest = self._buffer[self._begin : self._end]
        if len(rest) >= self.window:
            given.append(self._run(rest))
        if not self.fresh:
            given += [self._run(rest[:0]) for _ in range(self.flushes)]
        return given

    def _run(self, samples: np.ndarray) -> np.ndarray:
        return self.checked(self.steps.run(samples))

    def checked(self, frames: np.ndarray) -> np.ndarray:
        """The frames of a step that was run, where they and the state are numbers.

        Raises:
            StreamError: see `step`.
        """
        self.fresh = False
        if not self.steps.sound():
            self._restart()
            raise StreamError(
                f"The model's state or output is not numbers any more after {self.position / self.rate:.2f} s: sound "
                "beyond all measure, a damaged or half-precision graph that overflows, or what runs it computes "
                "wrongly: `heyjetson doctor BUNDLE` says which. The state was begun anew: feed on."
            )
        return frames


@dataclass(frozen=True)
class Step:
    """A step that is to be run, alone or together with those of other streams.

    Args:
        stream: whose step it is.
        samples: [chunk], of the stream's buffer: to be run before the stream is pushed to again.
    """

    stream: FrameStream
    samples: np.ndarray

    def run(self) -> np.ndarray:
        """Frames [T, V + 1] or [T, W]; see `FrameStream.step`."""
        return self.stream._run(self.samples)
