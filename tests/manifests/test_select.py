"""Selections are the same everywhere, lose nothing, and keep together what belongs together."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.lines import ManifestError, Utterance, read_manifest, write_manifest
from manifests.select import Condition, merge, sample, split


def lines(count: int, speakers: int = 7) -> list[Utterance]:
    return [
        Utterance(
            Path(f"/sound/{number}.wav"), 1.0 + number % 5, f"text {number}", number + 1, {"speaker": number % speakers}
        )
        for number in range(count)
    ]


@given(st.integers(60, 150), st.integers(0, 99))
def test_a_split_loses_nothing_and_parts_no_speaker(count, seed):
    utterances = lines(count, speakers=25)
    try:
        divided, _ = split(utterances, {"train": 0.6, "validation": 0.2, "test": 0.2}, seed=str(seed))
    except ManifestError as error:
        assert "would be empty" in str(error)
        return
    assert sorted(one.line for part in divided.values() for one in part) == [one.line for one in utterances]
    homes = {}
    for name, part in divided.items():
        for one in part:
            assert homes.setdefault(one.extra["speaker"], name) == name


@given(st.integers(30, 90), st.randoms())
def test_a_split_by_hash_does_not_depend_on_the_others(count, random):
    utterances = lines(count)
    parts = {"a": 0.5, "b": 0.5}
    before = {one.line for one in split(utterances, parts, by="hash")[0]["a"]}
    kept = [one for one in utterances if random.random() < 0.9] + lines(180)[count:]
    after = {one.line for one in split(kept, parts, by="hash")[0]["a"]}
    assert before & {one.line for one in kept} == {line for line in after if line <= count}


@pytest.mark.parametrize(
    ("parts", "by", "message"),
    [
        ({"a": 0.5, "b": 0.6}, "hash", "add up to 1"),
        ({"a": 1.5, "b": -0.5}, "hash", "positive"),
        ({"a": 0.5, "b": 0.5}, "accent", "Line 1 has no key 'accent'"),
    ],
)
def test_what_cannot_be_split_is_said(parts, by, message):
    with pytest.raises(ManifestError, match=message):
        split(lines(20), parts, by)


def test_merging_keeps_each_recording_once(tmp_path):
    write_manifest(tmp_path / "a.jsonl", lines(4))
    write_manifest(tmp_path / "b.jsonl", lines(6))
    merged, again = merge([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    assert [one.audio for one in merged] == [one.audio for one in lines(6)]
    assert again == 4
    write_manifest(tmp_path / "c.jsonl", [Utterance(Path("/sound/2.wav"), 1.0, "another text")])
    with pytest.raises(ManifestError, match=r"c.jsonl:1 and .*a.jsonl:3 give two transcripts"):
        merge([tmp_path / "a.jsonl", tmp_path / "c.jsonl"])


@given(
    shortest=st.floats(0, 6),
    longest=st.floats(0, 6),
    text=st.sampled_from([None, "1", "^text 2"]),
    without=st.sampled_from([None, "3$"]),
)
def test_a_filter_and_its_inverse_are_everything(shortest, longest, text, without):
    utterances = lines(40)
    kept = Condition(shortest, longest, text, without, (("speaker", "3"),)).keep(utterances)
    left = Condition(shortest, longest, text, without, (("speaker", "3"),), invert=True).keep(utterances)
    assert sorted(one.line for one in kept + left) == [one.line for one in utterances]
    for one in kept:
        assert shortest <= one.duration <= longest and one.extra["speaker"] == 3
        assert not one.text.endswith("3") or without is None


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [("1", [1, 2, 3]), ("1.0", [1, 2]), ("true", [4]), ("True", [4]), ("null", [5, 7]), ("None", [5, 7]), ("a=b", [6])],
)
def test_a_value_is_compared_as_it_is_written(wanted, kept):
    values = [{"key": value} for value in (1, 1.0, "1", True, None, "a=b")] + [{}]
    utterances = [replace(one, extra=extra) for one, extra in zip(lines(7), values, strict=True)]
    assert [one.line for one in Condition(where=(("key", wanted),)).keep(utterances)] == kept


def test_a_pattern_that_is_none_is_said():
    with pytest.raises(ManifestError, match="not a regular expression"):
        Condition(text="(").keep(lines(2))
    with pytest.raises(ManifestError, match="No line has the key 'speakr'; there are speaker"):
        Condition(where=(("speakr", "3"),), invert=True).keep(lines(2))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_samples_nest_and_keep_the_order(few, many, seed):
    few, many = sorted((few, many))
    utterances = lines(40)
    small = [one.line for one in sample(utterances, count=few, seed=str(seed))]
    large = [one.line for one in sample(utterances, count=many, seed=str(seed))]
    assert len(small) == few and set(small) <= set(large) and small == sorted(small)


def test_a_sample_is_the_same_wherever_the_corpus_lies():
    there, here = (
        [replace(one, audio=Path(folder, "wavs", one.audio.name)) for one in lines(200)]
        for folder in ("/data/mine", "/home/ada/corpora/hers")
    )
    drawn = [[one.line for one in sample(utterances, count=20)] for utterances in (there, here)]
    assert drawn[0] == drawn[1]
    segments = [replace(one, audio=Path("/talk.flac"), text="yes", offset=float(one.line)) for one in lines(200)]
    assert [one.line for one in sample(segments, count=20)] != list(range(1, 21))


def test_a_sample_by_hours_is_no_longer_than_asked():
    drawn = sample(lines(2000), hours=0.5)
    assert 0.49 < sum(one.duration for one in drawn) / 3600 <= 0.5
    with pytest.raises(ManifestError, match="empty"):
        sample(lines(5), hours=0.0)
    with pytest.raises(ManifestError, match="either"):
        sample(lines(5), hours=1.0, count=3)


def test_a_round_trip_through_the_file_keeps_other_keys(tmp_path):
    write_manifest(tmp_path / "a.jsonl", lines(3))
    assert [one.extra for one in read_manifest(tmp_path / "a.jsonl")] == [
        {"speaker": 0},
        {"speaker": 1},
        {"speaker": 2},
    ]
