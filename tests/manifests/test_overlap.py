"""One sound is one recording, under any name and in any header, and sets that share some are found out."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.__main__ import main
from manifests.contents import contents, full_contents
from manifests.corpus import CorpusOptions, Recording, hold_out, share
from manifests.lines import Utterance, read_manifest, write_manifest
from manifests.overlap import Set, compare, joined, twins, without
from manifests.prepared import make
from manifests.select import split

RATE = 16000
FORMS = ("plain", "tagged", "flac", "copy", "link")
SOUNDS = 5


def with_chunk(wav: bytes, size: int) -> bytes:
    """A wav with a LIST chunk before its sound, as editors write them."""
    made = wav[:12] + b"LIST" + size.to_bytes(4, "little") + bytes(size) + wav[12:]
    return made[:4] + (len(made) - 8).to_bytes(4, "little") + made[8:]


@pytest.fixture(scope="module")
def forms(tmp_path_factory) -> dict[tuple[int, str], Path]:
    """Sounds of one length in several forms; they differ in one sample, each elsewhere."""
    folder = tmp_path_factory.mktemp("forms")
    samples = np.random.default_rng(1).integers(-9000, 9000, 20000).astype(np.int16)
    made = {}
    for number, place in enumerate((0, 3000, 7777, 15001, 19999)):
        samples[place] += 1
        plain = folder / f"{number}.wav"
        soundfile.write(plain, samples, RATE)
        soundfile.write(folder / f"{number}.flac", samples, RATE)
        (folder / f"{number}-tagged.wav").write_bytes(with_chunk(plain.read_bytes(), 5000 if number % 2 else 26))
        shutil.copy(plain, folder / f"{number}-copy.wav")
        (folder / f"{number}-link.wav").symlink_to(plain)
        for form in FORMS:
            name = {"plain": f"{number}.wav", "flac": f"{number}.flac"}.get(form, f"{number}-{form}.wav")
            made[number, form] = folder / name
    return made


choices = st.tuples(st.integers(0, SOUNDS - 1), st.sampled_from(FORMS))


@given(st.lists(choices, max_size=12))
def test_files_have_one_name_where_the_sound_is_one(forms, drawn):
    names = contents(forms[choice] for choice in drawn)
    for one, name in zip(drawn, names, strict=True):
        assert [other == name for other in names] == [other[0] == one[0] for other in drawn]


@given(st.lists(choices, min_size=1, max_size=6), st.lists(choices, max_size=6))
def test_what_is_elsewhere_is_known_by_its_name(forms, there, here):
    known = full_contents([forms[choice] for choice in there])
    names = contents((forms[choice] for choice in here), known)
    assert [name in known for name in names] == [number in {one for one, _ in there} for number, _ in here]


@pytest.mark.parametrize(
    ("container", "subtype", "also"),
    [
        ("WAV", "PCM_24", "FLAC"), ("WAVEX", "PCM_16", "WAV"), ("WAV", "PCM_U8", None), ("WAV", "FLOAT", None),
        ("WAV", "ULAW", None), ("OGG", "VORBIS", None), ("AIFF", "PCM_16", None),
    ],
)  # fmt: skip
def test_other_formats(tmp_path, container, subtype, also):
    samples = np.random.default_rng(0).integers(-9000, 9000, (4000, 2)).astype(np.int32) << 16
    for name, sound, rate in (("a", samples, RATE), ("c", samples // 2, RATE), ("d", samples, 8000)):
        soundfile.write(tmp_path / name, sound, rate, format=container, subtype=subtype)
    shutil.copy(tmp_path / "a", tmp_path / "b")
    names = contents(tmp_path / name for name in "abcd")
    assert names[0] == names[1] and len(set(names)) == 3
    if also:
        soundfile.write(tmp_path / "e", samples, RATE, format=also, subtype=subtype)
        assert len(set(contents([tmp_path / "a", tmp_path / "e"]))) == 1


def test_a_wav_whose_header_lies_is_still_the_same_sound(forms, tmp_path):
    raw = forms[0, "plain"].read_bytes()
    for number, size in enumerate((0, 0x7FFFF000, 0xFFFFFFFF)):  # killed, from a pipe, streamed
        (tmp_path / f"{number}.wav").write_bytes(raw[:40] + size.to_bytes(4, "little") + raw[44:])
    names = contents([forms[0, "flac"], *sorted(tmp_path.iterdir())])
    assert len(set(names)) == 1


def test_what_cannot_be_read_is_its_own(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "other.wav").touch()
    for content in (b"fLaC", b"RIFF", b"RIFF\0\0\0\0WAVE", b"RIFF\0\0\0\0WAVEdata\0\0\0\0"):
        (tmp_path / f"{len(content)}{content[-4:-3].hex()}").write_bytes(content)
    paths = [*sorted(tmp_path.iterdir()), tmp_path, tmp_path / "none", tmp_path / "x\0", tmp_path / ("x" * 300)]
    names = contents(paths)
    assert len(set(names)) == len(paths)
    assert contents([*paths, *paths]) == names + names


def test_more_than_a_chunk_of_files(tmp_path):
    samples = np.random.default_rng(0).integers(-9000, 9000, (300, 50)).astype(np.int16)
    for number, one in enumerate(samples):
        soundfile.write(tmp_path / f"{number:03}.wav", one, RATE)
        shutil.copy(tmp_path / f"{number:03}.wav", tmp_path / f"{number:03}-again.wav")
    first = twins([Utterance(path, 1.0, "t") for path in sorted(tmp_path.iterdir())])
    assert first == [number // 2 * 2 for number in range(600)]


# ---- sets


def line(forms, number: int, sound: int, form: str = "plain", segment: tuple[float, float] | None = None, **keys):
    offset, end = segment or (None, 1.25)
    return Utterance(forms[sound, form], end - (offset or 0.0), keys.pop("text", "t"), number, keys, offset)


# Tenths of a second, so that halves are exact; None is the whole recording.
parts = st.one_of(st.none(), st.tuples(st.integers(0, 9), st.integers(1, 6)).map(lambda one: (one[0], sum(one))))
members = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(FORMS), parts), max_size=8)


def are_same(one, two) -> bool:
    """By counting tenths of a second."""
    if one[0] != two[0]:
        return False
    first, second = (set(range(*part)) if (part := each[2]) else set(range(20)) for each in (one, two))
    return len(first & second) * 2 >= min(len(first), len(second))


@settings(deadline=None)
@given(members, members)
def test_shared_utterances_and_other_segments(forms, first, second):
    def lines(drawn):
        return [
            line(forms, n, sound, form, part and (part[0] / 8, part[1] / 8))  # eighths are exact in binary
            for n, (sound, form, part) in enumerate(drawn)
        ]

    one, two = lines(first), lines(second)
    (found,) = compare([Set("a", Path("a"), one), Set("b", Path("b"), two)]).shared
    expected = {n for n, each in enumerate(second) if any(are_same(other, each) for other in first)}
    assert {utterance.line for _, utterance in found.same} == expected
    assert all(are_same(first[a.line], second[b.line]) for a, b in found.same)
    related = {n for n, each in enumerate(second) if any(other[0] == each[0] for other in first)}
    assert found.segments == len(related - expected)
    assert [utterance.line for utterance in without(two, one)] == sorted(set(range(len(second))) - expected)


@settings(deadline=None)
@given(members)
def test_twins_are_those_that_are_the_same_through_others(forms, drawn):
    first = twins([line(forms, 0, sound, form, part and (part[0] / 8, part[1] / 8)) for sound, form, part in drawn])
    expected = list(range(len(drawn)))
    for _ in drawn:
        for one, two in ((a, b) for a in range(len(drawn)) for b in range(len(drawn)) if are_same(drawn[a], drawn[b])):
            expected[one] = expected[two] = min(expected[one], expected[two])
    assert first == expected


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 5)), max_size=10))
def test_keys_with_an_utterance_in_common_are_joined(pairs):
    together = joined([key for key, _ in pairs], [group for _, group in pairs])
    for key, group in pairs:
        assert together[key] <= key and together[together[key]] == together[key]
        assert all(together[other] == together[key] for other, its in pairs if its == group)
    assert not pairs or len(set(together.values())) >= len(together) - (len(pairs) - len({one for _, one in pairs}))


def test_what_is_said_of_two_sets(forms):
    first = [
        line(forms, 1, 0, speaker="anna", text="yes"),
        line(forms, 2, 1, speaker=0, text="no"),
        line(forms, 3, 3, segment=(0.0, 0.5), text="go"),
    ]
    second = [
        line(forms, 1, 0, "flac", speaker="anna", text="no"),
        line(forms, 2, 2, speaker=0, text="no"),
        line(forms, 3, 3, segment=(0.5, 1.0), text="stop"),
        line(forms, 4, 0, "copy", speaker="anna", text="yes"),
    ]
    found = compare([Set("train", Path("a.jsonl"), first), Set("test", Path("b.jsonl"), second)])
    assert found.faults() == [
        "2 of 4 utterances of test are in train too, 1 of them with another transcript:\n"
        "  b.jsonl:1 (0.flac) is a.jsonl:1 (0.wav)\n  b.jsonl:4 (0-copy.wav) is a.jsonl:1 (0.wav)"
    ]
    assert found.notes() == [
        "1 utterances of test repeat a recording that stands before, 1 of them with another transcript: "
        "b.jsonl:4 (0-copy.wav) is b.jsonl:1 (0.flac), for one",
        "1 utterances of test are other parts of recordings in train; 1 utterances of test are sentences that the same "
        "speaker says in train",
    ]
    assert found.shared[0].information() == "train and test have in common: sentences 2, speakers 2"


# ---- splits


def test_case_ten_recordings_with_two_names(tmp_path, capsys):
    """Each is in one split under both names; who has one name stays where it was."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(10):
        sound = np.random.default_rng(number).standard_normal(4000) * 0.1
        for name in "ab":
            soundfile.write(folder / f"{name}{number}.wav", sound, RATE)
            (folder / f"{name}{number}.txt").write_text("three")
    arguments = ["folder", str(folder), "--out", str(tmp_path / "out"), "--validation", "0.2", "--test", "0.2"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "recordings that are there under another name too: 10 (b0.wav is a0.wav, for one); kept in one" in shown
    homes = {
        name: {one.audio.stem for one in read_manifest(tmp_path / "out" / f"{name}.jsonl")}
        for name in ("train", "validation", "test")
    }
    assert all(homes.values()) and sum(map(len, homes.values())) == 20
    for names in homes.values():
        assert {name[1] for name in names if name[0] == "a"} == {name[1] for name in names if name[0] == "b"}
    files = [str(tmp_path / "out" / f"{name}.jsonl") for name in homes]
    assert main(["check", *files]) == 0
    assert "Warning: " in capsys.readouterr().out


def test_recordings_of_one_name_stay_where_they_were_when_others_come_twice(forms):
    alone = [Recording(Path(f"none/{n}"), "t", ("train",), f"u{n}") for n in range(40)]
    copies = [Recording(forms[0, form], "t", ("train",), f"u{n}{form}") for n, form in enumerate(("plain", "copy"))]
    before, after = (
        {one.name: one.splits for one in hold_out(listed, CorpusOptions(validation=0.2, test=0.2))}
        for listed in (alone + copies[:1], alone + copies)
    )
    assert {name: after[name] for name in before} == before  # the least name decides
    assert after["u1copy"] == after["u0plain"]


def test_speakers_that_share_a_recording_are_not_parted(forms):
    recordings = [Recording(Path(f"none/{n}"), "t", ("train",), f"u{n}", {"speaker": f"s{n % 12}"}) for n in range(48)]
    one, two = next(
        (f"s{a}", f"s{b}") for a in range(12) for b in range(12) if share(f"s{a}") < 0.3 and share(f"s{b}") > 0.6
    )
    recordings += [
        Recording(forms[0, form], "t", ("train",), form, {"speaker": speaker})
        for form, speaker in (("flac", one), ("tagged", two))
    ]
    held = hold_out(recordings, CorpusOptions(validation=0.3, test=0.3))
    assert len({each.splits for each in held if each.extra["speaker"] in (one, two)}) == 1
    assert len({each.splits for each in held}) == 3


def test_what_a_dataset_has_in_two_splits_is_said_and_noted(forms, tmp_path):
    recordings = [
        Recording(forms[sound, form], f"Number {sound}", (name,), f"{name}/{sound}{form}")
        for name, sound, form in (
            ("train", 0, "plain"), ("train", 1, "plain"), ("validation", 2, "plain"), ("test", 1, "flac"),
            ("test", 3, "plain"),
        )
    ]  # fmt: skip
    made = make("mine", recordings, tmp_path / "out", CorpusOptions())
    (said,) = made.shared
    assert said.startswith(f"recordings in two splits of the dataset: 1 ({forms[1, 'flac']} of test is ")
    assert said in list(made.notes())
    assert json.loads((tmp_path / "out" / "corpus.json").read_text())["shared"] == [said]


@settings(deadline=None)
@given(st.lists(st.tuples(choices, st.integers(0, 3)), min_size=4, max_size=20), st.integers(0, 20))
def test_a_split_parts_no_recording_and_no_speaker(forms, drawn, seed):
    lines = [line(forms, n, *choice, speaker=speaker, text=f"t{n}") for n, (choice, speaker) in enumerate(drawn)]
    for by in ("speaker", "hash"):
        try:
            divided, again = split(lines, {"a": 0.5, "b": 0.5}, by, str(seed))
        except Exception as error:
            assert "would be empty" in str(error)
            continue
        homes: dict = {}
        for name, part in divided.items():
            for one in part:
                assert homes.setdefault(drawn[one.line][0][0], name) == name
                assert by == "hash" or homes.setdefault(f"speaker {one.extra['speaker']}", name) == name
        assert again == len(drawn) - len({choice[0] for choice, _ in drawn})


# ---- commands


@pytest.fixture
def sets(forms, tmp_path) -> dict[str, str]:
    """train and test share a recording; validation is apart."""
    held = {
        "train": [(0, "plain"), (1, "plain"), (1, "copy")],
        "validation": [(2, "plain"), (3, "plain")],
        "test": [(1, "flac"), (4, "plain")],
    }
    for name, choice in held.items():
        write_manifest(tmp_path / f"{name}.jsonl", [line(forms, 0, *one, text="hello") for one in choice])
    return {name: str(tmp_path / f"{name}.jsonl") for name in held}


def test_check_compares_manifests(sets, capsys):
    assert main(["check", *sets.values()]) == 1
    shown = capsys.readouterr().out
    assert f"1 of 2 utterances of {sets['test']} are in {sets['train']} too:" in shown
    assert f"  {sets['test']}:1 (1.flac) is {sets['train']}:2 (1.wav)\n" in shown
    assert f"Warning: 1 utterances of {sets['train']} repeat a recording that stands before" in shown
    assert "filter ONE.jsonl --not-in OTHER.jsonl" in shown
    assert f"{sets['test']}: 2 good utterances, 0 bad" in shown
    assert main(["check", *sets.values(), "--allow-shared"]) == 0
    assert "are in" in capsys.readouterr().out
    assert main(["check", sets["train"], sets["validation"]]) == 0
    assert "are in" not in capsys.readouterr().out
    assert main(["check", sets["train"]]) == 0
    assert main(["check", sets["train"], sets["train"]]) == 1
    assert f"are one file: {sets['train']}" in capsys.readouterr().out
    assert main(["check", *sets.values(), "--fix", "x.jsonl"]) == 1
    assert "one manifest at a time" in capsys.readouterr().err


def test_filter_takes_out_what_is_in_another_set(sets, tmp_path, capsys):
    out = str(tmp_path / "new.jsonl")
    assert main(["filter", sets["train"], "--not-in", sets["test"], "--not-in", sets["validation"], "--out", out]) == 0
    assert [one.audio.name for one in read_manifest(out)] == ["0.wav"]
    assert "2 were left out" in capsys.readouterr().out
    assert main(["check", out, sets["validation"], sets["test"]]) == 0
    assert main(["filter", sets["train"], "--not-in", sets["test"], "--out", sets["test"]]) == 1
    assert "would be overwritten" in capsys.readouterr().err
