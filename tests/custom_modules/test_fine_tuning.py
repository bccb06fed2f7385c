"""Layers, rates, freezing."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from custom_modules.optimisation import depths, layer_of, parameter_groups
from experiments.training.freezing import Freezing
from experiments.training.schedule import BudgetAnnealing
from tests.conftest import SMALL, drawn_model


@pytest.fixture(scope="module")
def two_layers(compose_config):
    """A small model of two recurrent layers."""
    return drawn_model(compose_config("encoder=hey_jetson_small", *SMALL), seed=0)


def test_layers_lie_in_the_order_of_the_sound(two_layers):
    found = depths(two_layers)
    assert {found[name] for name in found if name.startswith("decoder.")} == {0}
    assert {found[name] for name in found if name.startswith("encoder.dense.")} == {1}
    for both in ("forwards", "backwards"):
        assert found[f"encoder.recurrent.{both}.1.cell.weight_ih_l0"] == 2
        assert found[f"encoder.recurrent.{both}.0.cell.weight_ih_l0"] == 3
    assert found["encoder.recurrent.norms.1.weight"] == 2
    assert [found[f"encoder.convolution.layers.{i}.convolution.weight"] for i in range(3)] == [6, 5, 4]
    assert found["preprocessor.bank"] == 6


@pytest.mark.parametrize("encoder", ["hey_jetson", "hey_jetson_streaming", "nemo_quartznet", "nemo_conformer_small"])
def test_every_encoder_has_layers(encoder, compose_config):
    few = ["encoder.n_layers=3"] if "conformer" in encoder else []
    model = drawn_model(compose_config(f"encoder={encoder}", *few), seed=0)
    found = depths(model)
    layers = {depth: layer_of(model, name) for name, depth in found.items()}
    assert sorted(layers) == list(range(len(layers)))
    assert len(layers) >= 7


def test_one_group_where_all_learn_alike_and_one_for_each_rate_else(two_layers):
    (group,) = parameter_groups(two_layers, 0.1)
    assert "lr" not in group
    scales = {"decoder": 4.0, "encoder": 2.0, "encoder.dense": 1.0}
    groups = parameter_groups(two_layers, 0.1, 0.5, scales)
    assert sum(len(group["params"]) for group in groups) == len(list(two_layers.parameters()))
    rate = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert rate[id(two_layers.decoder.decoder_layers[0].bias)] == pytest.approx(0.4)
    assert rate[id(two_layers.encoder.dense[0].bias)] == pytest.approx(0.05)
    assert rate[id(two_layers.encoder.convolution.layers[0].convolution.bias)] == pytest.approx(0.1 * 2 / 64)
    assert [group["lr"] for group in groups] == sorted((group["lr"] for group in groups), reverse=True)


def test_the_schedule_keeps_the_proportions_of_the_groups():
    slow, fast = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([{"params": [fast], "lr": 1.0}, {"params": [slow], "lr": 0.001}], lr=1.0)
    schedule = BudgetAnnealing(optimiser, warmup_ratio=0.1, min_lr=0.01)
    for share in (0.05, 0.1, 0.6, 1.0):
        schedule.budget_used = share
        schedule.step()
        first, second = schedule.get_last_lr()
        assert second == pytest.approx(first / 1000)
    assert first == pytest.approx(0.01)


class Held(nn.Module):
    """A model with a part to freeze, which counts its budget."""

    def __init__(self):
        super().__init__()
        self.low = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
        self.low[0].bias.requires_grad = False
        self.high = nn.Linear(2, 1)
        self.used = 0.0

    def budget_used(self) -> float:
        return self.used

    @property
    def num_weights(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)


def test_frozen_parts_stand_still_until_they_are_released(capsys):
    model, trainer = Held(), SimpleNamespace(is_global_zero=True, global_step=3)
    freezing = Freezing(["low"], unfreeze_at=0.5)
    freezing.setup(trainer, model, "validate")
    assert model.num_weights == 11
    freezing.setup(trainer, model, "fit")
    assert model.num_weights == 3
    model.train()  # as whoever measures or validates in between does
    freezing.on_train_batch_start(trainer, model, None, 0)
    assert not any(module.training for module in model.low.modules())
    before = model.low[1].running_mean.clone()
    model.high(model.low(torch.randn(8, 2))).sum().backward()
    assert torch.equal(model.low[1].running_mean, before)
    assert model.low[0].weight.grad is None
    assert model.high.weight.grad is not None
    model.used = 0.5
    freezing.on_train_batch_start(trainer, model, None, 0)
    assert all(module.training for module in model.modules())
    assert model.num_weights == 11
    assert not model.low[0].bias.requires_grad  # which never learnt
    said = capsys.readouterr().out
    assert "Frozen for the first 50% of the run: low, 8 of 11 parameters" in said
    assert "Step 3: low learn from here on." in said


@pytest.mark.parametrize("hook", ["on_fit_end", "on_exception"])
def test_what_was_frozen_is_released_at_the_end_or_when_the_run_breaks(hook):
    model, freezing = Held(), Freezing(["low"])
    trainer = SimpleNamespace(is_global_zero=False, global_step=0)
    freezing.setup(trainer, model, "fit")
    getattr(freezing, hook)(trainer, model, *([OSError()] if hook == "on_exception" else []))
    assert model.num_weights == 11


@pytest.mark.parametrize(("optim", "groups"), [("adamw", 7), ("muon", 13)])
def test_nemo_asks_twice_and_gets_the_same_groups(compose_config, optim, groups):
    model = drawn_model(
        compose_config(
            "encoder=hey_jetson_small",
            *SMALL,
            f"optim={optim}",
            "optim.lr=3e-3",
            "optim.layer_decay=0.5",
            "optim.lr_scales={decoder:3}",
        ),
        seed=0,
    )
    for _ in range(2):  # training.fit, then Lightning
        optimiser, _ = model.setup_optimization()
        assert optimiser.param_groups[0]["lr"] == pytest.approx(9e-3)
        assert len(optimiser.param_groups) == groups
    assert model.cfg.optim.layer_decay == 0.5
