"""The manifest format: reading with file and line in every complaint, and atomic writing."""

from __future__ import annotations

import codecs
import json
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifests.whole import whole_file

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LINE_END = re.compile(r"\r\n|\r|\n")
NAMED = 8  # bad lines that are named before reading ends


class ManifestError(ValueError):
    """What is wrong with a dataset, in a sentence with the cause and the cure."""


@dataclass(frozen=True)
class Utterance:
    """One line of a manifest.

    Args:
        audio: absolute path of the recording.
        duration: of the utterance, in seconds.
        text: what is said, in characters of the model's labels.
        line: line number in the manifest, from 1.
        extra: the other keys of the line (speaker, voice, ...).
        offset: seconds of the recording before the utterance, which then is a segment of it; None where the utterance
            is the whole recording.
    """

    audio: Path
    duration: float
    text: str
    line: int = 0
    extra: dict[str, Any] = field(default_factory=dict)
    offset: float | None = None

    @property
    def segment(self) -> tuple[float, float | None]:
        """Offset and duration to read the recording with: a part of it, or (0, None), all of it."""
        return (0.0, None) if self.offset is None else (self.offset, self.duration)


def require_sizes(sample_rate: int, **counts: int) -> None:
    """Refuse a corpus that cannot be.

    Args:
        sample_rate: hertz.
        counts: utterances of each split.

    Raises:
        ManifestError: the rate is none, or a count below 0.
    """
    if sample_rate <= 0:
        raise ManifestError(f"The sample rate must be above 0 hertz, found {sample_rate}: 16000 is usual.")
    for split, count in counts.items():
        if count < 0:
            raise ManifestError(f"There cannot be {count} utterances of {split}: 0 or more.")


def json_object(raw: str, where: str, example: str) -> dict[str, Any]:
    """The JSON object that a line holds.

    Args:
        raw: the line.
        where: `file:line`, for messages.
        example: of a right line, for messages.

    Raises:
        ManifestError: it holds none, or a key twice.
    """
    try:
        record = json.loads(raw)
        if isinstance(record, dict) and raw.count(":") > len(record):  # slower, and mostly a colon within a text
            json.loads(raw, object_pairs_hook=_each_key_once)
    except _TwiceError as error:
        raise ManifestError(f"{where}: {error}. Remove one.") from None
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at column {error.colno}"
    except (ValueError, RecursionError):  # a number of thousands of digits, or thousands of brackets
        reason = "a number too long or brackets too deep"
    else:
        if isinstance(record, dict):
            return record
        raise ManifestError(f"{where}: expected a JSON object, found {type(record).__name__}: one like {example}.")
    raise ManifestError(f"{where}: not JSON ({reason}). Each line must be one object like {example}.")


class _TwiceError(Exception):
    """A key that is there twice, of which JSON's readers take the last."""


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for key, value in pairs:
        if key in record and record[key] != value:
            raise _TwiceError(f'the key "{key}" is there twice, as {record[key]!r:.60} and as {value!r:.60}')
        record[key] = value
    return record


def parse_line(raw: str, where: str, folder: Path, line: int = 0) -> Utterance:
    """Turn one manifest line into an `Utterance`.

    Args:
        raw: the line.
        where: `file:line`, for messages.
        folder: what a relative `audio_filepath` is relative to.
        line: the line's number, kept in the utterance.

    Raises:
        ManifestError: the line is not a JSON object, lacks a key or has one of the wrong type.
    """
    record = json_object(raw, where, '{"audio_filepath": "a.wav", "duration": 1.5, "text": "hello"}')
    for key, kinds in (("audio_filepath", (str,)), ("duration", (int, float)), ("text", (str,))):
        if key not in record:
            raise ManifestError(f'{where}: the key "{key}" is missing. Add it, or rebuild the manifest.')
        if not isinstance(record[key], kinds) or isinstance(record[key], bool):
            raise ManifestError(f'{where}: "{key}" must be a {kinds[-1].__name__}, found {record[key]!r:.60}.')
    try:
        duration = float(record.pop("duration"))
    except OverflowError:
        duration = math.inf
    if not math.isfinite(duration) or duration <= 0:
        raise ManifestError(f"{where}: the duration must be a positive number of seconds, found {duration}.")
    offset = record.pop("offset", None)
    if offset is not None and not (
        isinstance(offset, (int, float)) and not isinstance(offset, bool) and 0 <= offset < math.inf
    ):
        raise ManifestError(f"{where}: the offset must be 0 or more seconds, found {offset!r:.60}.")
    audio = folder / record.pop("audio_filepath")
    return Utterance(audio, duration, record.pop("text"), line, record, None if offset is None else float(offset))


def require_file(path: Path, kind: str = "file", cure: str = "Correct the path.") -> None:
    """Refuse a path that leads nowhere, or to a folder; a pipe is fine.

    Args:
        path: what is to be read.
        kind: what it should be, for messages.
        cure: where nothing is there.

    Raises:
        ManifestError: it is no file.
    """
    if path.is_dir():
        raise ManifestError(f"{path} is a folder, not a {kind}. Name one in it.")
    if not path.exists():
        raise ManifestError(f"{path} does not exist. {cure}")


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines of a text file that are not blank, with their numbers; any line ends, with or without a byte-order mark.

    Raises:
        ManifestError: the file is missing, a folder, or not UTF-8.
    """
    require_file(path)
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path}:{_line_not_utf8(path)}: not UTF-8 text ({error.reason}). Save it as UTF-8."
        ) from None


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
    return _LINE_END.sub("\n", text)


def _line_not_utf8(path: Path) -> int:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 1


def read_manifest(path: str | os.PathLike[str]) -> list[Utterance]:
    """Read a whole manifest; blank lines are allowed.

    Raises:
        ManifestError: the file is missing, empty, not UTF-8, or has bad lines (the message names the first few).
    """
    path = Path(path)
    cure = "Make one with `python -m manifests` (--help lists the datasets) or correct the path."
    require_file(path, "manifest", cure)
    folder = path.parent.absolute()
    utterances, faults = [], []
    for number, raw in text_lines(path):
        try:
            utterances.append(parse_line(raw, f"{path}:{number}", folder, number))
        except ManifestError as error:
            faults.append(str(error))
            if len(faults) == NAMED:
                break
    if faults:
        more = "\nThere may be more." if len(faults) == NAMED else ""
        raise ManifestError("\n".join(faults) + more)
    if not utterances:
        raise ManifestError(f"The manifest {path} is empty: it must hold at least one utterance.")
    return utterances


def write_manifest(path: str | os.PathLike[str], utterances: Iterable[Utterance]) -> None:
    """Write a manifest with paths relative to it where the audio lies below it; all or nothing."""
    path = Path(path)
    folder = path.parent.absolute()
    # Half a surrogate pair, as broken JSON has it, is written as JSON's own escape instead of ending the run.
    with whole_file(path) as part, part.open("w", encoding="utf-8", errors="backslashreplace") as out:
        for utterance in utterances:
            audio = utterance.audio
            shown = audio.relative_to(folder) if audio.is_relative_to(folder) else audio
            record: dict[str, Any] = {"audio_filepath": str(shown)}
            if utterance.offset is not None:
                record["offset"] = round(utterance.offset, 4)
            record |= {"duration": round(utterance.duration, 4), "text": utterance.text}
            out.write(json.dumps(record | utterance.extra, ensure_ascii=False) + "\n")
