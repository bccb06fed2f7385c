"""Sound as it comes: from a microphone through sounddevice, from sox's `rec` or alsa's `arecord`, or from a pipe."""

from __future__ import annotations

import contextlib
import logging
import queue
import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from heyjetson.errors import AudioError

LOG = logging.getLogger(__name__)

CHUNK = 0.08  # seconds; half of it would wake a process that only listens twice as often
WAITING = 250  # chunks that may wait before sound is lost: 20 s
VANISHED = 2.0  # seconds without a chunk after which a microphone is gone
RETRY = 1.0  # seconds between attempts to reach it again
HEADERS = (b"RIFF", b"RF64", b"FORM", b"caff", b"fLaC", b"OggS")  # that files of sound begin with
LINES = 8  # that a recorder says about lost sound, of which more came at once


def from_pipe(
    pipe: BinaryIO, rate: int, channels: int = 1, wanted: Callable[[], int] | None = None
) -> Iterator[np.ndarray]:
    """Chunks of int16 from raw 16-bit little-endian samples, until the pipe ends.

    Args:
        pipe: what is read.
        rate: hertz.
        channels: that take turns in it.
        wanted: samples that are worth waiting for, such as a stream's `missing`; None takes what has come, `CHUNK` at
            most.

    Yields:
        [S] of one channel, [S, channels] of several. What has come is given before an interruption is raised.

    Raises:
        AudioError: it is a file with a header, whose rate and channels would not be heeded.
    """
    frame = 2 * channels  # bytes
    most = max(round(CHUNK * rate), 1)
    few = max(most // 8, 1)  # what a stream wants is not known to the sample where it has a resampler
    held = bytearray()
    interruption = None
    open_still = begins = True
    while open_still:
        least = max(wanted(), few) if wanted else 1
        try:
            while open_still and len(held) < least * frame:
                data = pipe.read1((least if wanted else most) * frame - len(held))  # type: ignore[attr-defined]
                held += data
                open_still = bool(data)
        except KeyboardInterrupt as raised:
            interruption, open_still = raised, False
        if begins and held.startswith(HEADERS):
            raise AudioError(
                f"This is a file of sound, which begins with {held[:4].decode()}, not raw 16-bit samples. Send those "
                "(arecord -t raw, sox … -t raw -e signed -b 16 -), or give the file to `heyjetson transcribe`."
            )
        begins = False
        if whole := len(held) // frame * frame:
            samples = np.frombuffer(bytes(held[:whole]), "<i2")
            del held[:whole]
            yield samples if channels == 1 else samples.reshape(-1, channels)
    if interruption:
        raise interruption


def from_microphone(
    rate: int, device: str | int | None = None, channels: int = 1, wanted: Callable[[], int] | None = None
) -> Iterator[np.ndarray]:
    """Chunks of int16 from a microphone, until the caller stops.

    One that vanishes is waited for, with silence in the place of what is lost: time goes on, and an utterance that was
    cut ends. A line on standard error says so, and for how long.

    Args:
        rate: hertz.
        device: name or number for sounddevice; the default microphone when None.
        channels: to record.
        wanted: see `from_pipe`; sounddevice gives chunks of one length, which it is told when it begins.

    Yields:
        [S] of one channel, [S, channels] of several.

    Raises:
        AudioError: there is no microphone to begin with, or nothing to reach it with.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the library it wraps, PortAudio, is not there
        reason = f"sounddevice is not usable here ({error})"
        return _lasting(lambda again: from_recorder(rate, reason, channels, wanted), rate, channels)
    return _lasting(lambda again: _from_sounddevice(sounddevice, rate, device, channels, again), rate, channels)


def _lasting(connect: Callable[[bool], Iterator[np.ndarray]], rate: int, channels: int) -> Iterator[np.ndarray]:
    """A source that is opened again whenever it ends.

    Args:
        connect: opens it, given whether it was open before; what it returns ends, or raises `AudioError`, when the
            microphone is gone.
        rate: hertz.
        channels: of the silence that is given meanwhile.

    Raises:
        AudioError: it never gave a chunk.
    """
    last = None  # when there was sound, or silence in its place
    gone = None  # since when it is away
    while True:
        try:
            for chunk in connect(last is not None):
                if gone is not None:
                    lost = time.monotonic() - gone
                    LOG.warning(f"the microphone is back; {lost:.1f} s of sound were lost.")
                    gone = None
                last = time.monotonic()
                yield chunk
        except AudioError:
            if last is None:
                raise
        if last is None:
            raise AudioError("The microphone gives no sound: is it connected, and free of other programs?")
        if gone is None:
            gone = last
            LOG.warning("the microphone is gone; waiting for it.")
        time.sleep(RETRY)
        now = time.monotonic()
        samples = round((now - last) * rate)
        last = now
        yield np.zeros(samples if channels == 1 else (samples, channels), np.int16)


def _from_sounddevice(
    sounddevice: Any, rate: int, device: str | int | None, channels: int, again: bool
) -> Iterator[np.ndarray]:
    """Chunks until the microphone is gone: PortAudio says nothing then, its callback just is not called any more."""
    chunks: queue.Queue[np.ndarray] = queue.Queue(WAITING)
    lost, overflowed = 0, False

    def take(data: np.ndarray, frames: int, when: Any, status: Any) -> None:
        nonlocal lost, overflowed
        overflowed |= bool(status and status.input_overflow)
        try:
            chunks.put_nowait(data[:, 0].copy() if channels == 1 else data.copy())
        except queue.Full:
            lost += 1

    size = round(CHUNK * rate)
    try:
        if again:  # PortAudio lists the devices when it starts: one that is plugged in again needs a new start
            with contextlib.suppress(sounddevice.PortAudioError):
                sounddevice._terminate()
            sounddevice._initialize()
        source = sounddevice.InputStream(rate, size, device, channels=channels, dtype="int16", callback=take)
        source.start()
    except (sounddevice.PortAudioError, ValueError) as error:
        raise AudioError(
            f"The microphone cannot be opened ({error}). `heyjetson doctor` lists the devices; choose with --device."
        ) from None
    with source:
        while True:
            if lost:
                LOG.warning(f"{lost * CHUNK:.1f} s of sound were lost: this device is too slow.")
                lost = 0
            if overflowed:
                LOG.warning("sound was lost before it came here, how much is not known: this device is too slow.")
                overflowed = False
            try:
                chunk = chunks.get(timeout=VANISHED)
            except queue.Empty:
                return
            yield chunk


def from_recorder(
    rate: int, why: str, channels: int = 1, wanted: Callable[[], int] | None = None
) -> Iterator[np.ndarray]:
    """Chunks from `rec` or `arecord`, whichever is installed; see `from_pipe`.

    What it says while it records, of lost sound mostly, is a line on standard error.

    Raises:
        AudioError: neither is, or it ends.
    """
    count = str(channels)
    commands = {
        "rec": ["rec", "-q", "-t", "raw", "-r", str(rate), "-e", "signed", "-b", "16", "-c", count, "-"],
        "arecord": ["arecord", "-q", "-t", "raw", "-r", str(rate), "-f", "S16_LE", "-c", count],
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
            said: deque[str] = deque(maxlen=LINES)
            # Read all the time: a recorder that nobody listens to stands still once the pipe is full.
            reading = threading.Thread(target=_read_lines, args=(process.stderr, said), daemon=True)
            reading.start()
            begun, reason = False, "without a word"
            for chunk in from_pipe(process.stdout, rate, channels, wanted):  # type: ignore[arg-type]
                while said:
                    reason = said.popleft()
                    if begun:  # before, it names what it opens
                        LOG.warning(f"{name}: {reason}")
                begun = True
                yield chunk
            reading.join(VANISHED)
            reason = said[-1] if said else reason
            raise AudioError(f"{name} ended ({reason}): is a microphone connected?")
        finally:
            process.terminate()


def _read_lines(pipe: BinaryIO, lines: deque[str]) -> None:
    """Keep what a program says, as it says it; of too much the last."""
    for raw in iter(lambda: pipe.readline(1 << 12), b""):
        if line := raw.decode(errors="replace").strip():
            lines.append(line)
