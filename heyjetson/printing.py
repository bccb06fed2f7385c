"""What is printed can be read back: names of files, lines of JSON, characters that a terminal does not have."""

from __future__ import annotations

import io
import json
import re
import sys
import unicodedata
from collections.abc import Mapping

_UNSAFE = ("Cc", "Cs", "Zl", "Zp")  # control characters, bytes that are no UTF-8, ends of lines
_SHORT = {'"': '\\"', "\\": "\\\\"} | dict(zip("\a\b\t\n\v\f\r", (f"\\{letter}" for letter in "abtnvfr"), strict=True))
_SURROGATE = re.compile("[\ud800-\udfff]")


def quoted(name: str) -> str:
    """A file's name for a line of text: as it is, or as git quotes what would break the line or look quoted.

    >>> print(quoted("hello world.wav"), quoted("two\\nlines.wav"))
    hello world.wav "two\\nlines.wav"
    """
    if not any(one in _SHORT or unicodedata.category(one) in _UNSAFE for one in name):
        return name
    return f'"{"".join(map(_escaped, name))}"'


def _escaped(one: str) -> str:
    if one in _SHORT:
        return _SHORT[one]
    if unicodedata.category(one) not in _UNSAFE:
        return one
    return "".join(f"\\{byte:03o}" for byte in one.encode("utf-8", "surrogateescape"))


def json_line(record: Mapping[str, object]) -> str:
    """A record as one line of JSON that is UTF-8, whatever the names of files in it are.

    A byte that is no UTF-8 is escaped as the half of a surrogate pair that Python reads it as: `os.fsencode` of what
    `json.loads` gives is the name again.
    """
    text = json.dumps(record, ensure_ascii=False)
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def escape_unprintable() -> None:
    """Have standard output escape what its encoding does not have, as standard error does, where it would fail."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
