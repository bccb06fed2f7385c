"""Recordings from files and streams of bytes: which reader reads, what was asked for, what is missing."""

from __future__ import annotations

import io
import logging
import math
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

from heyjetson.audio import chunks, streams
from heyjetson.audio.files import name_of, opened, read_at, size_of
from heyjetson.audio.layout import Layout, Stretch
from heyjetson.audio.pcm import PcmReader
from heyjetson.audio.rates import resample
from heyjetson.audio.readers import BrokenError, Reader, UnreadableError
from heyjetson.audio.sound import Length, Sound, Source
from heyjetson.errors import AudioError, EmptyError, SegmentError, UnknownFormatError

LOG = logging.getLogger(__name__)
BLOCK = 1 << 16  # frames
AT_ONCE = 1 << 24  # values that are asked of a decoder at once: what a broken header claims is not allocated
SLACK = 0.01  # seconds that a segment may end behind the sound: manifests round
LOUDEST = 100.0  # times full scale; floats beyond are integers that were written as floats, and nobody's sound
LOUD = 2.0  # times full scale, from which on it is said: decoders of compressed sound overshoot by less
LEAST = 0.02  # seconds that are missing at least, where a file ends within a packet
CONVERT = "Convert it to wav or flac, or fetch it again."
INSTALL = (
    "Install what reads more formats (pip install 'heyjetson[formats]', or the program ffmpeg), or convert it to wav "
    "or flac."
)


def _sndfile(file: BinaryIO, size: int, layout: Layout) -> Reader:
    """A reader by libsndfile, which plain wav does not need."""
    from heyjetson.audio.libsndfile import SndfileReader

    return SndfileReader(file, size, layout)


