"""Kaldi's data directories: every utterance with its sound, or named; no command runs that was not allowed."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import ManifestError, kaldi, read_manifest
from manifests.__main__ import main
from manifests.found import Found
from manifests.kaldi import KaldiOptions, choose, recordings
from tests.manifests.test_datasets import sound, write
from tests.manifests.test_prepared import options

ALLOWED = KaldiOptions(allow_commands=True)


def data(folder: Path, **content: str) -> Path:
    """A data directory; `wav_scp` is wav.scp."""
    for name, text in content.items():
        write(folder / name.replace("_", "."), text)
    return folder


def found(folder: Path, given: KaldiOptions | None = None) -> Found:
    return recordings(folder, folder.parent / "out", given or KaldiOptions())


@pytest.fixture
def corpus(tmp_path):
    """Laid out as OpenSLR's corpora are: paths relative to the corpus."""
    for name in "abcd":
        sound(tmp_path / "corpus" / "WAVE" / f"{name}.wav")
    data(
        tmp_path / "corpus" / "train",
        wav_scp="\ufeffa WAVE/a.wav\r\nb\tWAVE/b.wav\r\n",
        text="a ONE  TWO\nb THREE\n",
        utt2spk="a x\nb y\n",
        spk2gender="x f\ny m\n",
    )
    data(tmp_path / "corpus" / "dev93", wav_scp="c WAVE/c.wav\n", text="c FOUR\n", spk2utt="z c q\n")
    data(tmp_path / "corpus" / "test", wav_scp=f"d {tmp_path}/corpus/WAVE/d.wav\n", text="d FIVE\n")
    return tmp_path / "corpus"


def test_sets_become_splits(corpus):
    got = found(corpus)
    assert [(one.name, one.text, one.splits) for one in got.recordings] == [
        ("dev93/c", "FOUR", ("validation",)), ("test/d", "FIVE", ("test",)), ("train/a", "ONE  TWO", ("train",)),
        ("train/b", "THREE", ("train",)),
    ]  # fmt: skip
    assert all(one.audio.is_file() and one.offset is None for one in got.recordings)
    assert [one.extra for one in got.recordings] == [
        {"speaker": "z"}, {}, {"speaker": "x", "gender": "f"}, {"speaker": "y", "gender": "m"},
    ]  # fmt: skip
    assert not got.faults and f"2 utterances for train, paths relative to {corpus}" in got.notes[2]


def test_one_directory_alone(corpus):
    assert [(one.name, one.splits) for one in found(corpus / "dev93").recordings] == [("c", ("validation",))]
    corpus.joinpath("train").rename(corpus / "mine")
    assert [one.splits for one in found(corpus / "mine").recordings] == [("train",), ("train",)]
    with pytest.raises(ManifestError, match="Which split is .*mine. Choose the sets with --sets .*mine:test,test"):
        found(corpus)
    chosen = KaldiOptions(choose("mine:train, test"))
    assert {one.splits for one in found(corpus, chosen).recordings} == {("train",), ("test",)}
    assert chosen.identity == "kaldi mine:train,test"


@pytest.mark.parametrize("depth", ["", "s5/data/"])
@pytest.mark.parametrize("base", ["corpus", "corpus/data", "corpus/data/train"])
def test_paths_start_from_the_recipe_the_folder_or_the_directory(tmp_path, base, depth):
    base = depth + base
    sound(tmp_path / base / "wav" / "a.wav")
    data(
        tmp_path / depth / "corpus" / "data" / "train", wav_scp="a wav/a.wav\ngone wav/b.wav\n", text="a ONE\ngone X\n"
    )
    for source in ("corpus", "corpus/data", "corpus/data/train"):
        got = found(tmp_path / depth / source)
        assert [one.audio for one in got.recordings] == [tmp_path / base / "wav" / f"{name}.wav" for name in "ab"]
        assert f"paths relative to {tmp_path / base}" in got.notes[0]


def test_paths_that_lead_nowhere(corpus, tmp_path):
    write(corpus / "train" / "wav.scp", "a sounds/a.wav\nb sounds/b.wav\n")
    with pytest.raises(ManifestError, match="wav.scp: sounds/a.wav and others lie in none of .*, .*--root"):
        found(corpus)
    sound(tmp_path / "elsewhere" / "sounds" / "a.wav")
    got = found(corpus / "train", KaldiOptions(root=tmp_path / "elsewhere"))
    assert got.recordings[0].audio == tmp_path / "elsewhere" / "sounds" / "a.wav"


