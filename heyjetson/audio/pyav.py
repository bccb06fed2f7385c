"""Reading with FFmpeg's libraries (PyAV, extra `formats`): what libsndfile cannot read, or reads short."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, BinaryIO

import numpy as np

from heyjetson.audio.checksum import Checksum
from heyjetson.audio.files import read_at
from heyjetson.audio.layout import Layout
from heyjetson.audio.readers import BrokenError, UnreadableError, decode_past
from heyjetson.audio.timeline import Timeline

# Nothing that opens other files or addresses, as playlists do.
FORMATS = (
    "aac,ac3,eac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,flac,flv,gsm,iff,loas,matroska,webm,mov,mp4,m4a,3gp,"
    "3g2,mj2,mp3,mpc,mpc8,mpeg,mpegts,nistsphere,ogg,rm,rso,shn,sox,tak,tta,voc,w64,wav,wv,xwma"
)
# Those that count what they hold; the length of others is guessed from their bit rate.
COUNTED = {"mov", "matroska", "asf", "wv", "caf", "tta", "ape"}
TOLERANCE = 0.15  # seconds that containers' lengths are off by: an encoder's delay and padding
PACKET = 4096  # samples of the longest packet, ALAC's; a caf counts the last one as full
ATTEMPTS = 1000  # errors one after another: then nothing follows


@functools.cache
def is_installed() -> bool:
    """Is PyAV there?"""
    return importlib.util.find_spec("av") is not None


class PyavReader:
    """See `readers.Reader`.

    Args:
        file: the recording.
        layout: what is in it.

    Raises:
        UnreadableError: it cannot be read.
    """

    name = "PyAV"

    def __init__(self, file: BinaryIO, layout: Layout):
        import av

        self._errors = (av.error.FFmpegError, ValueError, OSError)
        self._layout = layout
        self.missing, self.notes = 0.0, list[str]()
        self._lost = self._row = 0
        self._lost_seconds = 0.0
        self._done = 0
        trimmed_twice = is_trimmed_twice(file, layout)
        file.seek(0)
        options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
        try:
            self._container: Any = av.open(file, options=options, metadata_errors="ignore")
        except self._errors as error:
            raise UnreadableError(_reason(error), isinstance(error, av.error.InvalidDataError)) from None
        tracks = self._container.streams.audio
        if not tracks:
            self._container.close()
            raise UnreadableError("it holds no sound", unknown=True)
        if len(tracks) > 1:
            self.notes.append(f"It holds {len(tracks)} tracks of sound: the first was read.")
        self._stream = tracks[0]
        self._start = max(getattr(self._container, "start_time", None) or 0, 0) / 1e6  # seconds, of the first track
        self._clock = Timeline(self._container.format.name, self._start)
        self._others_end = 0.0  # seconds at which other tracks end
        if trimmed_twice:
            self._stream.codec_context.flags2 |= av.codec.context.Flags2.skip_manual
        if self._stream.codec_context.name.startswith("mp1"):  # see libsndfile.py: text
            self._container.close()
            raise UnreadableError("Invalid data found when processing input", unknown=True)
        # Whole flacs only: of joined ones each has its own.
        self._checksum = Checksum(layout.md5, layout.bits) if layout.md5 else None
        self._pending: list[np.ndarray] = []
        self._frames = self._decoded()
        self.rate = self.channels = 0
        if (first := next(self._frames, None)) is None:
            self._container.close()
            raise UnreadableError("it holds no sound that can be decoded", unknown=not layout.kind)
        self._pending.append(first)

    frames = None

    def _decoded(self) -> Iterator[np.ndarray]:
        """Blocks [S, C] float32 as they come; what cannot be decoded is left out and counted."""
        for frame in self._packets():
            if not self.rate:
                self.rate, self.channels = frame.sample_rate, frame.layout.nb_channels
            if (frame.sample_rate, frame.layout.nb_channels) != (self.rate, self.channels):
                raise BrokenError(
                    f"it goes on with {frame.sample_rate} Hz and {frame.layout.nb_channels} channels after "
                    f"{self._done / self.rate:.2f} s, not {self.rate} Hz and {self.channels}"
                )
            base = frame.time_base or Fraction(0)
            time = None if frame.pts is None else float(frame.pts * base)
            quiet = round(self._clock.before(time, self._done / self.rate) * self.rate)
            while quiet:
                block = np.zeros((min(quiet, self.rate), self.channels), np.float32)
                self._done += len(block)
                quiet -= len(block)
                yield block
            values = frame.to_ndarray()
            values = values.T if frame.format.is_planar else values.reshape(-1, self.channels)
            if self._checksum is not None:
                self._checksum.update(values)
            self._done += len(values)
            yield _floats(values)
        self._judge()

    def _packets(self) -> Iterator[Any]:
        """Decoded frames of the stream."""
        import av

        alone = self._stream.duration is not None or len(self._container.streams) == 1
        packets = self._container.demux(self._stream) if alone else self._container.demux()
        attempts = 0
        while attempts < ATTEMPTS:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.EOFError:
                return
            except self._errors:
                attempts += 1
                continue
            if packet.stream.index != self._stream.index:
                if packet.pts is not None:
                    end = float((packet.pts + (packet.duration or 0)) * (packet.time_base or Fraction(0)))
                    self._others_end = max(self._others_end, end)
                continue
            try:
                yield from packet.decode()
                attempts = 0
                self._row = 0
            except av.error.EOFError:
                continue
            except self._errors:
                attempts += 1
                self._row += 1
                base = packet.time_base or Fraction(0)
                seconds = float((packet.duration or 0) * base)
                self._lost += 1
                # In an MP3 a single one is where recordings are joined: a tag, or half a frame of silence.
                if self._layout.kind not in ("mp3", "flac") or self._row > 1:
                    self._lost_seconds += seconds

    def _judge(self) -> None:
        """All is decoded: was it all there is?"""
        seconds = self._done / self.rate if self.rate else 0.0
        promised = 0.0
        if self._layout.frames:
            self.missing = max(self._layout.frames - self._done, 0) / self.rate
        elif COUNTED & set(self._container.format.name.split(",")):
            if self._stream.duration is not None:
                promised = float(self._stream.duration * (self._stream.time_base or Fraction(0))) + self._clock.lead
            elif self._container.duration is not None:  # of the longest track
                promised = self._container.duration / 1e6 - self._start
            there = max(seconds, self._others_end - self._start)
            if promised - there > tolerance(self._container.format.name, self.rate):
                self.missing = promised - there
        self.missing = max(self.missing, self._lost_seconds)
        self.notes += self._clock.notes
        if self._lost and not self.missing:
            pieces = "A piece" if self._lost == 1 else f"{self._lost} pieces"
            self.notes.append(f"{pieces} of it could not be decoded and was left out, as where recordings are joined.")
        if self._checksum is not None and self._done and not self.missing:
            if not self._checksum.agrees:
                raise BrokenError("its samples are not those that its checksum says")
            self.notes.append("libsndfile cannot read all of it: PyAV did, and its checksum is right.")

    def skip(self, count: int) -> int:
        """Decode frames and leave them out; how many there were."""
        return decode_past(self, count)

    def read(self, count: int) -> np.ndarray:
        """Frames [at most `count`, C] float32; none at the end."""
        there = sum(map(len, self._pending))
        while there < count and (block := next(self._frames, None)) is not None:
            self._pending.append(block)
            there += len(block)
        if not self._pending:
            return np.zeros((0, self.channels), np.float32)
        whole = np.concatenate(self._pending) if len(self._pending) > 1 else self._pending[0]
        self._pending = [whole[count:]] if len(whole) > count else []
        return whole[:count]

    def close(self) -> None:
        """Close the decoder, not the file."""
        self._container.close()


def is_trimmed_twice(file: BinaryIO, layout: Layout) -> bool:
    """ALAC in caf: its last packet is as short as it says, and FFmpeg from 8 on takes as much from its end again."""
    return layout.kind == "caf" and read_at(file, 28, 4) == b"alac"


def tolerance(container: str, rate: int) -> float:
    """Seconds that a recording may be shorter than its container says; see `TOLERANCE`."""
    return max(TOLERANCE, PACKET / rate) if container == "caf" else TOLERANCE


def _floats(values: np.ndarray) -> np.ndarray:
    """Samples of any kind → float32, full scale 1."""
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - 128) / 128
    if np.issubdtype(values.dtype, np.integer):
        return values.astype(np.float32) / float(2 ** (8 * values.dtype.itemsize - 1))
    return np.ascontiguousarray(values, np.float32)


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).strip().rstrip(".")
