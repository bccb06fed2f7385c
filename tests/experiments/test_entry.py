"""Overrides are checked before anything is imported or built."""

import io
import logging
import os
import shlex
import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from experiments.cli.console_log import ConsoleHandler
from experiments.cli.guarded import guarded
from experiments.cli.overrides import check_overrides, renamed
from experiments.cli.resume import config_of_run, expand_resume
from experiments.errors import ConfigError
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_tim=00:00:01:00", r"no key trainer.max_tim .*nearest are: trainer.max_time"),
        ("optim.learning_rate=1e-3", r"no key optim.learning_rate .*\+optim.learning_rate"),
        ("hidden=12", r"nearest are: encoder.recurrent.hidden"),
        ("encoder=hey_jetsn", r"no such choice. Did you mean hey_jetson\?"),
        ("experiment=nothing_like_it", r"There are: .*digits.*ladder/…"),
        ("experiment=ladder/model_5", r"Did you mean ladder/model_05\? There are: .*digits.*ladder/model_00"),
        ("experiment=ladder", r"no such choice\. .*There are: .*digits"),
        ("optim.lr=[1", "Cannot read the overrides"),
        ("optim.lr.deeper=1", "no key optim.lr.deeper"),
        ("model.optim.lr=1e-3", r"model.optim is another section by reference. Write optim.lr\."),
        ("++model.encoder.recurrent.hidden=8", r"Write encoder.recurrent.hidden\."),
        ("++model.perturb.speed=0", r"Write augment.waveform.speed\."),
        ("~model.optim.lr", r"Write optim.lr\."),
    ],
)
def test_a_wrong_override_names_the_nearest(override, message):
    with pytest.raises(ConfigError, match=message):
        check_overrides("train", [override])


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (PermissionError(13, "Permission denied", "runs/x"), 1, "Error: runs/x: Permission denied. Correct its rights"),
        (OSError(28, "No space left on device"), 1, "Error: No space left on device. Make room, or choose another"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_what_the_system_refuses_and_ctrl_c_are_sentences(error, status, said, capsys):
    def task() -> None:
        raise error

    with pytest.raises(SystemExit) as stopped:
        guarded(task)()
    assert stopped.value.code == status and capsys.readouterr().err.startswith(f"\n{said}")


def test_other_errors_of_the_system_are_not_hidden():
    def task() -> None:
        raise OSError("a fault of the program")

    with pytest.raises(OSError, match="a fault"):
        guarded(task)()


@pytest.mark.parametrize("command", ["train.py", "export.py", "compare.py", "-m manifests"])
def test_help_for_a_reader_that_has_gone(command):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as gone:
        done = subprocess.run(
            [sys.executable, *command.split(), "--help"], cwd=ROOT, stdout=gone, stderr=subprocess.PIPE, text=True
        )
    assert done.stderr == ""


def test_what_is_said_to_a_reader_that_has_gone_is_no_error(monkeypatch, capsys):
    class Gone(io.StringIO):
        def flush(self):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    ConsoleHandler().emit(logging.makeLogRecord({"msg": "epoch 1", "levelno": logging.INFO}))
    assert capsys.readouterr().err == ""


def test_a_recipe_whose_reader_has_gone_ends_without_a_word(tmp_path):
    program = "from tests.experiments.folders_program import main; main()"
    command = [sys.executable, "-c", program, f"runs={tmp_path}"]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as gone:
        done = subprocess.run(command, cwd=ROOT, stdout=gone, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    "override",
    [
        "trainer.max_time=00:00:01:00",
        "encoder=nemo_quartznet",
        "+trainer.fast_dev_run=true",
        "+model.ctc_note=1",
        "model.spec_augment=null",
        "hydra.verbose=true",
        "early_stopping.patience=3",
        "experiment=digits",
        "experiment=ladder/model_05",
        "augment.waveform.speed=0.1",
        "encoder.convolution.kernels=[3,3]",
    ],
)
def test_a_right_override_passes(override):
    check_overrides("train", [override])


def test_keys_of_the_chosen_group_count():
    check_overrides("train", ["encoder=nemo_conformer_small", "encoder.n_layers=4"])
    with pytest.raises(ConfigError, match=r"encoder\.n_layers"):
        check_overrides("train", ["encoder.n_layers=4"])


def test_a_key_by_its_old_name_is_taken_and_said(capsys):
    assert renamed(["detector.refractory=2", "+detector.refractory=2"])[1] == "+detector.debounce=2"
    assert capsys.readouterr().err.count("detector.refractory is now called detector.debounce") == 2


def test_resuming_repeats_the_runs_overrides(tmp_path):
    run = tmp_path / "runs" / "digits" / "today"
    (run / ".hydra").mkdir(parents=True)
    (run / "checkpoints").mkdir()
    OmegaConf.save(["experiment=digits", "optim.lr=0.1"], run / ".hydra" / "overrides.yaml")
    expanded = expand_resume([f"resume={run}", "trainer.max_epochs=3"])
    assert expanded == ["experiment=digits", "optim.lr=0.1", "trainer.max_epochs=3", f"resume={run}"]
    assert expand_resume([f"runs={tmp_path}/runs", "resume=last"])[-1] == f"resume={run}"
    assert expand_resume(["optim.lr=1"]) == ["optim.lr=1"]
    expanded = expand_resume([f"resume={run}", "seed=2", "--cfg", "job"])  # argparse wants what is no option together
    assert expanded == ["--cfg", "job", "experiment=digits", "optim.lr=0.1", "seed=2", f"resume={run}"]
    with pytest.raises(ConfigError, match="-m begins runs in folders of their own"):
        expand_resume(["-m", f"resume={run}", "seed=1,2"])
    with pytest.raises(ConfigError, match="not a run folder"):
        expand_resume([f"resume={tmp_path}"])
    with pytest.raises(ConfigError, match="no run with a checkpoint"):
        expand_resume([f"runs={tmp_path}/none", "resume=last"])


def test_a_run_is_found_as_its_folder_is_typed_for_hydra(tmp_path):
    from manifests.show import typed

    run = tmp_path / "my runs, (1)" / "digits" / "it's"
    (run / ".hydra").mkdir(parents=True)
    OmegaConf.save(["optim.lr=0.1"], run / ".hydra" / "overrides.yaml")
    OmegaConf.save({"hydra": {"job": {"config_name": "trigger"}}}, run / ".hydra" / "hydra.yaml")
    (argument,) = shlex.split(typed(run, "resume="))  # what the shell makes of what is printed
    for given in (argument, f"resume={run}"):
        expanded = expand_resume([given])
        assert config_of_run(expanded, "train") == "trigger"
        assert OverridesParser.create().parse_overrides(expanded)[-1].value() == str(run)


def run(*command: str):
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_a_misspelt_key_is_answered_at_once():
    done = run("-X", "importtime", "train.py", "trainer.max_tim=1")
    assert done.returncode == 1
    assert done.stderr.rstrip().splitlines()[-1].startswith("Error: There is no key trainer.max_tim")
    assert "Traceback" not in done.stderr
    assert " nemo" not in done.stderr
    assert " torch" not in done.stderr


@pytest.mark.parametrize("script", ["train.py", "evaluate.py", "export.py"])
def test_help_shows_examples(script):
    done = run(script, "--help")
    assert done.returncode == 0
    assert f"python {script} " in done.stdout


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("export.py",), "Give model=… out=… as well"),
        (("export.py", "model=none.nemo", "out=x"), "There is no file none.nemo"),
        (("export.py", "model=docs", "out=x"), "docs is a folder without model.nemo"),
        (("evaluate.py", "model=README.md", "manifest=x"), "not a .nemo file"),
        (
            ("evaluate.py", "model=README.md", "manifest=x", "scorer=a"),
            "scorer=a takes part in a bundle's search",
        ),
        (("train.py", "trainer.max_time=40"), "trainer.max_time=40 is no time. It is written DAYS:HOURS"),
        (("train.py", "--config-name", "trigger", "trainer.max_time=1h"), "trainer.max_time=1h is no time"),
        (("train.py", "data=manifests"), "Give data.train=FILE.jsonl data.validation=FILE.jsonl"),
        (("train.py", "data=manifests", "data.train=no.jsonl", "data.validation=no.jsonl"), "does not exist"),
    ],
)
def test_errors_are_sentences(command, message):
    done = run(*command)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
