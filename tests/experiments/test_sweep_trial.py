"""A trial of train.py: its folder, its continuation under W&B's agent, the best as an experiment, the dashboard."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from hydra import compose
from omegaconf import OmegaConf

from experiments.cli import overrides as overrides_module
from experiments.cli.overrides import composing
from experiments.cli.resolvers import run_folder
from experiments.data.preparation import prepare_data
from experiments.errors import ConfigError
from experiments.sweep import best, commands
from experiments.sweep.claims import RUN, distributions, values_of
from experiments.sweep.definition import load_definition
from experiments.sweep.relaunch import TRIAL_FOLDER, trial_arguments
from tests.conftest import ROOT, SMALL
from tests.experiments.test_sweep_definition import written

AGENT = {"WANDB_SWEEP_ID": "s1x2", "WANDB_RUN_ID": "r3y4"}


def test_the_folder_of_a_trial(monkeypatch):
    assert run_folder("runs", "digits", None).startswith("runs/digits/2")
    monkeypatch.setenv("WANDB_RUN_ID", "r3y4")
    assert run_folder("runs", "digits", None).startswith("runs/digits/2")  # a run of its own, and named by hand
    monkeypatch.setenv("WANDB_SWEEP_ID", "s1x2")
    assert run_folder("runs", "digits", None) == "runs/s1x2/r3y4"
    assert run_folder("runs", "digits", "runs/digits/earlier") == "runs/digits/earlier"
    monkeypatch.setenv(TRIAL_FOLDER, "/elsewhere/sweep/000-abc")
    assert run_folder("runs", "digits", None) == "/elsewhere/sweep/000-abc"


def test_a_trial_that_has_begun_is_continued_whatever_it_is_given(tmp_path):
    folder = tmp_path / "s1x2" / "r3y4"
    given = [f"runs={tmp_path}", "optim.lr=0.1"]
    assert trial_arguments(given, AGENT) == given
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("- optim.lr=0.1")
    assert trial_arguments([*given, "git={'commit': 'a'}"], AGENT) == [f"resume={folder}"]
    assert trial_arguments(given, AGENT | {"LOCAL_RANK": "1"}) == given
    assert trial_arguments(given, {}) == given


def whole_configuration(folder: Path) -> list[str]:
    """What W&B's agent passes when it launches a trial again: all that was logged, as Python writes it."""
    config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    return [f"{key}={value}" for key, value in (config | {"git": {"commit": "a"}, "parameters": 9}).items()]


def test_on_another_machine_a_relaunched_trial_starts_from_what_was_swept(compose_config, tmp_path):
    config = compose_config("optim.lr=0.004", "augment=spec")
    OmegaConf.save(OmegaConf.create(OmegaConf.to_container(config, resolve=True)), tmp_path / "config.yaml")
    command = [*whole_configuration(tmp_path), "optim.lr=0.004", "augment=spec"]
    arguments = trial_arguments(command, AGENT)
    assert {"optim.lr=0.004", "augment=spec", "seed=1"} <= set(arguments)
    assert compose_config(*arguments) == config


