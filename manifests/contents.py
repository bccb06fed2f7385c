"""Which files hold the same sound, whatever they are called: by the samples of wav and FLAC, by the bytes of others.

Nothing is decoded. FLAC's header has the MD5 of its samples; a wav's samples are its data chunk, so that two wavs whose
headers differ, or a wav and the FLAC of it, are one sound. Only files that are alike in rate, channels, bits and length
are compared further: by their first samples, then by three pieces, and to the end where these are alike too.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from manifests.progress import progress

T = TypeVar("T")
R = TypeVar("R")

PIECE = 4096  # bytes; a page of the file system
EARLY = 2048  # bytes; of a page with the header before them
BLOCK = 1 << 20
CHUNK = 256  # files a thread takes at once: a call each would cost more than the reading
THREADS = 4  # eight are slower than one where the files are in memory
_PCM, _EXTENSIBLE = 1, 0xFFFE


class _File(NamedTuple):
    """A file as its first page has it: `kind` is what the header says of any that holds the same sound."""

    path: str
    kind: str
    start: int
    size: int
    digest: str | None  # of the samples, where the header has it
    early: int  # hash of the first samples, in this process
    inode: tuple[int, int]


def contents(paths: Iterable[Path], known: Collection[str] = ()) -> list[str]:
    """A name for the sound of each file, in their order: two are equal where the sound is.

    Args:
        paths: files, any of them several times; those that cannot be read are each their own.
        known: names of sound that is elsewhere, from `full_contents`; what is equal gets that name.
    """
    given = [str(path) for path in paths]
    once = list(dict.fromkeys(given))
    found = dict(zip(once, _each(_opened, once, "comparing recordings"), strict=True))
    files = list({file.inode: file for file in found.values() if file is not None}.values())
    names: dict[tuple[int, int], str] = {}

    def not_alone(some: list[_File], keys: list[Any]) -> list[_File]:
        """Name the files whose key no other has; return the others."""
        counts = Counter(keys)
        names.update({one.inode: f"only {one.path}" for one, key in zip(some, keys, strict=True) if counts[key] == 1})
        return [one for one, key in zip(some, keys, strict=True) if counts[key] > 1]

    elsewhere = {name.rpartition(" ")[0] for name in known}
    kinds, hashed = Counter(one.kind for one in files), {one.kind for one in files if one.digest}
    # What a FLAC's header or a listing has a digest of can only be compared by the digest.
    whole = [one for one in files if one.kind in elsewhere or (one.kind in hashed and kinds[one.kind] > 1)]
    chosen = {one.inode for one in whole}
    rest = [one for one in files if one.inode not in chosen]
    alike = not_alone(rest, [(one.kind, one.early) for one in rest])
    whole += not_alone(
        alike, [*zip((one.kind for one in alike), _each(_pieces, alike, "comparing recordings"), strict=True)]
    )
    names |= zip((one.inode for one in whole), _each(_name, whole, "comparing recordings"), strict=True)
    return [f"unread {path}" if (file := found[path]) is None else names[file.inode] for path in given]


def full_contents(paths: Sequence[Path]) -> list[str]:
    """The name that the sound of each file has anywhere; that of the file itself where it cannot be read."""

    def name(path: Path) -> str:
        file = _opened(str(path))
        return f"unread {path}" if file is None else _name(file)

    return list(_each(name, paths, "hashing"))


def _each(function: Callable[[T], R], items: Sequence[T], description: str) -> Iterator[R]:
    """Results of a function for each item in their order, by threads, under a progress bar."""
    if len(items) <= CHUNK:
        yield from map(function, items)
        return
    parts = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    with ThreadPoolExecutor(THREADS) as pool:
        results = pool.map(lambda part: [function(one) for one in part], parts)
        yield from progress(chain.from_iterable(results), description, len(items))


def _opened(path: str) -> _File | None:
    """What the header of a file says; None where it cannot be read or holds nothing."""
    try:
        # A pipe would be waited for.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError):
        return None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or not status.st_size:
            return None
        head = os.pread(handle, PIECE, 0)
        kind, start, size, digest = _header(handle, head, status.st_size)
        end = start + min(size, EARLY)
        early = hash(head[start:end] if end <= len(head) else os.pread(handle, end - start, start))
    except OSError:
        return None
    finally:
        os.close(handle)
    return _File(path, kind, start, size, digest, early, (status.st_dev, status.st_ino))


def _header(handle: int, head: bytes, size: int) -> tuple[str, int, int, str | None]:
    """Kind, start and size of the sound, and its digest where the header has it."""
    if head[:4] == b"fLaC" and len(head) >= 42 and head[4] & 0x7F == 0:
        packed = int.from_bytes(head[18:26], "big")  # sample rate, channels, bits and samples in 20, 3, 5 and 36 bits
        frames, bits, channels = packed & ((1 << 36) - 1), (packed >> 36 & 31) + 1, (packed >> 41 & 7) + 1
        if frames and any(head[26:42]):
            return f"pcm {packed >> 44} {channels} {bits} {frames}", 0, size, head[26:42].hex()
    elif head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return _wav(handle, head, size)
    return f"file {size}", 0, size, None


def _wav(handle: int, head: bytes, size: int) -> tuple[str, int, int, None]:
    at, format_ = 12, b""
    while at + 8 <= size:
        chunk = head[at : at + 8] if at + 8 <= len(head) else os.pread(handle, 8, at)
        length = int.from_bytes(chunk[4:8], "little")
        if chunk[:4] == b"fmt ":
            format_ = os.pread(handle, min(length, 40), at + 8)
        elif chunk[:4] == b"data" and len(format_) >= 16:
            tag, channels = int.from_bytes(format_[:2], "little"), int.from_bytes(format_[2:4], "little")
            rate, block = int.from_bytes(format_[4:8], "little"), int.from_bytes(format_[12:14], "little")
            bits = int.from_bytes(format_[14:16], "little")
            if tag == _EXTENSIBLE and len(format_) >= 26:
                tag = int.from_bytes(format_[24:26], "little")
            # A recorder that was killed wrote 0, one into a pipe more than there is.
            there = min(length or size, size - at - 8)
            if block and there >= block:
                frames = there // block
                # As FLAC hashes them; samples of 8 bits have no sign in a wav.
                plain = tag == _PCM and bits in (16, 24, 32) and block * 8 == channels * bits
                kind = "pcm" if plain else f"wav-{tag}-{block}"
                return f"{kind} {rate} {channels} {bits} {frames}", at + 8, frames * block, None
        at += 8 + length + length % 2
    return f"file {size}", 0, size, None


def _pieces(file: _File) -> bytes:
    """A hash of the first, middle and last of the sound: what differs does so here, but for rare exceptions."""
    hashed = hashlib.md5(usedforsecurity=False)
    try:
        handle = os.open(file.path, os.O_RDONLY)
        try:
            for start in (0, max(file.size - PIECE, 0) // 2, max(file.size - PIECE, 0)):
                hashed.update(os.pread(handle, min(PIECE, file.size - start), file.start + start))
        finally:
            os.close(handle)
    except OSError:
        return os.fsencode(file.path)
    return hashed.digest()


def _name(file: _File) -> str:
    """The kind of a sound and its MD5, FLAC's own choice: it tells recordings apart, and is no seal."""
    if file.digest:
        return f"{file.kind} {file.digest}"
    hashed, left = hashlib.md5(usedforsecurity=False), file.size
    try:
        with open(file.path, "rb", buffering=0) as sound:
            sound.seek(file.start)
            while left and (block := sound.read(min(BLOCK, left))):
                hashed.update(block)
                left -= len(block)
    except OSError:
        return f"unread {file.path}"
    return f"{file.kind} {hashed.hexdigest()}"
