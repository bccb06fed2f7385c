"""An offline run that was killed and continued: what `wandb sync` makes of its parts, as a stand-in server sees it."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch.callbacks import Callback

from experiments.cli.guarded import guarded
from experiments.tracking import loggers
from experiments.tracking.__main__ import main
from experiments.tracking.offline_parts import parts
from experiments.tracking.offline_summary import Part, read, settle, whole
from experiments.tracking.record_log import BEGIN, BLOCK, joined, split, whole_length
from tests.conftest import SMALL
from tests.experiments.wandb_server import Server

OVERRIDES = [
    *SMALL[:-1],
    "trainer.max_time=null",
    "trainer.max_steps=9",
    "trainer.log_every_n_steps=1",
    "+trainer.enable_progress_bar=false",
    "checkpoint.every_n_steps=2",
    "statistics_utterances=4",
    "logger=wandb",
    "logger.table_rows=2",
    "logger.data_rows=1",
    "logger.watch=gradients",
    "logger.watch_every=2",
]


class KilledError(Exception):
    """In place of SIGKILL, which would take the tests along."""


class Kill(Callback):
    """Ends a training at a step.

    Args:
        step: at which; None lets it go on.
    """

    def __init__(self, step: int | None):
        self.step = step

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Leave what a kill leaves."""
        if trainer.global_step == self.step:
            raise KilledError


@pytest.fixture
def train(compose_config, corpus, tmp_path, monkeypatch):
    """Trains in a folder until a step, or from there to the end."""
    from experiments.data.preparation import Data
    from experiments.training import fit, outcome

    for module in (fit, outcome):
        monkeypatch.setattr(module, "run_dir", lambda: tmp_path)
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "wandb"))
    data = Data(corpus / "train.jsonl", corpus / "validation.jsonl", {"test": corpus / "test.jsonl"})

    def trained(killed_at: int | None) -> None:
        cfg = compose_config(*OVERRIDES, *([] if killed_at else [f"resume={tmp_path}"]))
        model, trainer = fit.build(cfg, data)
        trainer.callbacks.insert(0, Kill(killed_at))
        try:
            fit.fit(cfg, model, trainer, data)
            fit.finish(cfg, model, trainer, data)
        except KilledError:
            loggers.close()
            (part,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
            os.truncate(part, part.stat().st_size // BLOCK * BLOCK)  # W&B writes block by block

    return trained


@pytest.fixture
def server():
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def sync(server: Server, folder: Path, monkeypatch, capfd) -> str:
    """As docs/wandb.md says; what it printed."""
    for name, value in {"API_KEY": "0" * 40, "BASE_URL": server.address, "SILENT": "false"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    with pytest.raises(SystemExit) as ended:
        main(["sync", str(folder)])
    said = "".join(capfd.readouterr())
    assert ended.value.code == 0, said
    return said


def test_each_step_is_there_once_after_a_kill_a_continuation_and_syncing_three_times(
    train, tmp_path, server, monkeypatch, capfd
):
    train(5)
    sync(server, tmp_path, monkeypatch, capfd)
    identity = (tmp_path / "wandb-id").read_text()
    (first,) = parts(tmp_path)
    assert 3 < len(server.rows[identity]) < 20
    train(None)
    sync(server, tmp_path, monkeypatch, capfd)
    assert "Skipped 2 synced run(s)" in sync(server, tmp_path, monkeypatch, capfd)
    assert parts(tmp_path)[0] == first
    assert len(parts(tmp_path)) == 2

    rows = [row for _, row in sorted(server.rows[identity].items())]
    assert [row["_step"] for row in rows] == list(range(len(rows)))
    steps_of = {"train_loss": range(9), "lr-Muon/others": range(9), "val_wer": (2, 5, 8), "predictions": (3, 6, 9)}
    for key, steps in (steps_of | {"gradients/decoder.decoder_layers.0.bias": range(0, 9, 2)}).items():
        found = Counter(row["trainer/global_step"] for row in rows if key in row)
        assert found == dict.fromkeys(steps, 1), key
    assert sum("training_data" in row for row in rows) == 1
    summary = server.summaries[identity]
    last = [row["val_wer"] for row in rows if "val_wer" in row][-1]
    assert (summary["val_wer"], summary["trainer/global_step"]) == (last, 9)
    assert "test/test/wer" in summary
    assert server.configs[identity]["seed"]["value"] == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3 * BLOCK), min_size=1, max_size=5), st.integers(BEGIN, 8 * BLOCK))
def test_a_part_is_cut_after_its_last_whole_record(sizes, length):
    records = [bytes([i]) * size for i, size in enumerate(sizes)]
    ends = [len(joined(records[: count + 1])) for count in range(len(records))]
    content = joined(records)[:length]
    whole = [end for end in ends if end <= length]
    assert whole_length(content) == max(whole, default=BEGIN)
    assert split(content) == records[: len(whole)]


