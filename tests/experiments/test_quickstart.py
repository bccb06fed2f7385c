"""`make train`: where it trains, and which run it goes on with."""

import os
import time
from pathlib import Path

import pytest
import torch

from experiments.cli import quickstart
from experiments.cli.quickstart import in_two_processes, place_of, run_in
from experiments.errors import ConfigError


@pytest.mark.parametrize(
    ("cores", "gpu", "overrides", "two"),
    [
        (2, False, [], True),
        (16, False, ["optim.lr=1e-3", "name=mine"], True),
        (1, False, [], False),
        (2, True, [], False),
        (2, False, ["trainer.devices=1"], False),
        (2, False, ["data.batch_size=32"], False),
        (2, False, ["threads=1"], False),
        (2, False, ["experiment=digits"], False),
        (2, False, ["+trainer.strategy=ddp"], False),
    ],
)
def test_two_processes_where_there_are_two_cores_and_nobody_said_otherwise(monkeypatch, cores, gpu, overrides, two):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: gpu)
    assert bool(in_two_processes(overrides)) == two


def test_both_have_the_batch_of_the_recipe_together(monkeypatch, compose_config):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    whole = compose_config("experiment=synthetic")
    halves = compose_config("experiment=synthetic", *in_two_processes([]))
    assert halves.trainer.devices * halves.data.batch_size == whole.data.batch_size


@pytest.mark.parametrize("overrides", [[], ["name=mine"], ["runs=other"], ["hydra.run.dir=here/it"]])
def test_the_run_that_was_trained_is_exported_not_an_earlier_one(overrides, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    given = dict(one.split("=") for one in overrides)
    runs = Path(given.get("runs", "runs"), given.get("name", "synthetic"))
    made = Path(given.get("hydra.run.dir", runs / "now"))
    exported = []

    class DoneError(Exception):
        pass

    def step(title, *command):
        if title == "train":
            made.mkdir(parents=True)
            (made / "metrics.json").write_text("{}")
        if title == "export":
            exported.append(command)
            raise DoneError

    earlier = Path("runs/synthetic/earlier/metrics.json")
    earlier.parent.mkdir(parents=True)
    earlier.write_text("{}")
    os.utime(earlier, (time.time() - 9, time.time() - 9))
    monkeypatch.setattr(quickstart, "step", step)
    with pytest.raises(DoneError):
        quickstart.main(overrides)
    assert f"model={made / 'model.nemo'}" in exported[0]


def test_what_make_train_cannot_measure_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="data of another kind, digits"):
        place_of(["experiment=digits", "data.source=x"])
    with pytest.raises(ConfigError, match="takes no -m"):
        place_of(["-m", "seed=1,2"])
    with pytest.raises(ConfigError, match="no key optim.lrr"):
        place_of(["optim.lrr=1"])
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier/metrics.json").write_text("{}")
    with pytest.raises(ConfigError, match="has finished no run"):
        run_in(tmp_path, False, time.time() + 5)
