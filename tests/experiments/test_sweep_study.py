"""Early termination as W&B decides it, draws that a restart does not repeat, and a storage that two processes share."""

import time

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from sqlalchemy.engine import make_url

from experiments.errors import ConfigError
from experiments.sweep import claims
from experiments.sweep.claims import claim, recover, release, requeue_trial, work_left
from experiments.sweep.definition import load_definition
from experiments.sweep.hyperband import WandbHyperband
from experiments.sweep.samplers import SeededByTrial
from experiments.sweep.settling import DIVERGED
from experiments.sweep.storage import address, kept, open_storage, open_study, without_password
from tests.experiments.test_sweep_definition import written

RANGE = {"optim.lr": {"min": 0.0, "max": 1.0}, "seed": {"values": [1, 2, 3]}}


def study_of(curves, direction="minimize"):
    study = optuna.create_study(direction=direction)
    for curve in curves:
        trial = study.ask()
        for iteration, value in enumerate(curve, start=1):
            trial.report(value, iteration)
    return study


def stopped(study, **settings_of) -> list[int]:
    pruner = WandbHyperband(settings_of)
    return [trial.number for trial in study.get_trials() if pruner.prune(study, trial)]


def test_trials_behind_the_best_share_are_stopped():
    """The example of W&B's own implementation, whose decisions these are."""
    curves = [[10, 9], [10, 10], [10, 8, 8], [10, 7, 7], [10, 6, 6]]
    assert stopped(study_of(curves), max_iter=5, s=2, eta=2) == [0, 1]
    turned = [[-value for value in curve] for curve in curves]
    assert stopped(study_of(turned, "maximize"), max_iter=5, s=2, eta=2) == [0, 1]
    assert stopped(study_of(curves), min_iter=3, eta=2) == [2]
    assert stopped(study_of(curves), min_iter=4, eta=2) == []
    uneven = [[3, 1, 4], [2, 2, 2], [2.5, 3, 3]]
    assert stopped(study_of(uneven), min_iter=3, eta=3) == []
    assert stopped(study_of(uneven), min_iter=3, eta=3, strict=True) == [0]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.floats(0, 1), max_size=12), min_size=1, max_size=8),
    st.integers(1, 4),
    st.sampled_from([1.5, 2, 3]),
)
def test_the_best_of_all_goes_on(curves, first, eta):
    study = study_of(curves)
    best = min(range(len(curves)), key=lambda number: min(curves[number], default=2.0))
    assert best not in stopped(study, min_iter=first, eta=eta)


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_restart_draws_no_value_twice_and_a_seed_draws_the_same(tmp_path, method):
    definition = load_definition(written(tmp_path, method=method, parameters=RANGE))

    def draw(seed: int, restarts: bool) -> list[float]:
        study = optuna.create_study(sampler=SeededByTrial(definition, seed))
        for number in range(8):
            if restarts:
                study.sampler = SeededByTrial(definition, seed)
            trial = study.ask(claims.distributions(definition))
            study.tell(trial, float(number))
        return [trial.params["optim.lr"] for trial in study.get_trials()]

    once = draw(1, restarts=False)
    assert len(set(once)) == 8
    assert draw(1, restarts=True) == once
    assert draw(2, restarts=False) != once


def deadly_draws(definition, seed: int, told) -> float:
    """Share of the trials after the tenth that are drawn where two of nine settings end in what is no number."""
    study = optuna.create_study(direction="maximize" if definition.metric.maximize else "minimize")
    study.sampler = SeededByTrial(definition, seed)
    drawn = []
    for _ in range(40):
        trial = study.ask(claims.distributions(definition))
        place = claims.values_of(definition, trial.params)["seed"]
        drawn.append(place in (2, 7))
        value = abs(place - 4) * (-1.0 if definition.metric.maximize else 1.0)
        told(study, trial) if drawn[-1] else study.tell(trial, value)
    return sum(drawn[10:]) / 30


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_a_trial_that_diverged_counts_against_its_values(tmp_path, goal):
    definition = load_definition(
        written(
            tmp_path,
            method="bayes",
            metric={"name": "val_wer", "goal": goal},
            parameters={"seed": {"values": [*range(9)]}},
        )
    )

    def worst(study, trial):
        study.tell(trial, definition.metric.worst)

    def forgotten(study, trial):
        study.tell(trial, state=TrialState.FAIL)

    shares = {told: [deadly_draws(definition, seed, told) for seed in range(3)] for told in (worst, forgotten)}
    assert sum(shares[worst]) / 3 <= 0.15, shares  # at random: 0.22
    assert sum(shares[forgotten]) / 3 > 0.5, shares


def test_a_trial_that_diverged_is_no_measure_for_others():
    study = study_of([[0.1, 0.2], [0.5, 0.6], [0.6, 0.5]])
    assert stopped(study, min_iter=2, eta=4) == [1, 2]
    study._storage.set_trial_user_attr(study.trials[0]._trial_id, DIVERGED, True)
    assert stopped(study, min_iter=2, eta=4) == []
    assert claims.value_of(study.trials[0]) is None


