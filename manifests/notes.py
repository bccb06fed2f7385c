"""What the reader of sound notes of many recordings, summed up: a line for each kind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class Notes:
    """A tally of notes; those that differ in numbers alone are of one kind.

    >>> notes = Notes()
    >>> notes.add("a.wav", ["Its header says 3 s."])
    >>> notes.add("b.wav", ["Its header says 7.5 s."])
    >>> list(notes.lines())
    ['2 recordings, the first is a.wav: Its header says 3 s.']
    """

    def __init__(self) -> None:
        self.listed: list[str] = []  # all of them, each after the name of its recording
        self._counts: Counter[str] = Counter()
        self._first: dict[str, tuple[str, str]] = {}

    def add(self, name: str, notes: Iterable[str]) -> None:
        """Count what was noted of a recording."""
        for note in notes:
            self.listed.append(f"{name}: {note}")
            kind = _NUMBER.sub("#", note)
            self._counts[kind] += 1
            self._first.setdefault(kind, (name, note))

    def lines(self) -> Iterator[str]:
        """Each kind with its count and its first recording, the most frequent first."""
        for kind, count in self._counts.most_common():
            name, note = self._first[kind]
            yield f"{count:,} recordings, the first is {name}: {note}" if count > 1 else f"{name}: {note}"
