"""All of the sound, or an error that says what to do: containers, segments, joined files, headers that lie."""

from __future__ import annotations

import io
import logging
import os
import shutil
import struct
import threading
from unittest import mock

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heyjetson.audio import AUDIO, is_recording, load, measure, open_sound, program, pyav, read, read_sound, streams
from heyjetson.audio.promises import judge
from heyjetson.errors import AudioError
from tests.heyjetson import formats_table
from tests.heyjetson.sounds import by_pyav, by_soundfile, speechlike, uncounted_mp3, unknown_flac

RATE = 16000
LOSSLESS = {
    "wav": lambda sound, rate: by_soundfile(sound, rate, "WAV", "PCM_16"),
    "wav 24": lambda sound, rate: by_soundfile(sound, rate, "WAV", "PCM_24"),
    "wav float": lambda sound, rate: by_soundfile(sound, rate, "WAV", "FLOAT"),
    "wavex": lambda sound, rate: by_soundfile(sound, rate, "WAVEX", "PCM_16"),
    "rf64": lambda sound, rate: by_soundfile(sound, rate, "RF64", "PCM_16"),
    "w64": lambda sound, rate: by_soundfile(sound, rate, "W64", "PCM_16"),
    "aiff": lambda sound, rate: by_soundfile(sound, rate, "AIFF", "PCM_16"),
    "au": lambda sound, rate: by_soundfile(sound, rate, "AU", "PCM_16"),
    "caf": lambda sound, rate: by_soundfile(sound, rate, "CAF", "PCM_16"),
    "sph": lambda sound, rate: by_soundfile(sound, rate, "NIST", "PCM_16"),
    "flac": lambda sound, rate: by_soundfile(sound, rate, "FLAC", "PCM_16"),
    "flac 24": lambda sound, rate: by_soundfile(sound, rate, "FLAC", "PCM_24"),
    "unknown flac": unknown_flac,
    "ogg flac": lambda sound, rate: by_pyav(sound, rate, "ogg", "flac"),
    "matroska flac": lambda sound, rate: by_pyav(sound, rate, "matroska", "flac"),
    "wavpack": lambda sound, rate: by_pyav(sound, rate, "wv", "wavpack", format="s16p"),
}
LOSSY = {
    "mp3": lambda sound, rate: by_soundfile(sound, rate, "MP3"),
    "uncounted mp3": uncounted_mp3,
    "vorbis": lambda sound, rate: by_soundfile(sound, rate, "OGG", "VORBIS"),
    "opus": lambda sound, rate: by_soundfile(sound, rate, "OGG", "OPUS"),
    "aac": lambda sound, rate: by_pyav(sound, rate, "ipod", "aac"),
    "webm": lambda sound, rate: by_pyav(sound, rate, "webm", "libopus"),
}
some = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def steps(samples: np.ndarray) -> np.ndarray:
    return np.rint(samples * 32768)


@some
@given(
    st.sampled_from(sorted(LOSSLESS)),
    st.integers(1, 2),
    st.sampled_from([8000, 16000, 44100]),
    st.floats(0.05, 1.5),
    st.floats(0, 0.99),
    st.floats(0.01, 1.0),
)
def test_what_went_in_comes_out_and_segments_are_its_slices(kind, channels, rate, seconds, begin, share):
    sound = speechlike(seconds, rate, channels)
    data = LOSSLESS[kind](sound, rate)
    whole = read_sound(data)
    assert (whole.rate, whole.missing, whole.notes) == (rate, 0.0, ())
    np.testing.assert_array_equal(steps(whole.samples), steps(sound))
    length = measure(data)
    assert (length.seconds, length.rate, length.channels) == (whole.seconds, rate, channels)
    start = int(begin * len(sound))
    count = max(int(share * (len(sound) - start)), 1)
    part = read_sound(data, offset=start / rate, duration=count / rate)
    np.testing.assert_array_equal(part.samples, whole.samples[start : start + count])
    with open_sound(data, offset=start / rate) as stream:
        blocks = np.concatenate(list(stream.blocks(777)))
    np.testing.assert_array_equal(blocks, whole.samples[start:])


