"""W&B's file of a run: records one behind the other in LevelDB's log format, each a message of W&B's protocol."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

BLOCK = 32768  # bytes
BEGIN = 7  # bytes of the file's own header
HEADER = struct.Struct("<IHB")  # of a piece: checksum, size, kind
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
IDENTITY = b":W&B\xe1\xbe\x00"  # the file's header


def _pieces(content: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Kind and bytes of each piece of a record that is whole, and where it ends."""
    place = BEGIN
    while place + HEADER.size <= len(content):
        left = BLOCK - (place % BLOCK)
        if left < HEADER.size:  # the rest of a block that has no room for a header
            place += left
            continue
        _, length, kind = HEADER.unpack_from(content, place)
        end = place + HEADER.size + length
        if HEADER.size + length > left or end > len(content) or kind not in (FULL, FIRST, MIDDLE, LAST):
            return
        yield kind, content[place + HEADER.size : end], end
        place = end


def whole_length(content: bytes) -> int:
    """Bytes of a file of W&B's until the end of its last whole record."""
    return max([BEGIN, *(end for kind, _, end in _pieces(content) if kind in (FULL, LAST))])


def split(content: bytes) -> list[bytes]:
    """The whole records of a file of W&B's."""
    found, begun = [], b""
    for kind, piece, _ in _pieces(content):
        begun = piece if kind in (FULL, FIRST) else begun + piece
        if kind in (FULL, LAST):
            found.append(begun)
    return found


def joined(records: Iterable[bytes]) -> bytes:
    """A file of W&B's that holds records."""
    content = bytearray(IDENTITY)
    for record in records:
        first, rest = True, record
        while first or rest:
            left = BLOCK - len(content) % BLOCK
            if left < HEADER.size:
                content += bytes(left)
                continue
            piece, rest = rest[: left - HEADER.size], rest[left - HEADER.size :]
            kind = (FULL if not rest else FIRST) if first else (LAST if not rest else MIDDLE)
            content += HEADER.pack(zlib.crc32(bytes([kind]) + piece), len(piece), kind) + piece
            first = False
    return bytes(content)


def replace(path: Path, content: bytes) -> None:
    """Write a file anew; what lies there is never half of it."""
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(content)
    os.replace(beside, path)
