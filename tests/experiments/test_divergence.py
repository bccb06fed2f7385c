"""What is no number ends a training before it is saved or preferred, and what was good before is kept."""

import json
import math

import lightning.pytorch as pl
import pytest
import torch

from experiments.training.diverged import STATUS, DivergedError
from experiments.training.divergence import Divergence, spoilt_weight
from experiments.training.history import RunHistory
from experiments.training.progress_bar import LatestBest
from tests.conftest import SMALL


class Scripted(pl.LightningModule):
    """Loses and logs what it is given, one loss a step and one word error rate a validation."""

    def __init__(self, losses, rates=(), gradient=1.0):
        super().__init__()
        self.losses, self.rates, self.gradient = list(losses), iter(rates), gradient
        self.layer = torch.nn.Linear(1, 1)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.ones(len(self.losses), 1))

    def val_dataloader(self):
        return torch.utils.data.DataLoader(torch.ones(1, 1))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)

    def training_step(self, batch, index):
        return {"loss": self.layer(batch).sum() * self.losses[index]}

    def validation_step(self, batch, index):
        self.log("val_wer", torch.tensor(next(self.rates, 0.5)))


def best_of(folder):
    each = {"save_on_train_epoch_end": False}  # but at each validation
    return LatestBest(dirpath=folder, filename="best-{step}", monitor="val_wer", mode="min", save_top_k=1, **each)


def fitted(folder, model, tolerate=0, **options):
    """A trainer with the callbacks of a run, and what ended it."""
    keeper = best_of(folder)
    guard = Divergence(folder, tolerate)
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, callbacks=[keeper, RunHistory(folder), guard],
        **{"max_epochs": 1, "val_check_interval": 1} | options,
    )  # fmt: skip
    try:
        trainer.fit(model)
    except DivergedError as error:
        assert guard.error is error
        return trainer, error
    return trainer, None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_best_before(tmp_path, value):
    trainer, error = fitted(tmp_path, Scripted([1.0, 1.0, value, 1.0], [0.5, 0.4]))
    assert error.step == 3
    assert "diverged at step 3: the loss is " in str(error)
    assert "It was at learning rate 0.1, norm of the gradient " in str(error)
    assert "norm of the gradient one step before 1.41" in str(error)
    (kept,) = tmp_path.glob("*.ckpt")
    assert kept.name == "best-step=2.ckpt"
    assert not spoilt_weight(torch.load(kept, weights_only=False)["state_dict"])
    last = json.loads((tmp_path / "history.jsonl").read_text().splitlines()[-1])
    assert (last["step"], last["diverged"]) == (3, True)


def test_a_gradient_that_spoils_the_weights_ends_the_run_in_its_step(tmp_path):
    class Steep(Scripted):
        def on_after_backward(self):
            if self.global_step == 1:
                self.layer.weight.grad.fill_(math.inf)

    _, error = fitted(tmp_path, Steep([1.0] * 4))
    assert error.step == 2
    assert "the norm of the gradient is inf" in str(error)
    assert error.record["gradient_norm"] is None
    assert json.dumps(error.record, allow_nan=False)


@pytest.mark.parametrize("rate", [math.nan, math.inf])
def test_a_validation_that_is_no_number_is_never_the_best(tmp_path, rate):
    _, error = fitted(tmp_path, Scripted([1.0] * 4, [0.5, rate]))
    assert error.record["reason"] == f"val_wer is {rate}"
    assert [path.name for path in tmp_path.glob("*.ckpt")] == ["best-step=1.ckpt"]


@pytest.mark.parametrize("rates", [[math.nan, 0.5, math.nan], [math.inf, 0.5, math.inf]])
def test_the_keeper_alone_prefers_no_such_validation_either(tmp_path, rates):
    keeper = best_of(tmp_path)
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, max_epochs=1,
        num_sanity_val_steps=0, callbacks=[keeper], val_check_interval=1,
    )  # fmt: skip
    trainer.fit(Scripted([1.0] * 3, rates))
    assert [path.name for path in tmp_path.glob("*.ckpt")] == ["best-step=2.ckpt"]
    assert float(keeper.best_model_score) == 0.5


def test_weights_that_are_no_numbers_are_not_written(tmp_path):
    class Spoilt(Scripted):
        def on_train_batch_end(self, *_):
            with torch.no_grad():
                self.layer.bias.fill_(math.nan)

    trainer, error = fitted(tmp_path, Spoilt([1.0] * 3))
    assert "the weights of layer.bias are no finite numbers" in str(error)
    assert not list(tmp_path.glob("*.ckpt"))
    with pytest.raises(DivergedError):
        trainer.save_checkpoint(tmp_path / "stopped.ckpt")
    assert not list(tmp_path.glob("*.ckpt"))


