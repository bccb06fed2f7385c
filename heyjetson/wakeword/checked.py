"""The frames of a trigger's stream, with scores that a verifier has checked where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np

from heyjetson.bundle import Bundle
from heyjetson.errors import StreamError
from heyjetson.frames import FrameStream


class CheckedFrames(FrameStream):
    """As `FrameStream`, but its frames are scores [T, W] alone; a step that fails has scores of 0: time goes on.

    Args:
        bundle: of a trigger.
        session: has onnxruntime's `run(outputs, feed)`.

    Attributes:
        fault: why a step since the last look at this failed; whoever feeds the stream is to be told.
    """

    fault: StreamError | None = None

    def __init__(self, bundle: Bundle, session: Any):
        self._checker = bundle.verifier.checker(bundle.frame_seconds) if bundle.verifier else None
        self._nothing = np.zeros((bundle.manifest["chunk_frames"], len(bundle.labels)), np.float32)
        super().__init__(bundle, session)

    def step(self) -> np.ndarray | None:
        """See `FrameStream`."""
        try:
            return super().step()
        except StreamError as error:
            self.fault = error
            return self._nothing

    def _restart(self) -> None:
        super()._restart()
        if self._checker:
            self._checker.reset()

    def checked(self, frames: np.ndarray) -> np.ndarray:
        """See `FrameStream`."""
        frames = super().checked(frames)
        return self._checker.feed(frames) if self._checker else frames
