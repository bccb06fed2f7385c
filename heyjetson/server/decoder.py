"""The process that decodes what strangers send: numpy, soundfile, soxr and limits, nothing of the server.

`sound.Decoders` starts it. A task comes in as a line of JSON and the bytes of a file; out go
messages of a letter, a length and a body: H the header, B blocks of float32, then E the end, or X an error. A file that
breaks libsndfile breaks this process alone.
"""

from __future__ import annotations

import io
import json
import resource
import signal
import struct
import sys
import time
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr

MESSAGE = struct.Struct("<cQ")
BLOCK = 2**16  # values that are decoded at once, over all channels
CHANNELS = 64
RATES = (1000, 384_000)  # hertz; outside of them a header is broken
STREAMED = 0x7FFF_0000  # a wav that was written into a pipe claims at least so many bytes, or none
UNKNOWN = (1, 7, 18)  # libsndfile's errors: unrecognised format, MPEG without a frame, format that is not implemented


class RefusedError(Exception):
    """What the sender has to know: status, code and sentence."""


def limit(memory: int) -> None:
    """What this process may use. Signals to the whole group are the server's to answer, which closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def allow_seconds(seconds: int) -> None:
    """Move the limit of processor time on: the next task has this many seconds, then SIGXCPU ends the process."""
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + seconds + 1, resource.RLIM_INFINITY))


def send(target: BinaryIO, letter: bytes, body: Any) -> None:
    """Write a message."""
    body = body.tobytes() if isinstance(body, np.ndarray) else json.dumps(body).encode()
    target.write(MESSAGE.pack(letter, len(body)))
    target.write(body)


def cut_off(data: bytes) -> str | None:
    """Does a wav end before its header says? libsndfile would pass over that without a word.

    Returns:
        how much is there, or None where all of it is.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    place = 12
    while place + 8 <= len(data):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        if data[place : place + 4] == b"data":
            there = len(data) - place - 8
            return f"{there} of {size} bytes" if there < size < STREAMED else None
        place += 8 + size + size % 2
    return None


def open_sound(data: bytes) -> soundfile.SoundFile:
    """Open a file of any format that libsndfile knows.

    Raises:
        RefusedError: 415 or 422.
    """
    if not data:
        raise RefusedError(422, "empty", "The file is empty: choose another one, or record again.")
    unknown = RefusedError(
        415,
        "unknown_format",
        "The file is not in a format that is read here: send wav, flac, ogg, opus, mp3, aiff, au or sph.",
    )
    try:
        sound = soundfile.SoundFile(io.BytesIO(data))
    except soundfile.LibsndfileError as error:
        if error.code in UNKNOWN:
            raise unknown from None
        raise RefusedError(422, "broken", f"The file is broken ({reason(error)}): fetch or convert it again.") from None
    if sound.subtype == "MPEG_LAYER_I":  # nobody's recording: UTF-16 text begins with the same bytes
        raise unknown
    if not 1 <= sound.channels <= CHANNELS:
        raise RefusedError(
            422, "channels", f"The file claims {sound.channels} channels; 1 to {CHANNELS} are read here."
        )
    if not RATES[0] <= sound.samplerate <= RATES[1]:
        raise RefusedError(
            422,
            "rate",
            f"The file claims a sample rate of {sound.samplerate} Hz; {RATES[0]} to {RATES[1]} are read here.",
        )
    if there := cut_off(data):
        raise RefusedError(422, "cut_off", f"The file was cut off, {there} of its sound are there: send it again.")
    return sound


def reason(error: Exception) -> str:
    """libsndfile's words without a file name."""
    return str(error).split(": ", 1)[-1].rstrip(".")


def decode(data: bytes, task: dict[str, Any], target: BinaryIO) -> None:
    """Decode a file block by block and send it.

    Args:
        data: the file.
        task: `seconds` and `values` at most, and the `rate` above which sound is resampled to it.
        target: takes messages.

    Raises:
        RefusedError: the file is empty, broken, unknown or too long.
    """
    with open_sound(data) as sound:
        rate = min(sound.samplerate, task["rate"])
        resampler = None
        if rate < sound.samplerate:
            resampler = soxr.ResampleStream(sound.samplerate, rate, sound.channels, "float32")
        send(target, b"H", {"rate": rate, "channels": sound.channels})
        most = round(task["seconds"] * sound.samplerate)
        frames = values = 0
        while True:
            try:
                block = sound.read(max(BLOCK // sound.channels, 1), dtype="float32", always_2d=True)
            except (soundfile.LibsndfileError, RuntimeError) as error:
                seconds = frames / sound.samplerate
                raise RefusedError(
                    422, "broken", f"The file is broken after {seconds:.1f} s ({reason(error)}): send it again."
                ) from None
            last = len(block) == 0
            frames += len(block)
            if frames > most:
                raise RefusedError(
                    413, "too_long", f"The recording lasts more than {task['seconds']:g} s: cut it into shorter ones."
                )
            if not np.isfinite(block).all():
                raise RefusedError(422, "not_finite", "The sound holds values that are not numbers: convert it again.")
            if resampler:
                block = resampler.resample_chunk(block, last=last)
            values += block.size
            if values > task["values"]:
                raise RefusedError(
                    413, "too_large", "The recording takes too much memory: make it mono, or cut it into shorter ones."
                )
            if block.size:
                send(target, b"B", block)
            if last:
                break
        if frames == 0:
            raise RefusedError(422, "empty", "The file holds no sound: choose another one, or record again.")
    send(target, b"E", {})


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Do tasks until the server closes the pipe."""
    while line := source.readline():
        task = json.loads(line)
        allow_seconds(task["processor_seconds"])
        try:
            data = source.read(task["bytes"])
            decode(data, task, target)
        except RefusedError as error:
            send(target, b"X", error.args)
        except MemoryError:
            send(target, b"X", (413, "too_large", "Decoding takes too much memory: convert the file to wav or flac."))
            target.flush()
            return
        data = b""
        target.flush()


if __name__ == "__main__":
    limit(int(sys.argv[1]))
    serve(sys.stdin.buffer, sys.stdout.buffer)