def test_some_in_a_row_are_passed_over_without_a_step_where_that_is_asked_for(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    model = Scripted([1.0, math.nan, 1.0, math.nan, math.nan, 1.0])
    before = float(model.layer.bias.detach())
    _, error = fitted(tmp_path / "a", model, tolerate=2)
    assert error is None
    assert float(model.layer.bias.detach()) == pytest.approx(before - 3 * 0.1)  # the steps of the other three
    _, error = fitted(tmp_path / "b", Scripted([1.0, math.nan, 1.0, math.nan, math.nan, 1.0]), tolerate=1)
    assert error.step == 5


def test_the_infinite_gradients_of_a_scaler_are_its_own_business(tmp_path):
    from lightning.pytorch.plugins import MixedPrecision

    class Steep(Scripted):
        def on_after_backward(self):
            if self.global_step % 2:
                self.layer.weight.grad.fill_(math.inf)

    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    model = Steep([1.0] * 6)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    _, error = fitted(tmp_path, model, plugins=[plugin])
    assert error is None
    assert scaler.get_scale() < 4.0  # it has seen them
    assert not spoilt_weight(model.state_dict())


def test_a_run_that_goes_on_is_none_that_diverged(tmp_path):
    (tmp_path / "metrics.json").write_text('{"diverged": {"step": 3}}')
    assert fitted(tmp_path, Scripted([1.0]))[1] is None
    assert not (tmp_path / "metrics.json").exists()
    (tmp_path / "metrics.json").write_text('{"steps": 3}')
    fitted(tmp_path, Scripted([1.0]))
    assert (tmp_path / "metrics.json").exists()


def test_the_command_ends_with_a_status_of_its_own(capsys):
    from experiments.cli.guarded import guarded

    def diverge():
        raise DivergedError("Training diverged at step 3: the loss is nan.", 3, {})

    with pytest.raises(SystemExit) as ended:
        guarded(diverge)()
    assert ended.value.code == STATUS
    assert capsys.readouterr().err == "\nError: Training diverged at step 3: the loss is nan.\n"


@pytest.fixture
def run(compose_config, corpus, tmp_path, monkeypatch):
    """Trains a small model whose loss is no number from a step on; returns what ended it, and its folder."""
    from custom_modules.model import SpeechModel
    from experiments.data.preparation import Data
    from experiments.training import fit, outcome

    data = Data(corpus / "train.jsonl", corpus / "validation.jsonl", {"test": corpus / "test.jsonl"})
    step = SpeechModel.training_step

    def trained(until: int, *overrides: str):
        def sick(self, batch, number):
            taken = step(self, batch, number)
            return taken | {"loss": taken["loss"] * (math.nan if self.global_step >= until else 1.0)}

        monkeypatch.setattr(SpeechModel, "training_step", sick)
        for module in (fit, outcome):
            monkeypatch.setattr(module, "run_dir", lambda: tmp_path)
        cfg = compose_config(
            *SMALL, "trainer.max_time=null", "trainer.max_epochs=3", "statistics_utterances=4", *overrides
        )
        model, trainer = fit.build(cfg, data)
        fit.fit(cfg, model, trainer, data)
        with pytest.raises(DivergedError) as caught:
            fit.finish(cfg, model, trainer, data)
        return caught.value, tmp_path

    return trained


def test_a_real_run_keeps_the_best_weights_from_before_and_names_what_it_heard(run, corpus):
    from experiments.compare.runs import load_run
    from experiments.pretrained.restore import restore_model

    error, folder = run(4)
    assert "Training diverged at step 5: the loss is nan. It was at learning rate " in str(error)
    assert ", norm of the gradient nan, norm of the gradient one step before " in str(error)
    assert "model.nemo holds the best weights from before, of step 3." in str(error)
    assert f"python train.py resume={folder} optim.lr=" in str(error)
    named = error.record["utterances"]
    assert len(named) == 4
    assert all(name.startswith(str(corpus)) and "(line " in name for name in named)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["diverged"]["reason"] == "the loss is nan"
    assert (metrics["best_step"], metrics["test"]["test"]["utterances"]) == (3, 8)
    assert not spoilt_weight(restore_model(folder / "model.nemo").state_dict())
    shown = load_run(folder)
    assert shown.note == "diverged: the loss is nan at step 5"
    assert not (shown.curve or shown.results or "validation_wer" in shown.metrics)


def test_a_real_run_that_diverges_at_once_leaves_no_model(run):
    error, folder = run(1, "divergence.tolerate=1")
    assert error.step == 3
    assert "there is no model" in str(error)
    assert str(error).endswith("then start anew.")  # there is no checkpoint to go on from
    assert json.loads((folder / "metrics.json").read_text())["diverged"]["step"] == 3
    assert not list(folder.glob("model.nemo")) + list(folder.glob("checkpoints/*"))
