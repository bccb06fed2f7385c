"""Recordings of users who agree, kept as training data: a wav each, and a line in a manifest that people correct."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import threading
import uuid
from datetime import datetime, timezone
from pathlib import Path

import soundfile

from heyjetson.errors import OptionError, no_room
from heyjetson.server import prometheus
from heyjetson.server.audio.uploads import Clip
from heyjetson.server.disk_quota import Quota
from heyjetson.server.errors import FullError

CURE = "The operator makes room in the folder of --keep and starts the server again, or {}."
LOG = logging.getLogger("heyjetson.server")
SAMPLE_BYTES = 2
HEADER_BYTES = 44


class RecordingStore:
    """A folder that grows, up to a bound.

    Args:
        folder: made where it is missing.
        most: bytes that its recordings may take; those of earlier servers count.
        free: bytes that are left free on its disk.

    Raises:
        OptionError: nothing can be written there.
    """

    def __init__(self, folder: Path, most: int, free: int):
        self.folder = folder
        self.manifest = folder / "manifest.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.manifest.touch()
            self.manifest.chmod(0o600)  # the folder may be older, and open to others
            self._size = sum(entry.stat().st_size for entry in os.scandir(folder) if entry.is_file())
        except OSError as error:
            raise OptionError(f"Nothing can be kept in {folder} ({error.strerror}): choose another --keep.") from None
        prometheus.KEPT.set(self._size)
        self._lock = threading.Lock()
        self._quota = Quota("recordings", "that are kept", folder, most, free, CURE, "--keep-mib")

    def keep(self, clip: Clip, text: str) -> str:
        """Write a recording and what was understood of it.

        Args:
            clip: the recording, as decoded.
            text: the transcript, to be corrected.

        Returns:
            the name of the wav, which no client chose.

        Raises:
            FullError: there is no room for it.
            OSError, RuntimeError: it cannot be written; nothing of the recording is left there.
        """
        name = f"{uuid.uuid4().hex}.wav"
        path = self.folder / name
        size = HEADER_BYTES + SAMPLE_BYTES * clip.samples.size  # of the wav, however small the upload was
        self._claim(size)
        try:
            path.touch(0o600, exist_ok=False)
            soundfile.write(path, clip.samples, clip.rate, subtype="PCM_16")
            self._add(name, clip, text)
        except BaseException:
            path.unlink(missing_ok=True)
            self._count(-size)
            raise
        return name

    def try_to_keep(self, clip: Clip, text: str) -> str | None:
        """Keep a recording; where it fails, a sentence for who sent it, and the rest for the log."""
        try:
            self.keep(clip, text)
        except FullError as error:
            return f"The recording was not kept. {error}"
        except Exception as error:
            if no_room(error) is not None:
                self._quota.want.tell(f"Recordings cannot be kept in {self.folder}: its disk is full.")
            else:
                LOG.exception("A recording could not be kept.")
            return "The recording was not kept: it could not be written. The server's log says why."
        return None

    def _claim(self, size: int) -> None:
        """Take room for so many bytes.

        Raises:
            FullError: there is none.
        """
        with self._lock:
            self._quota.require(self._size, size)
            self._size += size
            prometheus.KEPT.set(self._size)

    def _count(self, change: int) -> None:
        with self._lock:
            self._size += change
            prometheus.KEPT.set(self._size)

    def _add(self, name: str, clip: Clip, text: str) -> None:
        line = {
            "audio_filepath": name,
            "duration": round(clip.seconds, 3),
            "text": text,
            "consent": True,
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        written = (json.dumps(line, ensure_ascii=False) + "\n").encode()
        with self.manifest.open("ab", buffering=0) as manifest:
            fcntl.flock(manifest, fcntl.LOCK_EX)  # until it is closed; other processes may write, too
            end = os.fstat(manifest.fileno()).st_size
            if manifest.write(written) < len(written):
                manifest.truncate(end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._count(len(written))
