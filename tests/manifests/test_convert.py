"""What is written sounds like what was read, all of it; what cannot be read whole is refused; sources stay."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from manifests import ManifestError
from manifests import convert as module
from manifests.convert import convert, decode, duration, files, sounds

SECONDS = 0.75


def tone(rate: int, channels: int = 1, hertz: float = 440.0, seconds: float = SECONDS) -> np.ndarray:
    wave_ = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave_] * channels, axis=1)


def loudest_frequency(samples: np.ndarray, rate: int) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))


FORMATS = [
    ("wav", "WAV", "PCM_16"),
    ("wav", "WAV", "PCM_24"),
    ("wav", "WAV", "FLOAT"),
    ("wav", "WAV", "ULAW"),
    ("flac", "FLAC", "PCM_16"),
    ("ogg", "OGG", "VORBIS"),
    ("opus", "OGG", "OPUS"),
    ("mp3", "MP3", "MPEG_LAYER_III"),
    ("sph", "NIST", "PCM_16"),
    ("aiff", "AIFF", "PCM_16"),
    ("au", "AU", "PCM_16"),
]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("suffix", "container", "subtype"), FORMATS)
def test_formats(tmp_path, suffix, container, subtype, channels):
    source, target = tmp_path / f"in.{suffix}", tmp_path / "deep" / "er" / "out.wav"
    soundfile.write(source, tone(48000, channels), 48000, format=container, subtype=subtype)
    before = source.read_bytes()
    seconds = convert(source, target, 16000).seconds
    assert seconds == pytest.approx(SECONDS, abs=0.01)
    assert seconds == duration(target)
    assert duration(source) == pytest.approx(SECONDS, abs=0.01)
    header = soundfile.info(target)
    assert (header.samplerate, header.channels, header.subtype, header.format) == (16000, 1, "PCM_16", "WAV")
    samples, _ = soundfile.read(target)
    assert loudest_frequency(samples, 16000) == pytest.approx(440, abs=3)
    assert np.sqrt(np.mean(samples**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert source.read_bytes() == before
    assert sorted(path.name for path in target.parent.iterdir()) == ["out.wav"]


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 16000, 22050, 44100, 96000])
def test_rates(tmp_path, rate):
    soundfile.write(tmp_path / "in.wav", tone(rate), rate)
    for wanted in (8000, 16000, 44100):
        target = tmp_path / f"{wanted}.wav"
        assert convert(tmp_path / "in.wav", target, wanted).seconds == pytest.approx(SECONDS, abs=2 / wanted)
        samples, found = soundfile.read(target)
        assert found == wanted
        assert loudest_frequency(samples, wanted) == pytest.approx(440, abs=3)


def test_channels_are_averaged(tmp_path):
    left, right = np.full(8000, 0.5), np.full(8000, -0.25)
    soundfile.write(tmp_path / "in.wav", np.stack([left, right], axis=1), 8000)
    sound = decode(tmp_path / "in.wav")
    assert sound.rate == 8000
    assert sound.samples.dtype == np.float32
    np.testing.assert_allclose(sound.samples, 0.125, atol=1e-4)


def test_sixteen_bits_stay_as_they_are(tmp_path):
    every = np.arange(-32768, 32768).astype(np.int16)
    soundfile.write(tmp_path / "in.flac", every, 16000)
    convert(tmp_path / "in.flac", tmp_path / "out.wav", 16000)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "out.wav", dtype="int16")[0], every)


def test_what_is_too_loud_is_clipped_not_wrapped(tmp_path):
    soundfile.write(tmp_path / "in.wav", tone(16000) * 8, 16000, subtype="FLOAT")
    convert(tmp_path / "in.wav", tmp_path / "out.wav", 16000)
    samples, _ = soundfile.read(tmp_path / "out.wav")
    before, _ = soundfile.read(tmp_path / "in.wav")
    assert samples.max() > 0.99 and samples.min() < -0.99
    assert (np.sign(samples) == np.sign(before))[np.abs(before) > 0.01].all()


def test_what_is_finished_is_kept(tmp_path, monkeypatch):
    source, target = tmp_path / "in.wav", tmp_path / "out.wav"
    soundfile.write(source, tone(48000), 48000)
    os.utime(source, (10**9, 10**9))
    seconds = convert(source, target, 16000).seconds
    kept = target.stat()
    monkeypatch.setattr(module, "read_sound", lambda *_, **__: pytest.fail("decoded again"))
    assert convert(source, target, 16000).seconds == seconds
    assert (target.stat().st_mtime_ns, target.stat().st_ino) == (kept.st_mtime_ns, kept.st_ino)


@pytest.mark.parametrize(
    "change",
    [
        "other sound, later",
        "other sound, earlier",  # unpacking an archive sets the times that are in it
        "other sound, same time",  # copies of a corpus have one time in all files
        "other folder",
        "other rate",
        "empty target",
        "cut target",
    ],
)
def test_what_is_not_finished_is_made_again(tmp_path, change):
    source, target = tmp_path / "in.wav", tmp_path / "out.wav"
    soundfile.write(source, tone(16000), 16000)
    os.utime(source, (10**9, 10**9))
    convert(source, target, 16000)
    rate = 8000 if change == "other rate" else 16000
    if change.startswith("other sound"):
        soundfile.write(source, tone(16000, hertz=1000, seconds=1.5), 16000)
        time = 10**9 + {"later": 1000, "earlier": -1000, "same time": 0}[change.split(", ")[1]]
        os.utime(source, (time, time))
    elif change == "other folder":  # another recording, as long and as old
        source = tmp_path / "other" / "in.wav"
        source.parent.mkdir()
        soundfile.write(source, tone(16000, hertz=1000), 16000)
        os.utime(source, (10**9, 10**9))
    elif change.endswith("target"):
        target.write_bytes(b"" if change == "empty target" else target.read_bytes()[:44])
        os.utime(target, (10**9, 10**9))
    seconds = convert(source, target, rate).seconds
    samples, found = soundfile.read(target)
    assert found == rate
    assert len(samples) / rate == seconds == duration(source)
    assert loudest_frequency(samples, rate) == pytest.approx(
        1000 if change.startswith(("other sound", "other folder")) else 440, abs=3
    )


def test_a_half_written_part_is_ignored(tmp_path):
    soundfile.write(tmp_path / "in.wav", tone(16000), 16000)
    (tmp_path / "out").mkdir()
    for name in (f"{os.getpid()}-1.part", "in.wav.77.part"):
        (tmp_path / "out" / name).write_bytes(b"RIFF half of it")
    assert convert(tmp_path / "in.wav", tmp_path / "out" / "in.wav", 16000).seconds == SECONDS
    assert sounds(tmp_path / "out") == {"in": tmp_path / "out" / "in.wav"}


@pytest.mark.parametrize("way", ["itself", "symbolic link", "hard link", "linked folder"])
def test_a_source_is_never_overwritten(tmp_path, way):
    source = tmp_path / "wavs" / "in.wav"
    source.parent.mkdir()
    soundfile.write(source, tone(8000, 2), 8000)
    target = tmp_path / "out.wav"
    if way == "itself":
        target = source
    elif way == "symbolic link":
        target.symlink_to(source)
    elif way == "hard link":
        target.hardlink_to(source)
    else:
        (tmp_path / "linked").symlink_to(tmp_path / "wavs")
        target = tmp_path / "linked" / "in.wav"
    before = source.read_bytes()
    for old in (False, True):
        if old:
            os.utime(source, (1, 1))
        with pytest.raises(ManifestError, match="would be overwritten by its own conversion: give another --out"):
            convert(source, target, 16000)
        assert source.read_bytes() == before


def test_a_link_in_the_way_is_replaced_not_followed(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(8000), 8000)
    soundfile.write(tmp_path / "precious.wav", tone(8000, hertz=1000), 8000)
    before = (tmp_path / "precious.wav").read_bytes()
    os.utime(tmp_path / "precious.wav", (1, 1))
    (tmp_path / "out.wav").symlink_to(tmp_path / "precious.wav")
    convert(tmp_path / "a.wav", tmp_path / "out.wav", 16000)
    assert (tmp_path / "precious.wav").read_bytes() == before
    assert not (tmp_path / "out.wav").is_symlink()


def bad(tmp_path, kind):
    """A path that cannot be converted."""
    path = tmp_path / "bad.wav"
    if kind == "no bytes":
        path.write_bytes(b"")
    elif kind == "no samples":
        soundfile.write(path, np.zeros(0), 16000)
    elif kind == "one sample":
        soundfile.write(path, np.ones(1), 48000)
    elif kind == "text":
        path.write_text("RIFF but not really")
    elif kind in ("nan", "infinite"):
        samples = tone(16000)
        samples[100] = np.nan if kind == "nan" else np.inf
        soundfile.write(path, samples, 16000, subtype="DOUBLE")
    elif kind == "folder":
        path.mkdir()
    elif kind == "raw":
        path = tmp_path / "bad.raw"
        path.write_bytes(bytes(1000))
    elif kind == "name too long":
        path = tmp_path / ("x" * 300)
    elif kind.startswith("cut "):
        container = kind.split()[1]
        path = tmp_path / f"bad.{container.lower()}"
        soundfile.write(path, np.random.default_rng(0).standard_normal(32000) * 0.1, 16000, format=container)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


BAD = {
    "no bytes": "is empty",
    "no samples": "holds no samples",
    "one sample": "holds no samples",
    "text": "cannot be decoded",
    "nan": "NaN or infinity",
    "infinite": "NaN or infinity",
    "missing": "bad.wav does not exist",
    "folder": "is a folder, not a recording",
    "raw": "cannot be decoded",
    "name too long": "cannot be read \\(File name too long\\)",
    "cut WAV": "is cut short: 1.00 s are there of 2.00",
    "cut AU": "is cut short: 1.00 s are there of 2.00",
    "cut AIFF": "is cut short: 1.00 s are there of 2.00",
    "cut MP3": "is cut short",
    "cut FLAC": "is cut short: 0.* s are there of 2.00",
    "cut OGG": "holds no samples",
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_be_used_is_refused(tmp_path, kind):
    path = bad(tmp_path, kind)
    with pytest.raises(ManifestError, match=BAD[kind]) as raised:
        convert(path, tmp_path / "out" / "out.wav", 16000)
    assert str(path) in str(raised.value)
    assert not list(tmp_path.rglob("out*.wav")) and not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("kind", ["no bytes", "no samples", "missing", "folder", "raw", "cut WAV", "cut OGG"])
def test_no_duration_of_what_cannot_be_read(tmp_path, kind):
    with pytest.raises(ManifestError, match="bad"):
        duration(bad(tmp_path, kind))


def test_a_missing_source_of_a_finished_target(tmp_path):
    soundfile.write(tmp_path / "in.wav", tone(16000), 16000)
    convert(tmp_path / "in.wav", tmp_path / "out.wav", 16000)
    (tmp_path / "in.wav").unlink()
    with pytest.raises(ManifestError, match="in.wav does not exist"):
        convert(tmp_path / "in.wav", tmp_path / "out.wav", 16000)


def test_a_header_written_to_a_pipe_is_not_cut_short(tmp_path):
    soundfile.write(tmp_path / "in.wav", tone(16000), 16000)
    content = bytearray((tmp_path / "in.wav").read_bytes())
    for at in (4, 40):
        content[at : at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "in.wav").write_bytes(content)
    made = convert(tmp_path / "in.wav", tmp_path / "out.wav", 16000)
    assert duration(tmp_path / "in.wav") == SECONDS == made.seconds


def test_a_full_disk_is_not_a_fault_of_the_recording(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    soundfile.write(tmp_path / "in.wav", tone(16000), 16000)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        convert(tmp_path / "in.wav", tmp_path / "out" / "out.wav", 16000)
    assert list((tmp_path / "out").iterdir()) == []


def test_broken_recordings_are_refused_or_read_whole(recordings, tmp_path):
    for path in sorted((recordings / "broken").glob("*.flac")):
        try:
            seconds = convert(path, tmp_path / f"{path.stem}.wav", 16000).seconds
        except ManifestError as error:
            assert str(path) in str(error)
        else:  # ffmpeg can, to the last sample; sox gives the beginning and reports success
            assert seconds == soundfile.info(path).duration


def test_sphere_recordings(recordings, tmp_path):
    found = sounds(recordings / "an4" / "wav")
    assert len(found) == 30
    for name, path in found.items():
        seconds = convert(path, tmp_path / f"{name}.wav", 16000).seconds
        stated = next(line for line in path.read_bytes()[:1024].splitlines() if line.startswith(b"sample_count"))
        assert seconds == int(stated.split()[-1]) / 16000


def test_files_below_a_folder(tmp_path):
    for name in ("b/2.wav", "a/1.wav", ".hidden/x.wav", "__MACOSX/._1.wav", "a/notes.txt"):
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "3.FLAC").touch()
    (tmp_path / "folder" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "folder" / "a" / "loop").symlink_to(tmp_path / "folder")
    found = [path.relative_to(tmp_path / "folder").as_posix() for path in files(tmp_path / "folder")]
    assert found == ["a/1.wav", "a/notes.txt", "b/2.wav", "linked/3.FLAC"]
    assert sorted(sounds(tmp_path / "folder")) == ["1", "2", "3"]
    with pytest.raises(ManifestError, match="none cannot be read"):
        sounds(tmp_path / "none")
    (tmp_path / "folder" / "b" / "1.wav").touch()
    with pytest.raises(ManifestError, match=r"a/1.wav and .*b/1.wav have one name"):
        sounds(tmp_path / "folder")
