"""The process that decodes what strangers send: `heyjetson.audio` and limits, nothing of the server.

`uploads.Decoders` starts it; see `child_process`. A task is a file. Out go H the header, B blocks of float32, then E
the end with what is to be known of the file, or X an error. A file that breaks a decoder breaks this process alone. No
other program is run.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any, BinaryIO

import numpy as np
import soxr

from heyjetson.audio import open_sound
from heyjetson.errors import AudioError, EmptyError, UnknownFormatError
from heyjetson.server.child_process import RefusedError, limit, send

BLOCK = 2**16  # values that are decoded at once, over all channels
CHANNELS = 64
UNKNOWN = (
    "The file is not in a format that is read here: send wav, flac, ogg, opus, mp3, aiff, au or sph; where the server "
    "has PyAV, also webm, m4a, mp4, aac or wma."
)
RATES = (1000, 384_000)  # hertz; outside of them a header is broken


def allow_seconds(seconds: int) -> None:
    """Move the limit of processor time on: the next task has this many seconds, then SIGXCPU ends the process."""
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + seconds + 1, resource.RLIM_INFINITY))


def decode(data: bytes, task: dict[str, Any], target: BinaryIO) -> None:
    """Decode a file block by block and send it.

    Args:
        data: the file.
        task: `seconds` and `values` at most, and the `rate` above which sound is resampled to it.
        target: takes messages.

    Raises:
        RefusedError: the file is empty, broken, unknown or too long.
    """
    try:
        _decode(data, task, target)
    except UnknownFormatError:
        raise RefusedError(415, "unknown_format", UNKNOWN) from None
    except EmptyError as error:
        raise RefusedError(422, "empty", str(error)) from None
    except AudioError as error:
        raise RefusedError(422, "broken", str(error)) from None


def _decode(data: bytes, task: dict[str, Any], target: BinaryIO) -> None:
    with open_sound(data, programs=False, name="The file") as sound:
        if not 1 <= sound.channels <= CHANNELS:
            told = f"The file claims {sound.channels} channels; 1 to {CHANNELS} are read here."
            raise RefusedError(422, "channels", told)
        if not RATES[0] <= sound.rate <= RATES[1]:
            told = f"The file claims a sample rate of {sound.rate} Hz; {RATES[0]} to {RATES[1]} are read here."
            raise RefusedError(422, "rate", told)
        rate = min(sound.rate, task["rate"])
        resampler = soxr.ResampleStream(sound.rate, rate, sound.channels, "float32") if rate < sound.rate else None
        send(target, b"H", {"rate": rate, "recorded": sound.rate, "channels": sound.channels})
        most = round(task["seconds"] * sound.rate)
        frames = values = 0

        def give(block: np.ndarray) -> None:
            nonlocal values
            values += block.size
            if values > task["values"]:
                raise RefusedError(
                    413, "too_large", "The recording takes too much memory: make it mono, or cut it into shorter ones."
                )
            if block.size:
                send(target, b"B", block.tobytes())

        for block in sound.blocks(max(BLOCK // sound.channels, 1)):
            frames += len(block)
            if frames > most:
                raise RefusedError(
                    413, "too_long", f"The recording lasts more than {task['seconds']:g} s: cut it into shorter ones."
                )
            if not np.isfinite(block).all():
                raise RefusedError(422, "not_finite", "The sound holds values that are not numbers: convert it again.")
            give(resampler.resample_chunk(block) if resampler else block)
        if resampler:
            give(resampler.resample_chunk(np.zeros((0, sound.channels), np.float32), last=True))
        send(target, b"E", {"missing": sound.missing, "notes": sound.notes})


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
