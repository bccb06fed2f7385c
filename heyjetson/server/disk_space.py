"""Room on disks: how much is free, and that it is told once when there is none."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

from heyjetson.server import prometheus

LOG = logging.getLogger("heyjetson.server")


def room_of(folder: Path) -> int:
    """Bytes that may still be written on the disk of a folder, which need not exist yet.

    Raises:
        OSError: nobody can say.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def temporary() -> str:
    """The folder of temporary files, as the operator knows it."""
    try:
        return tempfile.gettempdir()
    except OSError:
        return os.environ.get("TMPDIR", "/tmp")


class Want:
    """Want of room: each time is counted, and the first since there was room is in the log.

    Args:
        what: cannot be written, for the metrics.
    """

    def __init__(self, what: str):
        self.what = what
        self._told = False

    def tell(self, message: str) -> None:
        """There is no room."""
        prometheus.FULL.labels(self.what).inc()
        if not self._told:
            self._told = True
            LOG.error("%s", message)

    def over(self) -> None:
        """There is."""
        self._told = False
