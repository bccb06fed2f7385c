"""Locks that end with their process, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

_held: set[int] = set()


def lock(path: Path) -> int | None:
    """Lock a file, which is made where there is none.

    Args:
        path: of the file, in a folder that exists.

    Returns:
        what `unlock` takes; None where another process has it.

    Raises:
        OSError: the file cannot be written, or its file system has no locks.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:
        os.close(handle)
        raise
    _held.add(handle)
    return handle


def unlock(handle: int) -> None:
    """Let go of what `lock` returned."""
    _held.discard(handle)
    os.close(handle)


def _leave_to_parent() -> None:
    """In a forked process: a loader's worker that outlives a run by seconds would keep its lock as long."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_leave_to_parent)