def test_segments(tmp_path):
    sound(tmp_path / "r1.wav", 2.0)
    sound(tmp_path / "r2.wav", 3.0)
    folder = data(
        tmp_path / "train",
        wav_scp=f"r1 {tmp_path}/r1.wav\nr2 {tmp_path}/r2.wav\nr3 {tmp_path}/r3.wav\n",
        segments="u1 r1 0.0 1.25\nu2 r1 1.5 -1\nu3 r2 0.5 3.2\nu4 r2 2.0 1.0\nu5 r2 1 9.5\nu6 r9 0 1\nu7 r1 0 1\n"
        "u9 r1 0 1 -1\n",
        text="u1 ONE\nu2 TWO\nu3 THREE\nu4 FOUR\nu5 FIVE\nu6 SIX\nu8 EIGHT\nu9\n",
        reco2dur="r1 2.0\nr2 3.0\n",
    )
    got = found(folder)
    assert {one.name: (one.audio.name, one.offset, one.duration) for one in got.recordings} == {
        "u1": ("r1.wav", 0.0, 1.25), "u2": ("r1.wav", 1.5, None), "u3": ("r2.wav", 0.5, None),
        "u9": ("r1.wav", 0.0, 1.0),
    }  # fmt: skip
    assert got.recordings[-1].text == ""  # told by what builds the corpus
    assert dict(got.kinds) == {
        "segments that cannot be": 2, "utterances without sound": 2, "sound without a transcript": 1,
        "recordings without segments": 1,
    }  # fmt: skip
    said = "\n".join(got.faults)
    for fault in (
        f"{folder}/segments:4: u4 ends at 1 s, before it starts at 2 s.",
        f"{folder}/segments:5: u5 lies outside r2, which lasts 3 s.",
        f"{folder}/segments:6: r9 is not in {folder}/wav.scp.",
        f"{folder}/segments:7: u7 is not in {folder}/text.",
        f"{folder}/text:7: u8 is not in {folder}/segments.",
        f"{folder}/wav.scp:3: r3 is not in {folder}/segments.",
    ):
        assert fault in said


@settings(deadline=None, max_examples=30)
@given(
    rows=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**5)), min_size=1, max_size=6),
    end=st.sampled_from(["\n", "\r\n"]),
    gap=st.sampled_from([" ", "\t", "  "]),
)
def test_what_was_written_is_read(tmp_path_factory, rows, end, gap):
    folder = tmp_path_factory.mktemp("k") / "train"
    lines = {"wav.scp": [f"r{gap}/r.wav"], "text": [], "segments": []}
    for n, (start, length) in enumerate(rows):
        lines["text"].append(f"u{n}{gap}WORD {n}")
        lines["segments"].append(gap.join([f"u{n}", "r", f"{start / 100}", f"{(start + length) / 100}"]))
    for name, content in lines.items():
        write(folder / name, end.join(content) + end)
    got = found(folder)
    assert [one.text for one in got.recordings] == [f"WORD {n}" for n in range(len(rows))]
    for one, (start, length) in zip(got.recordings, rows, strict=True):
        assert (one.offset, one.duration) == pytest.approx((start / 100, length / 100))


