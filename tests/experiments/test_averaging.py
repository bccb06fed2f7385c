"""Averages of the weights: what they are, when they are in the model, and what is kept of them."""

from types import SimpleNamespace

import pytest
import torch

from experiments.errors import ConfigError
from experiments.training.averaging import Averaging, weights_of


class Model(torch.nn.Module):
    device = torch.device("cpu")

    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(1)  # two weights, two statistics, and a count that is no number to average
        self.free = torch.nn.Parameter(torch.zeros(1))


def trainer(accumulating=False):
    loop = SimpleNamespace(_should_accumulate=lambda: accumulating)
    return SimpleNamespace(fit_loop=SimpleNamespace(epoch_loop=loop), sanity_checking=False)


def after(averaging, model, values, **given):
    for value in values:
        with torch.no_grad():
            model.free.fill_(value)
            model.norm.running_mean.fill_(10 * value)
        averaging.on_train_batch_end(trainer(**given), model, None, None, 0)


def test_means_of_the_last_steps():
    averaging, model = Averaging(0.5), Model()
    averaging.on_train_start(trainer(), model)
    after(averaging, model, [8.0])
    assert averaging.averages["free"] == pytest.approx(8 * 0.9)  # a tenth of what was drawn is left after one step
    for _ in range(20):
        after(averaging, model, [2.0])
    assert averaging.averages["free"] == pytest.approx(2.0, abs=1e-3)
    after(averaging, model, [4.0])
    assert averaging.averages["free"] == pytest.approx(3.0, abs=1e-3)
    assert averaging.averages["norm.running_mean"] == pytest.approx(30.0, abs=1e-2)  # as the weights, so its statistics
    assert "norm.num_batches_tracked" not in averaging.averages
    before = averaging.averages["free"].clone()
    after(averaging, model, [100.0], accumulating=True)  # no step of the optimiser
    assert averaging.averages["free"] == before


def test_a_validation_hears_with_them_and_a_checkpoint_has_both():
    averaging, model = Averaging(0.5), Model()
    averaging.on_train_start(trainer(), model)
    after(averaging, model, [1.0, 5.0])
    mean = averaging.averages["free"].clone()
    assert 1.0 < mean < 5.0
    averaging.on_validation_start(trainer(), model)
    assert model.free == mean
    checkpoint = {"state_dict": dict(model.state_dict())}
    averaging.on_save_checkpoint(trainer(), model, checkpoint)  # as a run that is told to end in a validation
    assert checkpoint["state_dict"]["free"] == 5.0 and weights_of(checkpoint)["free"] == mean
    averaging.on_validation_end(trainer(), model)
    assert model.free == 5.0
    assert weights_of({"state_dict": {"free": 1}}) == {"free": 1}  # of a run without

    continued = Averaging(0.5)
    continued.on_load_checkpoint(trainer(), model, checkpoint)
    continued.on_train_start(trainer(), model)
    after(continued, model, [5.0])
    after(averaging, model, [5.0])
    assert continued.averages["free"] == averaging.averages["free"]


def test_a_share_is_a_share():
    with pytest.raises(ConfigError, match="between 0 and 1"):
        Averaging(1.0)
