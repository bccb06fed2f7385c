"""Trials that die: of their setting, and the search keeps off it; of the machine, and they are tried again."""

import json
import os
import re
import signal
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from experiments.compare.columns import columns
from experiments.compare.keys import differing
from experiments.compare.payload import payload
from experiments.compare.runs import load
from experiments.compare.statistics import compare
from experiments.errors import ConfigError
from experiments.sweep import claims, deaths, importance, trial
from experiments.sweep.claims import claim, recover, release, value_of
from experiments.sweep.deaths import ENOUGH, explain, memory_kills
from experiments.sweep.definition import load_definition
from experiments.sweep.hyperband import WandbHyperband
from experiments.sweep.ranking import best_trial, show_ranking
from experiments.sweep.runner import Runner
from experiments.sweep.samplers import SeededByTrial
from experiments.sweep.settling import DIED, SURVIVES, count_against, spoilt
from experiments.sweep.storage import kept, open_storage, open_study
from tests.conftest import ROOT
from tests.experiments.test_sweep_definition import written

PROGRAM = "tests/experiments/deadly_program.py"
RATE = {"optim.lr": {"min": 0.0, "max": 1.0}}


class Held:
    """A sweep in a folder of the test's own, run in this process; its trials are processes of their own."""

    def __init__(self, folder: Path, capsys):
        self.root, self.folder, self.capsys = folder, folder / "runs", capsys
        self.storage = f"sqlite:///{folder}/sweep.db"

    def open(self, method="random", metric=None, **parameters):
        metric = {"name": "val_wer", **(metric or {})}
        path = written(self.root, program=PROGRAM, method=method, metric=metric, parameters=RATE | parameters)
        self.definition = load_definition(path)
        self.study = open_study(self.definition, "s", open_storage(self.storage))
        self.study.sampler = SeededByTrial(self.definition, 1)
        return self

    def run(self, count: int) -> str:
        Runner(self.study, self.definition, self.folder, count, poll=0.005).run()
        return self.capsys.readouterr().out

    def shown(self) -> str:
        show_ranking(self.study, self.definition, self.folder, self.storage)
        return self.capsys.readouterr().out

    def states(self) -> list[str]:
        paths = sorted(self.folder.glob("*/trial.json"))
        return [json.loads(path.read_text())["state"] for path in paths]

    def starts(self) -> list[int]:
        return [len(path.read_text()) for path in sorted(self.folder.glob("*/starts"))]


