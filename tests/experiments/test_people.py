"""The recipe for people: each step is a command that its program accepts, and none is taken twice."""

import json
import sys
from pathlib import Path

import pytest

from experiments import people
from experiments.lm.__main__ import parser as lm_parser
from manifests import Utterance, write_manifest
from manifests.__main__ import parser as manifests_parser

PARSERS = {"manifests": manifests_parser, "experiments.lm": lm_parser}


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "recordings"
    folder.mkdir()
    for split in ("train", "validation", "test"):
        line = Utterance(folder / f"{split}.wav", 2.0, f"we call it {split}", extra={"speaker": split})
        write_manifest(folder / f"{split}.jsonl", [line])
    return folder


@pytest.fixture
def steps(monkeypatch, tmp_path):
    """The commands in place of what they do; a training and a test leave what they leave."""
    taken: list[list[str]] = []

    def take(title, *command):
        taken.append(list(command))
        given = dict(one.split("=", 1) for one in command if "=" in one)
        if command[1] == "train.py":
            run = tmp_path / "runs" / given["name"] / "now"
            run = run.with_name(str(len(taken))) if run.exists() else run
            run.mkdir(parents=True)
            (run / "metrics.json").write_text("{}")
            (run / "model.nemo").write_text("")
        if command[1] == "evaluate.py":
            Path(given["out"]).write_text(json.dumps({"wer": 0.5, "wer_low": 0.4, "wer_high": 0.6, "cer": 0.2}))
        if "merge" in command or "phones" in command:
            Path(command[-1]).parent.mkdir(exist_ok=True)
            Path(command[-1]).write_text(f"{len(taken)} {command[4]}")

    monkeypatch.setattr(people, "step", take)
    return taken


@pytest.mark.parametrize("phones", [[], ["--phones"]])
def test_each_step_is_accepted_by_its_program_and_taken_once(source, steps, tmp_path, compose_config, phones):
    out = tmp_path / "out"
    arguments = [str(source), "--out", str(out), "--minutes", "90.5", "3", f"runs={tmp_path}/runs", "threads=1"]
    arguments += phones
    assert people.main(arguments) == 0
    composed = {}
    for command in steps:
        assert command[0] == sys.executable
        if command[1] == "-m":
            PARSERS[command[2]]().parse_args(command[3:])
        elif "scorer=bundle" not in command:
            composed[len(composed), command[1]] = compose_config(*command[2:], name=command[1].removesuffix(".py"))
    mixed, alone = (cfg for (_, program), cfg in composed.items() if program == "train.py")
    assert (mixed.trainer.max_time, alone.trainer.max_time) == ("00:01:30:30", "00:00:03:00")
    taught = [out / "train.jsonl", source / "train.jsonl"]
    if phones:  # as sounds, each made by a command of its own
        taught = [out / "sounds" / f"{path.parent.name}-{path.name}" for path in taught]
        made = [command[-3:] for command in steps if "phones" in command]
        assert [str(out / "train.jsonl"), "--out", str(taught[0])] in made
        assert "J" in mixed.labels and not any("scorer=null" in command for command in steps)
    assert [mixed.data.train, alone.data.train] == [str(path) for path in taught]
    assert sum("--phones" in command for command in steps) == len(phones)  # of the language model
    name = "people_phones_mixed" if phones else "people_mixed"
    assert alone.init_from == str(tmp_path / "runs" / name / "now" / "model.nemo")
    assert (mixed.augment.waveform.ramp > 0, alone.augment.waveform.ramp, alone.threads) == (True, 0.0, 1)
    done = len(steps)
    assert people.main(arguments) == 0
    assert not any(command[1] == "train.py" or "synthetic" in command for command in steps[done:])


def test_validation_and_test_are_never_spoken(source, steps, tmp_path):
    assert people.main([str(source), "--out", str(tmp_path / "out"), f"runs={tmp_path}/runs"]) == 0
    assert (tmp_path / "out" / "spoken.txt").read_text() == "we call it train\n"


@pytest.mark.parametrize(
    "override", ["name=mine", "hydra.run.dir=here", "+data.train=other.jsonl", "~trainer.max_time"]
)
def test_what_the_recipe_decides_is_not_given(source, steps, tmp_path, capsys, override):
    assert people.main([str(source), "--out", str(tmp_path / "out"), "threads=1", override]) == 1
    assert steps == [] and f"{override}: both trainings would have it" in capsys.readouterr().err


def test_people_for_all_three_parts_are_needed(source, steps, tmp_path, capsys):
    (source / "validation.jsonl").unlink()
    assert people.main([str(source), "--out", str(tmp_path / "out")]) == 1
    assert "validation.jsonl does not exist" in capsys.readouterr().err and not steps


def taken(steps, done):
    """What was done anew, in a word each."""
    names = ("kaldi", "synthetic", "merge", "phones", "train.py")
    return [name for command in steps[done:] for name in names if name in command]


@pytest.mark.parametrize("phones", [[], ["--phones"]])
def test_what_is_made_of_something_else_is_made_anew(source, steps, tmp_path, phones, capsys):
    """And what follows from it, nothing else."""
    texts, out = tmp_path / "talk.txt", tmp_path / "out"
    texts.write_text("we call it a day\n" * 5)
    common = [str(source), "--out", str(out), f"runs={tmp_path}/runs", *phones]
    arguments = [*common, "--texts", str(texts)]

    def again(*more) -> list[str]:
        done = len(steps)
        assert people.main([*arguments, *more]) == 0
        return taken(steps, done)

    assert again().count("train.py") == 2
    assert again() == []
    texts.write_text("it is a new day\n" * 5)
    capsys.readouterr()
    sounds = ["phones"] if phones else []
    assert again() == ["synthetic", "merge", *sounds, "train.py", "train.py"]
    assert "texts again: --texts changed" in capsys.readouterr().out
    assert "it is a new day" in (out / "written.txt").read_text()
    assert again() == []
    assert again("--minutes", "25", "30") == ["train.py"]  # on people alone
    assert again("--minutes", "25", "30", "--voices", "espeak") == [
        "synthetic",
        "merge",
        *sounds,
        "train.py",
        "train.py",
    ]
    assert again("--minutes", "25", "30", "--voices", "espeak") == []
    line = Utterance(source / "train.wav", 2.0, "we call it another name", extra={"speaker": "train"})
    write_manifest(source / "train.jsonl", [line])
    assert again("--minutes", "25", "30", "--voices", "espeak").count("train.py") == 2
    texts.unlink()
    assert people.main(arguments) == 1
    assert "talk.txt does not exist" in capsys.readouterr().err


def test_another_corpus_is_read_anew(steps, source, tmp_path, monkeypatch):
    out, copy = tmp_path / "out", people.step

    def take(title, *command):
        copy(title, *command)
        if "kaldi" in command:
            folder = out / "recordings"
            folder.mkdir(parents=True, exist_ok=True)
            for split in ("train", "validation", "test"):
                line = Utterance(folder / "a.wav", 2.0, f"we call it {split} of {Path(command[4]).name}")
                write_manifest(folder / f"{split}.jsonl", [line])

    monkeypatch.setattr(people, "step", take)
    for corpus, expected in (("one", True), ("one", False), ("two", True)):
        done = len(steps)
        assert people.main([str(tmp_path / corpus), "--out", str(out), f"runs={tmp_path}/runs"]) == 0
        assert ("kaldi" in taken(steps, done), taken(steps, done).count("train.py")) == (expected, 2 * expected)
