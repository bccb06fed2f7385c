"""Recordings of users who agree, kept as training data: a wav each, and a line in a manifest that people correct."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import uuid
from datetime import datetime, timezone
from pathlib import Path

import soundfile

from heyjetson.errors import OptionError
from heyjetson.server.sound import Clip


class Keeper:
    """A folder that grows.

    Args:
        folder: made where it is missing.

    Raises:
        OptionError: nothing can be written there.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.manifest = folder / "manifest.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.manifest.touch()
            self.manifest.chmod(0o600)  # the folder may be older, and open to others
        except OSError as error:
            raise OptionError(f"Nothing can be kept in {folder} ({error.strerror}): choose another --keep.") from None

    def keep(self, clip: Clip, text: str) -> str:
        """Write a recording and what was understood of it.

        Args:
            clip: the recording, as decoded.
            text: the transcript, to be corrected.

        Returns:
            the name of the wav, which no client chose.

        Raises:
            OSError, RuntimeError: the disk is full, or cannot be written; nothing of the recording is left there.
        """
        name = f"{uuid.uuid4().hex}.wav"
        path = self.folder / name
        try:
            path.touch(0o600, exist_ok=False)
            soundfile.write(path, clip.samples, clip.rate, subtype="PCM_16")
            self._add(name, clip, text)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return name

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