WRONG = {
    "doubled": ({"text": "a ONE\nb TWO\na THREE\n"}, "text:3: a stands in .*text:1 already. Remove one of them"),
    "doubled sound": ({"wav_scp": "a /a.wav\na /b.wav\n"}, "wav.scp:2: a stands in .*wav.scp:1 already"),
    "no path": ({"wav_scp": "a\n"}, "wav.scp:1: nothing stands behind a"),
    "empty": ({"text": "\n"}, "text is empty"),
    "latin": ({"text": "a ONE\nb caf\udce9\n"}, "text:2: not UTF-8"),
    "columns": ({"segments": "a a 1\n"}, "segments:1: expected `UTTERANCE RECORDING START END`, found 'a 1'"),
    "numbers": ({"segments": "a a 1 2:30\n"}, "segments:1: the end must be a number of seconds such as 3.25"),
    "channel": ({"segments": "a a 1 2 1\n"}, "segments:1: a segment of channel 1. Take the channel in wav.scp"),
    "pipe out": ({"wav_scp": "a | cat\n"}, "wav.scp:1: '| cat' is no path, command or place"),
    "range": ({"wav_scp": "a b.ark:7[0:5]\n"}, "is no path, command or place in an archive"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_files(tmp_path, kind):
    content, message = WRONG[kind]
    folder = data(tmp_path / "train", **({"wav_scp": "a /a.wav\n", "text": "a ONE\n"}))
    for name, text in content.items():
        (folder / name.replace("_", ".")).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ManifestError, match=message):
        found(folder)


def test_wrong_folders(tmp_path, corpus):
    with pytest.raises(ManifestError, match="none does not exist"):
        found(tmp_path / "none")
    with pytest.raises(ManifestError, match="WAVE holds no data directory of Kaldi's: expected wav.scp"):
        found(corpus / "WAVE")
    with pytest.raises(ManifestError, match="holds no set eval; there are dev93, test, train"):
        found(corpus, KaldiOptions(choose("train,eval")))
    with pytest.raises(ManifestError, match="Unknown split 'exam' of the set 'test'"):
        choose("test:exam")
    (corpus / "test" / "text").unlink()
    assert "test: passed over, for it has no file text" in found(corpus).notes[0]
    with pytest.raises(ManifestError, match="test/text does not exist"):
        found(corpus, KaldiOptions(choose("train,test")))


def test_two_forms_of_one_set(corpus):
    for name in ("wav.scp", "text"):
        write(corpus / "train_hires" / name, (corpus / "train" / name).read_text(encoding="utf-8-sig"))
    with pytest.raises(ManifestError, match="train and .*train_hires both hold the utterance a, and both become train"):
        found(corpus)
    write(corpus / "train_hires" / "text", "e ONE\n")
    write(corpus / "train_hires" / "wav.scp", "e WAVE/a.wav\n")
    assert found(corpus).recordings[-1].splits == ("train_hires", "train")


# ---- commands and archives


def piped(tmp_path: Path, command: str) -> Path:
    sound(tmp_path / "sph" / "a.wav")
    return data(tmp_path / "train", wav_scp=f"a {command}\nb cat sph/a.wav |\n", text="a ONE\nb TWO\n")


def test_commands_are_refused(tmp_path):
    mark = tmp_path / "ran"
    folder = piped(tmp_path, f"touch {mark}; cat sph/a.wav |")
    with pytest.raises(
        ManifestError, match=r"wav.scp:1: 'touch .*\|' is a command, as are 1 others. .*--allow-commands"
    ):
        found(folder)
    assert not mark.exists() and not (tmp_path / "out").exists()


def test_commands_that_are_allowed_run_once_where_their_paths_lie(tmp_path):
    folder = piped(tmp_path, f"echo >> {tmp_path}/ran; cat sph/a.wav |")
    for _ in range(2):
        got = found(folder, ALLOWED)
        assert f"paths relative to {tmp_path}" in got.notes[0] and not got.faults
        for one in got.recordings:
            assert one.audio.read_bytes() == (tmp_path / "sph" / "a.wav").read_bytes()
            assert one.audio.is_relative_to(tmp_path / "out" / "source")
    assert (tmp_path / "ran").read_text() == "\n"
    first = got.recordings[0].audio
    write(folder / "wav.scp", "a sox sph/a.wav -t wav - vol 0.5 |\n")  # another command is other sound
    assert found(folder, ALLOWED).recordings[0].audio != first


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("cat sph/none.wav |", "the command 'cat sph/none.wav' failed (cat: sph/none.wav: No such file"),
        ("sph2pipe-that-is-not-here sph/a.wav |", "failed (/bin/sh: "),
        ("exit 3 |", "the command 'exit 3' failed (exit 3)"),
        ("true |", "the command 'true' wrote nothing."),
    ],
)
def test_commands_that_fail(tmp_path, command, message):
    got = found(piped(tmp_path, command), ALLOWED)
    assert [one.name for one in got.recordings] == ["b"]
    assert got.faults[0].startswith(f"{tmp_path}/train/wav.scp:1: ") and message in got.faults[0]
    assert not list((tmp_path / "out").rglob("*.part"))


