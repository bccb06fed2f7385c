"""Segments of recordings: their times as tables write them, and their names."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from manifests.lines import ManifestError

# Columns that are taken when none are named: NeMo, Hugging Face, Praat's tables, Audacity's and sound event lists.
_STARTS = ("start", "begin", "onset", "offset", "tmin", "xmin")
_ENDS = ("end", "stop", "tmax", "xmax")
_COLUMN = re.compile(
    rf"({'|'.join((*_STARTS, *_ENDS, 'duration'))})(?:[ _]?(?:time|s|secs?|seconds|(ms|msecs?|milliseconds)))?", re.I
)
_AGREE = 0.05  # seconds that times of one row may differ by where they say one thing twice


def seconds(text: str, where: str, what: str, least: float = 0.0) -> float:
    """A time of a text file.

    Args:
        text: a number of seconds, with a point.
        where: `file:line`, for messages.
        what: which time it is, for messages.
        least: less is none.

    Raises:
        ManifestError: it is no number, or less than the least.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= least):
        raise ManifestError(f"{where}: {what} must be a number of seconds such as 3.25, found {text!r:.60}.")
    return value


def segment(
    row: Mapping[str, str], where: str, start: str | None = None, end: str | None = None
) -> tuple[float | None, float | None]:
    """Which part of its recording a row of a table stands for.

    A start with an end or a duration is a segment; a duration alone is the length of the whole recording.

    Args:
        row: by column; `start,end`, `offset,duration` and their usual other names, in seconds or with `_ms`.
        where: `file:line`, for messages.
        start: column of the start; one of the usual names when None.
        end: column of the end; one of the usual names when None.

    Returns:
        offset and duration; for the whole recording None and its length, None where the row does not say it.

    Raises:
        ManifestError: a time is no number, is missing, ends before it starts, or disagrees with another.
    """
    for column in (start, end):
        if column is not None and column not in row:
            raise ManifestError(f"{where}: there is no column {column!r}; there are {', '.join(row):.200}.")
    named = {column: found for column in row if (found := _COLUMN.fullmatch(column.strip()))}
    events = any(found[1].lower() == "onset" for found in named.values())  # their lists say onset, offset
    times: dict[str, tuple[str, float]] = {}
    for column, value in row.items():
        word = found[1].lower() if (found := named.get(column)) else ""
        ends = column == end if end else word in _ENDS or (word == "offset" and events)
        starts = column == start if start else word in _STARTS and not (word == "offset" and events)
        kind = "start" if starts else "end" if ends else "duration" if word == "duration" else ""
        if not kind or not value.strip():
            continue
        time = seconds(value, where, f"the column {column!r}") * (0.001 if found and found[2] else 1)
        first, before = times.setdefault(kind, (column, time))
        if abs(before - time) > _AGREE:
            raise ManifestError(f"{where}: {first!r} and {column!r} disagree: {before:g} and {time:g} s. Remove one.")
    length = times.get("duration", ("", None))[1]
    if "start" not in times:
        if "end" in times:
            raise ManifestError(f"{where}: an end and no start: which part is meant? Fill in both, or neither.")
        return None, length
    offset, last = times["start"][1], times.get("end", ("", None))[1]
    if last is None:
        if length == 0:
            raise ManifestError(f"{where}: the segment has no length: its duration is 0.")
        return offset, length
    if last <= offset:
        raise ManifestError(f"{where}: the segment ends at {last:g} s, before it starts at {offset:g} s.")
    if length is not None and abs(last - offset - length) > _AGREE and length < last - _AGREE:
        raise ManifestError(  # a longer one is the whole recording's
            f"{where}: from {offset:g} to {last:g} s are {last - offset:g} s, but {times['duration'][0]!r} says "
            f"{length:g}. Correct or remove one."
        )
    return offset, round(last - offset, 6)


def disagree(said: float, seconds: float) -> bool:
    """Whether a recording does not last what is said of it; lengths are rounded."""
    return abs(seconds - said) > max(0.1, 0.02 * seconds)


def length_notes(said: float | None, seconds: float) -> list[str]:
    """What is to be noted of a recording that does not last what its dataset says; None where it says nothing.

    >>> length_notes(7.8, 7.78), length_notes(3.0, 7.78)[0][:48]
    ([], 'The dataset says 3.00 s, the recording lasts 7.7')
    """
    if said is None or not disagree(said, seconds):
        return []
    return [
        f"The dataset says {said:.2f} s, the recording lasts {seconds:.2f} s, and was taken whole. Is the transcript "
        "of all of it? A part needs a start as well."
    ]


def cut_name(name: str, offset: float | None, duration: float | None) -> str:
    """The name of a segment, which says its milliseconds; that of a whole recording stays.

    >>> cut_name("talk", 3.0, 2.5), cut_name("talk", 3.0, None), cut_name("talk", None, None)
    ('talk-0003000-0005500', 'talk-0003000-end', 'talk')
    """
    if offset is None:
        return name
    end = "end" if duration is None else f"{round((offset + duration) * 1000):07d}"
    return f"{name}-{round(offset * 1000):07d}-{end}"
