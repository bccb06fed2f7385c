"""What a run says it will take, before its first step."""

import datetime
import threading

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Timer

from experiments.training import estimate as estimate_module
from experiments.training.estimate import Estimate, estimate, sentence
from experiments.training.fit import heard
from experiments.training.progress_bar import ProcessorTimer
from experiments.training.resumption import random_states
from tests.conftest import SMALL, drawn_model

BATCHES = [[1.0, 1.2], [0.5], [0.8, 0.9, 0.7]]
WITHOUT = "without reading sound, the optimiser and validations"


def trainer(**options):
    timer = [Timer(datetime.timedelta(seconds=options.pop("seconds")))] if "seconds" in options else []
    options = {"max_epochs": 200, "accelerator": "cpu"} | options
    return pl.Trainer(logger=False, callbacks=timer, enable_progress_bar=False, enable_model_summary=False, **options)


def test_timing_leaves_no_trace(compose_config):
    model = drawn_model(compose_config(*SMALL), seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = {name: module.training for name, module in model.named_modules()}
    states = random_states()
    found = estimate(model, trainer(), BATCHES, 2)
    assert 0 < found.step < 60 and found.memory > 1e8
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert modes == {name: module.training for name, module in model.named_modules()}
    assert all(parameter.grad is None for parameter in model.parameters())
    after = random_states()
    assert after["python"] == states["python"] and torch.equal(after["torch"], states["torch"])
    assert (after["numpy"][1] == states["numpy"][1]).all() and after["numpy"][2:] == states["numpy"][2:]


def test_a_budget_of_the_processor_is_measured_by_the_processor(compose_config, monkeypatch):
    model = drawn_model(compose_config(*SMALL), seed=0)
    timed = pl.Trainer(accelerator="cpu", logger=False, callbacks=[ProcessorTimer("00:00:00:09")])
    step = estimate_module._step

    def delayed(*given):  # as where other programs have the machine
        step(*given)
        threading.Event().wait(0.5)

    monkeypatch.setattr(estimate_module, "_step", delayed)
    found, by_the_clock = (estimate(model, one, BATCHES, 1) for one in (timed, trainer()))
    assert (found.processor, by_the_clock.processor) == (True, False)
    assert found.step < 0.5 < by_the_clock.step


@pytest.mark.parametrize(
    ("options", "done", "words"),
    [
        ({"seconds": 360}, 0, f"takes 120 ms here, {WITHOUT}: at most 3,000 steps, 8.0 epochs, in 6.0 min."),
        ({"seconds": 360, "spent": 300}, 2500, "at most 500 steps, 1.3 epochs, in 1.0 min."),
        ({"seconds": 360, "processor": True}, 0, "takes 120 ms of the processor here, without"),
        ({"max_steps": 750}, 0, "750 steps, 2.0 epochs, take at least 1.5 min."),
        ({"max_steps": 750}, 500, "250 steps, 0.7 epochs, take at least 30.0 s."),
        ({"max_steps": 750}, 750, f"{WITHOUT}: its budget is spent; more of trainer.max_time, max_steps"),
        ({"seconds": 360, "spent": 361}, 2500, f"{WITHOUT}: its budget is spent; more of trainer.max_time"),
        ({"max_steps": 100, "seconds": 360}, 0, "100 steps, 0.3 epochs, take at least 12.0 s."),
        ({"max_epochs": 2, "accumulate_grad_batches": 5}, 0, f"takes 600 ms here, {WITHOUT}: 150 steps"),
    ],
)  # fmt: skip
def test_the_budget_that_ends_first_is_said(options, done, words, tmp_path):
    spent, processor = options.pop("spent", 0.0), options.pop("processor", False)
    found = Estimate(0.12, 1_400_000_000, processor)
    said = sentence(found, trainer(**options), 375, tmp_path, 22e6, done, spent)
    assert words in said
    assert "Memory 1.4 GB, checkpoints up to 22 MB of " in said and said.endswith(" free.")


@pytest.mark.parametrize(("limit", "batches"), [(1.0, 375), (0.5, 187), (100, 100), (500, 375)])
def test_an_epoch_that_is_limited_counts_as_it_is_heard(limit, batches, tmp_path):
    limited = trainer(max_epochs=6, limit_train_batches=limit)
    assert heard(limit, 375) == batches
    said = sentence(Estimate(0.12, 1_400_000_000, False), limited, batches, tmp_path, 22e6)
    assert f"{6 * batches:,} steps, 6.0 epochs" in said
