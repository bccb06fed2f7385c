"""From the frames in which a model wrote the letters of a word to the seconds in which the word was said."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from heyjetson.calibration import Calibration
from heyjetson.loudness import BLOCK, Loudness

EDGE = 30.0  # decibels under the loudest of a word, at which it begins and ends
OVER = 6.0  # decibels over the quietest beside it, where that is louder
LEAST = 12.0  # decibels under the loudest that a pause is; what dips less is speech that goes on
LOUD = 0.25  # seconds of a word whose loudest counts for its beginning
SMOOTHED = 2  # blocks of a level


@dataclass(frozen=True)
class Clock:
    """Times of the words of one utterance.

    Without a calibration a word lasts from the frame of its first letter to that of its last. With one, both ends are
    moved by what was measured, and where the sound rises or falls near such a border, that is the border.

    Args:
        frame_seconds: seconds between two frames.
        offset: seconds of frame 0.
        calibration: of the bundle.
        sound: what was heard, up to the frames at least; None where there is none, and the measured shift is all.
    """

    frame_seconds: float
    offset: float = 0.0
    calibration: Calibration | None = None
    sound: Loudness | None = None

    def heard(self, frames: int) -> float:
        """Seconds up to which the sound is heard when there are so many frames, on every path alike: piece by piece or
        whole; infinity where that plays no part."""
        if self.calibration is None or self.sound is None:
            return math.inf
        return min(self.seconds(frames - 1) + self.sound.ahead, self.sound.end)

    def seconds(self, frame: int) -> float:
        """When a frame begins."""
        return self.offset + frame * self.frame_seconds

    def start(self, first: int, after: float) -> float:
        """When a word begins.

        Args:
            first: frame of its first letter.
            after: seconds before which it does not.
        """
        if self.calibration is None:
            return self.seconds(first)
        here = max(self.seconds(first) + self.calibration.start, after)
        if self.sound is None:
            return here
        heard = max(self.heard(first + 1), after)
        low = max(here - self.calibration.reach, after)
        begin, level = self.sound.between(low, min(here + LOUD, heard))
        return min(_edge(begin, level, here, here + self.calibration.reach, 1), heard)

    def spoken(self, last: int, end: int, start: float) -> float:
        """Seconds up to which a word that began at `start` lasts at least: its last letter is said, or has ended."""
        if self.calibration is None:
            return self.seconds(end)
        return max(self.seconds(last) + min(self.calibration.start, self.calibration.end), start)

    def end(self, last: int, end: int, start: float, before: float) -> float:
        """When a word ends.

        Args:
            last: first frame of its last letter.
            end: frame before which that letter ends.
            start: seconds at which the word begins.
            before: seconds at which the next one begins, or the sound ends.
        """
        if self.calibration is None:
            return self.seconds(end)
        before = max(before, start)
        least = min(self.spoken(last, end, start), before)
        here = min(max(self.seconds(last) + self.calibration.end, least), before)
        if self.sound is None:
            return here
        begin, level = self.sound.between(start, min(here + self.calibration.reach, before))
        return min(max(_edge(begin, level, here, here - self.calibration.reach, -1), least), before)


def _edge(begin: float, level: np.ndarray, here: float, limit: float, way: int) -> float:
    """The border near `here` at which a word becomes loud (way 1) or quiet (-1); `here` where there is none.

    Args:
        begin: second of the first block.
        level: decibels of the blocks [N], which hold the word's loudest.
        here: seconds at which the border is expected.
        limit: of the search, on the word's side.
        way: of time.
    """
    if len(level) <= SMOOTHED:
        return here
    smooth = 10 * np.log10(np.convolve(10 ** (level / 10), np.ones(SMOOTHED) / SMOOTHED, "valid") + 1e-12)
    quiet = max(smooth.max() - EDGE, smooth.min() + OVER)
    if quiet > smooth.max() - LEAST:
        return here
    loud = smooth >= quiet
    # A rise lies in the last block of the first that is loud, a fall in the first block of the last.
    edges = (
        begin + (np.flatnonzero(np.diff(loud.astype(np.int8)) == way) + (SMOOTHED + 0.5 if way > 0 else 0.5)) * BLOCK
    )
    edges = edges[edges <= limit] if way > 0 else edges[edges >= limit]
    if len(edges) == 0:
        return here
    return float(edges[np.abs(edges - here).argmin()])
