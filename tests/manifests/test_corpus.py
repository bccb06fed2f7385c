"""From recordings to manifests: nothing is lost without a count, and the same recordings give the same manifests."""

import json
import os
import random
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import ManifestError, Utterance, read_manifest, write_manifest
from manifests import convert as convert_module
from manifests import corpus as module
from manifests.corpus import CorpusOptions, Recording, build, hold_out, share
from manifests.text import TextOptions

RATE = 16000
WHOLE = CorpusOptions(validation=0, test=0, workers=2)


def noise(path: Path, seconds: float = 0.5, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).standard_normal(round(seconds * RATE)) * 0.1, RATE)
    return path


def made(folder: Path, count: int = 6, **keys) -> list[Recording]:
    """Recordings that exist, all in train."""
    return [
        Recording(
            noise(folder / f"{n}.flac", 0.5 + n / 100, n), f"Number {n}", ("train",), f"set/{n}", {"speaker": f"s{n}"}
        )
        for n in range(count)
    ]


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_dataset_becomes_manifests(tmp_path):
    recordings = made(tmp_path / "in")
    recordings[4] = replace(recordings[4], splits=("test",))
    recordings[5] = replace(recordings[5], splits=("dev-clean", "validation"))
    result = build(recordings, tmp_path / "out", WHOLE)
    assert dict(result.counts) == {"train": 4, "test": 1, "validation": 1, "dev-clean": 1}
    assert result.faults == [] and not result.kinds
    assert result.hours["train"] == pytest.approx((4 * 0.5 + 0.06) / 3600)
    assert result.manifests["train"] == tmp_path / "out" / "train.jsonl"
    utterances = read_manifest(result.manifests["train"])
    assert [utterance.text for utterance in utterances] == ["number zero", "number one", "number two", "number three"]
    assert utterances[1].extra == {"speaker": "s1"}
    for utterance in utterances:
        header = soundfile.info(utterance.audio)
        assert (header.samplerate, header.duration) == (RATE, pytest.approx(utterance.duration, abs=1e-4))
    assert (
        read_manifest(result.manifests["validation"])[0].audio == read_manifest(result.manifests["dev-clean"])[0].audio
    )
    assert any(line.startswith("numbers, whole numbers: 6 of 6 transcripts changed, such as") for line in result.text)
    assert not (tmp_path / "out" / "skipped.txt").exists()


