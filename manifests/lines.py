"""The manifest format: reading with file and line in every complaint, and atomic writing."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class ManifestError(ValueError):
    """What is wrong with a dataset, in a sentence with the cause and the cure."""


@dataclass(frozen=True)
class Utterance:
    """One line of a manifest.

    Args:
        audio: absolute path of the recording.
        duration: its length in seconds.
        text: what is said, in characters of the model's labels.
        line: line number in the manifest, from 1.
        extra: the other keys of the line (speaker, voice, ...).
    """

    audio: Path
    duration: float
    text: str
    line: int = 0
    extra: dict[str, Any] = field(default_factory=dict)


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
    try:
        record = json.loads(raw)
    except json.JSONDecodeError as error:
        raise ManifestError(
            f"{where}: not JSON ({error.msg} at column {error.colno}). Each line must be one object like "
            '{"audio_filepath": "a.wav", "duration": 1.5, "text": "hello"}.'
        ) from None
    if not isinstance(record, dict):
        raise ManifestError(f"{where}: expected a JSON object, found {type(record).__name__}.")
    for key, kinds in (("audio_filepath", (str,)), ("duration", (int, float)), ("text", (str,))):
        if key not in record:
            raise ManifestError(f'{where}: the key "{key}" is missing. Add it, or rebuild the manifest.')
        if not isinstance(record[key], kinds) or isinstance(record[key], bool):
            raise ManifestError(f'{where}: "{key}" must be a {kinds[-1].__name__}, found {record[key]!r:.60}.')
    duration = float(record.pop("duration"))
    if not math.isfinite(duration) or duration <= 0:
        raise ManifestError(f"{where}: the duration must be a positive number of seconds, found {duration}.")
    audio = folder / record.pop("audio_filepath")
    return Utterance(audio, duration, record.pop("text"), line, record)


def read_manifest(path: str | os.PathLike[str]) -> list[Utterance]:
    """Read a whole manifest; blank lines are allowed.

    Raises:
        ManifestError: the file is missing, empty, not UTF-8, or has a bad line (the message names it).
    """
    path = Path(path)
    if not path.is_file():
        raise ManifestError(
            f"The manifest {path} does not exist. Make one with `python -m manifests` (--help lists the datasets) "
            "or correct the path."
        )
    utterances = []
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, raw in enumerate(lines, 1):
                if raw.strip():
                    utterances.append(parse_line(raw, f"{path}:{number}", path.parent.absolute(), number))
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path} is not UTF-8 text ({error.reason}). Save it as UTF-8.") from None
    if not utterances:
        raise ManifestError(f"The manifest {path} is empty: it must hold at least one utterance.")
    return utterances


def write_manifest(path: str | os.PathLike[str], utterances: Iterable[Utterance]) -> None:
    """Write a manifest with paths relative to it where the audio lies below it; all or nothing."""
    path = Path(path)
    folder = path.parent.absolute()
    temporary = path.with_name(path.name + ".part")
    with temporary.open("w", encoding="utf-8") as out:
        for utterance in utterances:
            audio = utterance.audio
            shown = audio.relative_to(folder) if audio.is_relative_to(folder) else audio
            record = {"audio_filepath": str(shown), "duration": round(utterance.duration, 4), "text": utterance.text}
            out.write(json.dumps(record | utterance.extra, ensure_ascii=False) + "\n")
    temporary.replace(path)
