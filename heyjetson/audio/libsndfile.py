"""Reading with libsndfile: first, where it is right."""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np
import soundfile

from heyjetson.audio.checksum import EXACT, Checksum
from heyjetson.audio.layout import Layout, Stretch
from heyjetson.audio.readers import BrokenError, UnreadableError, decode_past
from heyjetson.audio.streams import BEHIND, joined_flacs, look_flac

UNREAD = 64  # bytes behind the end of an MP3 that are no sound
MP3_FRAME = 1152
NO_FORMAT = (1, 7, 18)  # libsndfile's: unrecognised format, MPEG without a frame, format that is not implemented
UNKNOWN = 1 << 62  # frames, where a header does not say how many
ALTERED = "Its samples are not those that its checksum says: it was changed since it was made. Fetch it again."
ERRORS = (soundfile.LibsndfileError, RuntimeError, OSError, TypeError, ValueError)


class _Forward(soundfile.SoundFile):
    """An MP3 read from front to back: soundfile seeks after each read, and libsndfile 1.2.2 is quiet behind a seek."""

    def seekable(self) -> bool:
        """Never: so soundfile leaves the decoder where it is."""
        return False


class SndfileReader:
    """See `readers.Reader`.

    Args:
        file: the recording.
        size: its bytes.
        layout: what is in it.

    Raises:
        UnreadableError: libsndfile cannot read it.
    """

    name = "libsndfile"

    def __init__(self, file: BinaryIO, size: int, layout: Layout):
        self._file, self._size, self._layout = file, size, layout
        self._stretches = list(layout.stretches)
        self._index = 0
        self._sound = self._open(self._stretches[0])
        self.rate, self.channels = self._sound.samplerate, self._sound.channels
        self.notes: list[str] = []
        self._none = np.zeros((0, self.channels), np.float32)
        self.missing = 0.0
        self._done = 0  # frames of this stretch
        self._scanned = self._ended = False
        judged = layout.kind == "flac" and layout.md5 and layout.bits <= EXACT
        self._checksum = Checksum(layout.md5, layout.bits) if judged else None  # of the whole alone

    def _open(self, stretch: Stretch) -> soundfile.SoundFile:
        if stretch.end <= stretch.start:
            raise UnreadableError("it is empty")
        source: int | io.RawIOBase | BinaryIO
        if len(self._stretches) == 1 and not stretch.start and not stretch.patches:
            self._file.seek(0)
            try:
                source = self._file.fileno()  # libsndfile reads from it by itself, which is faster
            except (OSError, AttributeError, io.UnsupportedOperation):
                source = self._file
        else:
            source = stretch.open(self._file)
        opened = _Forward if self._layout.kind == "mp3" else soundfile.SoundFile
        try:
            sound = opened(source, closefd=False)
        except ERRORS as error:
            raise UnreadableError(reason(error), getattr(error, "code", 0) in NO_FORMAT) from None
        if sound.subtype == "MPEG_LAYER_I":  # nobody's recording: UTF-16 text begins with the same bytes
            sound.close()
            raise UnreadableError("Format not recognised", unknown=True)
        if sound.frames >= UNKNOWN:
            sound.close()
            raise UnreadableError("its header does not say how long it is")
        return sound

    @property
    def frames(self) -> int | None:
        """Of the whole file as its headers have it; None where only reading tells."""
        if self._layout.kind == "flac":
            self._scan(1)
            return sum(stretch.frames or 0 for stretch in self._stretches)
        if self._layout.kind == "mp3":
            return None
        return self._sound.frames if len(self._stretches) == 1 else sum(map(self._count, self._stretches))

    def _count(self, stretch: Stretch) -> int:
        with self._open(stretch) as sound:
            return sound.frames

    def _scan(self, since: int) -> None:
        """Look for flacs that are joined to this one, from a byte on."""
        if self._layout.kind == "flac" and not self._scanned and len(self._stretches) == 1:
            self._scanned = True
            start = self._stretches[0].start
            if joined := joined_flacs(self._file, self._size, max(since, start + 8)):
                self._stretches = list(look_flac(self._file, self._size, start, joined).stretches)
                if not all(stretch.frames for stretch in self._stretches):
                    raise BrokenError("a flac of unknown length is joined to it")

    def skip(self, count: int) -> int:
        """Leave frames out; how many."""
        self._checksum = None
        if self._layout.kind == "flac":
            # A search for a frame in joined flacs may find one of another: each is to be a file of its own.
            before = len(self._stretches)
            self._scan(1)
            if len(self._stretches) > before:
                self._sound.close()
                self._sound = self._open(self._stretches[0])
        if self._layout.kind == "ogg" or not self._sound.seekable():
            return decode_past(self, count)
        left = count
        while left:
            step = min(left, max(self._sound.frames - self._done, 0))
            try:
                self._sound.seek(self._done + step)
            except ERRORS as error:
                raise BrokenError(reason(error)) from None
            self._done += step
            left -= step
            if left and not self._advance():
                break
        return count - left

    def read(self, count: int) -> np.ndarray:
        """Frames [at most `count`, C] float32; none at the end."""
        while True:
            left = self._sound.frames - self._done
            try:
                block = self._sound.read(min(count, left), dtype="float32", always_2d=True) if left > 0 else self._none
            except ERRORS as error:
                raise BrokenError(reason(error)) from None
            self._done += len(block)
            if self._checksum is not None:
                self._checksum.update(block)
            if len(block) or not self._advance():
                return block

    def _advance(self) -> bool:
        """Go on to the next stretch; whether there is one."""
        if self._ended:
            return False
        stretch, kind = self._stretches[self._index], self._layout.kind
        if kind == "mp3":
            if stretch.end - self._position() > UNREAD:
                raise BrokenError("it ends at a length that it guessed, with sound behind")
            if stretch.counted and self._sound.frames - self._done > MP3_FRAME:
                self.missing += (self._sound.frames - self._done) / self.rate
        elif kind == "flac":
            self.missing += max((stretch.frames or 0) - self._done, 0) / self.rate
        elif 0 < stretch.share < 1:
            self.missing += max(self._done / stretch.share - self._done, 1) / self.rate
        if kind == "flac" and self._index == 0:
            self._scan(self._position() - BEHIND)
        if self._index + 1 == len(self._stretches):
            self._ended = True
            if self._checksum is not None and not (self._checksum.agrees or self._index or self.missing):
                self.notes.append(ALTERED)
            return False
        self._index += 1
        self._sound.close()
        self._sound = self._open(self._stretches[self._index])
        self._done = 0
        if (self._sound.samplerate, self._sound.channels) != (self.rate, self.channels):
            raise BrokenError(
                f"what is joined to it has {self._sound.samplerate} Hz and {self._sound.channels} channels, not "
                f"{self.rate} Hz and {self.channels}"
            )
        return True

    def _position(self) -> int:
        """The byte that libsndfile would read next; it may have read ahead."""
        return self._file.seek(0, io.SEEK_CUR)

    def close(self) -> None:
        """Close the decoder, not the file."""
        self._sound.close()


def reason(error: Exception) -> str:
    """libsndfile's words without a file name."""
    said = getattr(error, "error_string", None) or str(error)
    return said.removeprefix("Error : ").split(": ", 1)[-1].strip().rstrip(".")