class SoundStream:
    """A recording that is read block by block, for what is too long to be held; made by `open_sound`.

    Attributes:
        rate: hertz.
        channels: how many.
        missing: see `Sound`; known once the blocks are through.
        notes: see `Sound`; complete once the blocks are through.
    """

    def __init__(self, source: Source, offset: float, duration: float | None, programs: bool, name: str | None):
        self._name = name or name_of(source)
        self._file = opened(source)
        self._owned = self._file is not source
        self.missing = 0.0
        self.notes: tuple[str, ...] = ()
        self._reasons: list[str] = []
        self._cure = CONVERT
        self._unknown = True  # to all readers so far
        self._peak = 0.0
        self._reader: Reader | None = None
        try:
            self._size = size_of(self._file)
            if not self._size:
                raise EmptyError(f"{self._name} is empty: it has no bytes. Fetch or record it again.")
            head = read_at(self._file, 0, 4096)
            self._layout = (
                chunks.look(self._file, self._size, 0, head)
                or streams.look(self._file, self._size, head)
                or Layout("", (Stretch(0, self._size),))
            )
            self._openers = self._order(source, programs)
            self._reader = self._next_reader()
            self.rate, self.channels = self._reader.rate, self._reader.channels
            self._position = 0
            self._begin(offset, duration)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> SoundStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def reader(self) -> str:
        """See `Sound`."""
        return self._reader.name if self._reader else ""

    @property
    def kind(self) -> str:
        """wav, aiff, w64, caf, au, sph, flac, ogg, mp3, or "" for all others."""
        return self._layout.kind

    def close(self) -> None:
        """Close the recording; a file that was opened by somebody else stays open."""
        if self._reader:
            self._reader.close()
        if self._owned:
            self._file.close()

    def _order(self, source: Source, programs: bool) -> Iterator[Callable[[], Reader]]:
        """The readers that may read it, the best one first."""
        file, size, layout = self._file, self._size, self._layout
        if layout.pcm and len(layout.stretches) == 1:
            pcm, share = layout.pcm, layout.stretches[0].share
            yield lambda: PcmReader(file, pcm, share)
        if layout.trusted:
            yield lambda: _sndfile(file, size, layout)
        from heyjetson.audio import program, pyav

        if pyav.is_installed():
            yield lambda: pyav.PyavReader(file, layout)
        elif programs and program.is_installed():
            path = os.fspath(source) if isinstance(source, str | os.PathLike) else None
            path = None if isinstance(file, io.BytesIO) else path  # a named pipe, whose bytes come once
            yield lambda: program.ProgramReader(file, path, layout)
        else:
            self._cure = INSTALL
        # Of the untrusted, libsndfile knows for an MP3 alone when it has not read all of it.
        if not layout.trusted and layout.kind in ("mp3", "ogg"):
            yield lambda: _sndfile(file, size, layout)

    def _next_reader(self) -> Reader:
        for opener in self._openers:
            try:
                return opener()
            except (UnreadableError, BrokenError) as error:
                self._reasons.append(str(error))
                self._unknown &= getattr(error, "unknown", False)
        raise self._undecodable()

    def _undecodable(self) -> AudioError:
        reasons = "; ".join(dict.fromkeys(self._reasons)) or "libsndfile cannot read all of it"
        where = f" after {self._position / self.rate:.2f} s" if getattr(self, "_position", 0) else ""
        kind = UnknownFormatError if self._unknown and not self._layout.kind else AudioError
        return kind(f"{self._name} cannot be decoded{where} ({reasons}). {self._cure}")

    def _begin(self, offset: float, duration: float | None) -> None:
        """Go to where the segment begins."""
        sample = 0.5 / self.rate  # less is none
        if not 0 <= offset < math.inf or not (duration is None or sample < duration < math.inf):
            wanted = f"duration {duration:g}" if 0 <= offset < math.inf else f"offset {offset:g}"
            raise AudioError(f"{self._name} has no segment of {wanted} s: an offset is 0 or more, a duration a sample.")
        self._start = round(offset * self.rate)
        self._wanted = None if duration is None else round(duration * self.rate)
        self._given = 0
        if self._start:
            self._skip(self._start)

    def _skip(self, count: int) -> None:
        while count:
            assert self._reader
            try:
                done = self._reader.skip(count)
            except BrokenError as error:
                self._replace(error)
                continue
            self._position += done
            if done < count:
                raise self._no_segment()
            return

    def _no_segment(self) -> SegmentError:
        end = "" if self._wanted is None else f" to {(self._start + self._wanted) / self.rate:.2f}"
        return SegmentError(
            f"{self._name} lasts {self._position / self.rate:.2f} s and has no segment of "
            f"{self._start / self.rate:.2f}{end} s. Correct its offset and duration."
        )

    def _replace(self, error: Exception) -> None:
        """Let the next reader go on where one broke."""
        assert self._reader
        self._reasons.append(str(error))
        self._reader.close()
        while True:
            self._reader = None
            self._reader = self._next_reader()
            if (self._reader.rate, self._reader.channels) != (self.rate, self.channels):
                self._reasons.append(f"{self._reader.name} reads it with {self._reader.rate} Hz")
            else:
                try:
                    if self._reader.skip(self._position) == self._position:
                        return
                except BrokenError as worse:
                    self._reasons.append(str(worse))
            self._reader.close()

    def blocks(self, size: int = BLOCK) -> Iterator[np.ndarray]:
        """Blocks [at most `size`, C] float32, none of them empty.

        Raises:
            AudioError: what follows cannot be decoded or is far beyond full scale; there is no sound, or it ends before
                the segment.
        """
        while self._wanted is None or self._given < self._wanted:
            assert self._reader
            count = size if self._wanted is None else min(size, self._wanted - self._given)
            try:
                block = self._reader.read(count)
            except BrokenError as error:
                self._replace(error)
                continue
            if not len(block):
                break
            self._position += len(block)
            self._given += len(block)
            if self._reader.name != PcmReader.name:  # 16 bits cannot
                self._peak = max(self._peak, float(block.max()), -float(block.min()))
            if LOUDEST < self._peak < math.inf:
                raise AudioError(
                    f"{self._name} holds samples of {self._peak:g} where full scale is 1, as where integers were "
                    "written as floats. Divide them by what full scale was, 32768 for 16 bits, and write it again."
                )
            yield block
        self._finish()

    def _finish(self) -> None:
        """All that was asked for, or is there, was given."""
        assert self._reader
        notes = [*self._layout.notes, *self._reader.notes]
        if LOUD < self._peak < math.inf:
            notes.append(
                f"Its samples reach {self._peak:.1f} times full scale: what stores it in 16 bits cuts them off. Make "
                "it quieter, and write it again."
            )
        if self._wanted is not None and self._given == self._wanted:
            self.notes = tuple(notes)
            return
        missing = self._reader.missing or (LEAST if self._layout.cut else 0.0)
        there = self._given / self.rate
        if not self._given and not (missing and self._position):
            if self._start:
                raise self._no_segment()
            raise EmptyError(f"{self._name} holds no samples. Record it again.")
        if self._wanted is not None:
            short = self._wanted - self._given
            if not missing and short > round(SLACK * self.rate):
                raise self._no_segment()
            missing = short / self.rate if missing else 0.0
            said = f"It is cut short: {there:.2f} s are there of the {self._wanted / self.rate:.2f} s of this segment."
        elif self._reader.missing:
            said = f"It is cut short: {there:.2f} s are there of {there + missing:.2f} s. Fetch or record it again."
        else:
            said = (
                f"It ends without an end, as where fetching it broke off: {there:.2f} s are there, how much is missing "
                "cannot be known. Fetch or record it again."
            )
        if not self._given:
            raise self._no_segment()
        self.missing = missing
        self.notes = (*notes, said) if missing else tuple(notes)

    def measured(self) -> Length:
        """The length of the whole, from the header where that can be trusted; the stream is used up."""
        assert self._reader
        frames = None if self._layout.cut else self._reader.frames
        if frames is None or not self._ends_well(frames):
            for _ in self.blocks():
                pass
            return Length(self._given / self.rate, self.rate, self.channels, self.missing, self.notes)
        if not frames:
            raise EmptyError(f"{self._name} holds no samples. Record it again.")
        return Length(frames / self.rate, self.rate, self.channels, 0.0, self._layout.notes)

    def _ends_well(self, frames: int) -> bool:
        """Is the last sample there that a header promises? Otherwise the file has to be decoded from its beginning."""
        assert self._reader
        if any(stretch.share < 1 for stretch in self._layout.stretches):
            return False
        if self._layout.kind != "flac" or not frames:
            return True
        try:
            return self._reader.skip(frames - 1) == frames - 1 and len(self._reader.read(1)) == 1
        except BrokenError:
            return False


