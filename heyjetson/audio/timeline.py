"""Where the sound of a container lies on its clock: what its times leave out is quiet, not nothing.

A video whose sound begins later than its picture, a recording that paused, a call whose silence was not sent: decoders
give what is there without what lies between, and each word behind it would come too early.
"""

from __future__ import annotations

# Seconds of the longest gap that is one, by container: beyond, a clock was set anew, as where recordings are joined.
CLOCKS = {"mov": 3600.0, "matroska": 3600.0, "flv": 3600.0, "asf": 3600.0, "mpegts": 10.0}
LAG = 0.1  # seconds that sound may be late by: encoders' delays, and clocks that count milliseconds
JUMP = 0.015  # seconds between two frames that no rounding makes: quiet stands there, and never within a word


class Timeline:
    """The clock of one track of sound.

    Args:
        containers: the names of its container's kind; without a clock among them nothing is ever left out.
        start: seconds at which the first track of the container begins.

    Attributes:
        lead: seconds before the sound, while other tracks ran already.
        notes: what a user should know.
    """

    def __init__(self, containers: str, start: float):
        self._longest = max((CLOCKS.get(name, 0.0) for name in containers.split(",")), default=0.0)
        self._start, self._lag = start, 0.0
        self.lead = self._left_out = 0.0
        self._first: float | None = None
        self._reset: tuple[float, float] | None = None

    def before(self, time: float | None, seconds: float) -> float:
        """Seconds of quiet that belong before a frame.

        Args:
            time: of the frame, by the container; None where it does not say.
            seconds: that were read so far, quiet with it.
        """
        if time is None or not self._longest:
            return 0.0
        lag = time - self._start - seconds
        jump, self._lag = lag - self._lag, lag
        if lag <= LAG or jump <= JUMP:
            return 0.0
        self._lag = 0.0
        if lag > self._longest:
            self._start += lag
            self._reset = self._reset or (lag, seconds)
            return 0.0
        if not seconds:
            self.lead = lag
        else:
            self._left_out += lag
            self._first = seconds if self._first is None else self._first
        return lag

    @property
    def notes(self) -> list[str]:
        """Sentences for the user."""
        said = []
        if self.lead:
            said.append(f"Its sound begins {self.lead:.2f} s after its picture or other tracks: quiet stands there.")
        if self._first is not None:
            said.append(
                f"Its clock leaves out {self._left_out:.2f} s, first after {self._first:.2f} s, as where a recording "
                "paused or pieces of it were lost: quiet stands there."
            )
        if self._reset:
            said.append(
                f"Its clock jumps by {self._reset[0]:.0f} s after {self._reset[1]:.2f} s, as where recordings are "
                "joined: nothing stands there, and times count what there is."
            )
        return said