def test_sound_in_archives(tmp_path):
    sound(tmp_path / "a.wav")
    wav = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "x.ark").write_bytes(
        b"a " + wav + b"b " + wav + b"c " + b"\0BFM nothing of the kind" + b"d " + wav[:99]
    )
    places = {"a": 2, "b": 4 + len(wav), "c": 6 + 2 * len(wav), "d": 8 + 2 * len(wav) + 24}
    lines = "".join(f"{name} x.ark:{place}\n" for name, place in places.items())
    got = found(data(tmp_path / "train", wav_scp=lines, text="a ONE\nb TWO\nc THREE\nd FOUR\n"))
    assert [one.audio.read_bytes() for one in got.recordings] == [wav, wav]
    assert "wav.scp:3: no wav lies in" in got.faults[0] and "Kaldi's wav-copy" in got.faults[0]
    assert f"wav.scp:4: {tmp_path}/x.ark ends within the wav at {places['d']}: 91 bytes are there of" in got.faults[1]
    assert struct.unpack("<I", wav[4:8])[0] == len(wav) - 8


# ---- end to end


def test_the_command(corpus, tmp_path, capsys):
    write(corpus / "train" / "text", "a ONE  TWO\nb THREE\ngone FOUR\n")
    out = tmp_path / "out"
    assert main(["kaldi", str(corpus), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert f"{corpus}/train: 2 utterances for train, paths relative to {corpus}" in shown
    assert f"recordings left out: 1 (utterances without sound: 1); all are listed in {out}/skipped.txt" in shown
    assert f"{corpus}/train/text:3: gone is not in {corpus}/train/wav.scp." in (out / "skipped.txt").read_text()
    (one, two) = read_manifest(out / "train.jsonl")
    assert (one.text, one.extra) == ("one two", {"speaker": "x", "gender": "f"}) and two.text == "three"
    write(corpus / "train" / "wav.scp", "a cat WAVE/a.wav |\n")
    assert main(["kaldi", str(corpus), "--out", str(out)]) == 1
    assert "train/wav.scp:1: 'cat WAVE/a.wav |' is a command" in capsys.readouterr().err
    assert main(["kaldi", str(corpus), "--out", str(out), "--sets", "train", "--allow-commands"]) == 0
    assert np.array_equal(soundfile.read(one.audio)[0], soundfile.read(corpus / "WAVE" / "a.wav")[0])


def test_a_corpus_of_training(corpus, tmp_path):
    write(corpus / "train" / "wav.scp", "a cat WAVE/a.wav |\n")
    out = str(tmp_path / "out")
    with pytest.raises(ManifestError, match="data.allow_commands=true in train.py"):
        kaldi.prepare(str(corpus), out, None, None, False, options())
    made = kaldi.prepare(str(corpus), out, None, None, True, options())
    assert made.counts == {"train": 1, "validation": 1, "test": 1} and made.kinds.total() == 1
    assert json.loads((tmp_path / "out" / "corpus.json").read_text())["options"]["dataset"] == "kaldi with commands"
    assert kaldi.prepare(str(corpus), out, None, None, True, options()) == made
    assert kaldi.prepare(None, out, None, None, True, options()) == made
    with pytest.raises(ManifestError, match="out holds kaldi with commands, not kaldi"):
        kaldi.prepare(str(corpus), out, None, None, False, options())
    with pytest.raises(ManifestError, match="holds kaldi with commands, not kaldi dev93,train with commands"):
        kaldi.prepare(str(corpus), out, ["train", "dev93"], None, True, options())
    with pytest.raises(ManifestError, match="Which folder. Give Kaldi's data directory"):
        kaldi.prepare(None, str(tmp_path / "other"), None, None, False, options())
    write(corpus / "train" / "text", "b X\n")
    write(corpus / "dev93" / "text", "b X\n")
    write(corpus / "test" / "text", "b X\n")
    with pytest.raises(
        ManifestError, match="Nothing is left of the dataset; 6 entries were left out:\n  .*text:1: b is"
    ):
        kaldi.prepare(str(corpus), str(tmp_path / "other"), None, None, False, options())


def test_real_recordings(recordings, tmp_path):
    got = kaldi.recordings(recordings / "speechocean", tmp_path, KaldiOptions())
    assert len(got.recordings) == 3700 and not got.faults
    assert len({one.extra["speaker"] for one in got.recordings if one.splits == ("train",)}) == 125
    assert all(one.audio.is_file() for one in got.recordings[::37])