def open_sound(
    source: Source,
    *,
    offset: float = 0.0,
    duration: float | None = None,
    programs: bool = True,
    name: str | None = None,
) -> SoundStream:
    """Open a recording to read it block by block; a context manager.

    Args:
        source: see `read_sound`.
        offset: see `read_sound`.
        duration: see `read_sound`.
        programs: other programs (ffmpeg) may be run.
        name: what messages call it; its path, or standard input, where None.

    Raises:
        AudioError: see `read_sound`.
    """
    return SoundStream(source, offset, duration, programs, name)


def read_sound(
    source: Source, *, channels: str | None = None, offset: float = 0.0, duration: float | None = None
) -> Sound:
    """Read a recording at its own sample rate: all of it, or what is there with what is missing said.

    Of wav and flac a segment alone is decoded; of mp3, Opus and others everything before it, too, so that it is exact.

    Args:
        source: wav, flac, ogg, mp3, m4a, … by path, as bytes, or opened.
        channels: None keeps them all, [S, C]; otherwise see `to_mono`, [S].
        offset: seconds before the segment that is wanted.
        duration: seconds of it; to the end when None.

    Raises:
        AudioError: the file is missing, cannot be decoded, is empty, or ends before the segment does.
    """
    with open_sound(source, offset=offset, duration=duration) as stream:
        blocks = list(stream.blocks(max(AT_ONCE // stream.channels, 1)))
        samples = np.concatenate(blocks) if len(blocks) > 1 else blocks[0]
        sound = Sound(samples, stream.rate, stream.reader, stream.missing, stream.notes)
    try:
        return sound if channels is None else sound.mono(channels)
    except AudioError as error:
        raise AudioError(f"{name_of(source)}: {error}") from None


def read(
    source: Source, *, channels: str = "mix", offset: float = 0.0, duration: float | None = None
) -> tuple[np.ndarray, int]:
    """Read a recording as mono at its own sample rate; what `read_sound` notes is a warning in the log.

    Args:
        source: see `read_sound`.
        channels: see `to_mono`.
        offset: seconds before the segment that is wanted.
        duration: seconds of it; to the end when None.

    Returns:
        samples [S] float32 and their rate, hertz.

    Raises:
        AudioError: see `read_sound`.
    """
    sound = read_sound(source, channels=channels, offset=offset, duration=duration)
    for note in sound.notes:
        LOG.warning("%s: %s", name_of(source), note)
    return sound.samples, sound.rate


def load(
    source: Source, sample_rate: int, *, channels: str = "mix", offset: float = 0.0, duration: float | None = None
) -> np.ndarray:
    """Read a recording as mono at a sample rate, [S] float32; see `read`."""
    samples, rate = read(source, channels=channels, offset=offset, duration=duration)
    return resample(samples, rate, sample_rate)


def measure(source: Source) -> Length:
    """How long is a recording in truth? From the header where that can be trusted, else by decoding it.

    Args:
        source: see `read_sound`.

    Raises:
        AudioError: see `read_sound`.
    """
    with open_sound(source) as stream:
        return stream.measured()
