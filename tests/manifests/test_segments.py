"""Offset, duration and channels of a line hold wherever its sound is read, and nothing is read short."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import ManifestError, Utterance, read_manifest, write_manifest
from manifests.__main__ import main
from manifests.check import Requirements, check, fix
from manifests.convert import convert, decode
from manifests.corpus import CorpusOptions, Recording, build, hold_out
from manifests.hearing import hear
from manifests.mix import MixOptions, mix
from manifests.select import merge
from manifests.tables import from_folder
from manifests.text import LABELS, TextOptions

RATE = 16000
WHOLE = CorpusOptions(validation=0, test=0, workers=2)
LEFT, RIGHT = (np.random.default_rng(seed).integers(-9000, 9000, 6 * RATE).astype(np.int16) for seed in (1, 2))


@pytest.fixture(scope="module")
def stereo(tmp_path_factory) -> Path:
    """Six seconds, another noise on each side."""
    path = tmp_path_factory.mktemp("stereo") / "talk.flac"
    soundfile.write(path, np.stack([LEFT, RIGHT], axis=1), RATE)
    return path


def cut(path: Path) -> Path:
    """A second of the two that a wav says it has."""
    soundfile.write(path, LEFT[: 2 * RATE], RATE)
    path.write_bytes(path.read_bytes()[: 44 + 2 * RATE])
    return path


def talk(path: Path, *segments: tuple[float | None, float | None]) -> list[Recording]:
    return [
        Recording(path, f"words {'abcdef'[number]}", ("train",), "talk", offset=offset, duration=duration)
        for number, (offset, duration) in enumerate(segments)
    ]


@settings(max_examples=40, deadline=None)
@given(
    start=st.integers(0, 5 * RATE),
    samples=st.integers(RATE // 100, RATE),
    channels=st.sampled_from(["mix", "first", "second", "1", "2"]),
    suffix=st.sampled_from(["flac", "wav", "w64", "aiff"]),
)
def test_a_segment_is_the_sound_between_its_times(tmp_path_factory, start, samples, channels, suffix):
    folder = tmp_path_factory.mktemp("drawn")
    soundfile.write(folder / f"in.{suffix}", np.stack([LEFT, RIGHT], axis=1), RATE)
    made = convert(folder / f"in.{suffix}", folder / "out.wav", RATE, channels, start / RATE, samples / RATE)
    both = np.stack([LEFT, RIGHT], axis=1)[start : start + samples].astype(np.float64)
    wanted = both.mean(axis=1) if channels == "mix" else both[:, int(channels in ("second", "2"))]
    np.testing.assert_allclose(soundfile.read(folder / "out.wav", dtype="int16")[0], wanted, atol=0.51)
    assert made.seconds == samples / RATE and made.notes == ()


def test_segments_become_utterances_of_their_own(stereo, tmp_path):
    found = talk(stereo, (0.0, 2.0), (2.0, 1.5), (4.0, None))
    made = build(found, tmp_path, WHOLE)
    lines = read_manifest(made.manifests["train"])
    assert [(line.duration, line.text, line.offset) for line in lines] == [
        (2.0, "words a", None), (1.5, "words b", None), (2.0, "words c", None)
    ]  # fmt: skip
    assert [line.audio.stem for line in lines] == ["talk-0000000-0002000", "talk-0002000-0003500", "talk-0004000-end"]
    mean = (LEFT.astype(float) + RIGHT) / 2
    np.testing.assert_allclose(soundfile.read(lines[1].audio, dtype="int16")[0], mean[2 * RATE : 56000], atol=0.51)


def test_in_place_a_line_keeps_its_segment(stereo, tmp_path):
    found = talk(stereo, (0.5, 2.0), (4.0, None), (5.0, 2.0))
    made = build(found, tmp_path, CorpusOptions(in_place=True, validation=0, test=0))
    lines = read_manifest(made.manifests["train"])
    assert [(line.audio, line.offset, line.duration) for line in lines] == [(stereo, 0.5, 2.0), (stereo, 4.0, 2.0)]
    assert "the segment of 5.00 to 7.00 s is not within the recording, which lasts 6.00 s" in made.faults[0]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"channels": "first"}, {"channels": "second"}),
        ({"offset": 1.0, "duration": 1.0}, {"offset": 2.0, "duration": 1.0}),
        ({}, {"offset": 0.0, "duration": 6.0}),
    ],
)
def test_what_was_made_of_something_else_is_made_again(stereo, tmp_path, first, then):
    convert(stereo, tmp_path / "out.wav", RATE, **first)
    convert(stereo, tmp_path / "out.wav", RATE, **then)
    found = soundfile.read(tmp_path / "out.wav", dtype="float32")[0]
    np.testing.assert_allclose(found, decode(stereo, **then).samples, atol=2e-5)


def test_a_wav_of_an_older_version_is_made_again(stereo, tmp_path):
    """It may hold the part that one decoder took for all."""
    soundfile.write(tmp_path / "out.wav", LEFT[:RATE], RATE)
    os.utime(tmp_path / "out.wav", ns=(stereo.stat().st_atime_ns, stereo.stat().st_mtime_ns))
    assert convert(stereo, tmp_path / "out.wav", RATE).seconds == 6.0


def test_recordings_that_are_cut_are_left_out_by_name_and_others_used(tmp_path):
    for number, name in enumerate(("cut", "zero", "placeholder")):
        path = cut(tmp_path / f"{name}.wav") if name == "cut" else tmp_path / f"{name}.wav"
        if name != "cut":
            soundfile.write(path, LEFT[: 2 * RATE], RATE)
            content = bytearray(path.read_bytes())
            content[40:44] = (0 if name == "zero" else 2_000_000_000).to_bytes(4, "little")
            path.write_bytes(content)
        (tmp_path / f"{name}.txt").write_text("abc"[number])
    made = build(from_folder(tmp_path).recordings, tmp_path / "out", WHOLE)
    assert dict(made.counts) == {"train": 2} and dict(made.kinds) == {"cut short recordings": 1}
    assert "cut.wav is cut short: 1.00 s are there of 2.00" in made.faults[0]
    assert all(line.duration == 2.0 for line in read_manifest(made.manifests["train"]))
    assert len(made.sound) == 2 and len((tmp_path / "out" / "noted.txt").read_text().splitlines()) == 2
    kept = build(from_folder(tmp_path).recordings, tmp_path / "out", WHOLE)
    assert kept.sound == made.sound  # said again of what was converted before


def test_a_segment_within_what_is_left_of_a_cut_recording_is_used(tmp_path):
    made = build(talk(cut(tmp_path / "a.wav"), (0.0, 0.5), (0.5, 1.0)), tmp_path / "out", WHOLE)
    assert dict(made.counts) == {"train": 1} and sum(made.kinds.values()) == 1
    assert "a.wav" in made.faults[0] and "1.00" in made.faults[0]


@pytest.mark.parametrize("share", [-1.0, -0.95])
def test_channels_that_cancel_are_not_mixed_to_silence(tmp_path, share):
    path = tmp_path / "a.flac"
    soundfile.write(path, np.stack([LEFT, np.rint(share * LEFT).astype(np.int16)], axis=1)[: 2 * RATE], RATE)
    path.with_suffix(".TXT").write_text("hello")
    made = build(from_folder(tmp_path).recordings, tmp_path / "out", WHOLE)
    (line,) = read_manifest(made.manifests["train"])
    np.testing.assert_array_equal(soundfile.read(line.audio, dtype="int16")[0], LEFT[: 2 * RATE])
    assert len(made.sound) == 1 and "a.flac" in made.sound[0] and "channel 1" in made.sound[0]


def test_names_in_capitals_and_kinds_that_nothing_reads(tmp_path):
    soundfile.write(tmp_path / "UP.WAV", LEFT[:RATE], RATE, format="WAV")
    (tmp_path / "UP.TXT").write_text("hello")
    soundfile.write(tmp_path / "b.oga", LEFT[:RATE], RATE, format="OGG", subtype="VORBIS")
    for name in ("B.txt", "c.txt", "readme.txt"):
        (tmp_path / name).write_text("hello")
    (tmp_path / "c.dss").write_bytes(b"\2dss")
    (tmp_path / "readme.md").write_text("# not a recording")
    made = build(from_folder(tmp_path).recordings, tmp_path / "out", WHOLE)
    assert dict(made.counts) == {"train": 2} and dict(made.kinds) == {"unreadable recordings": 1}
    assert "c.dss" in made.faults[0]


CHECKED = {
    "good": ({"offset": 3.0, "duration": 3.0}, None),
    "from the start": ({"offset": 0, "duration": 6.0}, None),
    "not all of it": ({"duration": 3.0}, "the manifest says 3.00 s, the file lasts 6.00 s"),
    "beyond the end": ({"offset": 4.0, "duration": 3.0}, "lasts 6.00 s and has no segment of 4.00 to 7.00 s"),
    "behind the end": ({"offset": 9.0, "duration": 1.0}, "lasts 6.00 s and has no segment of 9.00 to 10.00 s"),
}


@pytest.mark.parametrize("kind", CHECKED)
def test_a_line_agrees_with_its_file(stereo, tmp_path, kind):
    keys, fault = CHECKED[kind]
    (tmp_path / "m.jsonl").write_text(json.dumps({"audio_filepath": str(stereo), "text": "hello", **keys}))
    report = check(tmp_path / "m.jsonl", Requirements(LABELS))
    assert (not report.faults) if fault is None else fault in report.faults[0]
    fixed = fix(tmp_path / "m.jsonl", Requirements(LABELS), TextOptions()).report
    if "offset" in keys:
        assert [(one.offset, one.duration) for one in fixed.good] == (
            [tuple(map(float, keys.values()))] if not fault else []
        )
    else:
        assert [(one.offset, one.duration) for one in fixed.good] == [(None, 6.0)]


def test_ctc_is_checked_over_the_segment(stereo, tmp_path):
    write_manifest(tmp_path / "m.jsonl", [Utterance(stereo, 0.4, "far too much text", offset=1.0)])
    report = check(tmp_path / "m.jsonl", Requirements(LABELS, frames=lambda seconds: int(seconds * 25)))
    assert dict(report.kinds) == {"transcripts too long for their sound": 1}


def test_a_cut_file_is_a_fault_of_its_own(tmp_path):
    write_manifest(tmp_path / "m.jsonl", [Utterance(cut(tmp_path / "a.wav"), 2.0, "hello")])
    report = check(tmp_path / "m.jsonl", Requirements(LABELS))
    assert dict(report.kinds) == {"cut short files": 1} and "1.00 s are there of 2.00" in report.faults[0]


def test_a_channel_that_is_not_there(tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", LEFT[:RATE], RATE)
    write_manifest(tmp_path / "m.jsonl", [Utterance(tmp_path / "a.wav", 1.0, "hello")])
    assert main(["check", str(tmp_path / "m.jsonl"), "--channels", "second"]) == 1
    assert "There is no channel 2, the recording has 1" in capsys.readouterr().out
    with pytest.raises(ManifestError, match="channels must be mix, first, second"):
        Requirements(LABELS, channels="both")
    with pytest.raises(ManifestError, match="channels must be mix, first, second"):
        CorpusOptions(channels="left")


def test_two_segments_are_two_lines_of_a_merge(stereo, tmp_path):
    lines = [Utterance(stereo, 2.0, "a", offset=0.0), Utterance(stereo, 2.0, "b", offset=2.0)]
    for name in ("one", "two"):
        write_manifest(tmp_path / f"{name}.jsonl", lines)
    merged, again = merge([tmp_path / "one.jsonl", tmp_path / "two.jsonl"])
    assert [one.text for one in merged] == ["a", "b"] and again == 2


def test_stats_and_mix_hear_the_segment(tmp_path):
    samples = np.concatenate([np.zeros(2 * RATE, np.int16), LEFT[: 2 * RATE]])
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    lines = [
        Utterance(tmp_path / "a.wav", 1.0, "a", 1, offset=0.5),
        Utterance(tmp_path / "a.wav", 1.0, "b", 2, offset=2.5),
    ]
    heard = hear(lines, "", 1)
    assert (heard.silent, heard.sampled, heard.unreadable) == (1, 2, 0)
    write_manifest(tmp_path / "m.jsonl", lines)
    made = read_manifest(
        mix(tmp_path / "m.jsonl", tmp_path / "out", MixOptions(noise_probability=0, room_probability=0))
    )
    assert [(one.text, one.duration, one.offset) for one in made] == [("b", 1.0, None)]
    mixed = soundfile.read(made[0].audio, dtype="int16")[0]
    np.testing.assert_allclose(mixed, samples[40000:56000], atol=1)


def test_segments_of_one_recording_stay_in_one_split(tmp_path):
    found = [
        Recording(tmp_path / f"{talk}.wav", "a", ("train",), f"{talk}-{part}", offset=float(part), duration=1.0)
        for talk in range(30)
        for part in range(5)
    ]
    split = {one.audio: set() for one in found}
    for one in hold_out(found, CorpusOptions(validation=0.2, test=0.2)):
        split[one.audio].update(one.splits)
    assert all(len(splits) == 1 for splits in split.values())
    assert set.union(*split.values()) == {"train", "validation", "test"}


def test_a_recording_without_an_index_is_decoded_once_for_all_its_segments(tmp_path, monkeypatch):
    from manifests import convert as module

    soundfile.write(tmp_path / "talk.ogg", np.stack([LEFT, RIGHT], axis=1), RATE, format="OGG", subtype="VORBIS")
    reads = []
    real = module.read_sound
    monkeypatch.setattr(module, "read_sound", lambda *given, **named: reads.append(given) or real(*given, **named))
    times = [(0.25 * number, 0.5) for number in range(6)]
    made = build(talk(tmp_path / "talk.ogg", *times), tmp_path / "out", WHOLE)
    assert len(reads) == 1
    for line, (offset, duration) in zip(read_manifest(made.manifests["train"]), times, strict=True):
        wanted = decode(tmp_path / "talk.ogg", "mix", offset, duration).samples
        np.testing.assert_allclose(soundfile.read(line.audio, dtype="float32")[0], wanted, atol=2e-5)
