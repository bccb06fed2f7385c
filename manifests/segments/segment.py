"""A segment as a file of labels has it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Segment:
    """What is said in a part of a recording.

    Args:
        start: seconds.
        end: seconds.
        text: without the markup of the file's format.
        where: `file:line`, or what else a user finds it by.
        speaker: where the file says who it is.
        passed_over: why it is no utterance, where the format itself says so.
    """

    start: float
    end: float
    text: str
    where: str
    speaker: str | None = None
    passed_over: str = ""


@dataclass
class Labels:
    """What a file of labels holds.

    Args:
        segments: in the order of the file, by the recording's name where the file gives names, else by "".
        notes: what was chosen or taken off, each with how often (0: the whole file).
    """

    segments: dict[str, list[Segment]]
    notes: Counter[str] = field(default_factory=Counter)
