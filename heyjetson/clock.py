"""From the frames in which a model wrote the letters of a word to the seconds in which the word was said."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from heyjetson.calibration import Calibration
from heyjetson.loudness import BLOCK, Loudness

EDGE = 30.0  # decibels under the loudest of a word, at which it begins and ends
OVER = 6.0  # decibels over the quietest around it, where that is louder
AROUND = 1.0  # seconds before a border in which that is looked for
LEAST = 12.0  # decibels under the loudest that a pause is; what dips less is speech that goes on
LOUD = 0.25  # seconds of a word whose loudest counts for its beginning
SHORTEST = 0.04  # seconds of a word; what falls sooner is the closure of a plosive
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
        begin, loud = self._loud(low, min(here + LOUD, heard))
        rises = [begin + (block + SMOOTHED + 0.5) * BLOCK for block in np.flatnonzero(np.diff(loud) > 0).tolist()]
        if loud.any() and loud[0] and low == self.offset:  # the sound begins with it, or within it
            rises.append(low)
        # What begins behind where its first letter ends, were that the last, is the next word.
        latest = min(here + self.calibration.reach, max(self.seconds(first) + self.calibration.end, here))
        near = [second for second in rises if second <= latest]
        return min(min(near, key=lambda second: abs(second - here)) if near else here, heard)

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
        latest = here + self.calibration.reach
        begin, loud = self._loud(start, min(latest, before))
        falls = [begin + (block + 0.5) * BLOCK for block in np.flatnonzero(np.diff(loud) < 0).tolist()]
        falls = [second for second in falls if second >= start + SHORTEST]
        if loud.any() and loud[-1] and before <= latest:  # it goes on into the next one, or to the end of the sound
            falls.append(before)
        near = [second for second in falls if second >= here - self.calibration.reach]
        # Where it has long been quiet, it ended when that began; where it never is, it lasts as long as a letter does.
        usual = max(here, start + self.calibration.end - self.calibration.start)
        border = min(near, key=lambda second: abs(second - here)) if near else falls[-1] if falls else usual
        return min(max(border, least), before)

    def _loud(self, begin: float, end: float) -> tuple[float, np.ndarray]:
        """Which hundredths of a second of a stretch hold a word, the word's loudest being among them.

        Returns:
            second at which the first begins, and 1 or 0 for each [N], smoothed over `SMOOTHED` of them; all are 1 where
            there is no pause.
        """
        assert self.sound is not None
        first, level = self.sound.between(begin, end)
        if len(level) < SMOOTHED:
            return first, np.zeros(0, np.int8)
        background = self.sound.between(max(begin - AROUND, self.offset), end)[1].min()
        smooth = 10 * np.log10(np.convolve(10 ** (level / 10), np.ones(SMOOTHED) / SMOOTHED, "valid") + 1e-12)
        quiet = max(smooth.max() - EDGE, background + OVER)
        if quiet > smooth.max() - LEAST:
            quiet = -np.inf
        return first, (smooth >= quiet).astype(np.int8)
