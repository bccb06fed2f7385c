"""Anything tabular, and folders of sound with text beside it."""

from __future__ import annotations

import csv
import hashlib
import mimetypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from heyjetson.audio import is_recording
from manifests.convert import files
from manifests.corpus import NOTED, SKIPPED, Recording
from manifests.cuts import cut_name, segment
from manifests.found import Found
from manifests.lines import ManifestError, json_object, text_lines, text_of

# Columns that are taken when none are named: NeMo, DeepSpeech, Baidu's description files, Common Voice, Hugging Face.
AUDIO_COLUMNS = ("audio_filepath", "wav_filename", "audio", "path", "file", "filename", "file_name", "wav", "key")
TEXT_COLUMNS = ("text", "transcript", "sentence", "transcription", "normalized_text")
SPEAKER_COLUMNS = ("speaker", "speaker_id", "client_id", "voice")
SPLITS = {"train": "train", "training": "train", "dev": "validation", "valid": "validation", "val": "validation",
          "validation": "validation", "test": "test", "testing": "test"}  # fmt: skip


def rows(table: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a .csv, .tsv, .json or .jsonl table, by column.

    Args:
        table: with a first line of column names, or one JSON object a line.

    Returns:
        `file:line` and the row.

    Raises:
        ManifestError: the table is missing, empty, or not what its name says.
    """
    kind = table.suffix.lower()
    if kind in (".jsonl", ".json", ".manifest"):
        for number, line in text_lines(table):
            row = json_object(line, f"{table}:{number}", '{"path": "a.wav", "text": "hello"}')
            # Lists and objects are neither a path nor a transcript; null is an empty one, not the word None.
            plain = {key: value for key, value in row.items() if not isinstance(value, (list, dict))}
            yield f"{table}:{number}", {key: "" if value is None else str(value) for key, value in plain.items()}
        return
    if kind not in (".csv", ".tsv", ".txt"):
        raise ManifestError(f"{table}: expected a .csv, .tsv or .jsonl file.")
    csv.field_size_limit(1 << 30)
    lines = list(text_lines(table))
    if not lines:
        raise ManifestError(f"{table} is empty: its first line must name the columns.")
    delimiter = "\t" if kind == ".tsv" else max(",", "\t", ";", "|", key=lines[0][1].count)
    # Corpora parted by tabs or bars hold single quotation marks that quote nothing.
    quoting: Any = csv.QUOTE_NONE if delimiter in "\t|" else csv.QUOTE_MINIMAL
    # Strict: else a quotation mark that nobody closes takes all lines after it into one transcript.
    reader = csv.reader(
        (f"{line}\n" for _, line in lines), delimiter=delimiter, quoting=quoting, strict=True, skipinitialspace=True
    )
    begun, names = 0, []
    try:
        names = [name.strip() for name in next(reader)]
        begun = reader.line_num
        for record in reader:
            where = f"{table}:{lines[begun][0]}"
            if len(record) != len(names):
                raise ManifestError(
                    f"{where}: {len(record)} columns, but the first line names {len(names)}: {', '.join(names):.80}. "
                    f"Quote texts with a {delimiter!r} in them, correct the line, or name the columns in the first."
                )
            cells: dict[str, str] = {}
            for name, value in zip(names, record, strict=True):
                if name and cells.setdefault(name, value) != value:  # columns without a name may be any number
                    raise ManifestError(
                        f"{where}: two columns are called {name!r}, and hold {cells[name]!r:.60} and {value!r:.60}. "
                        "Rename or remove one."
                    )
            yield where, cells
            begun = reader.line_num
    except csv.Error as error:
        raise ManifestError(
            f"{table}:{lines[begun][0]}: cannot be read as a table ({error}). Is a quote open?"
        ) from None


def _column(wanted: str | None, usual: tuple[str, ...], row: dict[str, str], where: str, option: str) -> str:
    if wanted is not None and wanted not in row:
        raise ManifestError(f"{where}: there is no column {wanted!r}; there are {', '.join(row):.200}.")
    column = wanted or next((name for name in usual if name in row), None)
    if column is None:
        raise ManifestError(f"{where}: which column? Give {option}; there are {', '.join(row):.200}.")
    return column


def from_table(
    table: Path,
    audio: str | None = None,
    text: str | None = None,
    root: Path | None = None,
    split: str | None = None,
    start: str | None = None,
    end: str | None = None,
) -> list[Recording]:
    """Recordings a table lists, or segments of them: see `cuts.segment`.

    Args:
        table: see `rows`.
        audio: column with the path; one of the usual names when None.
        text: column with the transcript; one of the usual names when None.
        root: folder the paths are relative to; the table's own when None.
        split: where all of them go; by the column `split` where there is one, else `train`, when None.
        start: column with the start of a segment; one of the usual names when None.
        end: column with its end; one of the usual names when None.

    Raises:
        ManifestError: the table cannot be read or lacks a column, or the times of a row are none.
    """
    base = Path(os.path.abspath(root or table.parent))
    found = []
    for where, row in rows(table):
        sound = row[_column(audio, AUDIO_COLUMNS, row, where, "--audio")].strip()
        if not sound:
            raise ManifestError(f"{where}: the path of the recording is empty. Remove the line.")
        transcript = row[_column(text, TEXT_COLUMNS, row, where, "--text")]
        path = base / sound
        given = split or row.get("split", "").strip().lower() or "train"
        if not split and given not in SPLITS:
            raise ManifestError(f"{where}: unknown split {given!r}; known are {', '.join(SPLITS)}. Or give --split.")
        speaker = next((row[name] for name in SPEAKER_COLUMNS if row.get(name)), None)
        extra = {"speaker": speaker} if speaker else {}
        offset, duration = segment(row, where, start, end)
        name = cut_name(_name(path, base), offset, duration)
        lasts, duration = (duration, None) if offset is None else (None, duration)
        found.append(Recording(path, transcript, (SPLITS.get(given, given),), name, extra, offset, duration, lasts))
    if not found:
        raise ManifestError(f"{table} has no rows.")
    return found


def from_folder(folder: Path) -> Found:
    """Recordings with a text file beside them: `clip.wav` and `clip.txt`. Folders named train, dev, test are splits.

    What has a text beside it and a name that no recording known here has is listed too: where it cannot be read, it is
    counted, not overlooked. So is a text among others that has no recording. Folders of sound without any text are no
    part of the corpus; a note says how much lies there.

    Raises:
        ManifestError: the folder is missing or has no such pair.
    """
    if not folder.is_dir():
        raise ManifestError(f"{folder} is no folder." if folder.exists() else f"The folder {folder} does not exist.")
    below = list(files(folder))
    transcripts = {path.with_suffix(""): path for path in below if path.suffix.lower() == ".txt"}
    folded = {_folded(path): path for path in transcripts.values()}

    def transcript(path: Path) -> Path | None:
        return transcripts.get(path.with_suffix("")) or folded.get(_folded(path))

    recordings = [path for path in below if is_recording(path)]
    known = {_folded(path) for path in recordings}
    other = [path for path in below if _folded(path) not in known and transcript(path) and _may_be_sound(path)]
    paired = [path for path in recordings if transcript(path)] + other
    with_text = {path.parent for path in paired}
    found = Found()
    listed, spoken = {*recordings, *other}, {transcript(path) for path in paired}
    for path in below:
        if path.parent not in with_text:
            continue
        if path.suffix.lower() == ".txt" and path not in spoken and path.name not in (SKIPPED, NOTED):
            found.leave_out("transcripts without a recording", f"{path}: no recording has its name.")
        if path not in listed:
            continue
        parts = path.relative_to(folder).parts
        split = SPLITS.get(parts[0].lower(), "train") if len(parts) > 1 else "train"
        # Without a transcript among others that have one: it is counted as such, not overlooked.
        try:
            text = text_of(beside) if (beside := transcript(path)) else ""
        except ManifestError as error:
            found.leave_out("transcripts that are not UTF-8", str(error))
            continue
        found.recordings.append(Recording(path, text, (split,), _name(path, folder)))
    if not paired:
        raise ManifestError(f"{folder} holds no sound with a .txt of the same name beside it.")
    if elsewhere := [path for path in recordings if path.parent not in with_text]:
        found.notes.append(
            f"{len(elsewhere):,} recordings are not taken: no recording in their folder has a .txt beside it, such as "
            f"{elsewhere[0]}"
        )
    return found


def _folded(path: Path) -> tuple[Path, str]:
    """Where a file lies and what it is called, whatever its suffix and its capitals."""
    return path.parent, path.stem.casefold()


def _may_be_sound(path: Path) -> bool:
    kind, _ = mimetypes.guess_type(path.name)
    return path.suffix != "" and path.suffix.lower() != ".txt" and (kind or "audio/").startswith(("audio/", "video/"))


def _name(path: Path, base: Path) -> str:
    """A name that is the path below `base`, or the stem and a hash of the way to where it lies elsewhere."""
    way = Path(os.path.relpath(path, base))
    name = way.with_suffix("") if is_recording(way) else way
    if ".." not in way.parts:
        return str(name)
    return f"{name.name}-{hashlib.sha256(os.fsencode(way)).hexdigest()[:8]}"
