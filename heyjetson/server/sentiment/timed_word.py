"""A word with its time, as sentences and figures of a conversation are made of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TimedWord:
    """A word.

    Args:
        text: the word.
        start: seconds, or None where nobody knows.
        end: seconds.
        channel: of the recording, where they hold a speaker each.
    """

    text: str
    start: float | None = None
    end: float | None = None
    channel: int | None = None
