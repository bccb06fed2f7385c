"""`make train`: where it trains."""

import os

import pytest
import torch

from experiments.cli.quickstart import in_two_processes


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
