"""A run that is continued is the same run: its utterances in their order, whole validations, the same weights."""

import copy
import functools
import json
import os
import random
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.callbacks import Callback

from experiments.data.epoch_loader import EpochLoader
from experiments.data.preparation import Data
from experiments.data.sampler import LengthBatches
from experiments.errors import ConfigError
from experiments.training.averaging import Averaging, weights_of
from experiments.training.checkpoints import read_checkpoint
from tests.conftest import SMALL

RUN = [
    *SMALL, "data.batch_size=2", "timed_steps=1", "augment=full", "augment.waveform.ramp=0.5", "trainer.max_time=null",
    "threads=1", "+trainer.enable_progress_bar=false", "statistics_utterances=4", "trainer.max_steps=9",
    "checkpoint.every_n_steps=5",
]  # fmt: skip
TRAIN, VALIDATION = 12, 4


class Copies(Callback):
    """Keeps a checkpoint of every step, and one of after its validation: what a kill at that moment leaves."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.rates: dict[int, float] = {}  # of each step

    def on_train_batch_start(self, trainer, *_):
        self.rates[trainer.global_step] = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(self, trainer, *_):
        if not trainer.fit_loop.epoch_loop._should_accumulate():
            trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")

    def on_validation_end(self, trainer, model):
        trainer.save_checkpoint(self.folder / f"{trainer.global_step}-validated.ckpt")


class Stop(Callback):
    """Tells the process to end, in its first validation."""

    def __init__(self, number: int):
        self.number = number

    def on_validation_batch_start(self, *_):
        os.kill(os.getpid(), self.number)


@pytest.fixture(scope="module")
def train(corpus, compose_config, tmp_path_factory):
    """Train, or go on from a checkpoint that is copied into a folder of its own."""
    from experiments.data import utterances
    from experiments.training import fit

    heard: list[list[int]] = []

    def train(*overrides: str, start: Path | None = None, folder: Path | None = None, callbacks=()):
        folder = folder or tmp_path_factory.mktemp("run")
        if start:
            (folder / "checkpoints").mkdir()
            shutil.copy(start, folder / "checkpoints")
        heard.clear()
        cfg = compose_config(*RUN, *overrides)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fit, "run_dir", lambda: folder)
            data = Data(corpus / "train.jsonl", corpus / "validation.jsonl", {})
            model, trainer = fit.build(cfg, data)
            trainer.callbacks.extend(callbacks)
            fit.fit(cfg, model, trainer, data)
        history = folder / "history.jsonl"
        lines = history.read_text().splitlines() if history.exists() else []
        points = [{key: value for key, value in json.loads(line).items() if key != "seconds"} for line in lines]
        weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        return SimpleNamespace(
            folder=folder, trainer=trainer, weights=weights, heard=list(heard), points=points,
            trained=[batch for batch in heard if len(batch) and batch[0] < 100],
            validated=[index for batch in heard for index in batch if index >= 100],
        )  # fmt: skip

    lines, cuts = utterances.Lines.__getitem__, utterances.Cuts.__getitem__

    def line_items(self, indices):
        heard.append([index + (100 if len(self) == VALIDATION else 0) for index in indices])
        return lines(self, indices)

    def cut_items(self, chosen):
        heard.append([int(cut.id[:9]) - 1 for cut in chosen])
        return cuts(self, chosen)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utterances.Lines, "__getitem__", line_items)
        patch.setattr(utterances.Cuts, "__getitem__", cut_items)
        yield train


def same(one, other) -> bool:
    return all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def whole(run) -> bool:
    """Each validation heard every utterance once."""
    return sorted(run.validated) == sorted([100, 101, 102, 103] * (len(run.validated) // VALIDATION))


@pytest.fixture(scope="module")
def plain(train, tmp_path_factory):
    """A run of one and a half epochs with a validation every half, and what it left at each step."""
    copies = Copies(tmp_path_factory.mktemp("copies"))
    run = train("trainer.val_check_interval=0.5", callbacks=[copies])
    run.rates = copies.rates
    return run, copies.folder


@pytest.mark.parametrize("place", ["2", "3", "3-validated", "6", "6-validated", "7"])
def test_killed_at_any_step_it_gives_the_same_weights_from_the_same_utterances(plain, train, place):
    reference, copies = plain
    assert sorted(sum(reference.trained[:6], [])) == list(range(TRAIN))
    assert [point["step"] for point in reference.points] == [3, 6, 9]
    run = train("trainer.val_check_interval=0.5", start=copies / f"{place}.ckpt")
    assert run.heard == reference.heard[-len(run.heard) :]
    assert len(run.trained) == 9 - int(place[0])
    assert run.points == reference.points[-len(run.points) :]
    assert len(run.points) == sum(point["step"] >= int(place[0]) + ("validated" in place) for point in reference.points)
    assert whole(run) and same(run, reference)


def test_other_loaders_and_accumulated_gradients_go_on_as_well(train, tmp_path):
    lhotse = [
        "data.loader=lhotse", "data.batch_duration=6", "data.buckets=2", "trainer.accumulate_grad_batches=2",
        "trainer.val_check_interval=3", "trainer.max_steps=5",
    ]  # fmt: skip
    reference = train(*lhotse, callbacks=[Copies(tmp_path)])
    for place in ("1", "3-validated", "4"):
        run = train(*lhotse, start=tmp_path / f"{place}.ckpt")
        assert run.heard == reference.heard[-len(run.heard) :]
        assert run.points == reference.points[-len(run.points) :]
        assert whole(run) and same(run, reference)
    run = train(*lhotse, "data.num_workers=2", start=tmp_path / "2.ckpt")  # batches are drawn ahead of training
    assert same(run, reference)


def test_a_finished_run_goes_on_with_a_larger_budget(plain, train, tmp_path):
    reference, _ = plain
    shutil.copytree(reference.folder, tmp_path / "moved")
    for path in (tmp_path / "moved" / "checkpoints").iterdir():
        os.utime(path, (1, 1))  # as copies that were made in any order
    run = train("trainer.val_check_interval=0.5", "trainer.max_steps=12", folder=tmp_path / "moved")
    assert sorted(sum(reference.trained[6:] + run.trained, [])) == list(range(TRAIN))
    assert [point["step"] for point in run.points] == [3, 6, 9, 12]
    assert run.points[:3] == reference.points
    assert len(run.validated) == VALIDATION and whole(run)
    best = run.trainer.checkpoint_callbacks[0]
    assert Path(best.best_model_path).parent == tmp_path / "moved" / "checkpoints"
    assert Path(best.best_model_path).exists()


def test_averages_go_on_from_where_they_were(train, tmp_path):
    def averaged():
        return Averaging(0.6)

    reference = train("trainer.max_steps=4", "trainer.val_check_interval=2", callbacks=[averaged(), Copies(tmp_path)])
    wanted = read_checkpoint(tmp_path / "4.ckpt")
    for place in ("1", "2-validated", "3"):
        (tmp_path / f"from {place}").mkdir()
        copies = Copies(tmp_path / f"from {place}")
        run = train(
            "trainer.max_steps=4", "trainer.val_check_interval=2", start=tmp_path / f"{place}.ckpt",
            callbacks=[averaged(), copies],
        )  # fmt: skip
        assert same(run, reference) and run.points == reference.points[-len(run.points) :]
        found = read_checkpoint(copies.folder / "4.ckpt")
        assert found["averaged"]["steps"] == wanted["averaged"]["steps"] == 4
        assert all(torch.equal(value, weights_of(found)[name]) for name, value in weights_of(wanted).items())


class KilledError(Exception):
    """In place of SIGKILL, which would take the tests along."""


class Kill(Callback):
    """Ends a run at a moment, and notes the rate of each step until then.

    Args:
        step: optimiser steps that are done.
        where: `step`, `validation` or `validated`: behind the step, in the validation that follows it, behind that;
            of a step without a validation, all are behind the step. None never does.
        rates: filled, by step.
    """

    def __init__(self, step: int | None, where: str, rates: dict[int, float]):
        self.step, self.where, self.rates = step, where, rates

    def at(self, trainer, *places: str):
        if trainer.global_step == self.step and self.where in places:
            raise KilledError

    def on_train_batch_start(self, trainer, *_):
        self.rates[trainer.global_step] = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(self, trainer, *_):
        self.at(trainer, "step", *(("validation", "validated") if trainer.global_step % 3 else ()))

    def on_validation_batch_start(self, trainer, *_):
        self.at(trainer, "validation")

    def on_validation_end(self, trainer, *_):
        self.at(trainer, "validated")


def test_killed_three_times_at_drawn_moments_it_is_the_run_that_was_never_stopped(train, plain, tmp_path):
    reference, _ = plain
    chosen = ["trainer.val_check_interval=0.5", "checkpoint.every_n_steps=2"]
    drawn, again = random.Random(1), dict[int, float]()
    places = drawn.sample(["step", "validation", "validated"], 3)
    for step, where in zip(sorted(drawn.sample(range(2, 9), 3)), places, strict=True):
        with pytest.raises(KilledError):
            train(*chosen, folder=tmp_path, callbacks=[Kill(step, where, again)])
    run = train(*chosen, folder=tmp_path, callbacks=[Kill(None, "", again)])
    assert run.heard == reference.heard[-len(run.heard) :] and whole(run)
    assert again == pytest.approx(reference.rates) and run.points == reference.points
    best, expected = (one.trainer.checkpoint_callbacks[0] for one in (run, reference))
    assert Path(best.best_model_path).name == Path(expected.best_model_path).name
    weights = [read_checkpoint(Path(one.best_model_path))["state_dict"] for one in (best, expected)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])
    assert same(run, reference)


OWN = {
    "StepLR": {"step_size": 3}, "ExponentialLR": {"gamma": 0.9}, "NoamAnnealing": {"d_model": 16},
    "CyclicLR": {"base_lr": 1e-4, "max_lr": 1e-2, "step_size_up": 4, "cycle_momentum": False},
    "ReduceLROnPlateau": {"patience": 2}, "T5InverseSquareRootAnnealing": {"constant_steps": 4},
}  # fmt: skip


def test_every_schedule_by_name_goes_on_as_if_it_had_been_longer_from_the_start():
    """NeMo's keep the number of steps that they were made for: a rate of zero to the end of a longer run."""
    from nemo.core.optim.lr_scheduler import AVAILABLE_SCHEDULERS, prepare_lr_scheduler

    from experiments.training.resumption import _rates

    def made(name: str, steps: int) -> SimpleNamespace:
        parts = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
        groups = [{"params": [part], "lr": rate} for part, rate in zip(parts, (1e-2, 1e-3), strict=True)]
        optimizer = torch.optim.AdamW(groups)
        arguments = {"name": name, "max_steps": steps, **OWN.get(name, {})}
        arguments |= {"warmup_ratio": 0.2} if ("Warmup" in name or "Anneal" in name) and "T5" not in name else {}
        arguments |= {"hold_ratio": 0.2} if "Hold" in name else {}
        return SimpleNamespace(
            _optimizer=optimizer, _scheduler=prepare_lr_scheduler(optimizer, arguments, train_dataloader=None)
        )

    def run(model, steps: int) -> list[list[float]]:
        schedule, rates = model._scheduler["scheduler"], []
        for _ in range(steps):
            rates.append([group["lr"] for group in model._optimizer.param_groups])
            model._optimizer.step()
            schedule.step(*[1.0] * isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau))
        return rates

    names = [name for name in AVAILABLE_SCHEDULERS if name != "BudgetAnnealing"]  # which the model tells its place
    assert len(names) > 15
    for name in names:
        expected, short, longer = run(made(name, 20), 20), made(name, 8), made(name, 20)
        run(short, 8)
        state = {
            "optimizer_states": [copy.deepcopy(short._optimizer.state_dict())],
            "lr_schedulers": [short._scheduler["scheduler"].state_dict()],
        }
        _rates(state, longer)
        longer._optimizer.load_state_dict(state["optimizer_states"][0])
        longer._scheduler["scheduler"].load_state_dict(state["lr_schedulers"][0])
        assert torch.allclose(torch.tensor(run(longer, 12)), torch.tensor(expected[8:]), rtol=1e-6, atol=0), name


