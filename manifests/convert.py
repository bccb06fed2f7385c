"""Any recording, or a segment of one → 16-bit mono wav at one rate. The source is never written to."""

from __future__ import annotations

import hashlib
import io
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from heyjetson.audio import Length, Sound, is_recording, measure, named, read_sound, resample
from heyjetson.audio.channels import channel_number
from heyjetson.errors import AudioError
from manifests.lines import ManifestError, Utterance
from manifests.notes import Notes
from manifests.show import LONGEST_PATH, short

SHORTEST = 0.001  # seconds; less is as good as nothing, and a manifest would say 0.0
SILENCE = 1e-4  # swing; 16-bit sound that never leaves its lowest three steps holds no speech
SILENT = "It is silent, and train.py refuses silent recordings. Record it again, or remove it."
SLACK = 0.01  # seconds that a segment may end after its recording: times are rounded
SEEKABLE = (".wav", ".flac")  # a segment of others is decoded from the beginning of the recording
_UNREADABLE = (soundfile.SoundFileError, RuntimeError, OSError)


class CutError(ManifestError):
    """A recording ends before its own header says, or before the segment that is wanted."""


@dataclass(frozen=True)
class Converted:
    """What came of a recording.

    Args:
        seconds: its length.
        notes: what a user should know of it, a sentence each.
    """

    seconds: float
    notes: tuple[str, ...] = ()


def files(folder: Path) -> Iterator[Path]:
    """Files anywhere below a folder, through links as well, in one order on any machine; hidden ones are left out.

    Raises:
        ManifestError: a folder cannot be read.
    """

    def failed(error: OSError) -> None:
        raise ManifestError(f"The folder {error.filename} cannot be read ({error.strerror}).")

    seen = set()
    for at, folders, names in os.walk(folder, onerror=failed, followlinks=True):
        real = os.path.realpath(at)
        if real in seen:  # a link back to where we are would never end
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(at, name) for name in sorted(names) if not name.startswith("."))


def sounds(folder: Path) -> dict[str, Path]:
    """Recordings anywhere below a folder by their names without suffix.

    Raises:
        ManifestError: a folder cannot be read, or two folders hold recordings of one name.
    """
    found: dict[str, Path] = {}
    for path in files(folder):
        if is_recording(path):
            first = found.setdefault(path.stem, path)
            if first.parent != path.parent:
                raise ManifestError(f"{first} and {path} have one name: which is meant? Move one of them elsewhere.")
    return found


def decode(path: Path, channels: str = "mix", offset: float = 0.0, duration: float | None = None) -> Sound:
    """Read a recording, or a segment of it, as mono at its own rate: all of it, or not at all.

    Args:
        path: of the recording.
        channels: see `heyjetson.audio.to_mono`.
        offset: seconds before the segment that is wanted.
        duration: seconds of it; to the end when None.

    Raises:
        CutError: what is there is not all.
        ManifestError: nothing here can read it, or it holds nothing; the message has the reasons.
    """
    return Segments(path, channels).read(offset, duration)


def sound_of(utterance: Utterance, sample_rate: int, channels: str = "mix", notes: Notes | None = None) -> np.ndarray:
    """Sound of an utterance at a sample rate, [S] float32; see `decode`. What is noted of it goes into `notes`."""
    sound = decode(utterance.audio, channels, *utterance.segment)
    if notes is not None:
        notes.add(str(utterance.audio), sound.notes)
    return resample(sound.samples, sound.rate, sample_rate)


class Segments:
    """A recording of which segments are wanted.

    Args:
        path: of the recording.
        channels: see `heyjetson.audio.to_mono`.
        keep: hold all of it in memory from the first `read` on, where each would begin to decode at its beginning.
    """

    def __init__(self, path: Path, channels: str = "mix", keep: bool = False):
        self.path, self.channels = path, channels
        self.keep = keep and path.suffix.lower() not in SEEKABLE
        self._all: Sound | None = None

    def read(self, offset: float, duration: float | None) -> Sound:
        """A segment as mono; see `decode`."""
        with naming(self.path):
            if self.keep:
                self._all = self._all or read_sound(self.path)
                sound = _cut_out(self.path, self._all, offset, duration).mono(self.channels)
            else:
                sound = read_sound(self.path, channels=self.channels, offset=offset, duration=duration)
        if sound.missing:
            raise _cut(self.path, offset + sound.seconds, sound.missing)
        _lasting(self.path, sound.seconds)
        return sound


def _cut_out(path: Path, sound: Sound, offset: float, duration: float | None) -> Sound:
    inside(path, Length(sound.seconds, sound.rate, sound.channels, sound.missing), offset, duration)
    start = round(offset * sound.rate)
    stop = None if duration is None else start + round(duration * sound.rate)
    notes = () if sound.missing else sound.notes  # what is missing is missing elsewhere
    return replace(sound, samples=sound.samples[start:stop], missing=0.0, notes=notes)


def inside(path: Path, length: Length, offset: float, duration: float | None) -> float:
    """Seconds of a segment.

    Args:
        path: of the recording, for messages.
        length: of all of it.
        offset: seconds before the segment.
        duration: seconds of it; to the end when None.

    Raises:
        CutError: it may have been there before the recording was cut short.
        ManifestError: it is not within the recording.
    """
    if duration is None and length.missing:
        raise _cut(path, length.seconds, length.missing)
    end = length.seconds if duration is None else offset + duration
    if 0 <= offset < length.seconds and end <= length.seconds + SLACK:
        return end - offset
    if length.missing:
        raise _cut(path, length.seconds, length.missing)
    raise ManifestError(
        f"{path}: the segment of {offset:.2f} to {end:.2f} s is not within the recording, which lasts "
        f"{length.seconds:.2f} s. Correct its offset and duration."
    )


