"""Every bad line is named by file and number."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import ManifestError, Utterance, read_manifest, write_manifest
from manifests.check import Requirements, check
from manifests.lines import parse_line, text_lines
from manifests.stats import measure

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
        (
            '{"audio_filepath": "a.wav", "duration": 1, "text": "one", "text": "two"}',
            "m.jsonl:2: the key \"text\" is there twice, as 'one' and as 'two'. Remove one.",
        ),
        ('{"audio_filepath": "a.wav", "duration": 1, "text": "a", "x": {"y": 1, "y": 2}}', 'the key "y" is there'),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "m.jsonl"
    path.write_text(f"{GOOD}\n{line}\n")
    with pytest.raises(ManifestError, match=message.replace("[", r"\[")):
        read_manifest(path)


def test_a_key_that_says_the_same_twice_and_colons_are_fine(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text('{"audio_filepath": "a:b.wav", "duration": 1, "text": "a", "text": "a", "x": NaN, "t": "1:2:3"}\n')
    (utterance,) = read_manifest(path)
    assert (utterance.audio.name, utterance.text, utterance.extra["t"]) == ("a:b.wav", "a", "1:2:3")


def test_several_bad_lines_are_named_at_once(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text("\n".join([GOOD, "{not json", GOOD, "[1, 2]", GOOD]))
    with pytest.raises(
        ManifestError, match=r"m\.jsonl:2: not JSON.*\n.*m\.jsonl:4: expected a JSON object, found list"
    ):
        read_manifest(path)
    path.write_text("{not json\n" * 1000)
    with pytest.raises(ManifestError) as raised:
        read_manifest(path)
    assert str(raised.value).count("not JSON") == 8 and str(raised.value).endswith("\nThere may be more.")


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
        parse_line(line, "f:1", Path("/"))
    except ManifestError as error:
        assert str(error).startswith("f:1: ")


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(texts, st.floats(0.01, 1e5), texts), min_size=1, max_size=5),
    blank=st.sampled_from(["", " ", "\t", "\u00a0", "\u2028"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.booleans(),
    ascii_only=st.booleans(),
)
def test_manifests_as_programs_and_people_write_them(tmp_path_factory, rows, blank, end, mark, ascii_only):
    path = tmp_path_factory.mktemp("m") / "m.jsonl"
    lines = []
    for text, duration, speaker in rows:
        record = {"text": text, "speaker": speaker, "duration": duration, "audio_filepath": "a b/ä.wav"}
        lines.append(f" \t{json.dumps(record, ensure_ascii=ascii_only)} ")
    path.write_bytes((("\ufeff" if mark else "") + f"{end}{blank}{end}".join([*lines, blank])).encode())
    assert read_manifest(path) == [
        Utterance(path.parent / "a b" / "ä.wav", duration, text, 2 * number + 1, {"speaker": speaker})
        for number, (text, duration, speaker) in enumerate(rows)
    ]


STRANGE = {
    "too long a name": "a" * 5000,
    "ten megabytes of name": "a/" * 5_000_000,
    "half a surrogate pair": "a\ud800.wav",
    "a zero": "a\0b.wav",
    "a line end": "a\nb.wav",
    "a control character": "\x1b[2Ja.wav",
    "nothing": "",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", STRANGE.values(), ids=STRANGE)
def test_names_that_no_file_has(tmp_path, name):
    (tmp_path / "m.jsonl").write_text(json.dumps({"audio_filepath": name, "duration": 1, "text": "a"}))
    for decode in (True, False):
        (fault,) = check(tmp_path / "m.jsonl", Requirements("a", decode=decode)).faults
        assert fault.startswith(f"{tmp_path}/m.jsonl:1: ") and len(fault) < 5000
        assert fault.isprintable()
    (fault,) = measure(tmp_path / "m.jsonl").sound.faults
    assert fault.startswith("line 1: ") and len(fault) < 5000 and fault.isprintable()


@pytest.mark.timeout(60)
def test_ten_megabytes_in_a_line_of_a_manifest(tmp_path):
    long = "word " * 2_000_000
    (tmp_path / "m.jsonl").write_text(
        json.dumps({"audio_filepath": "a.wav", "duration": 1, "text": long, "notes": long})
    )
    assert read_manifest(tmp_path / "m.jsonl")[0].text == long
    assert check(tmp_path / "m.jsonl", Requirements("a")).kinds.total() == 1
    assert measure(tmp_path / "m.jsonl", sound=0).words == 2_000_000
    (tmp_path / "m.jsonl").write_text("{" * 10_000_000)
    with pytest.raises(ManifestError, match="m.jsonl:1: not JSON") as raised:
        read_manifest(tmp_path / "m.jsonl")
    assert len(str(raised.value)) < 1000


@settings(deadline=None)
@given(
    lines=st.lists(texts.map(lambda text: re.sub("[\r\n]", "", text)), max_size=8),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.booleans(),
    last=st.booleans(),
)
def test_lines_of_any_text(tmp_path_factory, lines, end, mark, last):
    path = tmp_path_factory.mktemp("lines") / "a.txt"
    path.write_bytes((("\ufeff" if mark else "") + end.join(lines) + (end if last else "")).encode())
    expected = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not mark and expected and expected[0][0] == 1:  # a mark of the text's own is a mark
        expected[0] = (1, expected[0][1].removeprefix("\ufeff"))
    assert [(number, line) for number, line in text_lines(path)] == [pair for pair in expected if pair[1].strip()]


def test_lines_that_are_not_text(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n\nthree\n")
    with (tmp_path / "a.txt").open("ab") as out:
        out.write("caf\u00e9\n".encode("latin-1"))
    with pytest.raises(ManifestError, match="a.txt:5: not UTF-8 text .*Save it as UTF-8"):
        list(text_lines(tmp_path / "a.txt"))
    (tmp_path / "b.txt").write_bytes("ä\nb\n".encode("utf-16"))
    with pytest.raises(ManifestError, match="b.txt:1: not UTF-8"):
        list(text_lines(tmp_path / "b.txt"))
    with pytest.raises(ManifestError, match="none.txt does not exist"):
        list(text_lines(tmp_path / "none.txt"))
    with pytest.raises(ManifestError, match="is a folder, not a file"):
        list(text_lines(tmp_path))
    with pytest.raises(ManifestError, match="is a folder, not a manifest. Name one in it"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("line", ["[" * 100_000, '{"a":' * 100_000, "1" * 10_000, '{"duration": ' + "1" * 10_000 + "}"])
def test_manifest_lines_that_no_parser_likes(tmp_path, line):
    (tmp_path / "m.jsonl").write_text(f"\n{line}\n")
    with pytest.raises(ManifestError, match="m.jsonl:2: "):
        read_manifest(tmp_path / "m.jsonl")


def test_a_duration_beyond_all_bounds(tmp_path):
    for number in ("1" + "0" * 400, "1e999", "-0", "0.0"):
        (tmp_path / "m.jsonl").write_text(f'{{"audio_filepath": "a.wav", "duration": {number}, "text": "a"}}')
        with pytest.raises(ManifestError, match="m.jsonl:1: the duration must be a positive number"):
            read_manifest(tmp_path / "m.jsonl")