@pytest.mark.parametrize("schedule", ["BudgetAnnealing", "CosineAnnealing", "PolynomialDecayAnnealing"])
def test_the_rate_follows_the_larger_budget(train, tmp_path, schedule):
    chosen = [f"optim.sched.name={schedule}", "trainer.limit_val_batches=0"]
    if schedule != "BudgetAnnealing":
        chosen += ["~optim.sched.warmup_ratio", "+optim.sched.warmup_steps=0"]
    run = train(*chosen, "trainer.max_steps=2", folder=tmp_path)
    first = run.trainer.optimizers[0].param_groups[0]["lr"]
    rates = []

    class Rates(Callback):
        def on_train_batch_end(self, trainer, *_):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    train(*chosen, "trainer.max_steps=6", "optim.weight_decay=0.5", folder=tmp_path, callbacks=[Rates()])
    assert len(rates) == 4 and rates[0] > 2 * first
    assert all(after < before for before, after in zip(rates, rates[1:], strict=False))


def test_the_last_step_is_validated_and_leaves_no_trace_in_what_follows(train, tmp_path):
    ends = ["trainer.max_steps=4", "trainer.check_val_every_n_epoch=5"]
    run = train(*ends, folder=tmp_path)
    assert [point["step"] for point in run.points] == [4] and whole(run)
    best = run.trainer.checkpoint_callbacks[0].best_model_path
    silent = train(*ends, "trainer.limit_val_batches=0")
    assert same(run, silent) and not silent.points
    states = [
        torch.load(path, weights_only=False)["resumption"]["random"][0]["torch"]
        for path in (best, next((silent.folder / "checkpoints").glob("last-step=4*")))
    ]
    assert torch.equal(*states)
    more = train("trainer.max_steps=5", folder=tmp_path)
    assert [point["step"] for point in more.points] == [4, 5] and len(more.validated) == VALIDATION


