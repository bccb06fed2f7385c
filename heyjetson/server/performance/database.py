"""The SQLite file of the results: made, checked, and kept to one server."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heyjetson.errors import OptionError
from heyjetson.server import prometheus
from heyjetson.server.disk_quota import Quota
from heyjetson.server.errors import RequestError

LOG = logging.getLogger(__name__)
VERSION = 2
CURE = "Delete runs that are not needed, or the operator makes room, or {}."
_SCHEMA = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, dataset TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL,
    message TEXT NOT NULL DEFAULT '', created REAL NOT NULL, worked REAL NOT NULL DEFAULT 0,
    recordings TEXT NOT NULL DEFAULT ''
);
CREATE TABLE engines (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, position INTEGER NOT NULL, name TEXT NOT NULL,
    kind TEXT NOT NULL, identity TEXT NOT NULL, message TEXT NOT NULL DEFAULT '', PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE TABLE utterances (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, number INTEGER NOT NULL, seconds REAL NOT NULL,
    reference TEXT NOT NULL, speaker TEXT, PRIMARY KEY (run, number)
) WITHOUT ROWID;
CREATE TABLE outcomes (
    run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE, engine TEXT NOT NULL, number INTEGER NOT NULL,
    text TEXT, error TEXT, taken REAL, words INTEGER, word_errors INTEGER, characters INTEGER, character_errors INTEGER,
    cosine REAL, PRIMARY KEY (run, engine, number)
) WITHOUT ROWID;
"""


_SINCE_1 = "ALTER TABLE runs ADD COLUMN recordings TEXT NOT NULL DEFAULT '';"


class Database:
    """Short connections to one file; it is made when it is used first.

    Args:
        folder: where it lies.
        most: bytes that it may take; None sets no bound.
        free: bytes that are left free on its disk.
    """

    def __init__(self, folder: Path, most: int | None = None, free: int = 0):
        self.folder = folder
        self.path = folder / "results.sqlite"
        self._held: int | None = None  # a descriptor of the lock
        self._checked = False
        self._quota = Quota("results", "of performance runs", folder, most, free, CURE, "--max-results-mib")
        self._lock = threading.Lock()

    def _open(self) -> None:
        """Make the file, or check it; once.

        Raises:
            RequestError: it cannot be used.
        """
        with self._lock:
            if self._checked:
                return
            try:
                self._take()
            except BlockingIOError:
                raise _unusable("another server keeps its results in the same folder") from None
            except OSError as error:
                LOG.error("%s cannot be used: %s", self.folder, error)
                raise _unusable(f"their folder cannot be written ({error.strerror})") from None
            self._migrate()
            self._checked = True

    def _take(self) -> None:
        """Take the lock of the folder, once; it is let go of when the process ends, however it ends.

        Raises:
            BlockingIOError: another process has it.
            OSError: the folder cannot be written, or has no locks.
        """
        if self._held is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        held = os.open(self.folder / "results.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(held)
            raise
        self._held = held

    def lock(self) -> None:
        """Keep every other server out of the folder. One that cannot be written is told when results are asked for.

        Raises:
            OptionError: another server has it.
        """
        with self._lock:
            try:
                self._take()
            except BlockingIOError:
                raise OptionError(
                    f"Another server keeps its results in {self.folder}: end it, or choose another --state."
                ) from None
            except OSError as error:
                LOG.warning("Results of performance runs cannot be kept in %s: %s", self.folder, error)

    def _migrate(self) -> None:
        with self._connected() as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise _unusable(f"they have version {version}, this server reads up to {VERSION}")
            database.execute("PRAGMA journal_mode = WAL")
            if version < VERSION:
                made = _SINCE_1 if version else _SCHEMA
                database.executescript(f"BEGIN; {made} PRAGMA user_version = {VERSION}; COMMIT;")
        os.chmod(self.path, 0o600)  # it holds what was said

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection and a transaction of it.

        Raises:
            RequestError: the file is damaged, or the disk is full.
        """
        try:
            database = sqlite3.connect(self.path, timeout=10)
            try:
                database.row_factory = sqlite3.Row
                database.execute("PRAGMA foreign_keys = ON")
                database.execute("PRAGMA synchronous = NORMAL")
                with database:
                    yield database
            finally:
                database.close()
        except sqlite3.DatabaseError as error:
            LOG.error("%s cannot be used: %s", self.path, error)
            raise _unusable(str(error)) from None

    @contextmanager
    def transaction(self, grows: bool = False) -> Iterator[sqlite3.Connection]:
        """A connection and a transaction of it.

        Args:
            grows: more is to be written.

        Raises:
            FullError: it grows, and there is no room.
            RequestError: the file cannot be used.
        """
        self._open()
        with self._connected() as database:
            if grows:
                size = _size(database)
                prometheus.RESULTS.set(size)
                self._quota.require(size)
            yield database

    def close(self) -> None:
        """Let another server use the folder."""
        with self._lock:
            if self._held is not None:
                os.close(self._held)
                self._held = None
            self._checked = False


def _size(database: sqlite3.Connection) -> int:
    """Bytes in use in the file: those of deleted runs are used again, and not counted."""
    pages, unused, size = (
        database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - unused) * size


def _unusable(why: str) -> RequestError:
    message = f"The results cannot be kept: {why}. The operator can name another folder with --state."
    return RequestError(500, message, "results_unusable")
