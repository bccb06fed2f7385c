"""What the bytes of a recording say of it, before it is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from heyjetson.audio.files import Part
from heyjetson.audio.pcm import Pcm


@dataclass(frozen=True)
class Stretch:
    """A recording that lies in a file, alone or joined to others.

    Args:
        start: its first byte.
        end: the byte after its last.
        patches: what its header should say, by positions from `start`.
        share: of the sound it promises, how much is there; 1 where it is whole.
        frames: of a flac, samples of each channel that it promises; None where it does not say.
        counted: an MP3 that says how many frames it has.
    """

    start: int
    end: int
    patches: Mapping[int, bytes] = field(default_factory=dict)
    share: float = 1.0
    frames: int | None = None
    counted: bool = False

    def open(self, file: BinaryIO) -> Part:
        """As a file of its own."""
        return Part(file, self.start, self.end, dict(self.patches))


@dataclass(frozen=True)
class Layout:
    """What a file is.

    Args:
        kind: wav, aiff, w64, caf, au, sph, flac, ogg, mp3, or "" where it is something else.
        stretches: recordings, one after another; most files are one.
        trusted: libsndfile reads all of it, as far as can be told without decoding.
        cut: it ends where it should not, and nothing says how much is missing.
        notes: what a header says wrongly.
        md5: of the samples of a flac, where it says.
        bits: of each sample of a flac.
        pcm: where the samples of a 16-bit wav lie.
    """

    kind: str
    stretches: tuple[Stretch, ...]
    trusted: bool = True
    cut: bool = False
    notes: tuple[str, ...] = ()
    md5: bytes = b""
    bits: int = 0
    pcm: Pcm | None = None

    @property
    def frames(self) -> int | None:
        """Of flacs, how many they promise together."""
        known = [stretch.frames for stretch in self.stretches if stretch.frames]
        return sum(known) if len(known) == len(self.stretches) else None
