"""A corpus is made once, and what is there is never taken for what it is not."""

import json
import shutil
from pathlib import Path

import pytest

from manifests import ManifestError, an4, commonvoice, librispeech, ljspeech, prepared, read_manifest, synthetic
from manifests.__main__ import main
from tests.manifests.test_datasets import an4_tree, libri_tree, lj_tree, sound, voice_tree

TEXT = {
    "labels": [*" abcdefghijklmnopqrstuvwxyz'"], "language": "en", "abbreviations": True, "numbers": True,
    "accents": True, "case": True, "punctuation": True,
}  # fmt: skip


def options(text: dict | None = None, **changed) -> dict:
    """As conf/data/recordings.yaml gives them."""
    plain = {"sample_rate": 16000, "in_place": False, "validation": 0.05, "test": 0.05}
    return plain | {"text": TEXT | (text or {})} | changed


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def lj(tmp_path):
    return lj_tree(tmp_path / "source", "LJ001-0001|In 1984|In 1984\nLJ001-0002|Café|Café\nLJ001-0009|Gone|Gone\n")


def test_a_corpus_is_made_once_and_reused_without_its_source(lj, tmp_path, monkeypatch):
    out = str(tmp_path / "out")
    first = ljspeech.prepare(str(lj), out, options())
    assert first.counts.total() == 2 and dict(first.kinds) == {"unreadable recordings": 1}
    assert any(line.startswith("numbers, whole numbers: 1 of 3 transcripts changed") for line in first.text)
    before = content(tmp_path / "out")
    monkeypatch.setattr(prepared, "build", lambda *_: pytest.fail("made a second time"))
    assert ljspeech.prepare(str(lj), out, options()) == first
    shutil.rmtree(lj)
    for source in (str(lj), None):  # a disk that is not plugged in; a run that does not say where it lay
        again = ljspeech.prepare(source, out, options())
        assert again == first
        assert list(again.notes()) == list(first.notes())
    assert content(tmp_path / "out") == before


def test_the_same_labels_in_another_order_are_the_same(lj, tmp_path):
    first = ljspeech.prepare(str(lj), str(tmp_path / "out"), options())
    assert ljspeech.prepare(None, str(tmp_path / "out"), options({"labels": TEXT["labels"][::-1]})) == first


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (options({"numbers": False}), "text.numbers was True and is False"),
        (options({"language": "de"}), "text.language was 'en' and is 'de'"),
        (options({"labels": [*TEXT["labels"], "é"]}), "text.labels was "),
        (options(sample_rate=8000), "sample_rate was 16000 and is 8000"),
        (options(in_place=True, test=0.2), "in_place was False and is True, held_out.test was 0.05 and is 0.2"),
    ],
)
def test_other_options_are_refused(lj, tmp_path, changed, message):
    out = tmp_path / "out"
    ljspeech.prepare(str(lj), str(out), options())
    before = content(out)
    with pytest.raises(ManifestError, match=f"out was made with other options: {message}.*Delete it, give another"):
        ljspeech.prepare(str(lj), str(out), changed)
    assert content(out) == before


def test_other_recordings_are_refused(lj, tmp_path):
    out = str(tmp_path / "out")
    ljspeech.prepare(str(lj), out, options())
    lj_tree(lj, "LJ001-0001|In 1985|In 1985\n")
    with pytest.raises(ManifestError, match="out was made from other recordings than those in"):
        ljspeech.prepare(str(lj), out, options())


def test_another_corpus_is_not_overwritten(lj, tmp_path, corpus):
    ljspeech.prepare(str(lj), str(tmp_path / "out"), options())
    with pytest.raises(ManifestError, match="out holds ljspeech, not an4"):
        an4.prepare(None, str(tmp_path / "out"), options())
    with pytest.raises(ManifestError, match="holds another corpus, not ljspeech"):
        ljspeech.prepare(str(lj), str(corpus), options())
    with pytest.raises(ManifestError, match="holds a synthetic corpus made with other options"):
        synthetic.build(tmp_path / "out", synthetic.SyntheticOptions(train=1))


@pytest.mark.parametrize("stamp", ["", "[]", "{", '{"fingerprint": ""}'])
def test_what_was_interrupted_is_made_again(lj, tmp_path, stamp):
    whole = {"validation": 0, "test": 0}
    first = ljspeech.prepare(str(lj), str(tmp_path / "out"), options(**whole))
    (tmp_path / "out" / "corpus.json").write_text(stamp)
    other = ljspeech.prepare(str(lj), str(tmp_path / "out"), options({"numbers": False}, **whole))
    assert (first.counts["train"], other.counts["train"]) == (2, 1)
    (tmp_path / "out" / "train.jsonl").unlink()
    assert ljspeech.prepare(str(lj), str(tmp_path / "out"), options(**whole)) == first


