"""An offline run that was killed and continued: what `wandb sync` makes of its parts, as a stand-in server sees it."""

import os
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
from experiments.tracking.__main__ import main
from experiments.tracking.offline_parts import BEGIN, BLOCK, FIRST, FULL, HEADER, LAST, MIDDLE, parts, whole_length
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
    from experiments.tracking import loggers
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
    steps_of = {"train_loss": range(9), "lr-AdamW": range(9), "val_wer": (2, 5, 8), "predictions": (3, 6, 9)}
    for key, steps in (steps_of | {"gradients/decoder.decoder_layers.0.bias": range(0, 9, 2)}).items():
        found = Counter(row["trainer/global_step"] for row in rows if key in row)
        assert found == dict.fromkeys(steps, 1), key
    assert sum("training_data" in row for row in rows) == 1
    summary = server.summaries[identity]
    last = [row["val_wer"] for row in rows if "val_wer" in row][-1]
    assert (summary["val_wer"], summary["trainer/global_step"]) == (last, 9)
    assert "test/test/wer" in summary
    assert server.configs[identity]["seed"]["value"] == 1


def written(records: list[bytes]) -> tuple[bytes, list[int]]:
    """Records as W&B writes them, in LevelDB's log format, and where each ends."""
    content, ends = bytearray(b":W&B\xe1\xbe\x00"), []
    for record in records:
        first, rest = True, record
        while first or rest:
            left = BLOCK - len(content) % BLOCK
            if left < HEADER.size:
                content += bytes(left)
                continue
            piece, rest = rest[: left - HEADER.size], rest[left - HEADER.size :]
            kind = (FULL if not rest else FIRST) if first else (LAST if not rest else MIDDLE)
            content += HEADER.pack(0, len(piece), kind) + piece
            first = False
        ends.append(len(content))
    return bytes(content), ends


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3 * BLOCK), min_size=1, max_size=5), st.integers(BEGIN, 8 * BLOCK))
def test_a_part_is_cut_after_its_last_whole_record(sizes, length):
    content, ends = written([bytes(size) for size in sizes])
    assert whole_length(content[:length]) == max([end for end in ends if end <= length], default=BEGIN)


def test_what_cannot_be_synced_is_a_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit):
        guarded(main)(["sync", str(tmp_path)])
    assert "There is no offline W&B run in" in capsys.readouterr().err
