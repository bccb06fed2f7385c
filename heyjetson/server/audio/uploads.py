"""Recordings that clients send, decoded in a process of its own: what breaks a decoder does not break the server."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from heyjetson.audio import choose
from heyjetson.server.child_process import BY_OTHERS, Child, ended, receive
from heyjetson.server.children import Children
from heyjetson.server.errors import BusyError, RequestError
from heyjetson.server.settings import Settings
from heyjetson.server.workers import Workers

if TYPE_CHECKING:
    from fastapi import UploadFile


LOG = logging.getLogger("heyjetson.server")
SCRIPT = Path(__file__).with_name("decode_process.py")
PROCESSES = 2
KILLED = (
    "The process that decodes was killed twice, most likely because the machine is short of memory: the file may be "
    "good. Try again in a while."
)
TIMES = 2  # the processor seconds of a file, that it may take by the clock
SLACK = 30.0  # seconds
SHARE = 4  # of the memory for decoding that one recording may fill


class _EndedError(Exception):
    """A process ended while it decoded.

    Args:
        killed: from outside, or there was none: nothing is known of the file.
    """

    def __init__(self, killed: bool):
        self.killed = killed


@dataclass
class Clip:
    """A recording.

    Args:
        samples: [S, C] float32.
        rate: hertz.
        missing: seconds that are known to be missing, see `heyjetson.audio.Sound`.
        notes: what a user should know of it, such as channels that cancel.
        recorded: hertz of the file, which may be more than the samples have; 0 where they are the file's.
    """

    samples: np.ndarray
    rate: int
    missing: float = 0.0
    notes: tuple[str, ...] = ()
    recorded: int = 0

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / self.rate

    @property
    def mono(self) -> np.ndarray:
        """Mean of the channels, or the louder one where they cancel, [S]."""
        return choose(self.samples)[0]


def noted(clip: Clip, notes: Sequence[str] | None = None) -> dict[str, Any]:
    """What an answer says of a recording that is not as it should be: nothing where all is well.

    Args:
        clip: the recording.
        notes: what else is to be said, with those of the clip; these alone when None.
    """
    more: dict[str, Any] = {"missing_seconds": round(clip.missing, 3)} if clip.missing else {}
    said = list(clip.notes if notes is None else notes)
    return more | ({"notes": said} if said else {})


class Decoders(Children):
    """Processes that decode uploads, a file at a time each.

    Args:
        settings: with the limits.
        rate: hertz; sound with more is resampled to it, since no model here hears more.
    """

    def __init__(self, settings: Settings, rate: int):
        # A file has two tries, and its processes are killed before: this deadline is for what is stuck all the same.
        workers = Workers(PROCESSES, settings.queue, "decode", 2 * TIMES * settings.decode_seconds + SLACK)
        super().__init__(workers, SCRIPT, settings.decode_bytes, PROCESSES)
        self.settings = settings
        self.rate = rate
        self._lock = threading.RLock()  # a clip may be collected, and released, anywhere
        self._held = 0  # bytes of the clips that live

    def start(self) -> None:
        """Start the processes, so that the first upload need not wait for them; returns at once."""
        for _ in range(PROCESSES - self.workers.held - self._idle.qsize()):
            self._idle.put(self._spawn())

    async def decode(self, file: BinaryIO, size: int) -> Clip:
        """Decode a file.

        Args:
            file: at its beginning.
            size: its bytes.

        Raises:
            RequestError: 4xx, the file cannot be used; 503, too much is in work.
        """
        self._require_room()
        return await self.workers.run(self._decode, file, size)

    def _require_room(self) -> None:
        """Refuse what would not fit: as many clips as there are processes come on top of those that live."""
        with self._lock:
            if self._held > self.settings.decode_bytes * (SHARE - PROCESSES) // SHARE:
                raise BusyError()

    def _decode(self, file: BinaryIO, size: int) -> Clip:
        self._require_room()  # again: those that were before it in the queue have grown
        try:
            clip = self._try(file, size)
        except _EndedError:
            file.seek(0)
            try:
                clip = self._try(file, size)
            except _EndedError as error:
                if error.killed:
                    raise RequestError(503, KILLED, "decoder_killed", {"Retry-After": "10"}) from None
                message = "The file cannot be decoded, it breaks the decoder: convert it to wav or flac."
                raise RequestError(422, message, "broken") from None
        self._hold(clip)
        return clip

    def _try(self, file: BinaryIO, size: int) -> Clip:
        """Decode with the next process that is idle.

        Raises:
            RequestError: the file is refused, or takes too long.
            _EndedError: the process ended, or none could be started.
        """
        try:
            child = self._living()
        except OSError as error:
            LOG.error("No process that decodes can be started: %s", error)
            raise _EndedError(True) from None
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            child.kill()

        timer = threading.Timer(TIMES * self.settings.decode_seconds, expire)
        timer.daemon = True
        timer.start()
        try:
            clip = self._converse(child, file, size)
        except RequestError:
            self._give_back(child)
            raise
        except BaseException as error:
            status = ended(child)
            if expired.is_set() or status == -signal.SIGXCPU:
                message = "The file takes too long to decode: convert it to wav or flac."
                raise RequestError(422, message, "too_slow") from None
            if not isinstance(error, OSError | EOFError):
                raise
            killed = status in BY_OTHERS
            LOG.error("A process that decodes ended by itself, or was killed: status %s.", status)
            raise _EndedError(killed) from None
        finally:
            timer.cancel()
        self._give_back(child)
        return clip

    def _converse(self, child: Child, file: BinaryIO, size: int) -> Clip:
        """Give a process its task and gather what it sends.

        Raises:
            RequestError: the file is refused; the process is ready for the next one.
            EOFError, OSError: the process ended.
        """
        assert child.stdin and child.stdout
        task = {
            "bytes": size,
            "seconds": self.settings.audio_seconds,
            "values": self.settings.decode_bytes // SHARE // 4,
            "rate": self.rate,
            "processor_seconds": self.settings.decode_seconds,
        }
        child.stdin.write(json.dumps(task).encode() + b"\n")
        shutil.copyfileobj(file, child.stdin, 2**20)
        child.stdin.flush()
        header: dict[str, int] = {}
        sound = bytearray()
        while True:
            letter, body = receive(child.stdout)
            if letter == b"B":
                sound += body
            elif letter == b"H":
                header = json.loads(body)
            elif letter == b"X":
                status, code, message = json.loads(body)
                raise RequestError(status, message, code)
            else:
                samples = np.frombuffer(sound, np.float32).reshape(-1, header["channels"])
                end = json.loads(body)
                mixed = choose(samples)[1]
                notes = (*end["notes"], mixed) if mixed else tuple(end["notes"])
                return Clip(samples, header["rate"], end["missing"], notes, header["recorded"])

    def _hold(self, clip: Clip) -> None:
        """Count a clip's memory until it is gone."""
        size = clip.samples.nbytes
        with self._lock:
            self._held += size
        released = weakref.finalize(clip, self._release, size)
        released.atexit = False  # type: ignore[misc]

    def _release(self, size: int) -> None:
        with self._lock:
            self._held -= size


async def read_clip(decoders: Decoders, upload: UploadFile) -> Clip:
    """Decode what a client sent.

    Args:
        decoders: processes for it.
        upload: of the form.

    Returns:
        the recording at its own rate, or at the models' where that is lower.

    Raises:
        RequestError: 413, too long or too large; 415, of no known format; 422, empty or broken; 503, too much is in
            work.
    """
    size = upload.file.seek(0, os.SEEK_END)
    upload.file.seek(0)
    return await decoders.decode(upload.file, size)
