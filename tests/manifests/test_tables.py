"""Tables as programs and people write them; a row is read as it was meant, or refused with its line."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import ManifestError, read_manifest
from manifests.corpus import CorpusOptions, build
from manifests.tables import SPLITS, from_folder, from_table, rows

WHOLE = CorpusOptions(validation=0, test=0, workers=2)

cells = st.text(st.characters(blacklist_characters="\r\n\0", blacklist_categories=["Cs"]), max_size=20)
ends = st.sampled_from(["\n", "\r\n"])


def sound(path: Path, container: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(0).standard_normal(3200) * 0.1, 16000, format=container)
    return path


def table(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def plain(found: list[tuple[str, dict[str, str]]]) -> list[dict[str, str]]:
    return [row for _, row in found]


def test_two_columns_of_one_name_are_refused_where_they_differ(tmp_path):
    path = table(tmp_path, "t.csv", "path,text,text,,\na.wav,one,one,x,y\nb.wav,two,three,x,y\n")
    with pytest.raises(ManifestError, match="t.csv:3: two columns are called 'text', and hold 'two' and 'three'"):
        list(rows(path))
    lines = table(tmp_path, "t.jsonl", '{"path": "a.wav", "text": "one", "text": "two"}\n')
    with pytest.raises(ManifestError, match='t.jsonl:1: the key "text" is there twice'):
        list(rows(lines))


@settings(deadline=None)
@given(
    names=st.lists(cells.map(str.strip).filter(bool), min_size=2, max_size=4, unique=True),
    values=st.lists(st.lists(cells, min_size=4, max_size=4), max_size=4),
    end=ends,
    mark=st.booleans(),
    last=st.booleans(),
)
def test_quoted_csv(tmp_path_factory, names, values, end, mark, last):
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator=end)
    writer.writerow(names)
    writer.writerows(row[: len(names)] for row in values)
    text = out.getvalue() if last else out.getvalue().removesuffix(end)
    # The first line shows what the columns are parted by; a comma between quotes is taken for one, as it is.
    path = table(tmp_path_factory.mktemp("t"), "t.csv", ("\ufeff" if mark else "") + text)
    if max(",", "\t", ";", "|", key=text.split(end)[0].count) == ",":
        found = list(rows(path))
        assert plain(found) == [dict(zip(names, row, strict=False)) for row in values]
        assert [where for where, _ in found] == [f"{path}:{number}" for number in range(2, 2 + len(values))]


@settings(deadline=None)
@given(
    values=st.lists(st.lists(cells.map(lambda text: text.replace("\t", " ")), min_size=2, max_size=2), max_size=5),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_tsv(tmp_path_factory, values, end):
    path = table(tmp_path_factory.mktemp("t"), "t.tsv", end.join(["path\ttext", *("\t".join(row) for row in values)]))
    found = plain(list(rows(path)))
    kept = [row for row in values if "\t".join(row).strip()]
    assert [[row["path"].strip(), row["text"].strip()] for row in found] == [
        [cell.strip() for cell in row] for row in kept
    ]


@settings(deadline=None)
@given(
    values=st.lists(
        st.dictionaries(
            st.text(max_size=5), st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), st.none())
        ),
        max_size=5,
    ),
    end=ends,
    ascii_only=st.booleans(),
)
def test_jsonl(tmp_path_factory, values, end, ascii_only):
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in values]
    path = tmp_path_factory.mktemp("t") / "t.jsonl"
    path.write_bytes(f"{end}{end}".join(lines).encode(errors="backslashreplace"))
    found = list(rows(path))
    assert plain(found) == [{key: "" if value is None else str(value) for key, value in row.items()} for row in values]
    assert [where for where, _ in found] == [f"{path}:{2 * number + 1}" for number in range(len(values))]


def test_line_ends_within_quotes(tmp_path):
    path = table(
        tmp_path, "t.csv", 'path,text\n\na.wav,"one\ntwo, ""three""\n\nfour"\nb.wav, "five, six"\nc.wav,seven\n'
    )
    found = list(rows(path))
    assert [row["text"].split() for _, row in found] == [
        ["one", "two,", '"three"', "four"],
        ["five,", "six"],
        ["seven"],
    ]
    assert [where.rpartition(":")[2] for where, _ in found] == ["3", "7", "8"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "path;text\na.wav;one, two\n"),
        ("t.csv", 'path;text\na.wav;"one, two"\n'),
        ("t.csv", "path\ttext\na.wav\tone, two\n"),
        ("t.txt", "path|text\na.wav|one, two\n"),
        ("t.CSV", 'path,text\na.wav,"one, two"'),
        ("t.tsv", "path\ttext\r\na.wav\tone, two\r\n"),
        ("t.json", '{"path": "a.wav", "text": "one, two"}'),
        ("t.manifest", '{"path": "a.wav", "text": "one, two"}'),
    ],
)
def test_what_parts_the_columns(tmp_path, name, content):
    assert plain(list(rows(table(tmp_path, name, content)))) == [{"path": "a.wav", "text": "one, two"}]


def test_quotes_that_quote_nothing(tmp_path):
    path = table(tmp_path, "t.tsv", 'path\ttext\na.wav\t"Hello, she\nb.wav\tsaid."\nc.wav\t"\n')
    assert [row["text"] for _, row in rows(path)] == ['"Hello, she', 'said."', '"']


WRONG = {
    "empty": ("t.csv", "", "t.csv is empty: its first line must name the columns"),
    "blank": ("t.tsv", " \n\t\n", "t.tsv is empty"),
    "suffix": ("t.xlsx", "PK", "expected a .csv, .tsv or .jsonl file"),
    "latin": ("t.csv", "path,text\na.wav,café\n".encode("latin-1"), "t.csv:2: not UTF-8"),
    "comma": ("t.csv", "path,text\na.wav,one\n\nb.wav,two, three\n", "t.csv:4: 3 columns, but the first line names 2"),
    "short": ("t.csv", "path,text\na.wav\n", "t.csv:2: 1 columns, but the first line names 2: path, text. Quote texts"),
    "open quote": (
        "t.csv",
        'path,text\na.wav,one\nb.wav,"two\nc.wav,three\nd.wav,four\n',
        "t.csv:3: .*Is a quote open",
    ),
    "stray quotes": ("t.csv", 'path,text\na.wav,"one\nb.wav,"two\n', "t.csv:2: cannot be read as a table"),
    "after a quote": ("t.csv", 'path,text\na.wav,"one" two\n', "t.csv:2: cannot be read as a table"),
    "not JSON": ("t.jsonl", '{"path": "a"}\n{path: 1}\n', "t.jsonl:2: not JSON .* one object like"),
    "array": ("t.json", '[{"path": "a.wav"}]', "t.json:1: expected a JSON object, found list: one like"),
    "pretty": ("t.json", '[\n {"path": "a.wav"}\n]', "t.json:1: not JSON"),
    "deep": ("t.jsonl", "[" * 100_000, "t.jsonl:1: not JSON .*too deep"),
    "number": ("t.jsonl", '{"path": ' + "9" * 10_000 + "}", "t.jsonl:1: not JSON .*too long"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_tables(tmp_path, kind):
    name, content, message = WRONG[kind]
    with pytest.raises(ManifestError, match=message):
        list(rows(table(tmp_path, name, content)))
    with pytest.raises(ManifestError, match="does not exist"):
        list(rows(tmp_path / "none.csv"))


@pytest.mark.timeout(60)
def test_ten_megabytes_in_a_line(tmp_path):
    long = "word " * 2_000_000
    assert from_table(table(tmp_path, "t.csv", f'path,text\na.wav,"{long}"\n'))[0].text == long
    assert from_table(table(tmp_path, "t.tsv", f"path\ttext\na.wav\t{long}"))[0].text == long
    assert from_table(table(tmp_path, "t.jsonl", json.dumps({"path": "a.wav", "text": long})))[0].text == long
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.wav").touch()
    assert from_folder(table(tmp_path, "folder/a.txt", long).parent).recordings[0].text == long
    with pytest.raises(ManifestError, match="t.csv:2: which column") as raised:
        from_table(table(tmp_path, "t.csv", f"{long}\n{long}\n"))
    assert len(str(raised.value)) < 1000
    with pytest.raises(ManifestError, match="t.csv:2: cannot be read as a table"):
        from_table(table(tmp_path, "t.csv", "path,text\na.wav," + '"' * 10_000_001))


# ---- recordings


def test_deepspeech(tmp_path):
    sound(tmp_path / "clips" / "a.wav")
    sound(tmp_path / "clips" / "sub" / "b.wav")
    path = table(
        tmp_path,
        "clips/train.csv",
        "wav_filename,wav_filesize,transcript\r\na.wav,6444,it is five\r\nsub/b.wav,6444,yes\r\n",
    )
    found = from_table(path)
    assert [(one.name, one.text, one.splits) for one in found] == [
        ("a", "it is five", ("train",)),
        ("sub/b", "yes", ("train",)),
    ]
    result = build(found, tmp_path / "out", WHOLE)
    assert dict(result.counts) == {"train": 2}
    assert [one.text for one in read_manifest(result.manifests["train"])] == ["it is five", "yes"]


def test_baidu(tmp_path):
    clip = sound(tmp_path / "elsewhere" / "a.flac")
    line = json.dumps({"key": str(clip), "duration": 0.2, "text": "hello there"})
    found = from_table(table(tmp_path, "lists/train_corpus.json", f"{line}\n"), split="test")
    assert build(found, tmp_path / "out", WHOLE).counts == {"test": 1}
    assert found[0].audio == clip


def test_nemo_manifests_and_their_speakers(tmp_path):
    lines = [
        {"audio_filepath": "wavs/a.wav", "duration": 1.0, "text": "a", "speaker": "x"},
        {"audio_filepath": "wavs/b.wav", "duration": 1.0, "text": None, "speaker": 7, "tags": ["noisy"], "lang": None},
        {"audio_filepath": "wavs/c.wav", "duration": 1.0, "text": 5, "speaker": ""},
    ]
    found = from_table(table(tmp_path, "train.jsonl", "\n".join(map(json.dumps, lines))))
    assert [one.text for one in found] == ["a", "", "5"]
    assert [one.extra for one in found] == [{"speaker": "x"}, {"speaker": "7"}, {}]
    assert found[0].audio == tmp_path / "wavs" / "a.wav"


def test_columns_are_named_or_known(tmp_path):
    path = table(tmp_path, "t.csv", " path , sentence ,key,words\na.wav,one,k1,uno\n")
    assert [(one.audio.name, one.text) for one in from_table(path)] == [("a.wav", "one")]
    assert [(one.audio.name, one.text) for one in from_table(path, "key", "words")] == [("k1", "uno")]
    with pytest.raises(ManifestError, match="t.csv:2: there is no column 'clip'; there are path, sentence, key, words"):
        from_table(path, "clip")
    path = table(tmp_path, "t.csv", "sound,words\na.wav,one\n")
    with pytest.raises(ManifestError, match="t.csv:2: which column. Give --audio; there are sound, words"):
        from_table(path)
    with pytest.raises(ManifestError, match="Give --text"):
        from_table(path, "sound")
    path = table(tmp_path, "t.jsonl", '{"audio": {"bytes": "…", "path": "a.wav"}, "text": "one"}')
    with pytest.raises(ManifestError, match="t.jsonl:1: which column"):
        from_table(path)
    with pytest.raises(ManifestError, match="t.csv has no rows"):
        from_table(table(tmp_path, "t.csv", "path,text\n"))
    with pytest.raises(ManifestError, match="t.csv:3: the path of the recording is empty. Remove the line"):
        from_table(table(tmp_path, "t.csv", "path,text\na.wav,one\n ,two\n"))


def test_splits(tmp_path):
    names = [*SPLITS, "", " Test "]
    lines = ["path,text,split", *(f"{n}.wav,one,{name}" for n, name in enumerate(names))]
    path = table(tmp_path, "t.csv", "\n".join(lines))
    assert [one.splits[0] for one in from_table(path)] == [*SPLITS.values(), "train", "test"]
    assert {one.splits for one in from_table(path, split="validation")} == {("validation",)}
    # Not into train: it may be what is to be tested on.
    path = table(tmp_path, "t.csv", "path,text,split\na.wav,one,train\nb.wav,two,eval\n")
    with pytest.raises(ManifestError, match="t.csv:3: unknown split 'eval'; known are train, .* give --split"):
        from_table(path)
    assert len(from_table(path, split="test")) == 2


def test_names_do_not_depend_on_where_one_stands(tmp_path, monkeypatch):
    lines = [
        "path,text",
        "a.wav,1",
        "sub/b.flac,2",
        "./c.mp3,3",
        "utt.1,4",
        "utt.2,5",
        "../out/d.wav,6",
        "sub/../e.wav,7",
    ]
    table(tmp_path, "set/t.csv", "\n".join([*lines, f"{tmp_path}/set/f.wav,8"]))
    monkeypatch.chdir(tmp_path)
    names = [one.name for one in from_table(Path("set/t.csv"))]
    assert names[:5] == ["a", "sub/b", "c", "utt.1", "utt.2"]
    assert names[6:] == ["e", "f"]
    assert names[5].startswith("d-") and "/" not in names[5]
    (tmp_path / "set" / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "set" / "deep")
    assert [one.name for one in from_table(Path("../t.csv"))] == names
    # Nor on where the whole lies: the splits hang on the names.
    table(tmp_path / "moved", "set/t.csv", "\n".join(lines))
    assert [one.name for one in from_table(tmp_path / "moved" / "set" / "t.csv")] == names[:7]
    assert [one.audio.name for one in from_table(tmp_path / "set" / "t.csv", root=tmp_path)][:2] == ["a.wav", "b.flac"]
    assert (
        from_table(tmp_path / "set" / "t.csv", root=tmp_path / "set" / "sub")[0].audio
        == tmp_path / "set" / "sub" / "a.wav"
    )


# ---- folders


def test_folder(tmp_path):
    for name, text in {
        "a": "One", "Train/b": "Two", "dev/deep/c": "\ufeffThree\r\n", "test/d": "four\nfive", "anna/e": "six",
        "test/x.y": "so",
    }.items():  # fmt: skip
        sound(tmp_path / "in" / f"{name}.flac")
        (tmp_path / "in" / f"{name}.txt").write_bytes(text.encode())
    found = from_folder(tmp_path / "in").recordings
    assert {one.name: (one.splits[0], one.text.split()) for one in found} == {
        "a": ("train", ["One"]), "Train/b": ("train", ["Two"]), "dev/deep/c": ("validation", ["Three"]),
        "test/d": ("test", ["four", "five"]), "anna/e": ("train", ["six"]), "test/x.y": ("test", ["so"]),
    }  # fmt: skip
    result = build(found, tmp_path / "out", WHOLE)
    assert dict(result.counts) == {"train": 3, "validation": 1, "test": 2}


@settings(deadline=None)
@given(
    text=st.text(st.characters(blacklist_categories=["Cs"]), max_size=40),
    end=st.sampled_from(["", "\n", "\r\n", "\r", "\n\n \n"]),
    mark=st.booleans(),
)
def test_texts_beside_sound(tmp_path_factory, text, end, mark):
    folder = tmp_path_factory.mktemp("f")
    (folder / "a.wav").touch()
    (folder / "a.txt").write_bytes((("\ufeff" if mark else "") + text + end).encode())
    (found,) = from_folder(folder).recordings
    assert found.text.split() == (text if mark else text.removeprefix("\ufeff")).split()


@settings(deadline=None)
@given(
    names=st.lists(st.sampled_from(["path", "text", "a b", "é", "speaker"]), min_size=2, unique=True),
    pad=st.sampled_from(["", " ", "  "]),
    blank=st.sampled_from(["", " ", "\u00a0"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    by=st.sampled_from([",", ";", "\t", "|"]),
)
def test_tables_by_hand(tmp_path_factory, names, pad, blank, end, by):
    """Blanks around the columns, empty lines between the rows."""
    lines = [f"{pad}{by}{pad}".join(names), *(f"{by}{pad}".join(f"{n}{name}" for name in names) for n in range(3))]
    path = table(tmp_path_factory.mktemp("t"), "t.csv", f"{end}{blank}{end}".join(lines))
    found = list(rows(path))
    assert [{key: value.strip() for key, value in row.items()} for _, row in found] == [
        {name: f"{n}{name}" for name in names} for n in range(3)
    ]
    assert [where for where, _ in found] == [f"{path}:{number}" for number in (3, 5, 7)]


def test_folder_with_missing_pieces(tmp_path):
    for name in ("a", "b", "c", "d"):
        sound(tmp_path / "in" / f"{name}.wav")
    (tmp_path / "in" / "a.txt").write_text("one")
    (tmp_path / "in" / "d.txt").write_text("two", encoding="utf-16")
    (tmp_path / "in" / "b.txt").write_bytes("café".encode("latin-1"))
    (tmp_path / "in" / "z.txt").write_text("no sound")
    sound(tmp_path / "in" / "noise" / "street.wav")
    found = from_folder(tmp_path / "in")
    result = build(found.recordings, tmp_path / "out", WHOLE)
    assert dict(result.counts) == {"train": 2}
    # A transcript that is not there is not overlooked, and one in another encoding would lose its letters.
    assert dict(result.kinds) == {"empty transcripts": 1}
    assert "b.txt:1: not UTF-8 text" in found.faults[0] and found.kinds["transcripts that are not UTF-8"] == 1
    # Neither is a transcript whose recording is gone, nor a folder of sound of which nothing is written.
    assert found.kinds["transcripts without a recording"] == 1 and "z.txt" in found.faults[1]
    assert found.notes[0].startswith("1 recordings are not taken") and "noise/street.wav" in found.notes[0]
    with pytest.raises(ManifestError, match="holds no sound with a .txt of the same name"):
        from_folder(tmp_path / "in" / "noise")
    with pytest.raises(ManifestError, match="a.wav is no folder"):
        from_folder(tmp_path / "in" / "a.wav")
    with pytest.raises(ManifestError, match="none does not exist"):
        from_folder(tmp_path / "none")


def test_a_folder_that_is_written_into(tmp_path):
    sound(tmp_path / "a.flac")
    (tmp_path / "a.txt").write_text("one")
    sound(tmp_path / "b.flac")
    for _ in range(2):
        found = from_folder(tmp_path)
        assert dict(build(found.recordings, tmp_path, WHOLE).counts) == {"train": 1} and not found.faults


def test_a_folder_with_two_forms_of_one_recording(tmp_path):
    sound(tmp_path / "in" / "a.wav")
    sound(tmp_path / "in" / "a.flac")
    (tmp_path / "in" / "a.txt").write_text("one")
    with pytest.raises(ManifestError, match="in/a.flac and .*in/a.wav would both be called a"):
        build(from_folder(tmp_path / "in").recordings, tmp_path / "out", WHOLE)
