"""The frames of a trigger's stream, with scores that a verifier has checked where there is one."""

from __future__ import annotations

from typing import Any

import numpy as np

from heyjetson.bundle import Bundle
from heyjetson.frames import FrameStream


class CheckedFrames(FrameStream):
    """As `FrameStream`, but its frames are scores [T, W] alone.

    Args:
        bundle: of a trigger.
        session: has onnxruntime's `run(outputs, feed)`.
    """

    def __init__(self, bundle: Bundle, session: Any):
        self._checker = bundle.verifier.checker(bundle.frame_seconds) if bundle.verifier else None
        super().__init__(bundle, session)
        self._nothing = self._nothing[:, : len(bundle.labels)]

    def _restart(self) -> None:
        super()._restart()
        if self._checker:
            self._checker.reset()

    def heard(self, frames: np.ndarray) -> np.ndarray:
        """See `FrameStream`."""
        return self._checker.feed(frames) if self._checker else frames
