"""An offline run that was killed and continued: what `wandb sync` makes of its parts, as a stand-in server sees it."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.wandb_parts import BEGIN, BLOCK, FIRST, FULL, HEADER, LAST, MIDDLE, whole_length
from tests.conftest import ROOT, SMALL
from tests.experiments.wandb_server import Server

PATIENCE = 240  # seconds a training may take
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


def train(folder: str, corpus: str, killed_at: int | None) -> None:
    """A training in a process of its own; it is killed at a step, or begins where the one before was."""
    from hydra import compose
    from lightning.pytorch.callbacks import Callback

    from experiments import outcome, training
    from experiments.data import Data
    from experiments.entry import composing

    class Kill(Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)

    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    os.environ.pop("WANDB_DATA_DIR", None)
    for module in (training, outcome):
        module.run_dir = lambda: Path(folder)
    data = Data(
        *(Path(corpus, f"{name}.jsonl") for name in ("train", "validation")), {"test": Path(corpus, "test.jsonl")}
    )
    with composing():
        cfg = compose("train", OVERRIDES if killed_at else [*OVERRIDES, f"resume={folder}"])
    model, trainer = training.build(cfg, data)
    trainer.callbacks.insert(0, Kill())
    training.fit(cfg, model, trainer, data)
    training.finish(cfg, model, trainer, data)


def in_a_process(*arguments) -> int | None:
    context = get_context("forkserver")
    context.set_forkserver_preload(["experiments.training"])
    process = context.Process(target=train, args=arguments)
    process.start()
    process.join(PATIENCE)
    return process.exitcode


@pytest.fixture
def server():
    server = Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def sync(server: Server, folder: Path) -> str:
    """As docs/wandb.md says."""
    environment = os.environ | {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": server.address, "WANDB_SILENT": "false"}
    command = [sys.executable, "-m", "experiments.artifacts", "sync", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_each_step_is_there_once_after_a_kill_a_continuation_and_syncing_three_times(corpus, tmp_path, server):
    assert in_a_process(str(tmp_path), str(corpus), 5) == -signal.SIGKILL
    sync(server, tmp_path)
    identity = (tmp_path / "wandb-id").read_text()
    assert 0 < len(server.rows[identity]) < 15
    assert in_a_process(str(tmp_path), str(corpus), None) == 0
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 2
    sync(server, tmp_path)
    assert "Skipped 2 synced run(s)" in sync(server, tmp_path)

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
    from experiments.artifacts import main
    from experiments.entry import guarded

    with pytest.raises(SystemExit):
        guarded(main)(["sync", str(tmp_path)])
    assert "There is no offline W&B run in" in capsys.readouterr().err
