"""Files of frames and pages: flac, Ogg, MP3, and NIST SPHERE's text header. Where recordings that were joined begin."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import BinaryIO

from heyjetson.audio.files import read_at
from heyjetson.audio.layout import Layout, Stretch
from heyjetson.audio.promises import judge

FLAC = b"fLaC"
STREAMINFO = bytes([0, 0, 0, 34])  # type and length of the block that comes first
SCAN = 1 << 20  # bytes looked through at once
BEHIND = 1 << 14  # bytes that a decoder may have read ahead, at most
REMEMBERED = 10_000  # files
_JOINED: dict[tuple[int, ...] | None, tuple[int, ...]] = {}
FIRST, LAST = 2, 4  # flags of an Ogg page
# Samples of an MP3 frame and bytes of its side information, by version (3 is MPEG 1) and by one channel or two.
XING_AT = {(3, False): 36, (3, True): 21, (2, False): 21, (2, True): 13, (0, False): 21, (0, True): 13}


def look(file: BinaryIO, size: int, head: bytes) -> Layout | None:
    """Find out what a file of frames or pages holds, which begins with `head`; None where it is none."""
    if head.startswith(FLAC):
        return look_flac(file, size)
    if head.startswith(b"OggS"):
        return _look_ogg(file, size)
    if head.startswith(b"NIST_1A"):
        return _look_sph(file, size)
    if head.startswith(b"ID3"):
        begin = _after_id3(head, 0)
        if read_at(file, begin, 4) == FLAC:
            return look_flac(file, size, begin)
        return _look_mp3(file, size)
    return _look_mp3(file, size) if _is_mp3(head) else None


def look_flac(file: BinaryIO, size: int, start: int = 0, joined: tuple[int, ...] = ()) -> Layout:
    """The layout of a flac, and of those that are joined to it at the bytes named."""
    begins = (start, *joined)
    stretches, info = [], b""
    for begin, end in zip(begins, (*joined, size), strict=True):
        info = read_at(file, begin + 8, 34)
        total = int.from_bytes(info[13:18], "big") & (1 << 36) - 1
        stretches.append(Stretch(begin, end, frames=total or None))
    known = all(stretch.frames for stretch in stretches)
    bits = ((int.from_bytes(info[12:14], "big") >> 4) & 31) + 1
    md5 = info[18:34] if len(stretches) == 1 and any(info[18:34]) else b""
    return Layout("flac", tuple(stretches), known, md5=md5, bits=bits)


def joined_flacs(file: BinaryIO, size: int, since: int) -> tuple[int, ...]:
    """Where other flacs begin, from a byte on; of a file on disk it is remembered as long as that does not change."""
    key = _identity(file, since)
    if (known := _JOINED.get(key)) is not None:  # at once: other threads may empty it
        return known
    found: list[int] = []
    place, carry = max(since, 1), b""
    before = file.seek(0, io.SEEK_CUR)  # libsndfile goes on reading from there
    file.seek(place)
    while place < size and (block := file.read(SCAN)):
        text = carry + block
        at = text.find(FLAC)
        while at >= 0:
            if len(text) >= at + 8 and text[at + 4] & 127 == 0 and text[at + 5 : at + 8] == STREAMINFO[1:]:
                found.append(place - len(carry) + at)
            at = text.find(FLAC, at + 1)
        place += len(block)
        carry = text[-7:]
    file.seek(before)
    if key is not None and size > BEHIND:
        if len(_JOINED) >= REMEMBERED:
            _JOINED.clear()
        _JOINED[key] = tuple(sorted(set(found)))
    return tuple(sorted(set(found)))


def _identity(file: BinaryIO, since: int) -> tuple[int, ...] | None:
    try:
        stat = os.fstat(file.fileno())
    except (OSError, AttributeError):  # it lies in memory
        return None
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, since


def _look_ogg(file: BinaryIO, size: int) -> Layout:
    """Pages are counted: a link of a chain begins with a first page behind pages that are none (RFC 3533)."""
    begins: list[int] = []
    was_first = opened = False
    open_streams: set[bytes] = set()
    place, cut = 0, False
    while place + 27 <= size:
        header = read_at(file, place, 27 + 255)
        if header[:4] != b"OggS":
            break  # what libsndfile and FFmpeg look for, we leave to them
        first, last = bool(header[5] & FIRST), bool(header[5] & LAST)
        if first and not was_first:
            begins.append(place)
            cut |= bool(open_streams)
            open_streams.clear()
        if first:
            open_streams.add(header[14:18])
        if last:
            open_streams.discard(header[14:18])
        was_first, opened = first, True
        place += 27 + header[26] + sum(header[27 : 27 + header[26]])
    cut |= place > size or 0 < size - place < 27 or bool(open_streams)
    if not opened or begins[:1] != [0]:
        return Layout("ogg", (Stretch(0, size),), trusted=False)
    stretches = tuple(Stretch(begin, end) for begin, end in zip(begins, [*begins[1:], size], strict=True))
    return Layout("ogg", stretches, cut=cut)


def _look_sph(file: BinaryIO, size: int) -> Layout:
    """A SPHERE file says in text how many samples it has, and in how many bytes."""
    head = read_at(file, 0, 1 << 12)
    length = head[8:16].strip()
    begin = int(length) if length.isdigit() else 1024
    said: dict[bytes, bytes] = {}
    for line in head[16:begin].splitlines():
        words = line.split(None, 2)
        if len(words) == 3:
            said[words[0]] = words[2].strip()
    coded = said.get(b"sample_coding", b"pcm")
    try:
        promise = int(said[b"sample_count"]) * int(said.get(b"channel_count", b"1")) * int(said[b"sample_n_bytes"])
    except (KeyError, ValueError):
        return Layout("sph", (Stretch(0, size),))
    there = max(size - begin, 0)
    verdict = judge(promise, there) if b"shorten" not in coded else "kept"
    share = there / promise if verdict == "cut" else 1.0
    return Layout("sph", (Stretch(0, size, share=share),), trusted=b"shorten" not in coded)


@dataclass(frozen=True)
class _Counted:
    """What the first frame of an MP3 says: bytes from its own beginning on, frames."""

    size: int
    frames: int


def _look_mp3(file: BinaryIO, size: int) -> Layout:
    """Trusted where every recording in it has a frame that counts the others, and the counts fill the file."""
    end = _before_tags(file, size)
    stretches: list[Stretch] = []
    place = 0
    while place < end:
        head = read_at(file, place, 16)
        begin = _after_id3(head, place) if head.startswith(b"ID3") else place
        counted = _counted(read_at(file, begin, 256))
        if counted is None or not counted.size or not counted.frames:
            return Layout("mp3", (Stretch(0, end),), trusted=False)
        after = begin + counted.size
        stretches.append(Stretch(place, min(after, end), counted=True))
        place = after
    return Layout("mp3", tuple(stretches), trusted=bool(stretches))


def _is_mp3(head: bytes) -> bool:
    """A frame header of layer II or III, whose rate and bit rate are ones."""
    return len(head) > 3 and head[0] == 255 and head[1] & 0xE6 in (0xE2, 0xE4) and head[2] & 0xF0 != 0xF0


def _counted(frame: bytes) -> _Counted | None:
    """What a Xing or Info frame says."""
    if not _is_mp3(frame):
        return None
    at = XING_AT.get(((frame[1] >> 3) & 3, frame[3] >> 6 == 3), 0)
    if frame[at : at + 4] not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(frame[at + 4 : at + 8], "big")
    if flags & 3 != 3:
        return None
    frames, size = (int.from_bytes(frame[at + skip : at + skip + 4], "big") for skip in (8, 12))
    return _Counted(size, frames)


def _after_id3(head: bytes, place: int) -> int:
    """The byte after an ID3v2 tag: its size has seven bits in each byte."""
    size = sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    return place + 10 + size + (10 if head[5] & 16 else 0)


def _before_tags(file: BinaryIO, size: int) -> int:
    """Where the sound ends: before tags of ID3v1 and APE, and the zeros that some programs fill a file up with."""
    end = size
    if read_at(file, max(end - 128, 0), 3) == b"TAG":
        end -= 128
    footer = read_at(file, max(end - 32, 0), 32)
    if footer[:8] == b"APETAGEX":
        end -= int.from_bytes(footer[12:16], "little") + (32 if footer[23] & 128 else 0)
    return max(end, 0)
