"""Every bad line is named by file and number."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests import ManifestError, Utterance, read_manifest, write_manifest
from manifests.lines import parse_line

GOOD = '{"audio_filepath": "a.wav", "duration": 1.5, "text": "hello", "speaker": "x"}'


def test_a_good_line(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode() + b"\r\n\r\n")
    (utterance,) = read_manifest(path)
    assert utterance == Utterance(tmp_path / "a.wav", 1.5, "hello", 1, {"speaker": "x"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", "m.jsonl:2: not JSON"),
        ("[1, 2]", "m.jsonl:2: expected a JSON object, found list"),
        ('{"duration": 1.0, "text": "a"}', 'm.jsonl:2: the key "audio_filepath" is missing'),
        ('{"audio_filepath": "a.wav", "text": "a"}', 'm.jsonl:2: the key "duration" is missing'),
        ('{"audio_filepath": "a.wav", "duration": "long", "text": "a"}', 'm.jsonl:2: "duration" must be a float'),
        ('{"audio_filepath": "a.wav", "duration": true, "text": "a"}', 'm.jsonl:2: "duration" must be a float'),
        ('{"audio_filepath": "a.wav", "duration": NaN, "text": "a"}', "m.jsonl:2: the duration must be a positive"),
        ('{"audio_filepath": "a.wav", "duration": -1, "text": "a"}', "m.jsonl:2: the duration must be a positive"),
        ('{"audio_filepath": "a.wav", "duration": 1, "text": null}', 'm.jsonl:2: "text" must be a str'),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "m.jsonl"
    path.write_text(f"{GOOD}\n{line}\n")
    with pytest.raises(ManifestError, match=message.replace("[", r"\[")):
        read_manifest(path)


def test_missing_empty_and_foreign_files(tmp_path):
    with pytest.raises(ManifestError, match="does not exist"):
        read_manifest(tmp_path / "none.jsonl")
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n \n")
    with pytest.raises(ManifestError, match="is empty"):
        read_manifest(empty)
    foreign = tmp_path / "foreign.jsonl"
    foreign.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="not UTF-8"):
        read_manifest(foreign)


texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)


@given(text=texts, duration=st.floats(0.01, 1e5), key=st.text("abc", min_size=1))
def test_what_is_written_is_read(tmp_path_factory, text, duration, key):
    path = tmp_path_factory.mktemp("m") / "m.jsonl"
    written = Utterance(path.parent / "wavs" / "ä.wav", round(duration, 4), text, 1, {key: text})
    write_manifest(path, [written])
    assert json.loads(path.read_text())["audio_filepath"] == "wavs/ä.wav"
    assert read_manifest(path) == [written]


@given(st.text(max_size=60))
def test_any_line_is_read_or_refused(line):
    try:
        parse_line(line, "f:1", __import__("pathlib").Path("/"))
    except ManifestError as error:
        assert str(error).startswith("f:1: ")