def test_a_preempted_trial_of_an_agent_continues_from_its_checkpoint(corpus_overrides, tmp_path, python):
    overrides = [*corpus_overrides, *SMALL, f"runs={tmp_path}", "trainer.max_time=null", "checkpoint.every_n_steps=2"]
    environment = os.environ | AGENT

    def launch(*arguments: str) -> str:
        command = [python, "train.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    launch(*overrides, "trainer.max_steps=4")
    folder = tmp_path / "s1x2" / "r3y4"
    for trace in ("metrics.json", "model.nemo"):
        (folder / trace).unlink()
    said = launch(*whole_configuration(folder))
    assert re.search(r"Continuing from (best|last)-step=4\b", said), said
    assert json.loads((folder / "metrics.json").read_text())["steps"] == 4
    assert [path.name for path in tmp_path.glob("*/*") if path.is_dir()] == ["r3y4"]


@pytest.fixture
def own_conf(tmp_path, monkeypatch):
    """The configuration in a place where an experiment can be written."""
    conf = tmp_path / "conf"
    shutil.copytree(ROOT / "conf", conf)
    for module in (overrides_module, best, commands):
        monkeypatch.setattr(module, "CONF", conf)
    monkeypatch.chdir(ROOT)
    return conf


def finished_study(definition):
    study = optuna.create_study(study_name="tried", sampler=optuna.samplers.RandomSampler(seed=4))
    for value in (0.3, 0.2):
        trial = study.ask(distributions(definition))
        trial.set_user_attr(RUN, f"{trial.number:03d}-abcdef")
        study.tell(trial, value)
    return study


OTHER = {"data": {"value": "digits"}, "+trainer.fast_dev_run": {"value": True}, "trainer.max_time": {"value": "null"}}


@pytest.mark.parametrize("changes", [None, OTHER])
def test_the_best_trial_becomes_an_experiment_that_composes_to_the_same(own_conf, tmp_path, changes):
    path = written(tmp_path, parameters=changes) if changes else ROOT / "sweep.yaml"
    definition = load_definition(path)
    study = finished_study(definition)
    written_to = best.write_best(study, definition)
    assert written_to == own_conf / "experiment" / "best_tried.yaml"
    overrides = commands.overrides(definition, values_of(definition, study.best_trial.params))
    with composing():
        assert compose("train", ["experiment=best_tried"]) == compose("train", overrides)
    text = written_to.read_text()
    assert text.startswith("# @package _global_\n# python train.py experiment=best_tried ")
    assert "val_wer 20.0%" in text
    best.write_best(study, definition)  # again, over the first
    definition = load_definition(written(tmp_path, parameters={"experiment": {"value": "best_tried"}}))
    with pytest.raises(ConfigError, match="Give name=OTHER"):
        best.write_best(finished_study(definition), definition)
    assert written_to.read_text() == text


def test_what_no_experiment_can_hold_is_refused(own_conf, tmp_path):
    definition = load_definition(written(tmp_path))
    with pytest.raises(ConfigError, match="cannot be written into an experiment"):
        best.experiment_text(["~early_stopping"], "synthetic", "best")
    with pytest.raises(ConfigError, match="No trial has finished"):
        best.write_best(optuna.create_study(), definition)


made: list[str] = []


def make_slowly(out: str) -> None:
    """A corpus that takes a moment."""
    made.append("begin")
    time.sleep(0.2)
    (Path(out) / "train.jsonl").write_text("")
    made.append("end")


def test_two_trials_do_not_make_one_corpus_at_once(tmp_path):
    out = tmp_path / "corpus"
    out.mkdir()
    manifest = str(out / "train.jsonl")
    prepare = {"_target_": f"{__name__}.make_slowly", "out": str(out)}
    data = {"out": str(out), "shards": None, "prepare": prepare, "train": manifest, "validation": manifest, "test": {}}
    with ThreadPoolExecutor(2) as pool:
        configurations = [OmegaConf.create({"labels": ["a"], "data": data}) for _ in range(2)]
        assert [str(each.train) for each in pool.map(prepare_data, configurations)] == [manifest, manifest]
    assert made == ["begin", "end", "begin", "end"]


def test_the_dashboard_opens_the_storage(tmp_path):
    url = f"sqlite:///{tmp_path}/sweep.db"
    study = optuna.create_study(study_name="a sweep of mine", storage=url)
    study.tell(study.ask({"optim.lr": optuna.distributions.FloatDistribution(0, 1)}), 0.5)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sys.executable).with_name("optuna-dashboard")
    with subprocess.Popen(
        [program, url, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as it:
        try:
            for _ in range(200):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=30) as answer:
                        studies = json.load(answer)
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/dashboard/", timeout=30) as page:
                        text = page.read().decode()
                    break
                except OSError:
                    assert it.poll() is None
                    time.sleep(0.3)
        finally:
            it.terminate()
    assert "a sweep of mine" in json.dumps(studies)
    assert "Optuna Dashboard" in text
