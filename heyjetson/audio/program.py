"""Reading with the program ffmpeg, where PyAV is not installed and ffmpeg is."""

from __future__ import annotations

import os
import re
import shutil
from typing import IO, BinaryIO

import numpy as np

from heyjetson.audio.layout import Layout
from heyjetson.audio.pyav import COUNTED, FORMATS, TOLERANCE, is_trimmed_twice, tolerance
from heyjetson.audio.readers import BrokenError, UnreadableError, decode_past
from heyjetson.audio.timeline import CLOCKS, LAG

COMMAND = "-hide_banner -nostdin -nostats -v level+info -protocol_whitelist file,pipe"
# Beside the sound, the first frame and those before which its clock leaves something out: what they say is counted.
CLOCK = (
    "[0:a:0]asplit[sound][clock];"
    f"[clock]aselect='isnan(prev_t)+gt(t-prev_t,{LAG}+samples_n/sample_rate)',ashowinfo,anullsink"
)
OUTPUT = "-map [sound] -f au -c:a pcm_f32be -"
INPUT = re.compile(r"Input #0, (\S+), from")
DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d\.\d+)(?:, start: (\d+\.\d+))?")
TRACK = re.compile(r"^.*Stream #0:\d+(?!.*\(attached pic\)).*$", re.MULTILINE)
MAPPING = "Stream mapping:"  # what follows is of the output
TIME = re.compile(r"Parsed_ashowinfo.* pts_time:(-?[\d.]+)")
CUT = re.compile("ended prematurely|partial file")
PYAV = "What puts quiet there is PyAV: pip install 'heyjetson[formats]'."
PLACE = re.compile(r"^(?:\[.*?\] ?)+")  # ffmpeg's own, with addresses


def is_installed() -> bool:
    """Is ffmpeg there?"""
    return shutil.which("ffmpeg") is not None


class ProgramReader:
    """See `readers.Reader`.

    Args:
        file: the recording; one without a path is copied to a temporary file first.
        path: of it, where it has one.
        layout: what is in it.

    Raises:
        UnreadableError: it cannot be read.
    """

    name = "ffmpeg"
    frames = None

    def __init__(self, file: BinaryIO, path: str | None, layout: Layout):
        import subprocess
        import tempfile

        self._layout, self._copy = layout, None
        if path is None:
            self._copy = tempfile.NamedTemporaryFile(prefix="heyjetson-")  # noqa: SIM115
            file.seek(0)
            shutil.copyfileobj(file, self._copy, 1 << 20)
            self._copy.flush()
            path = self._copy.name
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        # An absolute path is no option, and "file:" no address of another kind.
        command = [
            "ffmpeg",
            *COMMAND.split(),
            "-format_whitelist",
            FORMATS,
            "-err_detect",
            "crccheck",
            *(["-flags2", "+skip_manual"] if is_trimmed_twice(file, layout) else []),
            "-i",
            f"file:{os.path.abspath(path)}",
        ]
        self._child = subprocess.Popen(
            [*command, "-filter_complex", CLOCK, *OUTPUT.split()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        assert self._child.stdout
        self._out: IO[bytes] = self._child.stdout
        self.missing, self.notes = 0.0, list[str]()
        self._done, self._ended = 0, False
        header = self._out.read(24)
        if len(header) < 24:
            self._child.wait()
            reasons = self._errors()
            self.close()
            raise UnreadableError(reasons[0] if reasons else "it holds no sound")
        start, self.rate, self.channels = (int.from_bytes(header[at : at + 4], "big") for at in (4, 16, 20))
        self._out.read(start - 24)

    def skip(self, count: int) -> int:
        """Decode frames and leave them out; how many there were."""
        return decode_past(self, count)

    def read(self, count: int) -> np.ndarray:
        """Frames [at most `count`, C] float32; none at the end."""
        frame = 4 * self.channels
        pieces, left = [], count * frame
        while left and (data := self._out.read(min(left, 1 << 22))):
            pieces.append(data)
            left -= len(data)
        raw = b"".join(pieces)
        block = np.frombuffer(raw, ">f4", len(raw) // frame * self.channels).astype(np.float32)
        self._done += len(block) // self.channels
        if left and not self._ended:
            self._ended = True
            self._judge()
        return block.reshape(-1, self.channels)

    def _text(self) -> str:
        self._said.seek(0)
        return self._said.read().decode(errors="replace")

    def _errors(self) -> list[str]:
        lines = [line for line in self._text().splitlines() if "[error]" in line or "[fatal]" in line]
        return [f"{PLACE.sub('', line):.120}".strip().rstrip(".") for line in lines]

    def _judge(self) -> None:
        """All is decoded: was it all there is?"""
        status, text = self._child.wait(), self._text()
        kind, said = INPUT.search(text), DURATION.search(text)
        seconds = self._done / self.rate
        alone = len(TRACK.findall(text.split(MAPPING)[0])) == 1  # what the container says is of the longest track
        times = [float(time) for time in TIME.findall(text)]
        if self._layout.frames:
            self.missing = max(self._layout.frames - self._done, 0) / self.rate
        elif kind and said and COUNTED & set(kind[1].split(",")) and alone and len(times) < 2:
            promised = int(said[1]) * 3600 + int(said[2]) * 60 + float(said[3]) - float(said[4] or 0)
            if promised - seconds > tolerance(kind[1], self.rate):
                self.missing = promised - seconds
        errors = self._errors()
        if errors and self._layout.kind == "flac" and not self.missing:
            raise BrokenError(errors[0])
        if errors:
            self.notes.append(f"ffmpeg said of it: {errors[0]}.")
        if kind and set(CLOCKS) & set(kind[1].split(",")) and (len(times) > 1 or max(times, default=0.0) > LAG):
            place = next(time for time in times if time > LAG)
            self.notes.append(
                f"Its clock leaves out what lies before {place:.2f} s, as where a recording paused or begins later "
                f"than its picture: words from there on are given too early. {PYAV}"
            )
        if (status or any(CUT.search(error) for error in errors)) and not self.missing:
            self.missing = TOLERANCE

    def close(self) -> None:
        """End the program."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        self._out.close()
        self._said.close()
        if self._copy:
            self._copy.close()
