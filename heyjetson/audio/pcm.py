"""Reading 16-bit wav without a decoder: most of what a corpus holds, in half of libsndfile's time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

SCALE = np.float32(1 / 32768)
EXTENSIBLE = 0xFFFE
PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")


@dataclass(frozen=True)
class Pcm:
    """Where the samples lie.

    Args:
        begin: their first byte.
        end: the byte after the last that is there, or that was promised.
        rate: hertz.
        channels: how many.
    """

    begin: int
    end: int
    rate: int
    channels: int


def find(header: bytes, begin: int, end: int) -> Pcm | None:
    """What the chunk `fmt ` of a wav says, where it says 16-bit samples."""
    kind, channels, block, bits = (int.from_bytes(header[at : at + 2], "little") for at in (0, 2, 12, 14))
    rate = int.from_bytes(header[4:8], "little")
    if kind != 1 and not (kind == EXTENSIBLE and header[24:40] == PCM_GUID and header[18] == 16):
        return None
    return Pcm(begin, end, rate, channels) if bits == 16 and channels and rate and block == 2 * channels else None


class PcmReader:
    """See `readers.Reader`.

    Args:
        file: the recording.
        pcm: where its samples lie.
        share: of what it promises, how much is there.
    """

    name = "wav"

    def __init__(self, file: BinaryIO, pcm: Pcm, share: float):
        self._file, self._begin = file, pcm.begin
        self.rate, self.channels = pcm.rate, pcm.channels
        self.frames: int = (pcm.end - pcm.begin) // (2 * pcm.channels)
        self.missing = max(self.frames / share - self.frames, 1) / pcm.rate if 0 < share < 1 else 0.0
        self.notes: list[str] = []
        self._place = 0

    def skip(self, count: int) -> int:
        """Leave frames out; how many."""
        done = min(count, self.frames - self._place)
        self._place += done
        return done

    def read(self, count: int) -> np.ndarray:
        """Frames [at most `count`, C] float32; none at the end."""
        frame = 2 * self.channels
        raw = bytearray(min(count, self.frames - self._place) * frame)
        view, there = memoryview(raw), 0
        self._file.seek(self._begin + self._place * frame)
        while there < len(raw) and (done := self._file.readinto(view[there:])):  # type: ignore[attr-defined]
            there += done
        whole = there // frame
        self._place += whole
        return np.frombuffer(raw, "<i2", whole * self.channels).reshape(-1, self.channels) * SCALE

    def close(self) -> None:
        """Nothing to let go of."""