def test_a_run_that_stopped_early_goes_on_with_more_patience(train, tmp_path):
    early = ["optim.lr=1e-9", "optim.sched.min_lr=0", "trainer.max_steps=40", "trainer.val_check_interval=2"]
    run = train(*early, "early_stopping.patience=1", folder=tmp_path)
    assert [point["step"] for point in run.points] == [2, 4]
    more = train(*early, "early_stopping.patience=2", folder=tmp_path)
    assert sorted(sum(run.trained + more.trained, [])) == list(range(TRAIN))
    assert [point["step"] for point in more.points] == [2, 4, 6]
    assert whole(more)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_a_validation_loses_nothing(number, train, plain, tmp_path, capsys, request):
    reference, _ = plain
    handler = signal.default_int_handler if number == signal.SIGINT else signal.getsignal(number)
    request.addfinalizer(functools.partial(signal.signal, number, signal.getsignal(number)))
    signal.signal(number, handler)  # a program in the background ignores Ctrl-C
    with pytest.raises(SystemExit) as ended:
        train("trainer.val_check_interval=0.5", folder=tmp_path, callbacks=[Stop(number)])
    assert ended.value.code == 128 + number and signal.getsignal(number) == handler
    said = capsys.readouterr().out
    assert f"Stopped by {number.name} at step 3. Continue with: python train.py resume={tmp_path}\n" in said
    run = train("trainer.val_check_interval=0.5", folder=tmp_path)
    assert run.points == reference.points
    assert whole(run) and same(run, reference)


