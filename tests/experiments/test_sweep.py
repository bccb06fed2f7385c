"""sweep.py with real child processes: runs, restarts, stops, and says what went wrong."""

import functools
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import sweep as entry_point
from experiments.cli.overrides import check_overrides
from experiments.errors import ConfigError
from experiments.sweep import session
from tests.conftest import ROOT

PROGRAM = "tests/experiments/sweep_program.py"
RANGE = {"optim.lr": {"min": 0.0, "max": 1.0}}
DEFINITION = {
    "program": PROGRAM,
    "method": "random",
    "metric": {"name": "val_wer"},
    "parameters": RANGE,
    "command": ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"],
}


class Sweep:
    """A sweep in a folder of the test's own."""

    def __init__(self, folder: Path, compose_config, capsys, python: str):
        self.root, self.folder = folder, folder / "runs" / "tried"
        self.compose_config, self.capsys, self.python = compose_config, capsys, python

    def write(self, **changes):
        (self.root / "tried.yaml").write_text(yaml.safe_dump(DEFINITION | changes, sort_keys=False))
        return self

    def overrides(self, *given):
        return [f"definition={self.root}/tried.yaml", f"runs={self.root}/runs", *given]

    def run(self, *given) -> str:
        """The recipe of sweep.py in this process, its trials in their own; what it printed."""
        check_overrides("sweep", self.overrides(*given))
        entry_point.main.__wrapped__(self.compose_config(*self.overrides(*given), name="sweep"))
        return self.capsys.readouterr().out

    def start(self, *given) -> subprocess.Popen:
        command = [self.python, "sweep.py", *self.overrides(*given)]
        # A shell that starts the tests in the background has its children ignore Ctrl-C.
        heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        return subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=heard
        )

    def records(self) -> list[dict]:
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("*/trial.json"))]

    def points(self) -> dict[str, int]:
        return {p.parent.name: p.read_text().count("\n") for p in self.folder.glob("*/history.jsonl")}

    def wait_for(self, condition) -> None:
        deadline = time.monotonic() + 100
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def alive(self) -> list[int]:
        """Processes of its trials."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if f"HEYJETSON_TRIAL={self.folder}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
        return found


@pytest.fixture
def sweep(tmp_path, compose_config, capsys, monkeypatch, python):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(session, "Runner", functools.partial(session.Runner, poll=0.02))
    return Sweep(tmp_path, compose_config, capsys, python).write()


def test_trials_of_all_kinds_are_run_ranked_and_explained(sweep):
    modes = {"values": ["good", "die"], "probabilities": [0.7, 0.3]}
    parameters = RANGE | {"mode": modes, "steps": {"value": 4}, "pause": {"value": 0.2}}
    sweep.write(parameters=parameters, early_terminate={"type": "hyperband", "min_iter": 1, "eta": 3})
    said = sweep.run("count=7", "workers=2", "seed=3", "grace=5")
    records = sweep.records()
    assert len(records) == 7
    assert {record["state"] for record in records} == {"complete", "pruned", "fail"}
    best = min((record for record in records if record["state"] == "complete"), key=lambda record: record["value"])
    for record in records:
        folder = sweep.folder / record["trial"]
        assert (folder / "trial.log").is_file()
        if record["state"] == "complete":
            assert sweep.points()[record["trial"]] == 4
            assert (folder / "starts").read_text() == f"0 {record['trial']} tried\n"
        if record["state"] == "pruned":
            assert not (folder / "metrics.json").exists()
            assert "behind the others" in record["reason"]
        if record["state"] == "fail":
            assert record["reason"] == "status 1: Error: the values do not fit together"
            assert f"{record['trial']} died, status 1: Error: the values do not fit together" in said
    rows = re.findall(r"│ (\d{3}-\w{6}) ", said)
    assert rows[0] == best["trial"]
    assert sorted(rows) == [record["trial"] for record in records]
    assert f"python {PROGRAM} optim.lr={best['overrides']['optim.lr']} mode=good steps=4 pause=0.2" in said
    assert f"optuna-dashboard sqlite:///{sweep.folder}/sweep.db" in said
    assert "7 of 7 trials done" in sweep.run("count=7")
    assert sweep.records() == records
    sweep.run("count=8")
    assert len(sweep.records()) == 8


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_a_trial_that_turns_into_no_number_is_stopped_ranked_last_and_never_the_best(sweep, goal):
    modes = {"values": ["nan", "inf", "good"]}
    early = {"type": "hyperband", "min_iter": 1, "eta": 2}
    metric = {"name": "val_wer", "goal": goal}
    sweep.write(
        method="grid", metric=metric, parameters={"optim.lr": {"value": 0.5}, "mode": modes}, early_terminate=early
    )
    said = sweep.run("grace=5")
    records = {record["overrides"]["mode"]: record for record in sweep.records()}
    assert {mode: record["state"] for mode, record in records.items()} == {
        "good": "complete", "nan": "diverged", "inf": "diverged",
    }  # fmt: skip
    assert records["nan"]["reason"] == "val_wer was nan at step 1"  # and was stopped: it would have stayed
    assert records["nan"]["value"] is None
    rows = re.findall(r"│ (\d{3}-\w{6}) │ +([\d.%]*) +│.*?│ [\d.]+ +│ (\w+)", said)
    assert rows[0] == (records["good"]["trial"], "45.0%" if goal == "minimize" else "120.0%", "finished")
    assert [row[1:] for row in rows[1:]] == [("", "diverged"), ("", "diverged")]
    assert f"{records['inf']['trial']} diverged, val_wer was inf at step 1" in said
    assert f"The best is {records['good']['trial']}" in said


def test_a_killed_sweep_takes_its_trials_with_it_and_continues_in_their_folders(sweep, monkeypatch):
    sweep.write(parameters=RANGE | {"steps": {"value": 12}, "pause": {"value": 0.25}})
    process = sweep.start("count=3", "workers=2")
    sweep.wait_for(lambda: len(sweep.points()) == 2)
    process.kill()
    process.wait()
    process.stdout.close()
    sweep.wait_for(lambda: not sweep.alive())
    cut = sweep.points()
    monkeypatch.setenv("PAUSE", "0")
    said = sweep.run("count=3", "workers=2")
    assert "0 of 3 trials done, 2 begun" in said
    assert [record["state"] for record in sweep.records()] == ["complete"] * 3
    for run, points in cut.items():
        assert f"{run} was cut off" in said
        assert f"{run} continues" in said
        assert (sweep.folder / run / "starts").read_text() == f"0 {run} tried\n{points} {run} tried\n"
        assert sweep.points()[run] == 12


@pytest.mark.parametrize(("number", "mode"), [(signal.SIGINT, "good"), (signal.SIGTERM, "hang")])
def test_ctrl_c_stops_in_order_and_says_how_to_continue(sweep, monkeypatch, number, mode):
    steps = 30 if mode == "good" else 6  # long enough not to end by itself before the signal is heard
    sweep.write(parameters=RANGE | {"steps": {"value": steps}, "pause": {"value": 0.3}, "mode": {"value": mode}})
    process = sweep.start("count=1", "grace=0.2")
    sweep.wait_for(sweep.points)
    process.send_signal(number)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "To continue: python sweep.py definition=" in said
    assert "Traceback" not in said
    assert not sweep.alive()
    if mode == "good":
        monkeypatch.setenv("PAUSE", "0")
        assert "continues" in sweep.run("count=1")
        assert sweep.records()[0]["state"] == "complete"


def test_two_sweeps_share_one_storage(sweep):
    values = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    sweep.write(method="grid", parameters={"optim.lr": {"values": values}, "pause": {"value": 0.2}})
    storage = f"storage=sqlite:///{sweep.root}/shared.db"
    other = sweep.start(storage)
    said = sweep.run(storage)
    heard, _ = other.communicate(timeout=100)
    assert other.returncode == 0, heard
    records = sweep.records()
    assert sorted(float(record["overrides"]["optim.lr"]) for record in records) == values
    assert all((sweep.folder / record["trial"] / "starts").read_text().count("\n") == 1 for record in records)
    starts = re.findall(r"(\d{3}-\w{6}) starts", said) + re.findall(r"(\d{3}-\w{6}) starts", heard)
    assert sorted(starts) == [record["trial"] for record in records]


@pytest.mark.parametrize(
    ("changes", "overrides", "message"),
    [
        ({}, ["count=0"], "count must be a whole number from 1"),
        ({}, ["workers=none"], "workers must be a whole number from 1"),
        ({}, ["grace=-1"], "grace must be a number of seconds"),
        ({}, ["cuont=3"], "no key cuont .*count"),
        (
            {},
            ["storage=postgresql://me:secret@127.0.0.1:9/sweeps"],
            r"storage postgresql\+psycopg2://…@127.0.0.1:9/sweeps",
        ),
        ({"program": "train.py", "parameters": {"optim.lrr": {"value": 1}}}, [], "no key optim.lrr .*optim.lr"),
        ({"metric": {"name": "val_wre"}}, ["count=2"], "val_wre, the metric of .* never logged. Did you mean val_wer"),
        ({"parameters": {"mode": {"value": "die"}}}, ["count=9"], "first 3 trials died.*do not fit together"),
        ({}, ["count=1", "best=true"], "best=true writes an experiment of train.py"),
    ],
)
def test_what_cannot_work_is_a_sentence(sweep, changes, overrides, message):
    sweep.write(**changes)
    with pytest.raises(ConfigError, match=message) as caught:
        sweep.run(*overrides)
    assert "secret" not in str(caught.value)
    assert not sweep.alive()


def test_help_shows_examples():
    done = subprocess.run([sys.executable, "sweep.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "python sweep.py count=6" in done.stdout