def test_a_failure_while_it_is_made_anew_leaves_nothing_that_looks_finished(lj, tmp_path, monkeypatch):
    out = tmp_path / "out"
    ljspeech.prepare(str(lj), str(out), options())
    with monkeypatch.context() as patched:
        patched.setattr("manifests.corpus.write_manifest", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert main(["ljspeech", "--source", str(lj), "--out", str(out), "--without", "accents"]) == 130
    assert json.loads((out / "corpus.json").read_text())["fingerprint"] == ""
    ljspeech.prepare(str(lj), str(out), options())
    assert json.loads((out / "corpus.json").read_text())["fingerprint"]


def test_the_command_line_makes_what_training_reuses_and_makes_it_anew(lj, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    command = ["ljspeech", "--source", str(lj), "--out", str(out)]
    assert main(command) == 0
    with monkeypatch.context() as patched:
        patched.setattr(prepared, "build", lambda *_: pytest.fail("made a second time"))
        ljspeech.prepare(str(lj), str(out), options())
    sound = {path: path.stat().st_mtime_ns for path in out.rglob("*.wav")}
    assert (out / "validation.jsonl").exists()
    assert main([*command, "--validation", "0", "--test", "0"]) == 0
    # What was held out is learned from now, and no manifest of it is left.
    assert not (out / "validation.jsonl").exists() and len(read_manifest(out / "train.jsonl")) == 2
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.wav")} == sound
    assert ljspeech.prepare(None, str(out), options(validation=0, test=0)).counts == {"train": 2}


def test_a_second_table_does_not_remove_what_the_first_became(tmp_path, capsys):
    for name in ("train", "test"):
        sound(tmp_path / name / "1.wav")
        (tmp_path / f"{name}.csv").write_text(f"file,text\n{name}/1.wav,one\n")
    out = ["--out", str(tmp_path / "out")]
    assert main(["table", str(tmp_path / "train.csv"), "--split", "train", *out]) == 0
    before = content(tmp_path / "out")
    assert main(["table", str(tmp_path / "test.csv"), "--split", "test", *out]) == 1
    assert (
        "holds train.jsonl of other recordings, which would be lost: what is asked for makes test.jsonl"
        in capsys.readouterr().err
    )
    assert content(tmp_path / "out") == before
    (tmp_path / "out" / "train.jsonl").unlink()
    assert main(["table", str(tmp_path / "test.csv"), "--split", "test", *out]) == 0


def test_each_dataset(tmp_path):
    text = "<s> HELLO </s> (an1-fabc-b)\n<s> YES </s> (an2-fabc-b)\n"
    made = an4.prepare(str(an4_tree(tmp_path / "a", text)), str(tmp_path / "an4"), options())
    assert made.counts == {"train": 1, "validation": 1, "test": 1}

    for subset in ("train-clean-100", "dev-clean", "test-clean"):
        libri_tree(tmp_path / "libri", subset)
    source, out = str(tmp_path / "libri"), str(tmp_path / "l")
    made = librispeech.prepare(source, out, ["dev-clean", "train-clean-100"], options(in_place=True))
    assert made.counts["train"] + made.counts["test"] == 3 and made.counts["validation"] == 3
    assert read_manifest(made.manifests["train"])[0].audio.is_relative_to(tmp_path / "libri")
    assert librispeech.prepare(None, out, ["train-clean-100", "dev-clean"], options(in_place=True)) == made
    with pytest.raises(
        ManifestError, match="holds librispeech dev-clean,train-clean-100, not librispeech dev-clean,dev-other"
    ):
        librispeech.prepare(source, out, "all", options(in_place=True))

    source = voice_tree(tmp_path / "cv", train=[("a.mp3", "Hi."), ("b.mp3", "Ho")], dev=[("c.mp3", "Ja")])
    made = commonvoice.prepare(str(source), str(tmp_path / "c"), "en", options())
    assert made.counts == {"train": 1, "validation": 1, "test": 1}
    with pytest.raises(ManifestError, match="Common Voice cannot be downloaded .* give its folder as data.source"):
        commonvoice.prepare(None, str(tmp_path / "d"), None, options())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"numbers": "no"}, "numbers must be true or false, found 'no'"),
        ({"language": None}, "language must be text, found None"),
        ({"language": "klingon"}, "language 'klingon'; known are"),
        ({"speling": True}, r"Unknown text options \['speling'\]"),
    ],
)
def test_options_that_cannot_be(lj, tmp_path, text, message):
    with pytest.raises(ManifestError, match=message):
        ljspeech.prepare(str(lj), str(tmp_path / "out"), options(text))
    assert not (tmp_path / "out").exists()