def test_checkpoints_of_earlier_versions_and_of_other_data(train, plain, tmp_path, capsys):
    reference, copies = plain
    for name in ("4", "6-validated"):
        state = torch.load(copies / f"{name}.ckpt", weights_only=False)
        del state["resumption"]
        torch.save(state, tmp_path / f"{name}.ckpt")
    run = train("trainer.val_check_interval=0.5", start=tmp_path / "4.ckpt")
    assert run.trained == reference.trained[4:] and whole(run)
    assert "without random states" in capsys.readouterr().out
    run = train("trainer.val_check_interval=0.5", start=tmp_path / "6-validated.ckpt")
    assert run.heard == reference.heard[-len(run.heard) :] and [point["step"] for point in run.points] == [9]
    run = train("data.batch_size=3", start=copies / "4.ckpt")
    assert "Other data or batches than before: epoch 0 begins anew." in capsys.readouterr().out
    assert sorted(sum(run.trained[:4], [])) == list(range(TRAIN)) and whole(run)


OTHER = "[b,a,' ',c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,\"'\"]"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([f"labels={OTHER}"], "labels .*, not with .*'b', 'a'"),  # all shapes agree
        (["frontend.low=200"], r"frontend .*\{'low': 40.0\}, not with \{'low': 200\}"),
        (["encoder.recurrent.hidden=16"], r"encoder.* is of \[.*\] numbers there, and of \["),
        (["optim=adamw"], "the optimiser .* optim.lr and the like may change"),
        (["optim.lr_scales={decoder:0.5}"], "the factors of its rate"),
    ],
)
def test_what_a_checkpoint_would_be_misread_by_may_not_change(changes, told, train, plain):
    with pytest.raises(ConfigError, match=told):
        train(*changes, start=plain[1] / "4.ckpt")


