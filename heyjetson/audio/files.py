"""Sources as files that can be sought in, and parts of them."""

from __future__ import annotations

import io
import os
from typing import BinaryIO, cast

from heyjetson.audio.sound import Source
from heyjetson.errors import AudioError
from heyjetson.printing import quoted

STDIN = "standard input"


def name_of(source: Source) -> str:
    """What messages call it."""
    return quoted(os.fspath(source)) if isinstance(source, str | os.PathLike) else STDIN


def named(error: AudioError, source: Source) -> str:
    """What an error says, with the name of the recording it is about where that is not said yet."""
    name, said = name_of(source), str(error)
    return said if name[:200] in said else f"{name}: {said}"


def opened(source: Source) -> BinaryIO:
    """Open it at its beginning, so that it can be sought in; a pipe is read to its end first.

    Raises:
        AudioError: it is missing, a folder, or cannot be read.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    if not isinstance(source, str | os.PathLike):
        if not source.seekable():
            return io.BytesIO(source.read())
        source.seek(0)
        return source
    try:
        file = io.FileIO(source)
        if file.seekable():
            return file
        with file:
            return io.BytesIO(file.readall())
    except FileNotFoundError:
        raise AudioError(f"There is no file {name_of(source)}. Correct the path.") from None
    except IsADirectoryError:
        raise AudioError(f"{name_of(source)} is a folder, not a recording. Name a file in it.") from None
    except (OSError, ValueError) as error:  # a name that cannot be is the last
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"{name_of(source):.200} cannot be read ({reason}). Correct the path or its rights.") from None


def size_of(file: BinaryIO) -> int:
    """Bytes from the beginning to the end."""
    try:
        return os.fstat(file.fileno()).st_size
    except (OSError, AttributeError):  # it lies in memory
        return file.seek(0, os.SEEK_END)


def read_at(file: BinaryIO, place: int, count: int) -> bytes:
    """Bytes of a file, fewer where it ends."""
    file.seek(place)
    return file.read(count)


class Part(io.RawIOBase):
    """A stretch of a file as a file of its own, with some bytes replaced.

    Args:
        file: what it is part of.
        start: its first byte.
        end: the byte after its last.
        patches: bytes that are read in place of those at their positions in the part.
    """

    def __init__(self, file: BinaryIO, start: int, end: int, patches: dict[int, bytes]):
        super().__init__()
        self._file, self._start, self._size, self._patches = file, start, max(end - start, 0), patches
        self._place = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Bytes from the part's beginning."""
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a byte of the part."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(base + offset, 0)
        return self._place

    def readinto(self, buffer: object) -> int:
        """Fill a buffer as far as the part goes."""
        view = memoryview(cast(bytearray, buffer)).cast("B")
        count = max(min(len(view), self._size - self._place), 0)
        data = bytearray(read_at(self._file, self._start + self._place, count))
        for at, patch in self._patches.items():
            begin, end = max(at, self._place), min(at + len(patch), self._place + len(data))
            if begin < end:
                data[begin - self._place : end - self._place] = patch[begin - at : end - at]
        view[: len(data)] = data
        self._place += len(data)
        return len(data)
