"""Sound as it comes: from a microphone through sounddevice, from sox's `rec` or alsa's `arecord`, or from a pipe."""

from __future__ import annotations

import queue
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from heyjetson.errors import AudioError

CHUNK = 0.08  # seconds
WAITING = 250  # chunks that may wait before sound is lost: 20 s


def from_pipe(pipe: BinaryIO, rate: int) -> Iterator[np.ndarray]:
    """Chunks [S] of int16 from raw 16-bit little-endian mono samples, until the pipe ends."""
    size = max(round(CHUNK * rate), 1) * 2
    rest = b""
    while data := pipe.read1(size):  # type: ignore[attr-defined]
        data = rest + data
        even = len(data) // 2 * 2
        rest = data[even:]
        yield np.frombuffer(data[:even], "<i2")


def from_microphone(rate: int, device: str | int | None = None) -> Iterator[np.ndarray]:
    """Chunks [S] of int16 from a microphone, until the caller stops.

    Args:
        rate: hertz.
        device: name or number for sounddevice; the default microphone when None.

    Raises:
        AudioError: there is no microphone, or nothing to reach it with.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the library it wraps, PortAudio, is not there
        return from_recorder(rate, f"sounddevice is not usable here ({error})")
    return _from_sounddevice(sounddevice, rate, device)


def _from_sounddevice(sounddevice: Any, rate: int, device: str | int | None) -> Iterator[np.ndarray]:
    chunks: queue.Queue[np.ndarray] = queue.Queue(WAITING)
    lost = 0

    def take(data: np.ndarray, frames: int, time: Any, status: Any) -> None:
        nonlocal lost
        try:
            chunks.put_nowait(data[:, 0].copy())
        except queue.Full:
            lost += 1

    try:
        source = sounddevice.InputStream(rate, round(CHUNK * rate), device, channels=1, dtype="int16", callback=take)
        source.start()
    except (sounddevice.PortAudioError, ValueError) as error:
        raise AudioError(
            f"The microphone cannot be opened ({error}). `heyjetson doctor` lists the devices; choose with --device."
        ) from None
    with source:
        while True:
            if lost:
                print(f"heyjetson: {lost * CHUNK:.1f} s of sound were lost: this device is too slow.", file=sys.stderr)
                lost = 0
            yield chunks.get()


def from_recorder(rate: int, why: str) -> Iterator[np.ndarray]:
    """Chunks from `rec` or `arecord`, whichever is installed.

    Raises:
        AudioError: neither is, or it ends at once.
    """
    commands = {
        "rec": ["rec", "-q", "-t", "raw", "-r", str(rate), "-e", "signed", "-b", "16", "-c", "1", "-"],
        "arecord": ["arecord", "-q", "-t", "raw", "-r", str(rate), "-f", "S16_LE", "-c", "1"],
    }
    name = next((name for name in commands if shutil.which(name)), None)
    if name is None:
        raise AudioError(
            f"There is no way to a microphone: {why}, and neither rec (sox) nor arecord (alsa-utils) is installed. Run "
            'pip install "heyjetson[microphone]", or apt install sox.'
        )
    with subprocess.Popen(commands[name], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout and process.stderr
            yield from from_pipe(process.stdout, rate)  # type: ignore[arg-type]
            reason = process.stderr.read().decode(errors="replace").strip().splitlines()
            raise AudioError(f"{name} ended ({reason[-1] if reason else 'without a word'}): is a microphone connected?")
        finally:
            process.terminate()
