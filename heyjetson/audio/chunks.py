"""Files of chunks: wav, RF64, W64, AIFF and CAF, and AU's plain header. Where the sound lies, how much is promised."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import BinaryIO, Literal, NamedTuple

from heyjetson.audio.files import read_at
from heyjetson.audio.layout import Layout, Stretch
from heyjetson.audio.pcm import find
from heyjetson.audio.promises import Verdict, judge

GUID = bytes.fromhex("f3acd3118cd100c04f8edb8a")
W64 = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
BEHIND = 1 << 12  # bytes that may follow the sound without a word, such as tags
WRAP = 1 << 32  # a size of four bytes counts up to here


@dataclass(frozen=True)
class Family:
    """How chunks of a kind of file are written.

    Args:
        kind: its name.
        magics: the first bytes.
        first: byte of the first chunk.
        id_bytes: of a chunk's name.
        size_bytes: of its size.
        order: of these bytes.
        sound: name of the chunk of sound.
        sound_begins: bytes of that chunk before the sound.
        inclusive: the size counts name and size.
        align: chunks begin at multiples of it.
    """

    kind: str
    magics: tuple[bytes, ...]
    first: int
    id_bytes: int
    size_bytes: int
    order: Literal["little", "big"]
    sound: bytes
    sound_begins: int = 0
    inclusive: bool = False
    align: int = 2


FAMILIES = (
    Family("wav", (b"RIFF", b"RF64", b"BW64"), 12, 4, 4, "little", b"data"),
    Family("aiff", (b"FORM",), 12, 4, 4, "big", b"SSND", 8),
    Family("w64", (W64,), 40, 16, 8, "little", b"data" + GUID, inclusive=True, align=8),
    Family("caf", (b"caff",), 8, 4, 8, "big", b"data", 4, align=1),
)
FORMS = {"wav": (b"WAVE",), "aiff": (b"AIFF", b"AIFC")}


class _Found(NamedTuple):
    """A chunk of sound: of the recording that begins at `start`, at `place`, with the bytes that it says it has."""

    family: Family
    start: int
    place: int
    length: int
    seen: dict[bytes, tuple[int, int]]


def family_of(head: bytes) -> Family | None:
    """The family of a file that begins so."""
    for family in FAMILIES:
        if head.startswith(family.magics) and head[8:12] in FORMS.get(family.kind, (head[8:12],)):
            return family
    return None


def look(file: BinaryIO, size: int, start: int = 0, head: bytes = b"") -> Layout | None:
    """Find out what a file of chunks holds.

    Args:
        file: to read from.
        size: its bytes.
        start: where in it the recording begins.
        head: what was read of it from there on.

    Returns:
        its layout, or None where it is no such file, or has no chunk of sound.
    """
    head = head or read_at(file, start, 4096)
    if head[:4] == b".snd":
        return _look_au(head, size)
    found, stretches = _find(file, size, start, head), list[Stretch]()
    layout = None
    while found is not None:  # recordings that are joined, one after another
        layout, found = _judged(file, size, found)
        stretches += layout.stretches
    if layout is None or len(stretches) == 1:
        return layout
    return replace(layout, stretches=tuple(stretches), pcm=None)


def _find(file: BinaryIO, size: int, start: int, head: bytes) -> _Found | None:
    """The chunk of sound of a recording; None where there is none."""
    family = family_of(head)
    if family is None:
        return None
    headers = family.id_bytes + family.size_bytes
    place = start + family.first
    seen: dict[bytes, tuple[int, int]] = {}
    while place + headers <= size:
        name, length = _chunk(file, family, place, head, start)
        if name == family.sound:
            return _Found(family, start, place, length, seen)
        seen[name] = (place + headers, length)
        place = _next(family, start, place, length)
    return None


def _chunk(file: BinaryIO, family: Family, place: int, head: bytes, start: int) -> tuple[bytes, int]:
    """Name of a chunk, and the bytes that it says follow name and size."""
    count = family.id_bytes + family.size_bytes
    inside = place - start + count <= len(head)
    raw = head[place - start : place - start + count] if inside else read_at(file, place, count)
    length = int.from_bytes(raw[family.id_bytes :], family.order)
    return raw[: family.id_bytes], max(length - count, 0) if family.inclusive else length


def _next(family: Family, start: int, place: int, length: int) -> int:
    end = place + family.id_bytes + family.size_bytes + length - start
    return start + end + -end % family.align


def _judged(file: BinaryIO, size: int, found: _Found) -> tuple[Layout, _Found | None]:
    """The layout of a recording, and what is joined to it."""
    family, start, place, length, seen = found
    body = place + family.id_bytes + family.size_bytes
    begin = body + family.sound_begins
    promise, size_at = max(length - family.sound_begins, 0), None
    if family.kind == "wav" and b"ds64" in seen and length >= WRAP - 1:
        size_at = seen[b"ds64"][0] + 8
        promise = int.from_bytes(read_at(file, size_at, 8), "little")
    elif family.kind == "caf" and length == 2 ** (8 * family.size_bytes) - 1:
        promise = max(size - begin, 0)  # its way to say: to the end
        length = promise + 1  # to be written out, for libsndfile wants a number
    there = max(size - begin, 0)
    pcm = None
    if family.kind == "wav" and b"fmt " in seen:
        pcm = find(read_at(file, seen[b"fmt "][0], 40), begin, begin + min(promise or there, there))
    if promise == there and size_at is None and family.kind != "caf":
        return Layout(family.kind, (Stretch(start, size),), pcm=pcm), None
    whole = None
    if family.kind in ("wav", "aiff") and size_at is None:
        whole = int.from_bytes(read_at(file, start + 4, 4), family.order)
    verdict = judge(promise, there, whole)
    if verdict == "unwritten" and _are_chunks(file, family, start, size, begin):
        verdict = "kept"  # an empty recording, and what is known of it
    if verdict == "kept" and promise and size_at is None:
        after = _next(family, start, place, length) if length < WRAP or family.size_bytes > 4 else size
        rest = _find(file, size, after, read_at(file, after, 4096))
        if rest and rest.family == family:
            return Layout(family.kind, (Stretch(start, after),)), rest
        if there - promise >= WRAP and not _are_chunks(file, family, start, size, after):
            note = f"Its header counts {promise} bytes of sound of {there}, as where more than 4 GiB were written."
            return Layout(family.kind, (Stretch(start, size),), trusted=False, notes=(note,)), None
    if verdict == "kept" and length - family.sound_begins <= there:
        if there - promise > BEHIND and not _are_chunks(file, family, start, size, _next(family, start, place, length)):
            note = f"{there - promise} bytes behind its sound are none by its header, and were not read."
            return Layout(family.kind, (Stretch(start, size),), notes=(note,), pcm=pcm if promise else None), None
        return Layout(family.kind, (Stretch(start, size),), pcm=pcm if promise else None), None
    patches = _patches(family, start, place, seen, file, there)
    share = there / promise if verdict == "cut" else 1.0
    notes = note_on(verdict, promise)
    if pcm:
        end = begin + (promise if verdict == "kept" else there)
        return Layout(family.kind, (Stretch(start, size, share=share),), notes=notes, pcm=replace(pcm, end=end)), None
    fits = there + family.sound_begins < WRAP or family.size_bytes > 4 or size_at is not None
    if size_at is not None:
        patches = {size_at - start: there.to_bytes(8, "little"), size_at - start - 8: (size - 8).to_bytes(8, "little")}
    return Layout(family.kind, (Stretch(start, size, patches, share),), trusted=fits, notes=notes), None


def note_on(verdict: Verdict, promise: int) -> tuple[str, ...]:
    """What a user should know of a header that says nothing of what is there."""
    if verdict == "unwritten":
        return (
            "Its header says 0 bytes of sound, as where a recorder was stopped before it could write how much there "
            "is: all that is there was read.",
        )
    if verdict == "placeholder":
        return (
            f"Its header says {promise} bytes of sound, as programs do that cannot know it yet: all that is there was "
            "read.",
        )
    return ()


def _are_chunks(file: BinaryIO, family: Family, start: int, size: int, place: int) -> bool:
    """Is what follows a row of chunks that fills the file to its end?"""
    headers = family.id_bytes + family.size_bytes
    while place + headers <= size:
        name, length = _chunk(file, family, place, b"", start)
        if not all(32 <= byte < 127 for byte in name[:4]):
            return False
        place = _next(family, start, place, length)
    return size <= place <= size + family.align


def _patches(
    family: Family, start: int, place: int, seen: dict[bytes, tuple[int, int]], file: BinaryIO, there: int
) -> dict[int, bytes]:
    """What the header should say, where `there` bytes of sound are there."""
    length = there + family.sound_begins
    if family.inclusive:
        length += family.id_bytes + family.size_bytes
    most = (1 << 8 * family.size_bytes) - 1
    right = {place - start + family.id_bytes: min(length, most).to_bytes(family.size_bytes, family.order)}
    if family.kind == "aiff" and b"COMM" in seen:
        common = seen[b"COMM"][0]
        raw = read_at(file, common, 8)
        frame = int.from_bytes(raw[:2], "big") * -(-int.from_bytes(raw[6:8], "big") // 8)
        right[common - start + 2] = (there // max(frame, 1)).to_bytes(4, "big")
    if family.kind in ("wav", "aiff"):
        whole = min(place - start + 8 + length - 8, most)
        right[4] = whole.to_bytes(4, family.order)
    if family.kind == "w64":
        right[16] = (place - start + length).to_bytes(8, "little")
    return right


def _look_au(head: bytes, size: int) -> Layout:
    begin, promise = int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:12], "big")
    there = max(size - begin, 0)
    verdict = judge(promise, there)
    if verdict == "kept":
        return Layout("au", (Stretch(0, size),))
    patches = {8: min(there, WRAP - 1).to_bytes(4, "big")}
    share = there / promise if verdict == "cut" else 1.0
    return Layout("au", (Stretch(0, size, patches, share),), there < WRAP, notes=note_on(verdict, promise))