@pytest.mark.parametrize("kind", sorted(LOSSY))
def test_compressed_sound_is_whole_in_place_and_cut_exactly(kind):
    rate = 48000 if kind in ("opus", "webm") else RATE
    sound = speechlike(3.0, rate)
    data = LOSSY[kind](sound, rate)
    whole = read_sound(data)
    assert whole.seconds == pytest.approx(3.0, abs=0.1) and not whole.missing
    assert measure(data).seconds == whole.seconds
    late = np.argmax(np.correlate(whole.samples[: rate // 2, 0], sound[: rate // 4, 0], "valid"))
    assert late / rate < 0.08
    part = read_sound(data, offset=1.2345, duration=0.5)
    start = round(1.2345 * rate)
    np.testing.assert_array_equal(part.samples, whole.samples[start : start + round(0.5 * rate)])


@pytest.mark.parametrize("kind", sorted(LOSSY))
def test_blocks_of_compressed_sound_are_the_whole_of_it(kind):
    rate = 48000 if kind in ("opus", "webm") else RATE
    time = np.arange(3 * rate) / rate
    sound = 0.5 * np.sin(2 * np.pi * (200 * time + 100 * time**2)).astype(np.float32)  # keeps bits for later frames
    data = LOSSY[kind](sound[:, None], rate)
    whole = read_sound(data).samples
    with open_sound(data) as stream:
        np.testing.assert_array_equal(np.concatenate(list(stream.blocks(rate // 10))), whole)
    part = read_sound(data, offset=1.25, duration=0.5)
    np.testing.assert_array_equal(part.samples, whole[round(1.25 * rate) : round(1.75 * rate)])


@pytest.mark.parametrize("kind", ["wav", "wav 24", "aiff", "flac", "mp3", "vorbis", "opus"])
def test_joined_files_are_read_to_the_end(kind):
    rate = 48000 if kind == "opus" else RATE
    pieces = [speechlike(seconds, rate, seed=number) for number, seconds in enumerate((1.0, 0.3, 1.4))]
    files = [(LOSSLESS | LOSSY)[kind](piece, rate) for piece in pieces]
    whole = read_sound(b"".join(files))
    alone = np.concatenate([read_sound(data).samples for data in files])
    np.testing.assert_allclose(whole.samples, alone, atol=1e-6)  # mpg123 rounds by where its buffers lie
    assert whole.seconds == pytest.approx(2.7, abs=0.001) and not whole.missing
    assert measure(b"".join(files)).seconds == whole.seconds
    part = read_sound(b"".join(files), offset=0.9, duration=0.6)
    np.testing.assert_allclose(part.samples, whole.samples[round(0.9 * rate) : round(1.5 * rate)], atol=1e-6)
    equal = files[0] * 2  # a frame's number may be found in either
    part = read_sound(equal, offset=1.5, duration=0.2)
    np.testing.assert_allclose(part.samples, read_sound(files[0], offset=0.5, duration=0.2).samples, atol=1e-6)


def test_joined_mp3s_without_counts_are_read_to_the_end():
    data = uncounted_mp3(speechlike(2.0, RATE), RATE)
    assert read_sound(data * 2).seconds == pytest.approx(4.0, abs=0.25)


def test_more_files_are_joined_than_calls_can_be_nested():
    wav = by_soundfile(speechlike(0.01, 8000), 8000, "WAV")
    assert len(read_sound(1200 * wav).samples) == 1200 * 80


@pytest.mark.parametrize("rate", [8000, 11025])
def test_a_caf_whose_last_packet_is_not_full_is_whole(rate, tmp_path, monkeypatch):
    samples = speechlike(1.0, rate)
    sound = by_pyav(samples, rate, "caf", "alac")
    (tmp_path / "a.caf").write_bytes(sound)
    assert read_sound(sound).missing == 0 and len(read_sound(sound).samples) == len(samples)
    if shutil.which("ffmpeg"):
        monkeypatch.setattr(pyav, "is_installed", lambda: False)
        with open_sound(tmp_path / "a.caf", name="the clip") as stream:
            assert sum(map(len, stream.blocks())) == len(samples) and not stream.missing
            assert stream.reader == "ffmpeg"


def test_files_of_other_rates_do_not_join():
    data = by_soundfile(speechlike(1, 16000), 16000, "FLAC") + by_soundfile(speechlike(1, 8000), 8000, "FLAC")
    with pytest.raises(AudioError, match="8000 Hz"):
        read_sound(data)


def lied(kind: str, size: int) -> bytes:
    """A file whose header says another size."""
    data = bytearray(LOSSLESS[kind](speechlike(1.0, RATE), RATE))
    if kind.startswith("wav"):
        at = data.index(b"data") + 4
        struct.pack_into("<I", data, at, size)
    elif kind == "aiff":
        struct.pack_into(">I", data, data.index(b"SSND") + 4, size)
        struct.pack_into(">I", data, data.index(b"COMM") + 10, size // 2)
    elif kind == "au":
        struct.pack_into(">I", data, 8, size)
    elif kind == "w64":
        struct.pack_into("<Q", data, data.index(b"data\xf3\xac") + 16, size + 24 if size else 0)
    elif kind == "rf64":
        at = data.index(b"ds64")
        struct.pack_into("<Q", data, at + 16, size)
        struct.pack_into("<I", data, data.index(b"data") + 4, 0xFFFFFFFF)
    elif kind == "caf":
        struct.pack_into(">Q", data, data.index(b"data") + 4, size)
    return bytes(data)


@pytest.mark.parametrize("kind", ["wav", "wav 24", "aiff", "au", "w64", "rf64", "caf"])
@pytest.mark.parametrize("size", [0, 2_000_000_000, 100_000_000, 0x40000000, 0xFFFFFFFF, 0x7FFFF000, 0x7F000008])
def test_placeholders_hide_no_sound(kind, size):
    sound = read_sound(lied(kind, size))
    np.testing.assert_array_equal(steps(sound.samples), steps(speechlike(1.0, RATE)))
    assert not sound.missing
    assert bool(sound.notes) == (size < 0x7FFF0000)
    assert measure(lied(kind, size)).seconds == 1.0


@pytest.mark.parametrize("kind", [*LOSSLESS, *LOSSY])
def test_what_is_cut_is_never_called_whole(kind):
    rate = 48000 if kind in ("opus", "webm") else RATE
    seconds = 12.0  # of several pages and blocks
    sound = speechlike(seconds, rate)
    data = (LOSSLESS | LOSSY)[kind](sound, rate)
    cut = data[: len(data) // 2]
    if kind in ("unknown flac", "uncounted mp3"):
        return  # they promise nothing
    if kind == "aac":  # what it holds is told at its end
        with pytest.raises(AudioError, match="Convert it"):
            read_sound(cut)
        return
    found = read_sound(cut)
    assert found.missing > 0 and 2 < found.seconds < 11
    assert "cut short" in found.notes[-1] or "without an end" in found.notes[-1]
    if kind not in ("vorbis", "opus", "ogg flac"):  # nothing says how much
        assert found.seconds + found.missing == pytest.approx(seconds, abs=0.1)
    assert measure(cut).missing == pytest.approx(found.missing)
    there = read_sound(cut, offset=0.1, duration=0.2)  # a segment that is there is whole
    assert not there.missing and len(there.samples) == round(0.2 * rate)
    short = read_sound(cut, offset=0.1, duration=11.9)
    assert short.missing > 0 and short.notes
    with pytest.raises(AudioError, match="no segment"):
        read_sound(cut, offset=11.95, duration=0.04)


@given(st.integers(1, 2**33), st.floats(0.01, 0.99))
def test_the_rule_of_promises(promise, share):
    there = int(promise * share)
    assert judge(promise, promise) == "kept"
    verdict = judge(promise, there)
    round_number = any(min(promise % step, -promise % step) < 96 for step in (10_000_000, 1 << 24))
    assert (verdict == "cut") or round_number or min(abs(promise - 2**31), abs(promise - 2**32)) <= 2**16


def test_chunks_behind_the_sound_are_none_of_it():
    data = by_soundfile(speechlike(0.5, RATE), RATE, "WAV", "PCM_16")
    tagged = data + b"LIST" + struct.pack("<I", 20000) + bytes(20000)
    assert read_sound(tagged).seconds == 0.5 and not read_sound(tagged).notes
    assert read_sound(data + bytes(9000)).notes
    empty = by_soundfile(np.zeros((0, 1)), RATE, "WAV", "PCM_16") + b"LIST" + struct.pack("<I", 4) + b"INFO"
    with pytest.raises(AudioError, match="holds no samples"):
        read_sound(empty)


def test_flacs_that_libsndfile_refuses_are_whole(recordings):
    for path in sorted((recordings / "broken").glob("*.flac")):
        sound = read_sound(path)
        assert sound.reader == "PyAV" and not sound.missing and "checksum is right" in sound.notes[0]
        assert len(sound.samples) == soundfile.info(path).frames == round(measure(path).seconds * sound.rate)
        part = read_sound(path, offset=0.25, duration=0.5)
        np.testing.assert_array_equal(part.samples, sound.samples[4000:12000])


def test_a_damaged_flac_is_refused():
    data = bytearray(by_soundfile(speechlike(3.0, RATE), RATE, "FLAC"))
    data[len(data) // 2 : len(data) // 2 + 200] = b"\xff" * 200
    with pytest.raises(AudioError, match="checksum"):
        read_sound(bytes(data))


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_flac_that_was_changed_is_named(subtype, channels):
    data = bytearray(by_soundfile(speechlike(1.0, RATE, channels), RATE, "FLAC", subtype))
    assert read_sound(bytes(data)).notes == ()
    file = io.BytesIO(data)
    reader = pyav.PyavReader(file, streams.look_flac(file, len(data)))
    while len(reader.read(4096)):
        pass
    assert "its checksum is right" in reader.notes[0]
    data[26] ^= 1  # of the MD5, behind what else a flac says first
    sound = read_sound(bytes(data))
    assert len(sound.samples) == RATE and not sound.missing
    (note,) = sound.notes
    assert "not those that its checksum says" in note
    assert not read_sound(bytes(data), duration=0.5).notes  # nothing is known of a part
    assert not read_sound(bytes(data) * 2).notes  # nor of what is joined


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the program ffmpeg is not installed")
@pytest.mark.parametrize("kind", ["unknown flac", "ogg flac", "wavpack", "aac", "webm"])
def test_the_program_reads_what_pyav_does(kind):
    rate = 48000 if kind == "webm" else RATE
    data = (LOSSLESS | LOSSY)[kind](speechlike(2.0, rate, 2), rate)
    by_library = read_sound(data)
    with mock.patch.object(pyav, "is_installed", lambda: False):
        by_program = read_sound(data)
        part = read_sound(data, offset=0.5, duration=0.25)
        with pytest.raises(AudioError, match="cannot be decoded"):
            read_sound(b"no sound at all " * 100)
    assert (by_library.reader, by_program.reader) == ("PyAV", "ffmpeg")
    assert by_program.seconds == pytest.approx(by_library.seconds, abs=0.05)
    assert by_program.samples.shape[1] == 2
    np.testing.assert_array_equal(part.samples, by_program.samples[round(0.5 * rate) : round(0.75 * rate)])


def test_without_other_readers_the_error_says_what_to_install():
    short = uncounted_mp3(speechlike(6.0, RATE)[:, :] * np.linspace(1, 0, 6 * RATE)[:, None].astype(np.float32), RATE)
    assert read_sound(short).seconds == pytest.approx(6, abs=0.1)
    with (
        mock.patch.object(pyav, "is_installed", lambda: False),
        mock.patch.object(program, "is_installed", lambda: False),
    ):
        for data in (
            short,
            LOSSLESS["unknown flac"](speechlike(1, RATE), RATE),
            LOSSLESS["ogg flac"](speechlike(1, RATE), RATE),
        ):
            with pytest.raises(AudioError, match=r"heyjetson\[formats\]"):
                read_sound(data)


def test_playlists_open_nothing(tmp_path):
    (tmp_path / "secret.wav").write_bytes(by_soundfile(speechlike(1, RATE), RATE, "WAV"))
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nfile://{tmp_path}/secret.wav\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.m3u8").write_text(text)
    (tmp_path / "list.ffconcat").write_text("ffconcat version 1.0\nfile secret.wav\n")
    for name in ("list.m3u8", "list.ffconcat"):
        for there in (True, False):
            installed = mock.patch.object(pyav, "is_installed", lambda there=there: there)
            with installed, pytest.raises(AudioError, match="cannot be decoded"):
                read_sound(tmp_path / name)


def test_segments_that_are_not_there():
    data = by_soundfile(speechlike(1.0, RATE), RATE, "FLAC")
    for wrong in ({"offset": 1.5}, {"offset": 0.5, "duration": 1.0}, {"offset": -1}, {"duration": 0}):
        with pytest.raises(AudioError, match="no segment"):
            read_sound(data, **wrong)
    assert read_sound(data, offset=0.5, duration=0.505).seconds == 0.5  # manifests round


@pytest.mark.parametrize("part", [{"offset": np.nan}, {"offset": np.inf}, {"duration": np.inf}, {"duration": 1e-6}])
def test_segments_that_cannot_be(part):
    with pytest.raises(AudioError, match="no segment of"):
        read_sound(by_soundfile(speechlike(0.1, 8000), 8000, "WAV"), **part)


@pytest.mark.parametrize("suffix", ["wav", "mka"])
def test_integers_that_were_written_as_floats_are_refused(suffix, tmp_path):
    path, sound = tmp_path / f"a.{suffix}", speechlike(0.5, RATE) * 20000
    if suffix == "wav":
        soundfile.write(path, sound, RATE, subtype="FLOAT")
    else:
        path.write_bytes(by_pyav(sound, RATE, "matroska", "pcm_f32le", format="flt"))
    with pytest.raises(AudioError, match=rf"a.{suffix} holds samples of \d.* integers .* Divide them by"):
        read_sound(path, channels="mix")
    with pytest.raises(AudioError, match="Divide them by"), open_sound(path, offset=0.1, duration=0.2) as stream:
        list(stream.blocks())


@pytest.mark.parametrize(("peak", "said"), [(1.5, False), (20.0, True)])
def test_floats_that_16_bits_would_cut_off_are_said(peak, said, tmp_path):
    sound = speechlike(0.5, RATE)
    soundfile.write(tmp_path / "a.wav", sound / np.abs(sound).max() * peak, RATE, subtype="FLOAT")
    found = read_sound(tmp_path / "a.wav")
    assert np.abs(found.samples).max() == pytest.approx(peak)
    assert [note for note in found.notes if "reach 20.0 times full scale" in note] == list(found.notes)
    assert bool(found.notes) == said


def test_sources(tmp_path):
    sound = speechlike(0.5, RATE)
    path = tmp_path / "UP.WAV"
    path.write_bytes(by_soundfile(sound, RATE, "WAV"))
    with path.open("rb") as file:
        for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), file):
            assert read_sound(source).seconds == 0.5
        assert not file.closed
    (tmp_path / "empty.wav").touch()
    for wrong, said in (
        (tmp_path, "is a folder"),
        (tmp_path / "none.wav", "no file"),
        (tmp_path / "empty.wav", "is empty"),
    ):
        with pytest.raises(AudioError, match=said):
            measure(wrong)
    assert is_recording(path) and not is_recording("a.txt") and ".oga" in AUDIO


@pytest.mark.parametrize("kind", ["wav", "unknown flac"])
@pytest.mark.parametrize("library", [True, False])
def test_a_pipe_with_a_name_is_read_to_its_end(kind, library, tmp_path):
    if not library and shutil.which("ffmpeg") is None:
        pytest.skip("the program ffmpeg is not installed")
    os.mkfifo(pipe := tmp_path / "pipe")
    writer = threading.Thread(target=pipe.write_bytes, args=[LOSSLESS[kind](speechlike(2.0, RATE), RATE)])
    writer.start()
    with mock.patch.object(pyav, "is_installed", lambda: library):
        assert read_sound(pipe).seconds == 2.0
    writer.join()


def test_notes_are_in_the_log(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    path = tmp_path / "killed.wav"
    path.write_bytes(lied("wav", 0))
    samples, rate = read(path)
    assert (len(samples), rate) == (RATE, RATE) and len(load(path, 8000)) == 8000
    assert f"{path}: Its header says 0 bytes" in caplog.text


def test_the_table_in_the_docs_is_what_happens():
    assert formats_table.page() == formats_table.PAGE.read_text("utf-8"), "python -m tests.heyjetson.formats_table"