@pytest.fixture
def open_twice(tmp_path):
    """Opens one study as two processes do."""
    definition = load_definition(written(tmp_path, parameters=RANGE))
    url = f"sqlite:///{tmp_path}/deep/sweep.db"

    def opened():
        study = open_study(definition, "s", open_storage(url))
        study.sampler = SeededByTrial(definition, 1)
        return study

    return definition, opened(), opened()


def test_two_processes_share_the_count(open_twice, tmp_path):
    definition, one, other = open_twice
    taken = [claim(study, definition, 3, tmp_path) for study in (one, other, one)]
    assert [claimed.trial.number for claimed in taken] == [0, 1, 2]
    assert len({claimed.values["optim.lr"] for claimed in taken}) == 3
    assert not work_left(other, definition, 3)
    assert claim(other, definition, 3, tmp_path) is None  # asked all the same, as in a race
    assert len(kept(one)) == 3
    assert recover(other, tmp_path) == []  # all are alive


def test_a_dead_owner_s_trial_is_taken_over_with_its_values_and_its_folder(open_twice, tmp_path):
    definition, one, other = open_twice
    claimed = claim(one, definition, 2, tmp_path)
    claimed.trial.report(0.5, 1)
    release(claimed)  # as the system does when the process dies
    assert recover(other, tmp_path) == [claimed.run]
    assert recover(one, tmp_path) == []
    assert [trial.state for trial in kept(one)] == [TrialState.WAITING]
    again = claim(other, definition, 2, tmp_path)
    assert (again.run, again.values, again.folder) == (claimed.run, claimed.values, claimed.folder)
    assert again.trial.number != claimed.trial.number
    assert not requeue_trial(one, claimed.trial.number)
    assert len(kept(one)) == 1


def test_another_machines_trial_is_taken_over_once_it_is_silent(open_twice, tmp_path, monkeypatch):
    definition, one, other = open_twice
    with monkeypatch.context() as patch:
        patch.setattr(claims.socket, "gethostname", lambda: "elsewhere")
        claimed = claim(one, definition, 1, tmp_path)
        release(claimed)
    assert recover(other, tmp_path) == []  # nobody here can know
    monkeypatch.setattr(other._storage._backend, "grace_period", 0)
    monkeypatch.setattr(other._storage._backend, "heartbeat_interval", 0)
    time.sleep(1.1)  # databases count whole seconds
    recover(other, tmp_path)
    assert claim(other, definition, 1, tmp_path).run == claimed.run


def test_the_sweep_ends_at_its_target(tmp_path):
    definition = load_definition(written(tmp_path, parameters=RANGE, metric={"name": "val_wer", "target": 0.1}))
    study = optuna.create_study()
    study.tell(study.ask(), 0.2)
    assert work_left(study, definition, 9)
    study.tell(study.ask(), 0.1)
    assert not work_left(study, definition, 9)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"parameters": RANGE | {"seed": {"values": [1, 2]}}}, "parameters changed"),
        ({"command": ["${env}", "${interpreter}", "${program}", "threads=1", "${args_no_hyphens}"]}, "command changed"),
        ({"metric": {"name": "val_cer"}, "method": "bayes"}, "method, metric changed"),
    ],
)
def test_another_definition_in_the_same_study_is_refused(open_twice, tmp_path, changes, named):
    changed = load_definition(written(tmp_path, **{"parameters": RANGE} | changes))
    with pytest.raises(ConfigError, match=f"{named}.*give name=OTHER"):
        open_study(changed, "s", open_storage(f"sqlite:///{tmp_path}/deep/sweep.db"))
    early = {"type": "hyperband", "min_iter": 2}
    same = load_definition(written(tmp_path, parameters=RANGE, run_cap=5, early_terminate=early))
    assert open_study(same, "s", open_storage(f"sqlite:///{tmp_path}/deep/sweep.db")).study_name == "s"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret@127.0.0.1:9/sweeps",
        "mysql+none://me:secret@host/sweeps",
        "sqlite:////proc/none/sweep.db",
        "sweeps",
    ],
)
def test_a_storage_out_of_reach_is_a_sentence_without_its_password(url):
    with pytest.raises(ConfigError, match="The storage .* cannot be opened: .*Give storage=sqlite") as caught:
        open_storage(address(url))
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_installed_driver_is_asked_for():
    assert address("postgresql://me@host/sweeps") == "postgresql+psycopg2://me@host/sweeps"
    assert make_url(address("postgres://host/sweeps")).get_dialect().import_dbapi().__name__ == "psycopg2"
    assert address("sqlite:///a.db") == "sqlite:///a.db"


def test_a_password_is_not_printed():
    assert without_password("postgresql://me:secret@host/sweeps") == "postgresql://me:***@host/sweeps"
