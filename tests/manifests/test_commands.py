"""The command line: every command explains itself, does its work, and says what is wrong in a sentence."""

import json

import numpy as np
import pytest
import soundfile

from manifests.__main__ import main, parser
from manifests.lines import read_manifest


def names() -> list[str]:
    (commands,) = [action for action in parser()._actions if hasattr(action, "choices") and action.choices]
    return list(commands.choices)


@pytest.mark.parametrize("name", names())
def test_help_has_an_example(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    assert f"examples:\n  python -m manifests {name}" in capsys.readouterr().out


def tone(path, seconds=1.0, rate=8000):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    soundfile.write(path, samples, rate)


@pytest.fixture
def folder(tmp_path):
    for split, count in (("train", 6), ("dev", 2), ("test", 2)):
        for number in range(count):
            tone(tmp_path / "clips" / split / f"{number}.wav", 1.0 + number / 4)
            (tmp_path / "clips" / split / f"{number}.txt").write_text(f"It costs ${number + 2}!\n")
    return tmp_path


def test_what_is_mistyped_or_refused_is_a_sentence(folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["folder", "clips", "--chanels", "first"])
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.startswith("usage: python -m manifests folder ")
    assert "there is no option --chanels. Did you mean --channels?" in said
    with pytest.raises(SystemExit):
        main(["foldr", "clips"])
    assert "there is no 'foldr'. Did you mean folder? There are: synthetic, " in capsys.readouterr().err
    (folder / "file").touch()
    assert main(["folder", str(folder / "clips"), "--out", str(folder / "file" / "made")]) == 1
    assert f"{folder / 'file' / 'made'}" in (said := capsys.readouterr().err) and "Correct the path." in said


def test_a_folder_becomes_manifests_that_pass_the_check(folder, capsys):
    assert main(["folder", str(folder / "clips"), "--out", str(folder / "we made")]) == 0
    shown = capsys.readouterr().out
    assert f"train on it:  python train.py data=manifests 'data.folder={folder}/we made'" in shown
    assert "text: numbers, money: 10 of 10 transcripts changed, such as '$" in shown
    assert main(["folder", str(folder / "clips"), "--out", str(folder / "there"), "--in-place", "--channels", "1"]) == 0
    assert f"data.folder={folder}/there data.channels=1\n" in capsys.readouterr().out
    for split, count in (("train", 6), ("validation", 2), ("test", 2)):
        manifest = folder / "we made" / f"{split}.jsonl"
        assert len(read_manifest(manifest)) == count
        assert main(["check", str(manifest)]) == 0
    assert read_manifest(folder / "we made" / "train.jsonl")[0].text == "it costs two dollars"


def test_check_mends_texts_and_durations(folder, capsys):
    tone(folder / "a.wav")
    rows = [
        {"audio_filepath": "a.wav", "duration": 9.0, "text": "Mr. Brown, 3 times"},
        {"audio_filepath": "gone.wav", "duration": 1.0, "text": "gone"},
    ]
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert main(["check", str(folder / "a.jsonl")]) == 1
    assert "2 bad" in capsys.readouterr().out
    assert main(["check", str(folder / "a.jsonl"), "--fix", str(folder / "b.jsonl")]) == 0
    shown = capsys.readouterr().out
    assert "durations: 1 corrected" in shown and "1 good utterances; 1 were left out" in shown
    assert "gone.wav: the audio file does not exist" in shown
    (mended,) = read_manifest(folder / "b.jsonl")
    assert (mended.text, mended.duration) == ("mister brown three times", 1.0)
    (folder / "a.jsonl").write_text(json.dumps(rows[0] | {"text": "((Mr. Brown)) 3 times"}))
    fix = ["check", str(folder / "a.jsonl"), "--fix", str(folder / "b.jsonl")]
    assert main(fix) == 1 and "missing words" in capsys.readouterr().out
    assert main([*fix, "--markup", "guesses"]) == 0
    assert read_manifest(folder / "b.jsonl")[0].text == "mister brown three times"
    assert main([*fix, "--without", "verbs"]) == 1 and "unknown steps verbs" in capsys.readouterr().err


def test_split_filter_sample_and_merge(folder, capsys):
    main(["folder", str(folder / "clips"), "--out", str(folder / "made")])
    train = str(folder / "made" / "train.jsonl")
    assert main(["split", train, "--by", "hash", "--parts", "a=0.5,b=0.5", "--out", str(folder / "parts")]) == 0
    both = [str(folder / "parts" / f"{name}.jsonl") for name in "ab"]
    assert main(["merge", *both, "--out", str(folder / "parts" / "all.jsonl")]) == 0
    assert len(read_manifest(folder / "parts" / "all.jsonl")) == 6
    assert main(["filter", train, "--max-duration", "1.5", "--out", str(folder / "short.jsonl")]) == 0
    assert len(read_manifest(folder / "short.jsonl")) == 3
    assert main(["sample", train, "--count", "4", "--out", str(folder / "four.jsonl")]) == 0
    assert len(read_manifest(folder / "four.jsonl")) == 4
    assert all(utterance.audio.is_file() for utterance in read_manifest(folder / "four.jsonl"))


def test_nothing_is_written_over_what_is_read(folder, capsys):
    main(["folder", str(folder / "clips"), "--out", str(folder / "made")])
    train = folder / "made" / "train.jsonl"
    before = train.read_bytes()
    out = ["--out", str(folder / "made" / ".." / "made" / "train.jsonl")]
    for command in (
        ["split", str(train), "--by", "hash", "--parts", "train=0.5,b=0.5"],
        ["filter", str(train), "--text", "two", *out],
        ["sample", str(train), "--count", "2", *out],
        ["merge", str(folder / "made" / "test.jsonl"), str(train), *out],
        ["check", str(train), "--fix", str(train)],
    ):
        assert main(command) == 1
        assert "train.jsonl is what is read, and would be overwritten. Give another --out" in capsys.readouterr().err
    assert train.read_bytes() == before and not (folder / "made" / "b.jsonl").exists()


def test_nothing_good_is_no_manifest(folder, capsys):
    (folder / "a.jsonl").write_text('{"audio_filepath": "gone.wav", "duration": 1.0, "text": "gone"}')
    assert main(["check", str(folder / "a.jsonl"), "--fix", str(folder / "b.jsonl")]) == 1
    shown = capsys.readouterr()
    assert "gone.wav: the audio file does not exist" in shown.out and "nothing was written" in shown.err
    assert not (folder / "b.jsonl").exists()


def test_all_that_no_decoder_reads_is_named(folder, capsys):
    broken = [folder / f"{number}.flac" for number in range(10)]
    for path in broken:
        path.write_bytes(b"fLaC and no more")
    lines = [{"audio_filepath": str(path), "duration": 2.0, "text": "alexa"} for path in broken]
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert main(["check", str(folder / "a.jsonl")]) == 1
    shown = capsys.readouterr().out
    assert len(broken) == 10 and all(f"{path}: cannot be decoded" in shown for path in broken)
    assert "0 good utterances, 10 bad: 10 unreadable files" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["folder", "{}/nowhere"], "does not exist"),
        (["an4", "--source", "{}/nowhere"], "Give the dataset's folder or its archive"),
        (["an4", "--source", "{}/clips"], "does not hold AN4"),
        (["ljspeech", "--source", "{}/clips"], "does not hold LJSpeech"),
        (["librispeech", "--source", "{}/clips", "--subsets", "dev-clean"], "holds no dev-clean"),
        (["librispeech", "--subsets", "dev-dirty"], "Unknown subset dev-dirty"),
        (["commonvoice", "--source", "{}/clips"], "does not hold Common Voice"),
        (["table", "{}/none.csv"], "does not exist"),
        (["kaldi", "{}/clips/train/0.txt"], "0.txt is no folder. Give Kaldi's data directory"),
        (["folder", "{}/clips", "--without", "spelling"], "unknown steps spelling"),
        (["folder", "{}/clips", "--sample-rate", "0"], "The sample rate must be above 0 hertz, found 0"),
        (["synthetic", "--sample-rate", "-1"], "The sample rate must be above 0 hertz"),
        (["fsdd", "--source", "{}", "--train", "-1"], "There cannot be -1 utterances of train"),
        (["split", "{}/none.jsonl", "--parts", "a"], "expected NAME=SHARE"),
    ],
)
def test_what_goes_wrong_is_said_in_a_sentence(folder, arguments, message, capsys):
    given = [argument.format(folder) for argument in arguments]
    out = [] if given[0] == "split" else ["--out", str(folder / "out")]
    assert main([*given, *out]) == 1
    assert message in capsys.readouterr().err