def convert(
    source: Path | Segments,
    target: Path,
    sample_rate: int,
    channels: str = "mix",
    offset: float | None = None,
    duration: float | None = None,
) -> Converted:
    """Write a recording, or a segment of it, as 16-bit mono wav.

    A target that was made of the same, with the time of its source, is kept.

    Args:
        source: the recording.
        target: where to; its folder is made.
        sample_rate: hertz.
        channels: see `heyjetson.audio.to_mono`.
        offset: seconds before the segment; None where all of the recording is wanted.
        duration: seconds of the segment; to the end when None.

    Raises:
        CutError: the source ends too early.
        ManifestError: the source cannot be read, holds nothing, or is the target itself.
        OSError: the target cannot be written.
    """
    segments = source if isinstance(source, Segments) else Segments(source, channels)
    path = segments.path
    require_file(path)
    original = path.stat()
    # Copies of a corpus have one time in all files: another source of that name is known by its path, which stays here.
    place = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:16]
    source_of = {"place": place, "bytes": original.st_size}
    recipe = {"channels": segments.channels, "offset": offset, "duration": duration, **source_of}
    finished = _finished(path, original, target, sample_rate, recipe)
    if finished is not None:
        return finished
    sound = segments.read(offset or 0.0, duration)
    samples = resample(sound.samples, sound.rate, sample_rate)
    seconds = _lasting(path, len(samples) / sample_rate)
    notes = (*sound.notes, SILENT) if is_silent(sound.samples) else sound.notes
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{os.getpid()}-{threading.get_ident()}.part")  # a kill leaves no half of a wav behind
    written = io.BytesIO()  # of a full disk libsndfile would not say that it is full
    with soundfile.SoundFile(written, "w", sample_rate, 1, "PCM_16", format="WAV") as out:
        out.comment = json.dumps(recipe | {"notes": notes})  # what it was made of, for the next time
        # By 32768, as it was read: what is 16-bit mono at this rate already stays as it is, bit for bit.
        out.write(np.rint(samples * 32768).clip(-32768, 32767).astype(np.int16))
    try:
        partial.write_bytes(written.getbuffer())
        os.utime(partial, ns=(original.st_atime_ns, original.st_mtime_ns))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return Converted(seconds, notes)


def _finished(
    source: Path, original: os.stat_result, target: Path, sample_rate: int, recipe: dict[str, Any]
) -> Converted | None:
    try:
        there = target.stat()
    except FileNotFoundError:
        return None
    if os.path.samestat(there, original):
        raise ManifestError(f"{source} would be overwritten by its own conversion: give another --out.")
    if abs(there.st_mtime - original.st_mtime) > 2:  # exFAT counts in steps of two seconds
        return None
    # A power cut may leave an empty file under a finished name; one without a recipe was made by another reader.
    with suppress(ValueError, TypeError, KeyError, *_UNREADABLE), soundfile.SoundFile(target) as file:
        made = dict(json.loads(file.comment))
        notes = tuple(made.pop("notes"))
        if made == recipe and file.frames and file.samplerate == sample_rate:
            return Converted(file.frames / sample_rate, notes)
    return None


def swing(samples: np.ndarray) -> float:
    """How far sound, [S] or [S, C], goes from its middle: its peak, without a constant offset."""
    if not len(samples):
        return 0.0
    return float(np.max(samples.max(axis=0) - samples.min(axis=0))) / 2


def is_silent(samples: np.ndarray) -> bool:
    """Whether sound, floats of which full scale is 1, holds nothing that could be speech; a constant is nothing."""
    return swing(samples) < SILENCE


def length(path: Path) -> Length:
    """How long a recording is in truth: from its header where that can be trusted, else decoded.

    Raises:
        ManifestError: the file is missing, unreadable or empty.
    """
    require_file(path)
    with naming(path):
        found = measure(path)
    _lasting(path, found.seconds)
    return found


def duration(path: Path) -> float:
    """Seconds of a recording that is whole; see `length`.

    Raises:
        CutError: it is cut short.
        ManifestError: the file is missing, unreadable or empty.
    """
    return inside(path, length(path), 0.0, None)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Whatever is wrong with a recording becomes a `ManifestError` that names it."""
    require_file(path)
    try:
        yield
    except AudioError as error:
        raise ManifestError(named(error, path)) from None


def require_channels(channels: str) -> None:
    """Refuse a choice of channels that is none.

    Raises:
        ManifestError: it says what may be chosen.
    """
    try:
        channel_number(channels)
    except AudioError as error:
        raise ManifestError(str(error)) from None


def require_file(path: Path) -> None:
    """Refuse what is not there, or is no file.

    Raises:
        ManifestError: it names the path.
    """
    try:
        if not path.is_file():
            raise ManifestError(f"{path} is a folder, not a recording." if path.is_dir() else f"{path} does not exist.")
    except OSError as error:
        raise ManifestError(f"{short(str(path), LONGEST_PATH)} cannot be read ({error.strerror}).") from None


def _cut(path: Path, there: float, missing: float) -> CutError:
    return CutError(f"{path} is cut short: {there:.2f} s are there of {there + missing:.2f}. Fetch it again.")


def _lasting(path: Path, seconds: float) -> float:
    if seconds < SHORTEST:
        raise ManifestError(f"{path} holds no samples. Record it again, or remove it.")
    return seconds
