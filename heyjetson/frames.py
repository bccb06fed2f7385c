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

SILENT = -30.0  # natural logarithm of how likely a label is where no sound was heard; beams add it up, so it is finite


class FrameStream:
    """Runs a stream's graph step by step and keeps its state.

    Samples wait in a buffer until they fill a step, so the steps never depend on how the samples came. Memory is
    bounded: what is left of the samples, the state, and `history`.

    A step that fails loses its sound but not its time: it has frames in which nothing is heard, the state begins anew,
    and whoever feeds the stream is to be told, by `tell`.

    Args:
        bundle: whose graph it is.
        session: has onnxruntime's `run(outputs, feed)`.

    Attributes:
        fault: why a step since the last `tell` failed.
    """

    fault: Exception | None = None

    def __init__(self, bundle: Bundle, session: Any):
        manifest = bundle.manifest
        self.chunk: int = manifest["chunk_samples"]
        self.shift: int = manifest["shift_samples"]
        self.window: int = manifest["window"]
        self.remember(0)
        self.lookahead: int = manifest["lookahead_frames"]
        self.chunk_frames: int = manifest["chunk_frames"]
        self.flushes = -(-self.lookahead // self.chunk_frames)
        self._nothing = nothing_heard(bundle)
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
        self.fault = None
        self._anew()

    def _anew(self) -> None:
        """Begin with the next step, of which the first frame is number 0."""
        # Frames given by now where no step fails; none before the lookahead is heard.
        self._due = -self.lookahead
        self._given = 0
        self._restart()

    def _restart(self) -> None:
        """The state is that which the model was trained to begin with."""
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
        self._anew()
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
        self._due += self.chunk_frames
        return Step(self, samples)

    def step(self) -> np.ndarray | None:
        """Run the next step.

        Returns:
            frames [T, V + 1] or [T, W], or None where there are not enough samples. Of a step that failed they say that
            nothing was heard, and `fault` says why.
        """
        step = self.begin_step()
        return None if step is None else self.run(step.samples)

    def hear(self, chunks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Take chunks [S] each, as `push` does, and give the frames of each step that they complete.

        Raises:
            StreamError: see `checked`; like the runtime's own errors it ends this.
        """
        for chunk in chunks:
            self.push(chunk)
            while (frames := self.step()) is not None:
                self.tell()
                yield frames

    def finish(self) -> list[np.ndarray]:
        """Run what is left, then what the lookahead holds. Only `reset` may follow, and `tell`.

        Returns:
            frames [T, V + 1] or [T, W] of each step.
        """
        given = []
        while (frames := self.step()) is not None:
            given.append(frames)
        if self.fresh and self._due > -self.lookahead:  # the last step failed: no later one makes up for the lag
            self._due += self.lookahead
            given.append(self._in_time(self._nothing[:0]))
        rest = self._buffer[self._begin : self._end]
        if len(rest) >= self.window:
            given.append(self.run(rest))
        for _ in range(self.flushes):
            if not self.fresh:
                given.append(self.run(rest[:0]))
        return given

    def whole(self, chunks: Iterable[np.ndarray]) -> np.ndarray:
        """All frames of a recording, [T, V + 1] or [T, W], by its chunks [S] each; only `reset` may follow.

        Raises:
            StreamError: see `hear`.
        """
        given = [self._nothing[:0], *self.hear(chunks), *self.finish()]
        self.tell()
        return np.concatenate(given)

    def tell(self) -> None:
        """Raise what a step failed by since this was last called, if one did; the stream goes on."""
        if (fault := self.fault) is not None:
            self.fault = None
            raise fault

    def run(self, samples: np.ndarray) -> np.ndarray:
        """Run a step of samples [at most a chunk]; see `step` for what it returns."""
        try:
            frames = self.steps.run(samples)
        except Exception as error:  # of the runtime, whose own exceptions share no base class of theirs
            return self.failed(error)
        return self.checked(frames)

    def checked(self, frames: np.ndarray) -> np.ndarray:
        """The frames of a step that was run, where they and the state are numbers; else see `failed`."""
        if not self.steps.sound():
            return self.failed(
                StreamError(
                    f"The model's state or output is not numbers any more after {self.position / self.rate:.2f} s: "
                    "sound beyond all measure, a damaged or half-precision graph that overflows, or what runs it "
                    "computes wrongly: `heyjetson doctor BUNDLE` says which. The state was begun anew: feed on."
                )
            )
        self.fresh = False
        return self._in_time(self.heard(frames))

    def heard(self, frames: np.ndarray) -> np.ndarray:
        """What is given of frames that the graph gave."""
        return frames

    def failed(self, error: Exception) -> np.ndarray:
        """Begin the state anew after a step that failed.

        Returns:
            as many frames as the step would have given; nothing is heard in them.
        """
        self.fault = self.fault or error
        self._restart()
        return self._in_time(self._nothing[:0])

    def _in_time(self, frames: np.ndarray) -> np.ndarray:
        """Frames, behind as many of nothing as are missing: a state that began anew lags by the lookahead again."""
        missing = self._due - self._given - len(frames)
        if missing > 0:
            frames = np.concatenate([np.repeat(self._nothing, missing, axis=0), frames])
        self._given += len(frames)
        return frames


def nothing_heard(bundle: Bundle) -> np.ndarray:
    """A frame in which nothing was heard: [1, V + 1] of a blank, or of a trigger scores of 0."""
    if bundle.is_trigger:
        return np.zeros((1, bundle.columns), np.float32)
    frame = np.full((1, bundle.columns), SILENT, np.float32)
    frame[0, bundle.blank_id] = 0.0
    return frame


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
        return self.stream.run(self.samples)