def test_what_is_best_is_chosen_by_the_validation_that_there_is(train, plain, tmp_path):
    state = torch.load(plain[1] / "6-validated.ckpt", weights_only=False)
    best = next(saved for saved in state["callbacks"].values() if saved.get("monitor") == "val_wer")
    best |= {key: torch.tensor(0.01) for key in ("best_model_score", "kth_value")}
    best["best_k_models"] = dict.fromkeys(best["best_k_models"], torch.tensor(0.01))
    torch.save(state, tmp_path / "6.ckpt")
    for other, score in (["trainer.limit_val_batches=2"], 0.01), (["trainer.limit_val_batches=1"], 1.0):
        run = train("trainer.val_check_interval=0.5", *other, start=tmp_path / "6.ckpt")
        assert float(run.trainer.checkpoint_callbacks[0].best_model_score) == pytest.approx(score)


@given(st.lists(st.floats(0.1, 20), min_size=1, max_size=30), st.integers(1, 4), st.integers(1, 3), st.data())
def test_each_process_of_a_run_begins_in_the_middle_of_an_epoch(durations, size, ranks, data):
    epoch, of = data.draw(st.integers(0, 2)), len(LengthBatches(durations, size, 0.2, ranks=ranks))
    batch = data.draw(st.integers(0, of))
    for rank in range(ranks):
        sampler = LengthBatches(durations, size, 0.2, True, 1, rank, ranks)
        sampler.set_epoch(epoch)
        before = list(sampler)
        later = LengthBatches(durations, size, 0.2, True, 1, rank, ranks)
        later.begin_at(epoch, batch)
        assert list(later) == before[batch:]
        later.set_epoch(epoch + 1)
        assert len(list(later)) == len(later) == of


@given(st.integers(1, 7), st.integers(1, 9), st.integers(0, 8))
def test_a_stream_without_a_place_to_begin_at_still_ends_its_epoch(length, batches, batch):
    loader = EpochLoader(list(range(length)), batches)
    loader.begin_at(3, min(batch, batches))
    assert len(list(loader)) == batches - min(batch, batches)
    assert len(list(loader)) == batches
