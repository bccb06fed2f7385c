"""Any recording → 16-bit mono wav at one rate. The source is never written to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from manifests.lines import ManifestError
from manifests.show import LONGEST_PATH, short

AUDIO = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".sph", ".m4a", ".aac", ".aiff", ".aif", ".au", ".webm", ".wma")
BLOCK = 1 << 20
SHORTEST = 0.001  # seconds; less is as good as nothing, and a manifest would say 0.0
_UNREADABLE = (soundfile.SoundFileError, RuntimeError, OSError, TypeError, ValueError)  # .raw is a TypeError
_UNKNOWN = 1 << 62  # frames of a stream whose header does not say how many
# libsndfile reads what is there of a file that was cut short, and says so in its log only.
_CUT = re.compile(r"^\s*(?:data|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_STREAMED = 0x7FFFF000  # sizes from here on are placeholders of programs that write to a pipe
_PLACE = re.compile(r"^(?:\[.*?\] )+")  # ffmpeg's own, with addresses
_PROGRAMS = {
    "ffmpeg": ("-v error -xerror -i", "-f au -c:a pcm_f32be -ac 1 -"),
    "sox": ("-V1", "-t au -e floating-point -b 32 -c 1 -"),
}


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
        if path.suffix.lower() in AUDIO:
            first = found.setdefault(path.stem, path)
            if first.parent != path.parent:
                raise ManifestError(f"{first} and {path} have one name: which is meant? Move one of them elsewhere.")
    return found


def decode(path: Path) -> tuple[np.ndarray, int]:
    """Read a recording: libsndfile first, then ffmpeg or sox where they are installed.

    Returns:
        samples: [S] float32, the mean of the channels.
        sample_rate: hertz.

    Raises:
        ManifestError: nothing here can read it whole; the message has the reasons.
    """
    _require_file(path)
    try:
        with soundfile.SoundFile(path) as file:
            rate, promised = file.samplerate, _promised(file)
            samples = _samples(file)
    except _UNREADABLE as error:
        return _decode_elsewhere(path, _reason(error))
    _refuse_cut(path, len(samples) / rate, promised)
    return samples, rate


def _samples(file: soundfile.SoundFile) -> np.ndarray:
    mono = [np.zeros(0, np.float32)]
    while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
        mono.append(block.mean(axis=1) if block.shape[1] > 1 else block[:, 0])
    return np.concatenate(mono)


def _decode_elsewhere(path: Path, reason: str) -> tuple[np.ndarray, int]:
    for program, (before, after) in _PROGRAMS.items():
        if shutil.which(program) is None:
            continue
        # An absolute path begins neither with an option's dash nor with the bar of a command for sox.
        command = [program, *before.split(), str(path.absolute()), *after.split()]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        said = done.stderr.decode(errors="replace").strip()
        # Both write what they could read of a broken file, and sox then reports success.
        if done.returncode == 0 and not said and len(done.stdout) > 24:
            start, rate = (int.from_bytes(done.stdout[at : at + 4], "big") for at in (4, 16))  # Sun's .au header
            count = (len(done.stdout) - start) // 4
            return np.frombuffer(done.stdout, ">f4", count, start).astype(np.float32), rate
        reason += f"; {program}: {_PLACE.sub('', said.splitlines()[0]):.120}" if said else ""
    cure = "" if shutil.which("ffmpeg") else " Convert it to wav, or install ffmpeg, which reads more formats."
    raise ManifestError(f"{path} cannot be decoded ({reason}).{cure}")


def convert(source: Path, target: Path, sample_rate: int) -> float:
    """Write `source` to `target` as 16-bit mono wav; a target of the same rate with the time of its source is kept.

    Args:
        source: the recording.
        target: where to; its folder is made.
        sample_rate: hertz.

    Returns:
        duration in seconds.

    Raises:
        ManifestError: the source cannot be read, holds nothing, or is the target itself.
        OSError: the target cannot be written.
    """
    _require_file(source)
    original = source.stat()
    finished = _finished(source, original, target, sample_rate)
    if finished is not None:
        return finished
    samples, rate = decode(source)
    if not np.isfinite(samples).all():
        raise ManifestError(f"{source} holds samples that are not numbers. Record it again, or remove it.")
    if rate != sample_rate:
        samples = soxr.resample(samples, rate, sample_rate)
    seconds = _lasting(source, len(samples) / sample_rate)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{os.getpid()}-{threading.get_ident()}.part")  # a kill leaves no half of a wav behind
    try:
        with wave.open(str(partial), "wb") as out:
            out.setparams((1, 2, sample_rate, len(samples), "NONE", ""))
            # By 32768, as it was read: what is 16-bit mono at this rate already stays as it is, bit for bit.
            out.writeframes(np.rint(samples * 32768).clip(-32768, 32767).astype("<i2").tobytes())
        os.utime(partial, ns=(original.st_atime_ns, original.st_mtime_ns))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return seconds


def _finished(source: Path, original: os.stat_result, target: Path, sample_rate: int) -> float | None:
    try:
        there = target.stat()
    except FileNotFoundError:
        return None
    if os.path.samestat(there, original):
        raise ManifestError(f"{source} would be overwritten by its own conversion: give another --out.")
    if abs(there.st_mtime - original.st_mtime) > 2:  # exFAT counts in steps of two seconds
        return None
    try:
        header = soundfile.info(target)
    except _UNREADABLE:
        return None  # a power cut may leave an empty file under a finished name
    return header.frames / sample_rate if header.frames and header.samplerate == sample_rate else None


def duration(path: Path) -> float:
    """Seconds, from the file's header; counted where the header does not say.

    Raises:
        ManifestError: the file is missing, cut short, unreadable or empty.
    """
    _require_file(path)
    try:
        with soundfile.SoundFile(path) as file:
            promised = _promised(file)
            rate, frames = file.samplerate, file.frames
    except _UNREADABLE as error:
        raise ManifestError(f"{path} cannot be read ({_reason(error)}). Convert it to wav.") from None
    if frames >= _UNKNOWN:
        samples, rate = decode(path)
        frames = len(samples)
    seconds = frames / rate
    _refuse_cut(path, seconds, promised)
    return _lasting(path, seconds)


def _require_file(path: Path) -> None:
    try:
        if not path.is_file():
            raise ManifestError(f"{path} is a folder, not a recording." if path.is_dir() else f"{path} does not exist.")
    except OSError as error:
        raise ManifestError(f"{short(str(path), LONGEST_PATH)} cannot be read ({error.strerror}).") from None


def _promised(file: soundfile.SoundFile) -> float:
    """Seconds that the header says there are; 0 where it does not."""
    if file.frames >= _UNKNOWN:
        return 0.0
    seconds = file.frames / file.samplerate
    if (cut := _CUT.search(file.extra_info)) and int(cut[1]) < _STREAMED and int(cut[2]):
        return seconds * int(cut[1]) / int(cut[2])
    return seconds


def _refuse_cut(path: Path, seconds: float, promised: float) -> None:
    if promised - seconds > max(0.1, 0.02 * promised):
        raise ManifestError(f"{path} is cut short: {seconds:.2f} s are there of {promised:.2f}. Fetch it again.")


def _lasting(path: Path, seconds: float) -> float:
    if seconds < SHORTEST:
        raise ManifestError(f"{path} holds no samples. Record it again, or remove it.")
    return seconds


def _reason(error: Exception) -> str:
    said = getattr(error, "error_string", str(error))
    return said.removeprefix("Error : ").rstrip(".")
