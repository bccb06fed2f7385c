"""Sound lies where its container's clock has it: what that leaves out is quiet, and said."""

import io
import shutil
from unittest import mock

import av
import numpy as np
import pytest

from heyjetson.audio import pyav, read_sound
from heyjetson.audio.timeline import Timeline
from tests.heyjetson.sounds import speechlike

RATE = 48000
BLOCK = 4800
KINDS = [("mp4", "aac"), ("mov", "aac"), ("matroska", "flac"), ("matroska", "libopus")]


def film(container: str, codec: str, late: float = 0.0, gap: float = 0.0, pictures: int = 0) -> bytes:
    """A second of sound that begins `late`, with a gap after half of it, beside ten pictures a second."""
    file, sound, kind = io.BytesIO(), speechlike(1.0, RATE), "s16" if codec == "flac" else "fltp"
    values = np.rint(sound * 32767).astype(np.int16) if kind == "s16" else sound
    with av.open(file, "w", format=container) as out:
        screen = out.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p") if pictures else None
        track = out.add_stream(codec, rate=RATE, layout="mono")
        for number in range(pictures):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            picture.pts = number
            out.mux(screen.encode(picture))
        frames = []
        for begin in range(0, len(sound), BLOCK):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values[begin : begin + BLOCK].T), kind, "mono")
            frame.sample_rate, frame.pts = RATE, begin
            frames.append(frame)
        for packet in [packet for frame in [*frames, None] for packet in track.encode(frame)]:
            moved = late + (gap if packet.pts * packet.time_base >= 0.5 else 0.0)
            packet.pts = packet.dts = packet.pts + round(moved / packet.time_base)
            out.mux(packet)
    return file.getvalue()


def lag_of(found: np.ndarray, sound: np.ndarray) -> float:
    """Seconds by which sound comes late, where it is most alike."""
    size = len(found) + len(sound)
    likeness = np.fft.irfft(np.fft.rfft(found, size) * np.conj(np.fft.rfft(sound, size)), size)
    return int(likeness.argmax()) / RATE


@pytest.mark.parametrize("container, codec", KINDS)
def test_sound_that_begins_after_its_picture_is_as_late_as_there(container, codec):
    read = read_sound(film(container, codec, late=2.0, pictures=40))
    plain = read_sound(film(container, codec))
    assert (read.missing, plain.missing, plain.notes) == (0, 0, ())
    assert lag_of(read.samples[:, 0], plain.samples[:, 0]) == pytest.approx(2.0, abs=0.03)
    assert read.notes == ("Its sound begins 2.00 s after its picture or other tracks: quiet stands there.",) or (
        container != "matroska" and "begins 1.98 s" in read.notes[0]  # an encoder's delay is before it
    )


@pytest.mark.parametrize("container, codec", KINDS)
def test_what_a_clock_leaves_out_is_quiet(container, codec):
    data, plain = film(container, codec, gap=3.0), read_sound(film(container, codec)).samples[:, 0]
    read = read_sound(data)
    assert read.missing == 0
    assert read.seconds == pytest.approx(len(plain) / RATE + 3, abs=0.05)
    (note,) = read.notes
    assert "leaves out 3.0" in note or "leaves out 2.9" in note
    quiet = round(2.9 * RATE) <= (count := len(read.samples) - len(plain)) <= round(3.1 * RATE)
    assert quiet and not read.samples[round(0.7 * RATE) : round(3.3 * RATE)].any()
    np.testing.assert_array_equal(read.samples[round(3.7 * RATE) :, 0], plain[round(3.7 * RATE) - count :])
    part = read_sound(data, offset=3.6, duration=0.3)  # as a line of subtitles has it
    np.testing.assert_array_equal(part.samples, read.samples[round(3.6 * RATE) :][: round(0.3 * RATE)])


def test_pictures_that_last_longer_are_no_missing_sound():
    data = film("matroska", "flac", pictures=40)
    read = read_sound(data)
    assert (read.missing, read.notes) == (0, ())
    cut = read_sound(data[: len(data) * 2 // 3])
    assert cut.missing > 0.5


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the program ffmpeg is not installed")
def test_the_program_says_what_its_times_leave_out():
    with mock.patch.object(pyav, "is_installed", lambda: False):
        for data in (film("matroska", "flac", late=2.0, pictures=40), film("matroska", "flac", gap=3.0)):
            read = read_sound(data)
            assert read.reader == "ffmpeg" and not read.missing
            assert "words from there on are given too early" in read.notes[0]
            assert "heyjetson[formats]" in read.notes[0]
        plain = read_sound(film("matroska", "flac", pictures=40))
        assert (plain.missing, plain.notes) == (0, ())


def test_a_clock_that_was_set_anew_is_no_quiet():
    clock = Timeline("matroska,webm", 0.0)
    assert clock.before(0.0, 0.0) == 0
    assert clock.before(100_001.0, 1.0) == 0
    assert clock.before(100_002.0, 2.0) == 0
    assert clock.before(100_005.0, 3.0) == 2
    (gap, jump) = clock.notes
    assert "leaves out 2.00 s, first after 3.00 s" in gap
    assert "jumps by 100000 s after 1.00 s" in jump


def test_a_clock_that_runs_slowly_puts_no_quiet_into_words():
    clock = Timeline("matroska,webm", 0.0)
    assert not any(clock.before(0.02 * number * 1.001, 0.02 * number) for number in range(20_000))
    assert clock.before(None, 400.0) == 0
    assert clock.notes == []
    assert Timeline("wav", 0.0).before(5.0, 0.0) == 0
