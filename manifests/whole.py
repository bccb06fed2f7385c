"""Files and folders that are whole or not there: written beside their place, and on the disk before they take it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heyjetson.errors import no_room

PART = ".part"


class NoRoomError(OSError):
    """A file does not fit where it is to be written; what stood there before stands there still."""


@contextmanager
def whole_file(path: Path, needed: float = 0) -> Iterator[Path]:
    """A path beside a file, to write it at; left without an error, the file takes its place.

    A process that is killed, or a power that fails, leaves the file as it was or as it shall be, and perhaps
    `NAME.part`, which the next one overwrites.

    Args:
        path: of the file; its folder is made.
        needed: bytes, where they are known, for the message.

    Raises:
        NoRoomError: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + PART)
    try:
        yield part
        sync(part)
        os.replace(part, path)
        sync(path.parent)
    except BaseException as error:
        written = part.stat().st_size if part.exists() else 0
        part.unlink(missing_ok=True)
        if (cause := no_room(error)) is not None:
            raise _refusal(path, max(needed, written), cause) from error
        raise


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside one, to write files in; left without an error, it takes its place as a whole.

    Args:
        folder: what stands there before is removed then; its parent is made. The new one has a parent of its own, where
            files may lie that are no part of it; it is removed in any case.
    """
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=f".{folder.name}-") as temporary:
        made = Path(temporary, "made")
        made.mkdir()
        yield made
        for path in [*made.iterdir(), made]:
            sync(path)
        if folder.exists():
            folder.replace(Path(temporary, "before"))
        made.replace(folder)
        sync(parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refusal(path: Path, needed: float, cause: OSError) -> NoRoomError:
    free = shutil.disk_usage(path.parent).free
    return NoRoomError(
        f"{path.name} needs {max(needed / 1e6, 0.1):,.1f} MB in {path.parent}, which has {free / 1e6:,.1f} MB free "
        f"({os.strerror(cause.errno or 0)}). It was not written; what was there before is untouched. Make room."
    )
