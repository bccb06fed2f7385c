"""Of equally good weights the later are kept; a budget of processor time is one of this process alone."""

import itertools
import types

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import Timer

from custom_modules.optimisation import OptimisationMixin
from experiments.errors import ConfigError
from experiments.training import fit, progress_bar
from experiments.training.history import RunHistory
from experiments.training.progress_bar import BarWithErrors, LatestBest, PlainProgress, ProcessorTimer


class Scripted(pl.LightningModule):
    """Logs the word error rates it is given, one a validation."""

    def __init__(self, rates: list[float]):
        super().__init__()
        self.rates = iter(rates)
        self.layer = torch.nn.Linear(1, 1)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.ones(1, 1))

    val_dataloader = train_dataloader

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def training_step(self, batch, index):
        return self.layer(batch).sum()

    def validation_step(self, batch, index):
        self.log("val_wer", torch.tensor(next(self.rates)))


def test_of_equal_validations_the_later_is_kept(tmp_path):
    keeper = LatestBest(dirpath=tmp_path, filename="best-{step}", monitor="val_wer", mode="min", save_top_k=1)
    trainer = pl.Trainer(
        max_epochs=5,
        accelerator="cpu",
        callbacks=[keeper],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(Scripted([0.5, 0.25, 0.3, 0.25, 0.4]))
    assert [path.name for path in tmp_path.iterdir()] == ["best-step=4.ckpt"]
    assert float(keeper.best_model_score) == 0.25


def test_the_bar_of_a_terminal_is_drawn(tmp_path):
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        callbacks=[BarWithErrors()],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
        num_sanity_val_steps=0,
    )
    trainer.fit(Scripted([0.5, 0.25]))
    assert trainer.global_step == 2


def test_the_budget_of_processor_time_is_spent_by_the_process(tmp_path, monkeypatch):
    spent = itertools.count(100.0, 0.05)  # a look at the clock costs a twentieth of a second
    monkeypatch.setattr(progress_bar.time, "process_time", lambda: next(spent))
    timer = ProcessorTimer("00:00:00:03")
    trainer = pl.Trainer(
        accelerator="cpu", callbacks=[timer], logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, default_root_dir=tmp_path, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(Scripted([]))
    assert 10 < trainer.global_step <= 62
    assert timer.time_elapsed() == timer.time_elapsed() >= 3.0 and timer.time_remaining() <= 0.0
    later = ProcessorTimer("00:00:00:03")
    later.load_state_dict(timer.state_dict())
    assert later.time_elapsed() == timer.time_elapsed()


@pytest.mark.parametrize(
    ("budget", "gone", "shown"),
    [
        ({"minutes": 2}, 30.0, "  0.5 min of 2.0"),
        ({"seconds": 12}, 18.0, "  0.3 min, the budget of 0.2 is spent"),
        (None, 18.0, "  0.3 min"),
    ],
)
def test_a_line_behind_the_budget_says_that_it_is_spent(caplog, budget, gone, shown):
    timer = ProcessorTimer(budget)
    timer._offset = gone
    trainer = types.SimpleNamespace(
        callbacks=[timer], callback_metrics={"val_wer": torch.tensor(0.25)}, is_global_zero=True
    )
    with caplog.at_level("INFO"):
        PlainProgress().on_validation_end(trainer, None)
    assert caplog.messages == [f"  validation: WER 25.0%{shown}"]


def test_either_clock_ends_a_run(compose_config, monkeypatch, tmp_path):
    monkeypatch.setattr(fit, "run_dir", lambda: tmp_path)
    for clock, kind in (("wall", Timer), ("processor", ProcessorTimer)):
        cfg = compose_config("logger=none", f"clock={clock}", "trainer.max_time=00:00:00:07")
        trainer = fit.make_trainer(cfg, False, "val_wer", [])
        assert [(type(one), one._duration) for one in trainer.callbacks if isinstance(one, Timer)] == [(kind, 7.0)]
    with pytest.raises(ConfigError, match="clock must be one of wall, processor, found 'sun'"):
        fit.make_trainer(compose_config("clock=sun"), False, "val_wer", [])


def test_a_validation_that_would_never_come_is_refused_before_the_run_begins():
    def trainer(**given):
        return pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, **given)

    with pytest.raises(ConfigError, match="val_check_interval=5, and an epoch has 4 batches: none"):
        fit.require_validations(trainer(val_check_interval=5), 4)
    for given in ({"val_check_interval": 4}, {"val_check_interval": 5, "check_val_every_n_epoch": None}, {}):
        fit.require_validations(trainer(**given), 4)


def test_the_seconds_of_a_run_go_on_from_its_checkpoint(tmp_path):
    """Not from its last validation, which may lie far before, or behind."""
    clock = itertools.count(0, 10).__next__  # ten seconds go by between two looks at it
    trainer = types.SimpleNamespace(is_global_zero=True, sanity_checking=False, optimizers=[], callback_metrics={})
    trainer.global_step, trainer.current_epoch = 10, 0
    first = RunHistory(tmp_path, clock)
    first.on_train_start(trainer, None)
    states = [first.state_dict()]
    first.on_validation_end(trainer, None)
    states += [first.state_dict() for _ in range(3)]
    assert [state["seconds"] for state in states] == [10, 30, 40, 50]
    for state in states:
        second = RunHistory(tmp_path, clock)
        second.load_state_dict(state)
        second.on_train_start(trainer, None)
        assert second.seconds() == state["seconds"] + 10
    earlier = RunHistory(tmp_path, clock)  # of a checkpoint that says nothing
    earlier.on_train_start(trainer, None)
    assert earlier.seconds() == 20 + 10


class Ramped(OptimisationMixin, pl.LightningModule):
    """Has a part that grows over half of the budget, and a rate that stays."""

    def __init__(self):
        super().__init__()
        self.layer, self.part, self.strengths = torch.nn.Linear(1, 1), torch.nn.Identity(), []
        self.part.ramp, self.part.strength = 0.5, 1.0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def training_step(self, batch, index):
        self.strengths.append(self.part.strength)
        return self.layer(batch).sum()


@pytest.mark.parametrize("accumulated", [1, 2])
def test_what_grows_with_the_budget_does_so_without_a_schedule(accumulated):
    model, quiet = Ramped(), {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(
        max_steps=4, accelerator="cpu", accumulate_grad_batches=accumulated, enable_checkpointing=False, **quiet
    )
    trainer.fit(model, torch.utils.data.DataLoader(torch.ones(4 * accumulated, 1)))
    assert model.strengths == [strength for strength in (0.0, 0.5, 1.0, 1.0) for _ in range(accumulated)]
