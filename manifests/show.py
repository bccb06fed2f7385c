"""How times, paths and texts are shown."""

from __future__ import annotations

import os
import re
import select
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heyjetson.printing import escape_unprintable

LONGEST_PATH = 4096  # characters; longer than a file system allows, so that only nonsense is cut


def span(hours: float) -> str:
    """A time in the unit that suits it."""
    for size, unit in ((1, "h"), (60, "min")):
        if hours * size >= 1:
            return f"{hours * size:,.1f} {unit}"
    return f"{hours * 3600:.1f} s"


def from_here(path: Path) -> Path:
    """A path as short as it can be typed."""
    path, here = path.absolute(), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def typed(path: Path, key: str = "") -> str:
    """A path, or `KEY=PATH` of a configuration, as it is typed into a shell.

    >>> print(typed(Path("/data/my talk")), typed(Path("/data/talk (1)"), "data.folder="))
    '/data/my talk' 'data.folder="/data/talk (1)"'
    """
    shown = str(from_here(path))
    return shlex.quote(key + (for_hydra(shown) if key else shown))


def for_hydra(value: str) -> str:
    """A value as Hydra reads it whole: in quotes where it would take it apart."""
    return value if re.fullmatch(r"[\w ./:@%+-]+", value, re.ASCII) else '"' + value.replace('"', '\\"') + '"'


def visible(text: str) -> str:
    """Text with what cannot be printed written as its escape, so that a stray control character is seen."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def sign(character: str) -> str:
    """A character as it is shown alone."""
    return "␣" if character == " " else visible(character)


def short(text: str, most: int) -> str:
    """Visible text of at most so many characters."""
    shown = visible(text[:most])
    return shown if len(shown) <= most and len(text) <= most else shown[: most - 1] + "…"


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Within it a program ends with status 1, and no word, once the reader of its output, `head` say, has gone; what
    the reader's encoding does not have is escaped."""
    escape_unprintable()
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def reader_has_left() -> bool:
    """Whether standard output is a pipe that nobody reads any more."""
    try:
        pipe = select.poll()
        pipe.register(sys.stdout.fileno(), 0)  # an error is told without being asked for
    except (OSError, ValueError):  # it is closed, or no file at all
        return False
    return any(event & select.POLLERR for _, event in pipe.poll(0))
