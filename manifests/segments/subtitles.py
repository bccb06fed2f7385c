"""Subtitles: SubRip (.srt) and WebVTT (.vtt, w3.org/TR/webvtt1)."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import srt
import webvtt
from webvtt.errors import MalformedCaptionError, MalformedFileError

from manifests.lines import ManifestError, text_of
from manifests.segments.rolling import unrolled
from manifests.segments.segment import Labels, Segment

_TIME = r"(?:(\d+)[:.])?(\d{1,2}):(\d{1,2})(?:[,.](\d{1,3}))?"
_TIMING = re.compile(rf"\s*{_TIME}\s*-+>\s*{_TIME}(?=\s|$)(.*)")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_TAG = r"</?(?:i|b|u|s|c|v|lang|ruby|rt|rp|font|span)(?:[.\s][^>]*)?>"
_TAGS = re.compile(rf"{_TAG}|<(?:\d+:)?\d\d:\d\d\.\d\d\d>", re.I)


def _unnamed(line: re.Match[str]) -> str:
    """`ANNA: Hello` without the name; in capitals throughout a name is not to be told from what is said."""
    return line[2] if line[1].isupper() and line[2].upper() != line[2] else line[0]


# What subtitles hold besides what is said; each is counted. Other brackets within a line are the normaliser's.
_MARKUP = (
    ("readings over the line", re.compile(r"<rt(?:[.\s][^>]*)?>.*?</rt>", re.I | re.S), ""),
    ("tags", _TAGS, ""),
    ("style codes", re.compile(r"\{\\[^}]*\}"), ""),
    ("sounds in brackets", re.compile(r"^[-–—‐>\s]*(?:\[[^\]]*\]|\([^)]*\))\s*$", re.M), ""),
    ("dashes of speakers", re.compile(r"^\s*(?:[-–—‐]\s+|[-–—‐](?=[^\W\d])|>>+\s*)", re.M), ""),
    ("names of speakers", re.compile(r"^\s*([^:\n]{2,40}):\s+(.*)$", re.M), _unnamed),
)


def subrip(path: Path) -> Labels:
    """Segments of a .srt file.

    Raises:
        ManifestError: a line of times is none, or what stands between cues belongs to none.
    """
    text, lines = _timings(path, text_of(path), ",")
    try:
        cues = list(srt.parse(text))
    except srt.SRTParseError as error:
        line = text[: error.expected_start].count("\n") + 1
        raise ManifestError(
            f"{path}:{line}: belongs to no cue: {error.unmatched_content.strip()!r:.60}. Mend it."
        ) from None
    return _labels(path, lines, [(cue.start.total_seconds(), cue.end.total_seconds(), cue.content) for cue in cues])


def vtt(path: Path) -> Labels:
    """Segments of a .vtt file; the speaker is that of the voice tag, where there is one.

    Raises:
        ManifestError: the file is no WebVTT, or a line of times is none.
    """
    text, lines = _timings(path, text_of(path), ".")
    try:
        cues = webvtt.from_string(text).captions
    except (MalformedFileError, MalformedCaptionError) as error:
        raise ManifestError(f"{path}:1: not WebVTT ({error}): the first line must be WEBVTT.") from None
    return _labels(
        path,
        lines,
        [(cue.start_time.in_milliseconds() / 1000, cue.end_time.in_milliseconds() / 1000, cue.raw_text)
         for cue in cues],
    )  # fmt: skip


def _timings(path: Path, text: str, point: str) -> tuple[str, list[int]]:
    """The text with all times written in full, and the lines that they stand in.

    The parsers take `,5` for 5 ms, and pass over a cue whose times they do not know.
    """
    lines, places = text.split("\n"), []
    comment = False
    for number, line in enumerate(lines):
        comment = line.strip() != "" and (comment or line.startswith("NOTE"))
        if "->" not in line or comment:
            continue
        found = _TIMING.fullmatch(line)
        if found is None and "-->" not in line:
            continue
        if found is None:
            raise ManifestError(
                f"{path}:{number + 1}: not two times such as 00:01:02{point}500 --> 00:01:04{point}000: {line!r:.80}."
            )
        fields = found.groups()
        lines[number] = f"{_full(fields[:4], point)} --> {_full(fields[4:8], point)}{fields[8]}"
        places.append(number + 1)
    if not places:
        raise ManifestError(f"{path}: no cue with its times (00:01:02{point}500 --> 00:01:04{point}000) is in it.")
    return "\n".join(lines), places


def _full(fields: tuple[str | None, ...], point: str) -> str:
    hours, minutes, whole, part = fields
    return f"{int(hours or 0):02d}:{int(minutes or 0):02d}:{int(whole or 0):02d}{point}{(part or '').ljust(3, '0')}"


def _labels(path: Path, lines: list[int], cues: Iterable[tuple[float, float, str]]) -> Labels:
    cues, notes = list(cues), Counter[str]()
    if len(cues) != len(lines):
        raise ManifestError(
            f"{path}: {len(lines)} lines have times, but {len(cues)} cues could be read. Part the cues by empty lines."
        )
    segments = []
    for line, (start, end, _), new in zip(lines, cues, unrolled(cues, _plain), strict=True):
        content = new.content
        if new.carried:
            notes["lines that rolling captions show again taken off"] += new.carried
            if not content and not new.doubtful:
                continue
        voices = {html.unescape(voice).strip() for voice in _VOICE.findall(content)}
        text, passed_over = _said(content, notes)
        speaker = voices.pop() if len(voices) == 1 else None
        passed_over = "rolling captions that may repeat or be shown again" if new.doubtful else passed_over
        segments.append(Segment(start, end, text, f"{path}:{line}", speaker, passed_over))
    return Labels({"": segments}, notes)


def _plain(line: str) -> str:
    return " ".join(html.unescape(_TAGS.sub("", line)).split())


def _said(content: str, notes: Counter[str]) -> tuple[str, str]:
    """What is said in a cue, and why it is no utterance if it is none."""
    if "♪" in content or "♫" in content:
        return " ".join(content.split()), "songs"
    text = content
    for name, pattern, instead in _MARKUP:
        if (left := pattern.sub(instead, text)) != text:
            text = left
            notes[f"{name} taken off"] += 1
    text = " ".join(html.unescape(text).split())
    return text, "sounds without speech" if not text and content.strip() else ""
