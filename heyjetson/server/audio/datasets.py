"""Data sets that the operator names: manifests, read when the server starts; sound is read when it is asked for."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from heyjetson.audio import Sound, read_sound
from heyjetson.errors import AudioError, HeyJetsonError, SegmentError
from heyjetson.server.audio.uploads import Clip
from heyjetson.server.errors import RequestError

NEAR, NEAR_SHARE = 0.1, 0.02  # seconds, and share of them, that a manifest may be wrong by without a word
EXAMPLE = '{"audio_filepath": "a.wav", "duration": 1.5, "text": "hello"}'


class DatasetError(HeyJetsonError):
    """A manifest cannot be served."""


@dataclass(frozen=True)
class Utterance:
    """One line of a manifest.

    Args:
        index: its place in the data set, from 0.
        audio: the recording.
        offset: seconds into the recording at which the utterance begins; None where it is the whole recording.
        seconds: that it lasts, as the manifest has it.
        text: what is said.
        speaker: who says it, where the manifest knows.
    """

    index: int
    audio: Path
    offset: float | None
    seconds: float
    text: str
    speaker: str | None = None


class Dataset:
    """The utterances of a manifest.

    Args:
        name: what clients call it.
        path: of the manifest: JSON lines, see `EXAMPLE`; `offset` (seconds) and `speaker` may be there too.

    Attributes:
        utterances: all of them, in the manifest's order.
        seconds: that they last together.

    Raises:
        DatasetError: the manifest is missing, empty, not UTF-8, or has a bad line, which the message names.
    """

    def __init__(self, name: str, path: Path):
        self.name = name
        self.path = path
        self.utterances = list(_read(path))
        if not self.utterances:
            raise DatasetError(f"The manifest {path} is empty: it must hold at least one utterance.")
        self.seconds = sum(utterance.seconds for utterance in self.utterances)
        self._lower: list[str] | None = None

    def __len__(self) -> int:
        return len(self.utterances)

    @cached_property
    def identity(self) -> str:
        """Other for other recordings, other parts of them, or other texts; says nothing else."""
        lines = [(str(one.audio), one.offset, one.seconds, one.text) for one in self.utterances]
        return hashlib.sha256(repr(lines).encode()).hexdigest()

    def get(self, index: int) -> Utterance:
        """An utterance by its index.

        Raises:
            RequestError: 404, there is none.
        """
        if not 0 <= index < len(self.utterances):
            last = len(self.utterances) - 1
            raise RequestError(404, f"{self.name} has utterances 0 to {last}, none of number {index}.", "not_found")
        return self.utterances[index]

    def search(self, words: str) -> list[Utterance]:
        """Utterances whose text or speaker holds every one of the words, in any order and case; none asks for all."""
        wanted = words.lower().split()
        if not wanted:
            return self.utterances
        if self._lower is None:
            self._lower = [f"{utterance.text} {utterance.speaker or ''}".lower() for utterance in self.utterances]
        found = (index for index, text in enumerate(self._lower) if all(word in text for word in wanted))
        return [self.utterances[index] for index in found]

    def load(self, index: int) -> Clip:
        """Read the utterance's part of its recording, and no more.

        Raises:
            RequestError: 404, there is no such utterance, or its recording is missing or cannot be read.
        """
        utterance = self.get(index)
        which = f"The recording of utterance {index} of {self.name}, {utterance.audio.name!r},"
        cure = "The operator of the server has to restore it."
        try:
            sound = _segment(utterance)
        except AudioError as error:
            fault = "cannot be decoded" if utterance.audio.is_file() else "is missing"
            if isinstance(error, SegmentError):
                fault = "ends before the utterance does"
            raise RequestError(404, f"{which} {fault}. {cure}", "audio_missing") from None
        return Clip(sound.samples, sound.rate, sound.missing, sound.notes)


def _segment(utterance: Utterance) -> Sound:
    """A segment, or all of a recording: a duration alone cuts nothing, as in training."""
    if utterance.offset is not None:
        return read_sound(utterance.audio, offset=utterance.offset, duration=utterance.seconds)
    sound = read_sound(utterance.audio)
    seconds = sound.seconds + sound.missing
    if abs(seconds - utterance.seconds) <= max(NEAR, NEAR_SHARE * seconds):
        return sound
    note = f"The manifest says {utterance.seconds:.2f} s, the recording lasts {seconds:.2f} s: all of it was read."
    return replace(sound, notes=(*sound.notes, note))


def _read(path: Path) -> Iterable[Utterance]:
    folder = path.parent.absolute()
    index = 0
    try:
        with path.open("rb") as lines:
            for number, raw in enumerate(lines, 1):
                if raw.strip():
                    yield _utterance(raw.removeprefix(b"\xef\xbb\xbf"), f"{path}:{number}", folder, index)
                    index += 1
    except OSError as error:
        raise DatasetError(f"The manifest {path} cannot be read ({error.strerror}). Correct the path.") from None


def _utterance(raw: bytes, where: str, folder: Path, index: int) -> Utterance:
    try:
        record = json.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise DatasetError(f"{where}: not UTF-8 text ({error.reason}). Save it as UTF-8.") from None
    except (ValueError, RecursionError):
        raise DatasetError(f"{where}: not JSON. Each line must be one object like {EXAMPLE}.") from None
    if not isinstance(record, dict):
        raise DatasetError(f"{where}: expected a JSON object like {EXAMPLE}, found {type(record).__name__}.")
    audio, text = (_text(record, key, where) for key in ("audio_filepath", "text"))
    seconds = _seconds(record, "duration", where)
    offset = None if record.get("offset") is None else _seconds(record, "offset", where)
    if seconds == 0:
        raise DatasetError(f"{where}: the duration must be more than 0 seconds.")
    speaker = record.get("speaker")
    speaker = None if speaker is None else _sendable(str(speaker))
    return Utterance(index, folder / audio, offset, seconds, _sendable(text), speaker)


def _text(record: dict[str, Any], key: str, where: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise DatasetError(f'{where}: "{key}" must be a text, found {value!r:.60}. A line is like {EXAMPLE}.')
    return value


def _sendable(text: str) -> str:
    """Half a surrogate pair, which broken JSON and odd file names have, could be sent to nobody."""
    return text.encode(errors="replace").decode()


def _seconds(record: dict[str, Any], key: str, where: str) -> float:
    value = record.get(key)
    try:
        good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
        if good:
            return float(value)  # type: ignore[arg-type]
    except OverflowError:
        pass
    raise DatasetError(f'{where}: "{key}" must be seconds, 0 or more, found {value!r:.60}. A line is like {EXAMPLE}.')


def open_datasets(paths: Iterable[Path]) -> dict[str, Dataset]:
    """Read the manifests that an operator names.

    Args:
        paths: manifests, or folders whose `*.jsonl` are meant.

    Returns:
        data sets by name: the file's name without its ending, with the folder's before it where two would be one.

    Raises:
        DatasetError: one cannot be served, see `Dataset`, or a folder holds none.
    """
    datasets: dict[str, Dataset] = {}
    opened: set[Path] = set()
    for given in paths:
        files = sorted(given.glob("*.jsonl")) if given.is_dir() else [given]
        if not files:
            raise DatasetError(f"{given} holds no manifest (*.jsonl). Correct the path, or name a file.")
        for path in files:
            if path.resolve() in opened:
                continue
            opened.add(path.resolve())
            name = _free_name(path, datasets)
            datasets[name] = Dataset(name, path)
    return datasets


def _free_name(path: Path, taken: Iterable[str]) -> str:
    stem, folder = _sendable(path.stem), _sendable(path.resolve().parent.name)
    names = [stem, f"{folder}-{stem}"]
    number = 2
    while names[0] in taken:
        names.pop(0)
        names.append(f"{folder}-{stem}-{number}")
        number += 1
    return names[0]
