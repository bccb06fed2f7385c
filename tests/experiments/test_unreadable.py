"""A recording that breaks once training has begun is left out and counted; too many of them, or one of the validation,
end the run with a checkpoint and a sentence."""

import json
import multiprocessing
import shutil
from pathlib import Path

import pytest
from lightning.pytorch.callbacks import Callback

from experiments.data.left_out import LEFT_OUT, LeftOut
from experiments.data.preparation import Data
from experiments.data.unreadable import UnreadableError, said_by
from experiments.errors import ConfigError
from experiments.training.checkpoints import newest_checkpoint, step_of
from heyjetson.errors import AudioError
from manifests import read_manifest
from tests.conftest import SMALL

RUN = [
    *SMALL, "trainer.max_time=null", "threads=1", "+trainer.enable_progress_bar=false", "statistics_utterances=4",
    "timed_steps=0", "trainer.max_epochs=2", "data.batch_size=2", "trainer.limit_val_batches=0",
]  # fmt: skip
LOADERS = {
    "plain": [],
    "plain, workers": ["data.num_workers=1"],
    "lhotse": ["data.loader=lhotse", "data.batch_duration=6", "data.buckets=2"],
    "lhotse, workers": ["data.loader=lhotse", "data.batch_duration=6", "data.buckets=2", "data.num_workers=1"],
}


class Break(Callback):
    """Truncates recordings when all checks are behind the run."""

    def __init__(self, recordings):
        self.recordings = recordings

    def on_fit_start(self, *_):
        for path in self.recordings:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture
def train(corpus, compose_config, tmp_path, monkeypatch):
    """Train on a copy of the corpus of which some recordings break; the folder of the run, and what is learned from."""
    from experiments.training import fit, outcome

    shutil.copytree(corpus, tmp_path / "data")
    folder = tmp_path / "run"
    folder.mkdir()
    for module in (fit, outcome):
        monkeypatch.setattr(module, "run_dir", lambda: folder)
    data = Data(*(tmp_path / "data" / f"{name}.jsonl" for name in ("train", "validation")), {})

    def train(broken: list[Path], *overrides: str, test: Path | None = None):
        cfg = compose_config(*RUN, *overrides)
        data.test = {"test": test} if test else {}
        model, trainer = fit.build(cfg, data)
        trainer.callbacks.append(Break(broken))
        fit.fit(cfg, model, trainer, data)
        return fit.finish(cfg, model, trainer, data)

    train.folder, train.data = folder, data
    return train


def recordings(manifest: Path) -> list[Path]:
    return [utterance.audio for utterance in read_manifest(manifest)]


@pytest.mark.parametrize("loader", LOADERS)
def test_it_is_left_out_and_counted_once(train, loader, capsys):
    path = recordings(train.data.train)[3]
    metrics = train([path], *LOADERS[loader])
    assert metrics["left_out"] == 1 == json.loads((train.folder / "metrics.json").read_text())["left_out"]
    said = capsys.readouterr().out
    assert said.count("Left out: ") == 1
    assert f"Left out: {path} (line 4): it is cut short: " in said and "(1 of at most 10)" in said
    assert "1 utterances could not be read any more and were left out" in said
    assert list(LeftOut(train.folder / LEFT_OUT).read()) == [f"{path} (line 4)"]


@pytest.mark.parametrize("loader", ["plain", "lhotse, workers"])
def test_beyond_the_bound_the_run_ends_whole_and_goes_on(train, loader, capsys):
    broken = recordings(train.data.train)[:3]
    whole = [path.read_bytes() for path in broken]
    with pytest.raises(UnreadableError) as ended:
        train(broken, "data.max_unreadable=1", *LOADERS[loader])
    assert "utterances cannot be read any more, and data.max_unreadable=1: " in str(ended.value)
    assert f"continue with: python train.py resume={train.folder}" in str(ended.value)
    step = step_of(newest_checkpoint(train.folder))
    assert step >= 1
    for path, content in zip(broken, whole, strict=True):
        path.write_bytes(content)
    metrics = train([], "data.max_unreadable=1", *LOADERS[loader])
    assert "Continuing from stopped.ckpt" in capsys.readouterr().out
    assert "left_out" not in metrics and metrics["epochs"] == 2


def test_a_disk_that_is_gone_ends_at_the_first_batch(train):
    with pytest.raises(UnreadableError, match="The training data cannot be read: No utterance of the first batch can"):
        train(recordings(train.data.train))


@pytest.mark.parametrize("workers", [0, 1])
def test_the_validation_is_never_of_fewer(train, workers):
    path = recordings(train.data.validation)[1]
    before = set(multiprocessing.active_children())
    with pytest.raises(UnreadableError) as ended:
        train([path], "trainer.limit_val_batches=1.0", f"data.num_workers={workers}")
    assert f"The validation cannot be heard: {path} is cut short: " in str(ended.value)
    assert f"resume={train.folder}" in str(ended.value) and "Traceback" not in str(ended.value)
    assert step_of(newest_checkpoint(train.folder)) == 6  # of the epoch before it
    assert not (train.folder / "history.jsonl").exists()
    # Those that are left would be waited for, five seconds each.
    assert set(multiprocessing.active_children()) <= before


def test_nor_is_a_test(train):
    test = train.data.validation.with_name("test.jsonl")
    path = recordings(test)[0]
    with pytest.raises(ConfigError) as ended:
        train([path], test=test)
    assert str(path) in str(ended.value) and "finish with: python train.py resume=" in str(ended.value)
    assert (train.folder / "model.nemo").exists() and not (train.folder / "metrics.json").exists()


def test_a_full_disk_says_how_the_run_goes_on(train, monkeypatch):
    from experiments.training import checkpoints
    from manifests.whole import NoRoomError

    def full(*_, **__):
        raise NoRoomError("a.ckpt needs 4.0 MB in runs, which has 1.0 MB free. Make room.")

    monkeypatch.setattr(checkpoints.WholeCheckpoints, "save_checkpoint", full)
    with pytest.raises(ConfigError, match=r"Make room. Then continue with: python train.py resume="):
        train([], "checkpoint.every_n_steps=1")


@pytest.mark.parametrize("kind", [AudioError, OSError])
def test_the_traceback_of_a_worker_is_left_out(kind):
    from torch._utils import ExceptionWrapper

    try:
        raise kind("a.wav is cut short: 1 s of 2. Fetch it again.")
    except kind:
        wrapped = ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(kind) as raised:
        wrapped.reraise()
    assert said_by(raised.value) == "a.wav is cut short: 1 s of 2. Fetch it again."
