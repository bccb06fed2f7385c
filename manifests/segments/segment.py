"""A segment as a file of labels has it, and the text of such a file."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from manifests.lines import ManifestError, require_file

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
LINE_END = re.compile(r"\r\n|\r|\n")


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


def text_of(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 where a byte-order mark says so; lines end with a line feed.

    Raises:
        ManifestError: the file is missing, or its encoding is another.
    """
    require_file(path)
    content = path.read_bytes()
    try:
        text = content.decode("utf-16" if content.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ManifestError(f"{path}:{line}: not UTF-8 text ({error.reason}). Save it as UTF-8.") from None
    return LINE_END.sub("\n", text)