def test_a_table_that_gives_a_recording_another_length_is_told(folder, capsys):
    (folder / "t.csv").write_text("file,duration,text\nclips/train/0.wav,1.0,one\nclips/train/1.wav,0.5,two\n")
    assert main(["table", str(folder / "t.csv"), "--out", str(folder / "out")]) == 0
    said = f"{folder}/clips/train/1.wav: The dataset says 0.50 s, the recording lasts 1.25 s, and was taken whole."
    assert f"sound: {said}" in capsys.readouterr().out
    assert (folder / "out" / "noted.txt").read_text().startswith(said)


def test_a_table_is_not_written_over_by_what_is_made_of_it(folder, capsys):
    table = folder / "train.jsonl"
    table.write_text('{"audio_filepath": "clips/train/0.wav", "text": "Yes!"}\n')
    assert main(["table", str(table), "--out", str(folder)]) == 1
    assert "train.jsonl is what is read, and would be overwritten. Give another --out" in capsys.readouterr().err
    assert "Yes!" in table.read_text() and not (folder / "wavs").exists()


@pytest.mark.slow  # all of W&B is imported
def test_a_wandb_table_is_written_offline(folder, capsys, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    main(["folder", str(folder / "clips"), "--out", str(folder / "made")])
    monkeypatch.setenv("WANDB_DATA_DIR", str(folder / "tables"))
    assert main(["wandb", str(folder / "made" / "train.jsonl"), "--rows", "3", "--out", str(folder / "tables")]) == 0
    (table,) = (folder / "tables").rglob("recordings*.table.json")
    content = json.loads(table.read_text())
    assert content["columns"] == ["file", "audio", "seconds", "text", "spectrogram", "mel-spectrogram"]
    assert len(content["data"]) == 3
    starts = [path.read_bytes()[:4] for path in (folder / "tables" / "artifacts" / "staging").iterdir()]
    assert (starts.count(b"RIFF"), starts.count(b"\x89PNG")) == (3, 6)
