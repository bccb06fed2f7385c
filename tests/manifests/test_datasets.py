"""Each dataset in its own layout, as published and as it arrives: other line ends, links, copies, missing pieces."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import ManifestError, an4, commonvoice, librispeech, ljspeech, read_manifest
from manifests.corpus import CorpusOptions, Recording, build

WHOLE = CorpusOptions(validation=0, test=0, workers=2)

# Anything a line may hold.
words = st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"]), max_size=30)
blanks = st.sampled_from(["", " ", "\t", "  \t ", "\u00a0"])
names = st.text("abz019_-.", min_size=1, max_size=12)
ends = st.sampled_from(["\n", "\r\n", "\r"])
marks = st.sampled_from(["", "\ufeff"])


def sound(path: Path, seconds: float = 0.2, rate: int = 16000, container: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng([*path.name.encode()]).standard_normal(round(seconds * rate)) * 0.1
    soundfile.write(path, samples, rate, format=container)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def texts(recordings: list[Recording]) -> dict[str, str]:
    return {recording.name: recording.text for recording in recordings}


# ---- long lines


@pytest.mark.timeout(60)
def test_lines_of_ten_megabytes(tmp_path):
    long = "word " * 2_000_000
    for line in (f"<s> {long}", f"<s> {' ' * 10_000_000}", "(" * 10_000_000, f"{long}(an1-x-b)"):
        an4.parse_line(line)
    assert an4.parse_line(f"<s> {long}</s> (an1-x-b)") == ("an1-x-b", long.strip())
    write(tmp_path / "lj" / "metadata.csv", f"a|{long}|{long}\n")
    (tmp_path / "lj" / "wavs").mkdir()
    assert ljspeech.recordings(tmp_path / "lj")[0].text == long.strip()
    write(tmp_path / "ls" / "dev-clean" / "1" / "2" / "1-2.trans.txt", f"1-2-0000 {long}")
    assert librispeech.recordings(tmp_path / "ls", ["dev-clean"])[0].text.strip() == long.strip()
    write(tmp_path / "cv" / "train.tsv", f"client_id\tpath\tsentence\n{long}\ta.mp3\t{long}\n")
    (tmp_path / "cv" / "clips").mkdir()
    (clip,) = commonvoice.recordings(tmp_path / "cv")
    assert clip.text == long and len(clip.extra["speaker"]) == 16
    an4_tree(tmp_path / "an4", f"<s> {long}</s> (an1-fabc-b)\n")
    assert an4.recordings(tmp_path / "an4")[0].text == long.strip()


@pytest.mark.timeout(60)
def test_ten_megabytes_that_are_wrong_are_not_repeated(tmp_path):
    long = "word " * 2_000_000
    an4_tree(tmp_path / "an4", long)
    lj_tree(tmp_path / "lj", long)
    write(tmp_path / "ls" / "dev-clean" / "1" / "2" / "1-2.trans.txt", long)
    write(tmp_path / "cv" / "train.tsv", f"client_id\tpath\tsentence\n{long}\n")
    (tmp_path / "cv" / "clips").mkdir()
    for read, where in (
        (an4.recordings, "an4"), (ljspeech.recordings, "lj"), (commonvoice.recordings, "cv"),
        (lambda folder: librispeech.recordings(folder, ["dev-clean"]), "ls"),
    ):  # fmt: skip
        with pytest.raises(ManifestError) as raised:
            read(tmp_path / where)
        assert len(str(raised.value)) < 1000


# ---- AN4


def an4_tree(folder: Path, train: str, test: str = "<s> GO </s> (an9-mxyz-b)\n") -> Path:
    write(folder / "an4" / "etc" / "an4_train.transcription", train)
    write(folder / "an4" / "etc" / "an4_test.transcription", test)
    for name in ("an1-fabc-b", "an2-fabc-b"):
        sound(folder / "an4" / "wav" / "an4_clstk" / "fabc" / f"{name}.sph", container="NIST")
    sound(folder / "an4" / "wav" / "an4test_clstk" / "mxyz" / "an9-mxyz-b.sph", container="NIST")
    return folder


def test_an4(tmp_path):
    source = an4_tree(tmp_path, "\ufeff<s> HELLO </s> (an1-fabc-b)\r\n\r\n<s>RUBOUT G M E F THREE NINE</s>(an2-fabc-b)")
    found = an4.recordings(source)
    assert texts(found) == {
        "train/an1-fabc-b": "HELLO", "train/an2-fabc-b": "RUBOUT G M E F THREE NINE", "test/an9-mxyz-b": "GO",
    }  # fmt: skip
    assert [one.extra["speaker"] for one in found] == ["fabc", "fabc", "mxyz"]
    result = build(found, tmp_path / "out", WHOLE)
    assert dict(result.counts) == {"train": 2, "test": 1}
    assert read_manifest(result.manifests["test"])[0].text == "go"


def test_an4_with_missing_pieces(tmp_path):
    source = an4_tree(tmp_path / "a", "<s> HELLO </s> (an1-fabc-b)\n<s> NOT THERE </s> (an7-fabc-b)\n")
    result = build(an4.recordings(source), tmp_path / "out", WHOLE)
    assert result.faults == [f"{source}/an4/wav/an7-fabc-b.sph does not exist."]
    with pytest.raises(ManifestError, match="does not hold AN4: expected etc/an4_train.transcription below it"):
        an4.recordings(tmp_path / "out")
    with pytest.raises(ManifestError, match="none cannot be read"):
        an4.recordings(tmp_path / "none")
    (source / "an4" / "etc" / "an4_test.transcription").unlink()
    with pytest.raises(ManifestError, match="an4_test.transcription does not exist"):
        an4.recordings(source)
    an4_tree(tmp_path / "b", "<s> HELLO </s> (an1-fabc-b)\n\nno name here\n")
    with pytest.raises(ManifestError, match=r"an4_train.transcription:3: expected `<s> TEXT </s> \(NAME\)`, found 'no"):
        an4.recordings(tmp_path / "b")
    shutil.rmtree(source / "an4" / "wav")
    write(source / "an4" / "etc" / "an4_test.transcription", "")
    with pytest.raises(ManifestError, match="wav cannot be read"):
        an4.recordings(source)


@settings(deadline=None)
@given(text=words, name=names, blank=blanks, marked=st.booleans())
def test_an4_lines(text, name, blank, marked):
    line = f"<s>{blank} {text} {blank}</s>{blank}({name}){blank}" if marked else f"{text}{blank} ({name})"
    found = an4.parse_line(line)
    assert found is not None and found[0] == name
    if "<s>" not in text and "</s>" not in text:
        assert found[1] == text.strip()
    assert an4.parse_line(f"{text} ({name}") is None or "(" in text


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(words.map(lambda text: text.replace("s>", "")), names), min_size=1, max_size=5),
    blank=blanks,
    end=ends,
    mark=marks,
)
def test_an4_files(tmp_path_factory, rows, blank, end, mark):
    folder = tmp_path_factory.mktemp("an4")
    (folder / "wav").mkdir()
    lines = [f"{blank}<s> {text} </s> ({name}){blank}" for text, name in rows]
    write(folder / "etc" / "an4_train.transcription", mark + f"{end}{blank}{end}".join(lines) + end)
    write(folder / "etc" / "an4_test.transcription", mark + blank + end)
    found = an4.recordings(folder)
    assert [(one.text, one.name) for one in found] == [(text.strip(), f"train/{name}") for text, name in rows]


def test_the_real_an4(recordings, tmp_path):
    found = an4.recordings(recordings / "an4")
    assert len(found) == 30
    result = build(found, tmp_path / "out", CorpusOptions())
    assert result.faults == []
    assert result.counts["test"] == 5 and result.counts["train"] + result.counts["validation"] == 25
    assert {one.text for one in read_manifest(result.manifests["test"])} == {"repeat", "start", "help", "stop"}
    speakers = [
        {one.extra["speaker"] for one in read_manifest(result.manifests[name])} for name in ("train", "validation")
    ]
    assert not speakers[0] & speakers[1]


# ---- LibriSpeech


def libri_tree(folder: Path, subset: str, speaker: int = 84, end: str = "\n", container: str = "FLAC") -> Path:
    chapter = folder / subset / str(speaker) / "121123"
    lines = [f"{speaker}-121123-{n:04} WORDS NUMBER {'ABC'[n]}" for n in range(3)]
    write(chapter / f"{speaker}-121123.trans.txt", end.join(lines))
    for n in range(3):
        sound(chapter / f"{speaker}-121123-{n:04}.flac", container=container)
    return folder


def test_librispeech(tmp_path, monkeypatch):
    for subset in ("train-clean-100", "dev-clean", "dev-other", "test-clean"):
        libri_tree(tmp_path / "LibriSpeech", subset, end="\r\n")
    found = librispeech.recordings(tmp_path, ["train-clean-100", "dev-clean", "dev-other"])
    assert len(found) == 9
    assert found[1].text == "WORDS NUMBER B"
    assert found[1].extra == {"speaker": "84", "subset": "train-clean-100"}
    result = build(found, tmp_path / "out", CorpusOptions(test=0))
    assert dict(result.counts) == {"train-clean-100": 3, "train": 3, "dev-clean": 3, "dev-other": 3, "validation": 6}
    assert len(list((tmp_path / "out" / "wavs").rglob("*.wav"))) == 9
    # From inside of a subset, which then has no name in the path that is given.
    monkeypatch.chdir(tmp_path / "LibriSpeech" / "dev-clean")
    assert len(librispeech.recordings(Path("."), ["dev-clean"])) == 3


def test_librispeech_through_links_and_beside_leftovers_of_a_mac(tmp_path):
    libri_tree(tmp_path / "disk", "dev-clean")
    (tmp_path / "LibriSpeech").mkdir()
    (tmp_path / "LibriSpeech" / "dev-clean").symlink_to(tmp_path / "disk" / "dev-clean")
    leftover = tmp_path / "LibriSpeech" / "__MACOSX" / "dev-clean" / "84" / "121123" / "._84-121123.trans.txt"
    write(leftover, "").write_bytes(b"\x00\x05\x16\x07\xff")
    assert len(librispeech.recordings(tmp_path / "LibriSpeech", ["dev-clean"])) == 3


def test_librispeech_with_missing_pieces(tmp_path):
    libri_tree(tmp_path, "dev-clean")
    with pytest.raises(ManifestError, match="holds no test-clean, test-other: expected .* Choose .* with --subsets"):
        librispeech.recordings(tmp_path, ["dev-clean", "test-clean", "test-other"])
    (tmp_path / "dev-clean" / "84" / "121123" / "84-121123-0001.flac").unlink()
    result = build(librispeech.recordings(tmp_path, ["dev-clean"]), tmp_path / "out", WHOLE)
    assert result.counts["validation"] == 2
    assert len(result.faults) == 1 and "84-121123-0001.flac does not exist" in result.faults[0]
    libri_tree(tmp_path / "a copy", "dev-clean")
    with pytest.raises(ManifestError, match="would both be called dev-clean/84-121123-0000"):
        build(librispeech.recordings(tmp_path, ["dev-clean"]), tmp_path / "out", WHOLE)
    write(tmp_path / "dev-clean" / "84" / "121123" / "84-121123.trans.txt", "84-121123-0000 A\n../../../x-y-z B\n")
    with pytest.raises(ManifestError, match="84-121123.trans.txt:2: expected `SPEAKER-CHAPTER-NUMBER TEXT`, found"):
        librispeech.recordings(tmp_path, ["dev-clean"])


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 9999), words, st.sampled_from([" ", "\t", "  ", " \t "])), min_size=1, max_size=5
    ),
    blank=blanks,
    end=ends,
    mark=marks,
)
def test_librispeech_lines(tmp_path_factory, rows, blank, end, mark):
    folder = tmp_path_factory.mktemp("libri")
    lines = [f"{blank}1-2-{number:04}{gap}{text}" for number, text, gap in rows]
    write(folder / "dev-clean" / "1" / "2" / "1-2.trans.txt", mark + f"{end}{blank}{end}".join(lines))
    found = librispeech.recordings(folder, ["dev-clean"])
    assert [(one.audio.name, one.text.strip()) for one in found] == [
        (f"1-2-{number:04}.flac", text.strip()) for number, text, _ in rows
    ]


def test_subsets_are_chosen():
    assert librispeech.choose(" dev-clean, test-other ,") == ["dev-clean", "test-other"]
    assert len(librispeech.choose("all")) == 7
    for wrong in ("dev-clean,dev-dirty", "", ","):
        with pytest.raises(ManifestError, match="Unknown subset .*choose from train-clean-100, "):
            librispeech.choose(wrong)


def test_librispeech_is_fetched_subset_by_subset(tmp_path, monkeypatch):
    fetched = []
    monkeypatch.setattr(librispeech, "fetch_archive", lambda *given: fetched.append(given))
    assert librispeech.download(["dev-clean", "test-other"], tmp_path) == tmp_path
    assert [(url, folder.name) for url, folder, _ in fetched] == [
        ("https://www.openslr.org/resources/12/dev-clean.tar.gz", "dev-clean"),
        ("https://www.openslr.org/resources/12/test-other.tar.gz", "test-other"),
    ]
    assert all(checksum == f"md5:{librispeech.SUBSETS[folder.name]}" for _, folder, checksum in fetched)


# ---- LJSpeech


def lj_tree(folder: Path, lines: str) -> Path:
    write(folder / "LJSpeech-1.1" / "metadata.csv", lines)
    for name in ("LJ001-0001", "LJ001-0002"):
        sound(folder / "LJSpeech-1.1" / "wavs" / f"{name}.wav", rate=22050)
    return folder


def test_ljspeech(tmp_path):
    source = lj_tree(
        tmp_path, '\ufeffLJ001-0001|In 1984, "he|In nineteen eighty-four, "he\r\n\r\nLJ001-0002|Said "so."|'
    )
    found = ljspeech.recordings(source)
    assert texts(found) == {"LJ001-0001": 'In nineteen eighty-four, "he', "LJ001-0002": 'Said "so."'}
    result = build(found, tmp_path / "out", WHOLE)
    assert [one.text for one in read_manifest(result.manifests["train"])] == ["in nineteen eighty four he", "said so"]


def test_ljspeech_with_missing_pieces(tmp_path):
    source = lj_tree(tmp_path, "LJ001-0001|one|one\nLJ001-0009|nine|nine\n")
    result = build(ljspeech.recordings(source), tmp_path / "out", WHOLE)
    assert result.faults == [f"{source}/LJSpeech-1.1/wavs/LJ001-0009.wav does not exist."]
    for bad in ("LJ001-0002 two", "|two|two"):
        lj_tree(tmp_path, f"LJ001-0001|one|one\n{bad}\n")
        with pytest.raises(ManifestError, match=r"metadata.csv:2: expected `ID\|TEXT\|TEXT`, found"):
            ljspeech.recordings(source)
    with pytest.raises(ManifestError, match="does not hold LJSpeech: expected metadata.csv and wavs/ in it"):
        ljspeech.recordings(tmp_path / "out")


def test_a_name_in_ljspeech_leads_nowhere_else(tmp_path):
    source = lj_tree(tmp_path, "../../../escape|one|one\n")
    with pytest.raises(ManifestError, match="leads out of the folder"):
        build(ljspeech.recordings(source), tmp_path / "out", WHOLE)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(names, words.map(lambda text: text.replace("|", ""))), min_size=1, max_size=5),
    blank=blanks,
    end=ends,
    mark=marks,
)
def test_ljspeech_lines(tmp_path_factory, rows, blank, end, mark):
    folder = tmp_path_factory.mktemp("lj")
    (folder / "wavs").mkdir()
    lines = [f"{blank}{name}{blank}|printed|{text}{blank}" for name, text in rows]
    write(folder / "metadata.csv", mark + f"{end}{blank}{end}".join(lines) + end)
    found = ljspeech.recordings(folder)
    assert [(one.name, one.text) for one in found] == [(name, text.strip() or "printed") for name, text in rows]


def test_the_real_ljspeech(recordings, tmp_path):
    found = ljspeech.recordings(recordings / "ljspeech")
    assert len(found) == 100
    result = build(found[:12], tmp_path / "out", CorpusOptions())
    assert result.faults == []
    assert set(result.counts) == {"train", "validation", "test"} and sum(result.counts.values()) == 12
    for path in result.manifests.values():
        for utterance in read_manifest(path):
            assert set(utterance.text) <= set(" abcdefghijklmnopqrstuvwxyz'")
            assert soundfile.info(utterance.audio).samplerate == 16000


# ---- Common Voice

HEADER = "client_id\tpath\tsentence_id\tsentence\tup_votes"


def voice_tree(folder: Path, language: str = "en", **tables: list[tuple[str, str]]) -> Path:
    for name, rows in tables.items():
        lines = [HEADER, *(f"{clip * 30}\t{clip}\t7\t{sentence}\t2" for clip, sentence in rows)]
        write(folder / "cv-corpus-17.0" / language / f"{name}.tsv", "\n".join(lines) + "\n")
        for clip, _ in rows:
            stem = clip.removesuffix(".mp3")
            sound(folder / "cv-corpus-17.0" / language / "clips" / f"{stem}.mp3", rate=32000, container="MP3")
    return folder


def test_common_voice(tmp_path):
    quoted = '"Hello," she said.'
    source = voice_tree(
        tmp_path, train=[("a.mp3", "Hi."), ("b.mp3", '"'), ("c", quoted)], dev=[("d.mp3", "Ja")], test=[]
    )
    found = commonvoice.recordings(source)
    assert texts(found) == {"a": "Hi.", "b": '"', "c": quoted, "d": "Ja"}
    assert [one.splits for one in found] == [("train",)] * 3 + [("validation",)]
    assert all(len(one.extra["speaker"]) == 16 for one in found)
    result = build(found, tmp_path / "out", WHOLE)
    assert dict(result.counts) == {"train": 2, "validation": 1}
    assert dict(result.kinds) == {"empty transcripts": 1}
    assert read_manifest(result.manifests["train"])[0].duration == pytest.approx(0.2, abs=0.05)


def test_common_voice_in_several_languages_and_releases(tmp_path, monkeypatch):
    voice_tree(tmp_path, train=[("a.mp3", "Hi")])
    voice_tree(tmp_path, "de", train=[("a.mp3", "Ja")])
    with pytest.raises(ManifestError, match="holds cv-corpus-17.0/de, cv-corpus-17.0/en: choose with --only"):
        commonvoice.recordings(tmp_path)
    assert texts(commonvoice.recordings(tmp_path, "de")) == {"a": "Ja"}
    with pytest.raises(ManifestError, match="does not hold Common Voice fr"):
        commonvoice.recordings(tmp_path, "fr")
    shutil.copytree(tmp_path / "cv-corpus-17.0", tmp_path / "cv-corpus-18.0")
    with pytest.raises(ManifestError, match="cv-corpus-17.0/en, cv-corpus-18.0/en: .*give one of them as --source"):
        commonvoice.recordings(tmp_path, "en")
    monkeypatch.chdir(tmp_path / "cv-corpus-18.0" / "de")
    assert texts(commonvoice.recordings(Path("."), "de")) == {"a": "Ja"}


def test_common_voice_with_missing_pieces(tmp_path):
    source = voice_tree(tmp_path, train=[("a.mp3", "Hi"), ("b.mp3", "Ho")])
    (source / "cv-corpus-17.0" / "en" / "clips" / "b.mp3").unlink()
    result = build(commonvoice.recordings(source), tmp_path / "out", WHOLE)
    assert dict(result.kinds) == {"unreadable recordings": 1}
    with pytest.raises(ManifestError, match="does not hold Common Voice: expected LANGUAGE/train.tsv"):
        commonvoice.recordings(tmp_path / "out")
    for text, message in [
        ("client_id\tsentence\nx\ty\n", "train.tsv:2: the column 'path' is missing"),
        (f"{HEADER}\nx\ta.mp3\t1\tHi\t2\nx\tb.mp3\tHi\n", "train.tsv:3: 3 columns, but the first line names 5"),
        (f"{HEADER}\nx\t \t1\tHi\t2\n", "train.tsv:2: the path is empty"),
        ("", "train.tsv is empty"),
    ]:
        write(source / "cv-corpus-17.0" / "en" / "train.tsv", text)
        with pytest.raises(ManifestError, match=message):
            commonvoice.recordings(source)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(names, words.map(lambda text: text.replace("\t", " "))), min_size=1, max_size=5),
    blank=blanks,
    end=ends,
    mark=marks,
)
def test_common_voice_lines(tmp_path_factory, rows, blank, end, mark):
    folder = tmp_path_factory.mktemp("cv") / "en"
    (folder / "clips").mkdir(parents=True)
    lines = [HEADER, *(f"id\tx{name}.mp3\t1\t{sentence}\t2" for name, sentence in rows)]
    write(folder / "train.tsv", mark + f"{end}{blank}{end}".join(lines))
    found = commonvoice.recordings(folder)
    assert [(one.name, one.text.strip()) for one in found] == [(f"x{name}", text.strip()) for name, text in rows]


# ---- what no decoder reads


def test_broken_recordings_do_not_end_a_run(tmp_path):
    broken = [tmp_path / f"{number}.flac" for number in range(10)]
    for path in broken:
        path.write_bytes(b"fLaC and no more")
    found = [Recording(path, "alexa", ("train",), path.stem) for path in broken]
    found.append(Recording(sound(tmp_path / "good.wav"), "alexa", ("train",), "good"))
    result = build(found, tmp_path / "out", WHOLE)
    assert dict(result.counts) == {"train": 1}
    assert dict(result.kinds) == {"unreadable recordings": 10}
    listed = (tmp_path / "out" / "skipped.txt").read_text()
    assert all(str(path) in listed for path in broken)