def test_a_second_run_writes_the_same_bytes_and_converts_nothing(tmp_path, monkeypatch):
    recordings = made(tmp_path / "in")
    options = CorpusOptions(validation=0.2, test=0.2, workers=2)
    build(recordings, tmp_path / "out", options)
    before, times = content(tmp_path / "out"), [path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.wav")]
    monkeypatch.setattr(convert_module, "decode", lambda path: pytest.fail("converted again"))
    build(recordings, tmp_path / "out", options)
    assert content(tmp_path / "out") == before
    assert [path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.wav")] == times


def test_another_folder_gets_the_same_bytes(tmp_path):
    recordings = made(tmp_path / "in", 8)
    build(recordings, tmp_path / "one", replace(WHOLE, workers=1))
    build(recordings, tmp_path / "two", replace(WHOLE, workers=5))
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_a_corpus_can_be_moved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = build(made(Path("in")), Path("out"), WHOLE)
    lines = result.manifests["train"].read_text().splitlines()
    assert json.loads(lines[0])["audio_filepath"] == "wavs/set/0.wav"
    shutil.move("out", "elsewhere")
    shutil.rmtree("in")
    for utterance in read_manifest("elsewhere/train.jsonl"):
        assert utterance.audio.is_file()


def test_in_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recordings = made(Path("data/in"), 3)
    recordings.append(Recording(Path("data/in/none.flac"), "missing", ("train",), "none"))
    before = content(Path("data"))
    result = build(recordings, Path("data"), replace(WHOLE, in_place=True))
    after = content(Path("data"))
    assert sorted(set(after) - set(before)) == ["skipped.txt", "train.jsonl"]
    assert {name: after[name] for name in before} == before
    shown = [json.loads(line)["audio_filepath"] for line in after["train.jsonl"].splitlines()]
    assert shown == ["in/0.flac", "in/1.flac", "in/2.flac"]
    assert dict(result.kinds) == {"unreadable recordings": 1}
    # What lies elsewhere is named in full, and found from anywhere.
    build(recordings, Path("lists"), replace(WHOLE, in_place=True))
    monkeypatch.chdir("/")
    assert [one.audio for one in read_manifest(tmp_path / "lists" / "train.jsonl")] == [
        tmp_path / "data" / "in" / f"{n}.flac" for n in range(3)
    ]


def test_in_place_lists_nothing_that_cannot_be_read_back(tmp_path):
    """A duration of nought would make the whole manifest unreadable."""
    recordings = made(tmp_path / "in", 2)
    soundfile.write(tmp_path / "in" / "empty.wav", np.zeros(0), RATE)
    soundfile.write(tmp_path / "in" / "tiny.wav", np.zeros(1), 192000)
    for name in ("empty", "tiny"):
        recordings.append(Recording(tmp_path / "in" / f"{name}.wav", name, ("train",), name))
    result = build(recordings, tmp_path / "out", replace(WHOLE, in_place=True))
    assert len(read_manifest(result.manifests["train"])) == 2
    assert dict(result.kinds) == {"unreadable recordings": 2}


def test_what_cannot_be_used_is_counted_and_listed(tmp_path):
    recordings = made(tmp_path / "in", 2)
    (tmp_path / "in" / "broken.wav").write_bytes(b"RIFF")
    noise(tmp_path / "in" / "fine.wav")
    (tmp_path / "in" / "raw.raw").write_bytes(bytes(100))
    for name, text in [
        ("broken.wav", "text"), ("none.wav", "text"), ("raw.raw", "text"), ("fine.wav", "日本\nin two lines \ud800"),
        ("0.flac", " ... "), ("1.flac", ""), ("null\0byte.wav", "text"), ("x" * 300 + ".wav", "text"),
    ]:  # fmt: skip
        recordings.append(Recording(tmp_path / "in" / name, text, ("train",), f"more/{len(recordings)}"))
    result = build(recordings, tmp_path / "out", WHOLE)
    assert dict(result.counts) == {"train": 2}
    assert dict(result.kinds) == {
        "unreadable recordings": 5,
        "transcripts with characters outside the labels": 1,
        "empty transcripts": 2,
    }
    listed = (tmp_path / "out" / "skipped.txt").read_text().splitlines()
    assert listed == result.faults
    assert len(listed) == 8
    for name in ("broken.wav", "none.wav", "raw.raw", "fine.wav", "0.flac", "1.flac", "null"):
        assert sum(f"/in/{name}" in line for line in listed) == 1, name
    # All of it is mended: the list goes.
    build(recordings[:2], tmp_path / "out", WHOLE)
    assert not (tmp_path / "out" / "skipped.txt").exists()


def test_silent_recordings_are_said_in_one_line(tmp_path):
    recordings = made(tmp_path / "in", 3)
    recordings[0] = replace(recordings[0], audio=tmp_path / "in" / "a\nb.flac")
    for recording in recordings[:2]:
        soundfile.write(recording.audio, np.zeros(RATE), RATE)
    for _ in range(2):  # said again of what is finished already
        told = list(build(recordings, tmp_path / "out", WHOLE).notes())
        assert [line for line in told if "It is silent" in line] == [
            f'sound: 2 recordings, the first is "{tmp_path}/in/a\\nb.flac": It is silent, and train.py refuses silent '
            "recordings. Record it again, or remove it."
        ]


def test_nothing_usable(tmp_path):
    missing = [Recording(tmp_path / f"{n}.wav", "text", ("train",), str(n)) for n in range(20)]
    with pytest.raises(ManifestError, match="None of 20 recordings could be used; .*skipped.txt lists all") as raised:
        build(missing, tmp_path / "out", WHOLE)
    assert str(raised.value).count("does not exist") == module.SHOWN
    assert len((tmp_path / "out" / "skipped.txt").read_text().splitlines()) == 20
    assert not (tmp_path / "out" / "train.jsonl").exists()
    with pytest.raises(ManifestError, match="holds no recordings"):
        build([], tmp_path / "out", WHOLE)


def test_duplicates_are_refused(tmp_path):
    recordings = made(tmp_path / "in", 3)
    recordings.append(replace(recordings[0], audio=tmp_path / "other" / "0.flac", splits=("test",)))
    with pytest.raises(ManifestError, match=r"in/0.flac and .*other/0.flac would both be called set/0: list each"):
        build(recordings, tmp_path / "out", WHOLE)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../escape", "a/../../escape", "/tmp/escape"])
def test_a_name_that_leads_out_is_refused(tmp_path, name):
    recordings = [replace(made(tmp_path / "in", 1)[0], name=name)]
    with pytest.raises(ManifestError, match="leads out of the folder"):
        build(recordings, tmp_path / "out", WHOLE)


@pytest.mark.parametrize("way", ["directly", "through a link"])
def test_sources_are_never_written_to(tmp_path, way):
    """The wav of `b` would land on the recording that is called wavs/b."""
    noise(tmp_path / "wavs" / "b.wav", seed=1)
    noise(tmp_path / "b.flac", seed=2)
    before = content(tmp_path)
    recordings = [
        Recording(tmp_path / "b.flac", "one", ("train",), "b"),
        Recording(tmp_path / "wavs" / "b.wav", "two", ("train",), "wavs/b"),
    ]
    out = tmp_path
    if way == "through a link":
        out = tmp_path / "link"
        out.symlink_to(tmp_path)
    with pytest.raises(ManifestError, match="the converted ones would be written there. Give another --out"):
        build(recordings, out, WHOLE)
    assert {name: kept for name, kept in content(tmp_path).items() if not name.startswith("link")} == before


def test_a_full_disk_ends_the_run(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "out/wavs/x.wav")

    recordings = made(tmp_path / "in")
    monkeypatch.setattr(module, "convert", full)
    with pytest.raises(ManifestError, match="out/wavs/x.wav cannot be written .No space left on device.. Make room"):
        build(recordings, tmp_path / "out", WHOLE)
    assert not (tmp_path / "out" / "train.jsonl").exists()


def test_one_strange_recording_does_not_end_the_run(tmp_path, monkeypatch):
    real = module.convert

    def strange(source, *given, **named):
        if source.path.name == "3.flac":
            raise ZeroDivisionError("what no other file does")
        return real(source, *given, **named)

    monkeypatch.setattr(module, "convert", strange)
    result = build(made(tmp_path / "in"), tmp_path / "out", WHOLE)
    assert dict(result.counts) == {"train": 5}
    assert result.faults == [f"{tmp_path}/in/3.flac cannot be converted (ZeroDivisionError: what no other file does)."]


def test_names_that_are_not_utf8(tmp_path):
    strange = os.fsdecode(b"caf\xe9.wav")
    recordings = made(tmp_path / "in", 12)
    shutil.copy(noise(tmp_path / "in" / "a.wav"), tmp_path / "in" / strange)
    recordings.append(Recording(tmp_path / "in" / strange, "text", ("train",), "cafe"))
    for in_place in (False, True):
        result = build(recordings, tmp_path / "out", CorpusOptions(in_place=in_place))
        assert sum(result.counts.values()) == 12
        assert result.faults == [f"{tmp_path}/in/caf\\udce9.wav: the name is not UTF-8. Rename it."]
        assert (tmp_path / "out" / "skipped.txt").read_text(encoding="utf-8") == result.faults[0] + "\n"


def test_half_a_surrogate_pair_is_written_and_read(tmp_path):
    path = tmp_path / "m.jsonl"
    written = Utterance(tmp_path / "caf\udce9.wav", 1.0, "text", 1, {"speaker": 'd\ud800"\\'})
    write_manifest(path, [written])
    path.read_text(encoding="utf-8")
    assert read_manifest(path) == [written]


def test_more_than_a_window(tmp_path, monkeypatch):
    from manifests import progress

    monkeypatch.setattr(progress, "WINDOW", 4)
    result = build(made(tmp_path / "in", 11), tmp_path / "out", WHOLE)
    assert [one.text for one in read_manifest(result.manifests["train"])][8:] == [
        "number eight",
        "number nine",
        "number ten",
    ]


def test_text_options_reach_the_manifest(tmp_path):
    options = replace(WHOLE, text=TextOptions(labels="NUMBER 0123456789", numbers=False, case=False))
    recordings = [replace(one, text=one.text.upper()) for one in made(tmp_path / "in", 2)]
    assert [one.text for one in read_manifest(build(recordings, tmp_path / "out", options).manifests["train"])] == [
        "NUMBER 0",
        "NUMBER 1",
    ]


# ---- holding out


def imagined(count: int, speakers: int | None = None, splits=("train",)) -> list[Recording]:
    return [
        Recording(Path(f"{n}.wav"), "t", splits, f"u{n}", {"speaker": f"s{n % speakers}"} if speakers else {})
        for n in range(count)
    ]


def by_split(recordings) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for recording in recordings:
        for split in recording.splits:
            found.setdefault(split, set()).add(recording.name)
    return found


@settings(deadline=None)
@given(
    speakers=st.integers(10, 60),
    each=st.integers(1, 4),
    validation=st.floats(0.01, 0.45),
    test=st.floats(0.01, 0.45),
    order=st.randoms(use_true_random=False),
)
def test_no_speaker_is_in_two_splits(speakers, each, validation, test, order):
    options = CorpusOptions(validation=validation, test=test)
    recordings = imagined(speakers * each, speakers)
    held = hold_out(recordings, options)
    places: dict[str, set[str]] = {}
    for recording in held:
        places.setdefault(recording.extra["speaker"], set()).update(recording.splits)
    assert all(len(splits) == 1 for splits in places.values())
    assert set(by_split(held)) == {"train", "validation", "test"}
    assert [one.name for one in held] == [one.name for one in recordings]
    shuffled = list(recordings)
    order.shuffle(shuffled)
    assert by_split(hold_out(shuffled, options)) == by_split(held)


@settings(deadline=None)
@given(count=st.integers(3, 200), speakers=st.one_of(st.none(), st.integers(1, 9)))
def test_few_speakers_are_divided_by_recording(count, speakers):
    found = by_split(hold_out(imagined(count, speakers), CorpusOptions()))
    assert set(found) == {"train", "validation", "test"}
    assert sum(len(names) for names in found.values()) == count


@pytest.mark.parametrize(
    ("count", "splits"), [(1, {"train"}), (2, {"train", "validation"}), (3, {"train", "validation", "test"})]
)
def test_something_is_left_to_train_on(count, splits):
    assert set(by_split(hold_out(imagined(count), CorpusOptions(validation=0.49, test=0.5)))) == splits
    assert set(by_split(hold_out(imagined(count), CorpusOptions()))) == splits


def test_the_shares_are_about_right():
    found = by_split(hold_out(imagined(20_000), CorpusOptions(validation=0.05, test=0.1)))
    assert len(found["validation"]) == pytest.approx(1000, rel=0.1)
    assert len(found["test"]) == pytest.approx(2000, rel=0.1)


def test_more_recordings_move_none_of_the_others():
    few, many = (by_split(hold_out(imagined(count), CorpusOptions())) for count in (500, 1000))
    assert all(few[split] <= many[split] for split in few)


def test_the_same_on_any_machine():
    assert share("u1") == 0.744173075903673
    held = hold_out(imagined(100), CorpusOptions())
    assert sorted(by_split(held)["validation"]) == sorted(f"u{n}" for n in range(100) if share(f"u{n}") < 0.05)


def test_recordings_without_a_speaker_are_not_one_speaker():
    recordings = imagined(12, 12) + [replace(one, name=f"x{one.name}", extra={}) for one in imagined(400)]
    counts = Counter(split for one in hold_out(recordings, CorpusOptions()) for split in one.splits)
    assert counts["train"] > 330 and min(counts.values()) > 5


def test_what_a_dataset_holds_out_itself_stays():
    recordings = imagined(50) + [
        replace(one, name=f"t{one.name}", splits=("test-clean", "test")) for one in imagined(5)
    ]
    found = by_split(hold_out(recordings, CorpusOptions()))
    assert found["test"] == found["test-clean"] == {f"tu{n}" for n in range(5)}
    assert found["validation"]
    both = hold_out(
        imagined(9) + [Recording(Path("v"), "t", (name,), name) for name in ("validation", "test")], CorpusOptions()
    )
    assert by_split(both)["train"] == {f"u{n}" for n in range(9)}
    nothing = hold_out(imagined(9), CorpusOptions(validation=0, test=0))
    assert by_split(nothing) == {"train": {f"u{n}" for n in range(9)}}


def test_what_is_held_out_is_in_no_other_split():
    """Else train-clean-100.jsonl would hold what validation.jsonl holds."""
    found = by_split(hold_out(imagined(300, splits=("train-clean-100", "train")), CorpusOptions()))
    assert found["train-clean-100"] == found["train"]
    assert not found["train"] & (found["validation"] | found["test"])
    assert len(found["train"] | found["validation"] | found["test"]) == 300


@pytest.mark.parametrize(("validation", "test"), [(5, 5), (0.5, 0.5), (-0.1, 0.1), (float("nan"), 0)])
def test_shares_that_cannot_be(validation, test):
    with pytest.raises(ManifestError, match="add up to less than 1, found"):
        CorpusOptions(validation=validation, test=test)


def test_what_cannot_be_used_is_in_no_split(tmp_path):
    """Else the one good recording of two may be all of validation, and there is nothing to train on."""
    for bad in range(3):
        recordings = made(tmp_path / "in", 3)
        recordings[bad].audio.write_text("no sound")
        out = tmp_path / f"out{bad}"
        assert dict(build(recordings, out, CorpusOptions()).counts) == {"train": 1, "validation": 1}
    for text, other in (("", "hello"), ("hello", "")):
        recordings = [replace(one, text=text if n else other) for n, one in enumerate(made(tmp_path / "two", 2))]
        out = tmp_path / f"out-{text}"
        assert dict(build(recordings, out, CorpusOptions()).counts) == {"train": 1}


def test_a_recording_whose_twin_cannot_be_used_is_alone(tmp_path):
    recordings = made(tmp_path / "in", 4)
    shutil.copy(recordings[0].audio, recordings[1].audio)
    texts = ("", "zero", "two", "three")
    recordings = [replace(one, text=text) for one, text in zip(recordings, texts, strict=True)]
    assert build(recordings, tmp_path / "out", CorpusOptions()).shared == []


def test_the_order_of_recordings_changes_no_split(tmp_path):
    recordings = made(tmp_path / "in", 12)
    options = CorpusOptions(validation=0.2, test=0.2)
    build(recordings, tmp_path / "one", options)
    random.Random(1).shuffle(recordings)
    build(recordings, tmp_path / "two", options)
    for split in ("train", "validation", "test"):
        lines = [sorted((tmp_path / name / f"{split}.jsonl").read_text().splitlines()) for name in ("one", "two")]
        assert lines[0] == lines[1]


def test_segments_that_lie_in_each_other_are_said_by_name(tmp_path):
    soundfile.write(tmp_path / "talk.wav", np.random.default_rng(0).normal(0, 0.1, 32000), 16000)
    parts = [
        Recording(tmp_path / "talk.wav", "hi", ("train",), name, offset=offset, duration=1.0)
        for name, offset in (("one", 0.0), ("two", 0.3))
    ]
    (line,) = build(parts, tmp_path / "out", CorpusOptions(validation=0, test=0)).shared
    assert "another name too: 1 (two is one, for one)" in line