PARTS = (  # a continued run: the configuration, what is logged at each step, and the step it begins with
    ({"seed": 1, "first": "a"}, [5.0, 1.0, 4.0, 9.0], 0),
    ({"seed": 1, "second": "b"}, [3.0, 7.0, 6.0], 4),
)


@pytest.fixture(scope="module")
def written_once(tmp_path_factory):
    """A run's folder with its two parts, as W&B and `close` leave them."""
    import wandb

    folder = tmp_path_factory.mktemp("continued")
    for number, (config, values, begin) in enumerate(PARTS):
        run = wandb.init(mode="offline", dir=folder, project="p", id="abc", resume="allow", config=config)
        run.define_metric("wer", summary="min,max,mean,last")
        for step, value in enumerate(values, begin):
            run.log({"wer": value, "trainer/global_step": step})
        run.log({"predictions": wandb.Table(columns=["part"], data=[[number]])})
        loggers.close()
        if not number:  # W&B names folders by the second
            parts(folder)[0].rename(folder / "wandb/offline-run-20260101_000000-abc")
    return folder


@pytest.fixture
def continued(written_once, tmp_path):
    """The folders of the parts, to be changed."""
    shutil.copytree(written_once, tmp_path / "run", symlinks=True)
    return parts(tmp_path / "run")


@pytest.mark.parametrize("order", [[0, 1, 0, 1], [1, 0, 1, 0]])
def test_in_both_orders_and_twice_the_server_holds_each_step_once_and_the_summary_of_all(continued, server, order):
    settings = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": server.address}
    for place in order:
        command = [sys.executable, "-m", "wandb", "sync", str(continued[place])]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | settings)
    rows = [row for _, row in sorted(server.rows["abc"].items())]
    logged = [(row["trainer/global_step"], row["wer"]) for row in rows if "wer" in row]
    assert sorted(logged) == list(enumerate([5.0, 1.0, 4.0, 9.0, 3.0, 7.0, 6.0]))
    assert sorted(row["_step"] for row in rows) == list(range(len(rows)))
    tables = [row["predictions"]["path"] for row in rows if "predictions" in row]
    assert len(set(tables)) == len(tables) == 2
    summary = server.summaries["abc"]
    assert summary["wer"] == {"min": 1, "max": 9, "mean": 5, "last": 6}
    assert summary["predictions"]["path"] == max(rows, key=lambda row: row["_timestamp"])["predictions"]["path"]
    config = {key: entry["value"] for key, entry in server.configs["abc"].items() if not key.startswith("_")}
    assert config == {"seed": 1, "first": "a", "second": "b"}


def test_a_part_that_is_on_the_server_already_stays_as_it_is_and_the_other_carries_its_figures(continued):
    first, second = (next(part.glob("*.wandb")) for part in continued)
    for path in (first, second):  # as before the continuation was closed
        path.write_bytes(joined(raw for raw in split(path.read_bytes()) if b'"mean": 5' not in raw))
    first.with_name(first.name + ".synced").touch()
    before = first.read_bytes()
    settle(continued[0].parent.parent)
    assert first.read_bytes() == before
    assert json.loads(read(second).summary[("wer",)]) == {"min": 1, "max": 9, "mean": 5, "last": 6}
    after = second.read_bytes()
    settle(continued[0].parent.parent)
    assert second.read_bytes() == after


def test_what_w_and_b_keeps_of_a_figure_is_put_together_by_its_meaning():
    first = Part([], {("v",): '{"min": 3, "first": 3, "best": 5, "mean": 4}', ("n",): "1"}, logged={"v": [3, 5]})
    later = Part([], {("v",): '{"min": 1, "first": 7, "best": 7, "mean": 4}', ("n",): "2"}, logged={"v": [7, 1, 4]})
    for part in (first, later):
        part.combined["v*"] = True  # larger is better
    expected = {"v": {"min": 1, "first": 3, "best": 7, "mean": 4}, "n": 2}
    assert whole([first, later])[0] == expected
    first.summary = later.summary = {("v",): json.dumps(expected["v"]), ("n",): "2"}  # they have been put together once
    assert whole([first, later])[0] == expected
    later.summary = {("v",): '{"min": 1, "first": 7, "best": 7, "mean": 4}'}
    later.combined.clear()
    first.combined.clear()
    assert whole([first, later])[0]["v"] == {"min": 1, "first": 7, "best": 7, "mean": 4}  # logged so, as any value


def test_what_cannot_be_synced_is_a_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit):
        guarded(main)(["sync", str(tmp_path)])
    assert "There is no offline W&B run in" in capsys.readouterr().err
