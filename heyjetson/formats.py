"""Results as text, JSON lines, and subtitles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from html import escape
from textwrap import wrap
from typing import Any

from heyjetson.decoding.hypothesis import Result, Word
from heyjetson.printing import json_line

FORMATS = ("text", "json", "srt", "vtt")
CAPTION_CHARACTERS = 42  # a line of a subtitle (BBC subtitle guidelines: about 37 to 42)
CAPTION_SECONDS = 6.0
CAPTION_GAP = 0.6  # seconds of silence that begin a new one
CAPTION_LEAST = 0.8  # seconds; shorter ones are not seen (Netflix: 5/6 s, Amara: 0.7 s)
CAPTION_SPEED = 20.0  # characters a second that can be read (Netflix, for adults)


def captions(words: list[Word]) -> Iterator[list[Word]]:
    """Cut words into lines of a subtitle: by pauses, length and time."""
    line: list[Word] = []
    for word in words:
        text = " ".join(other.text for other in [*line, word])
        if line and (
            word.start - line[-1].end >= CAPTION_GAP
            or len(text) > CAPTION_CHARACTERS
            or word.end - line[0].start > CAPTION_SECONDS
        ):
            yield line
            line = []
        line.append(word)
    if line:
        yield line


def cues(words: list[Word]) -> list[tuple[float, float, str]]:
    """Captions as they are shown: begin, end and text of each, in seconds.

    A caption stays until it can be read, where the next one leaves it the time, and never over the beginning of the
    next; one that would be gone before it is seen is shown together with the next.
    """
    lines: list[list[Word]] = []
    for line in captions(words):
        if lines and line[0].start - lines[-1][0].start < CAPTION_LEAST:
            lines[-1] = [*lines[-1], *line]
        else:
            lines.append(line)
    shown = []
    for number, line in enumerate(lines):
        begin, text = line[0].start, " ".join(word.text for word in line)
        end = max(line[-1].end, begin + max(len(text) / CAPTION_SPEED, CAPTION_LEAST))
        if number + 1 < len(lines):
            end = min(end, lines[number + 1][0].start)
        shown.append((begin, end, "\n".join(wrap(text, CAPTION_CHARACTERS, break_long_words=False))))
    return shown


def clock(seconds: float, decimal: str) -> str:
    """Hours, minutes, seconds and thousandths.

    >>> clock(3661.5, ",")
    '01:01:01,500'
    """
    thousandths = round(seconds * 1000)
    hours, rest = divmod(thousandths, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{decimal}{rest % 1000:03}"


def subtitles(result: Result, kind: str) -> str:
    """A result as a file of subtitles, `srt` (SubRip) or `vtt` (WebVTT, W3C, where & and < begin markup)."""
    decimal = "," if kind == "srt" else "."
    blocks = []
    for number, (begin, end, text) in enumerate(cues(result.words), 1):
        times = f"{clock(begin, decimal)} --> {clock(end, decimal)}"
        blocks.append(f"{number}\n{times}\n{text}\n" if kind == "srt" else f"{times}\n{escape(text, quote=False)}\n")
    return ("" if kind == "srt" else "WEBVTT\n\n") + "\n".join(blocks)


def word_records(words: Iterable[Word], after: float = 0.0) -> list[dict[str, Any]]:
    """Words as the server tells them: word, start, end and confidence each.

    Args:
        words: in order.
        after: seconds that are added to their times.
    """
    return [
        {
            "word": word.text,
            "start": round(word.start + after, 3),
            "end": round(word.end + after, 3),
            "confidence": round(word.confidence, 4),
        }
        for word in words
    ]


def as_json(result: Result, **more: object) -> str:
    """A result as one line of JSON."""
    return json_line({**more, **asdict(result)})