@pytest.fixture
def sweep(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    return Held(tmp_path, capsys)


@pytest.mark.parametrize(
    ("status", "last", "kills", "kind", "setting"),
    [
        (1, "MemoryError", (0, 0), "memory", True),
        (1, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.", (0, 0), "memory", True),
        (1, "RuntimeError: DataLoader worker (pid 7) is killed by signal: Killed.", (2, 3), "memory", True),
        (1, "RuntimeError: DataLoader worker (pid 7) is killed by signal: Killed.", (2, 2), "signal", False),
        (1, "RuntimeError: unable to write to file </torch_1_2>: No space left on device (28)", (0, 0), "memory", True),
        (1, "ValueError: batch of 0", (0, 0), "crash", True),
        (-signal.SIGSEGV, "epoch 3", (0, 0), "crash", True),
        (-signal.SIGKILL, "epoch 3", (4, 5), "memory", True),
        (137, "epoch 3", (4, 5), "memory", True),
        (-signal.SIGKILL, "epoch 3", (None, None), "memory", True),
        (-signal.SIGKILL, "epoch 3", (4, 4), "signal", False),
        (-signal.SIGTERM, "epoch 3", (4, 4), "signal", False),
        (143, "Stopped by SIGTERM at step 9.", (4, 4), "signal", False),
        (130, "KeyboardInterrupt", (4, 4), "signal", False),
        (1, "KeyboardInterrupt", (4, 4), "signal", False),
        (1, "OSError: [Errno 28] No space left on device: 'last.ckpt'", (0, 0), "disk", False),
        (1, "RuntimeError: CUDA error: uncorrectable ECC error encountered", (0, 0), "GPU", False),
        (1, "socket.gaierror: [Errno -3] Temporary failure in name resolution", (0, 0), "network", False),
        (255, "", (0, 0), "crash", True),
    ],
)
def test_what_a_trial_died_of_is_told_by_status_kernel_and_log(status, last, kills, kind, setting):
    death = explain(status, last, kills, 10**9)
    assert (death.kind, death.setting) == (kind, setting)
    assert last in death.reason


def test_what_is_known_and_what_is_assumed_is_said():
    assert "rose from 4 to 5" in explain(-9, "x", (4, 5), 10**9).reason
    assert "it is assumed that memory ran out" in explain(-9, "x", (None, 4), 10**9).reason
    assert "the kernel has killed nothing for want of memory" in explain(-9, "x", (4, 4), 10**9).reason
    full = explain(-signal.SIGBUS, "x", (0, 0), 0)
    assert (full.kind, full.setting, full.lasting) == ("disk", False, True)


@pytest.mark.parametrize(
    ("groups", "counter"),
    [
        ("0::/jobs/7\n", "jobs/7/memory.events"),
        ("0::/of/the/host\n", "memory.events"),
        ("4:memory:/jobs/7\n0::/\n", "memory/jobs/7/memory.oom_control"),
    ],
)
def test_the_kernels_count_of_kills_is_read_where_it_is(tmp_path, monkeypatch, groups, counter):
    own, path, machine = tmp_path / "cgroup", tmp_path / "fs" / counter, tmp_path / "vmstat"
    for name, value in {"OWN_CGROUP": own, "CGROUPS": tmp_path / "fs", "VMSTAT": machine}.items():
        monkeypatch.setattr(deaths, name, value)
    assert memory_kills() is None
    machine.write_text("pgfault 8\noom_kill 9\n")
    own.write_text(groups)
    assert memory_kills() == 9
    path.parent.mkdir(parents=True)
    path.write_text("low 0\nmax 4\noom 3\noom_kill 2\noom_group_kill 1\n")
    assert memory_kills() == 2


def test_a_trial_that_dies_of_its_setting_is_told_the_worst_and_left_out_of_all_figures(sweep):
    modes = {"mode": {"values": ["memory", "good"]}, "early": {"value": 1}}
    sweep.open(method="grid", **(modes | {"optim.lr": {"value": 0.3}}))  # it logs the best value there can be, and dies
    said = sweep.run(2)
    assert sorted(sweep.states()) == ["complete", "fail"]
    dead = next(one for one in sweep.study.trials if one.params["mode"] == "memory")
    assert (dead.state, dead.value, dead.constraints) == (TrialState.COMPLETE, float("inf"), {SURVIVES: 1.0})
    assert value_of(dead) is None and spoilt(dead)
    assert best_trial(sweep.study, sweep.definition.metric).params["mode"] == "good"
    assert re.search(r"died, \d+ s; status 1: MemoryError", said)
    shown = sweep.shown()
    assert re.search(r"│ \d{3}-\w{6} │ +│ +│ [\d.]+ +│ died: memory", shown)  # neither value nor test WER
    assert "died, status 1: MemoryError\n" in shown


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_what_died_three_times_in_a_row_is_not_drawn_again(sweep, method):
    sweep.open(method, **{"optim.lr": {"value": 0.3}, "mode": {"values": ["memory", "good"]}})
    for _ in range(12):
        claimed = claim(sweep.study, sweep.definition, 12, sweep.folder)
        if claimed.values["mode"] == "memory":
            count_against(sweep.study, claimed.trial, DIED)
        else:
            sweep.study.tell(claimed.trial, 0.5)
        release(claimed)
    assert [spoilt(one) for one in kept(sweep.study)].count(True) <= ENOUGH
    assert len(kept(sweep.study)) == 12


def test_what_the_machine_ended_is_tried_again_in_its_place(sweep):
    said = sweep.open(mode={"value": "SIGTERM"}, times={"value": 2}).run(1)
    assert said.count("was ended by the machine, ") == 2
    assert "SIGTERM from outside" in said and "it is tried again" in said
    assert sweep.starts() == [3] and sweep.states() == ["complete"]
    shown = sweep.shown()
    assert "finished" in shown
    assert "was ended by the machine 2 times and tried again, at last: SIGTERM from outside; it printed" in shown


def test_three_in_a_row_are_enough_and_then_count_against_the_setting(sweep):
    said = sweep.open(mode={"value": "SIGTERM"}).run(1)
    assert sweep.starts() == [ENOUGH] and sweep.states() == ["fail"]
    assert "3 times in a row, at last SIGTERM from outside" in said
    assert "died: signal" in sweep.shown()


def test_one_that_gets_further_each_time_is_preempted_as_often_as_it_likes(sweep):
    sweep.open(mode={"value": "SIGTERM"}, times={"value": 5}, advance={"value": 1}).run(1)
    assert sweep.starts() == [6] and sweep.states() == ["complete"]


def test_a_kill_is_of_memory_where_the_kernel_counted_it(sweep, monkeypatch):
    counted = iter(range(9))
    monkeypatch.setattr(trial, "memory_kills", lambda: next(counted))
    sweep.open(mode={"value": "SIGKILL"}).run(1)
    assert sweep.starts() == [1] and sweep.states() == ["fail"]
    monkeypatch.setattr(trial, "memory_kills", lambda: 9)
    sweep.run(2)
    assert sweep.starts() == [1, ENOUGH]
    assert "by the kernel, for want of memory (its count of such kills rose from 0 to 1)" in sweep.shown()


def test_a_full_disk_ends_the_sweep_and_no_setting_is_blamed(sweep):
    sweep.open(mode={"value": "disk"}, times={"value": 4})
    with pytest.raises(ConfigError, match="3 times in a row .disk.*No space left.*It keeps its place"):
        sweep.run(1)
    assert sweep.states() == ["interrupted"]
    assert [one.state for one in kept(sweep.study)] == [TrialState.WAITING]
    assert "to be continued" in sweep.shown()
    sweep.run(1)  # full once more, then mended
    assert sweep.starts() == [5] and sweep.states() == ["complete"]


def test_a_trial_whose_sweep_is_killed_with_it_each_time_counts_against_its_values(sweep):
    sweep.open()
    for _ in range(ENOUGH):
        claimed = claim(sweep.study, sweep.definition, 1, sweep.folder)
        release(claimed)  # as the system does when the process dies
        assert recover(sweep.study, sweep.folder) == [claimed.run]
    (dead,) = kept(sweep.study)
    assert spoilt(dead) and dead.value == float("inf") and dead.params == claimed.trial.params
    assert "died: cut off" in sweep.shown()
    assert sweep.study.get_trials(states=(TrialState.RUNNING, TrialState.WAITING)) == []


def test_a_checkpoint_between_two_kills_is_progress(sweep):
    sweep.open()
    for number in range(ENOUGH + 1):
        claimed = claim(sweep.study, sweep.definition, 1, sweep.folder)
        path = claimed.folder / "checkpoints" / f"last-step={number}.ckpt"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, times=(later := time.time() + 1, later))  # clocks of file systems are coarse
        release(claimed)
        recover(sweep.study, sweep.folder)
    assert [one.state for one in kept(sweep.study)] == [TrialState.WAITING]


def test_another_machines_trial_is_settled_after_three_losses_too(sweep, monkeypatch):
    sweep.open()
    backend = sweep.study._storage._backend
    monkeypatch.setattr(backend, "_get_stale_trial_ids", lambda study: [one._trial_id for one in running()])

    def running():
        return sweep.study.get_trials(states=(TrialState.RUNNING,))

    for _ in range(ENOUGH):
        with monkeypatch.context() as patch:
            patch.setattr(claims.socket, "gethostname", lambda: "elsewhere")
            release(claim(sweep.study, sweep.definition, 1, sweep.folder))
        recover(sweep.study, sweep.folder)
        assert not running()
    assert [spoilt(one) for one in kept(sweep.study)] == [True]


def draws(method: str, seed: int, spoil, deadly=(2, 7)) -> list[bool]:
    """Of 40 trials, which were of the deadly values: two of nine, beside a rate that goes from 0 to 1."""
    study = optuna.create_study()
    study.sampler = SeededByTrial(method, seed)
    drawn = []
    for _ in range(40):
        one = study.ask(claims.distributions(method))
        values = claims.values_of(method, one.params)
        drawn.append(values["seed"] in deadly)
        value = abs(values["seed"] - 4) / 10 + abs(values["optim.lr"] - 0.3)
        spoil(study, one) if drawn[-1] else study.tell(one, value)
    return drawn


def test_the_search_keeps_off_what_dies(tmp_path):
    parameters = RATE | {"seed": {"values": [*range(9)]}}
    definition = load_definition(written(tmp_path, method="bayes", parameters=parameters))
    found = [draws(definition, seed, lambda study, one: count_against(study, one, DIED)) for seed in range(5)]
    assert sum(sum(drawn[10:]) for drawn in found) / 150 <= 0.15
    forgotten = [draws(definition, seed, lambda s, one: s.tell(one, state=TrialState.FAIL)) for seed in range(2)]
    assert sum(sum(drawn[10:]) for drawn in forgotten) / 60 > 0.25


def test_a_dead_trial_is_worse_than_one_stopped_early(tmp_path):
    """With few finished trials and many stopped, TPE's good ones must not be the dead."""
    from optuna.samplers._tpe.sampler import _split_trials

    study = optuna.create_study()
    for number in range(6):
        one = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
        one.report(0.5, 1)
        if number < 2:
            count_against(study, one, DIED)
        else:
            study.tell(one, 0.5 if number == 2 else None, TrialState.COMPLETE if number == 2 else TrialState.PRUNED)
    below, _ = _split_trials(study, study.trials, 4)
    assert [one.number for one in below] == [2, 3, 4, 5]
    assert WandbHyperband({"min_iter": 1, "eta": 2}).prune(study, study.trials[5]) is False


def test_importances_want_twenty_trials(tmp_path):
    definition = load_definition(written(tmp_path, parameters=RATE | {"seed": {"values": [1, 2, 3]}}))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.set_user_attr("of", "tests")
    for number in range(importance.LEAST + 5):
        one = study.ask(claims.distributions(definition))
        if number < 5:
            study.tell(one, state=TrialState.FAIL)
            continue
        if number == importance.LEAST + 4:
            said = importance.importances(study, definition)
            assert said.startswith("not shown: 19 finished trials; with fewer than 20 even a parameter without effect")
        study.tell(one, one.params["optim.lr"] ** 2)
    shares = re.findall(r"(\S+) (\d+)%", importance.importances(study, definition))
    assert [name for name, _ in shares] == ["optim.lr", "seed"]
    assert int(shares[0][1]) > 80


@pytest.mark.parametrize(
    ("record", "mark"),
    [({"state": "fail", "reason": "status 1: MemoryError"}, "died"), ({"state": "interrupted"}, "no result")],
)
def test_compare_leaves_a_dead_trial_out_of_its_figures(tmp_path, record, mark):
    folder = tmp_path / "s" / "000-abcdef"
    folder.mkdir(parents=True)
    (folder / "history.jsonl").write_text('{"step": 1, "epoch": 0, "seconds": 5, "val_wer": 0.01}\n')
    (folder / "trial.json").write_text(json.dumps(record))
    (folder / "config.yaml").write_text("seed: 1\n")
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text("[]")
    comparison = compare(load([folder], tmp_path / "bundles"))
    keys = differing(comparison.runs)
    table = {column.title: column.cells[0].text for column in columns(comparison, keys)}
    assert f"({mark})" in table["run"]
    assert ("best val" in table) is (mark != "died")
    drawn = payload(comparison, keys, 0)
    assert bool(drawn["curves"][0]["step"]) is (mark != "died")
    assert drawn["points"] == []


def test_what_would_not_be_done_as_wandb_does_it_is_refused(tmp_path):
    load_definition(written(tmp_path, metric={"name": "val_wer", "impute": "worst"}))
    with pytest.raises(ConfigError, match="metric.impute must be worst"):
        load_definition(written(tmp_path, metric={"name": "val_wer", "impute": "best"}))
