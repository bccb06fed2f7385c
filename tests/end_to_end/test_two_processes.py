"""Two processes train what one would with twice the batch; they part cleanly when stopped, or when one of them dies."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT, SMALL

# No drawn dropout or perturbation: the two ways would draw differently.
EXACT = [
    *SMALL,
    "augment=none",
    "encoder=hey_jetson_small",  # a stem has a bias in front of a normalisation, whose gradient is rounding
    "optim=adamw",  # Muon moves a matrix along its least directions as well, which here are rounding
    "encoder.recurrent.dropout=0",
    "encoder.dense.dropout=0",
    # Layers are left out alike in all processes, and alike when a run is continued.
    "encoder.recurrent.cell=min_gru",
    "encoder.recurrent.stochastic_depth=0.4",
    "trainer.accelerator=cpu",
    "trainer.sync_batchnorm=true",
    "trainer.max_time=null",
    "checkpoint.every_n_steps=2",
    "statistics_utterances=4",
    "trainer.log_every_n_steps=1",
    "threads=1",
]
STEPS = 4
PATIENCE = 240  # seconds a process may take

# Notes which process opens which file below RUNS for writing.
AUDIT = """
import os, sys
log = os.open(os.environ["AUDIT"] + os.environ.get("LOCAL_RANK", "0"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def hook(event, arguments):
    if event == "open" and str(arguments[0]).startswith(os.environ["RUNS"]):
        if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            os.write(log, str(arguments[0]).encode() + b"\\n")
sys.addaudithook(hook)
"""


@pytest.fixture(scope="module")
def together(corpus_overrides, tmp_path_factory, python) -> tuple[Path, dict[str, set[str]]]:
    """The folder of a run that Lightning started in two processes, and what each of these wrote."""
    folder = tmp_path_factory.mktemp("together")
    (folder / "sitecustomize.py").write_text(AUDIT)
    runs = folder / "runs"
    overrides = [
        *corpus_overrides, *EXACT, f"runs={runs}", "trainer.devices=2", "data.batch_size=4", "logger=wandb",
        f"trainer.max_steps={STEPS}", "logger.data_rows=0",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(folder), "RUNS": str(runs), "AUDIT": str(folder / "wrote")}
    command = [python, "train.py", *overrides]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "for each of 2 processes" in done.stdout
    assert done.stdout.count("Preflight passed") == 1
    (run,) = runs.glob("*/*")
    return run, {rank: set((folder / f"wrote{rank}").read_text().split()) for rank in "01"}


def test_the_weights_are_those_of_one_process_with_twice_the_batch(
    together, compose_config, corpus, tmp_path, monkeypatch
):
    from experiments.data.preparation import Data
    from experiments.training import fit

    data = Data(corpus / "train.jsonl", corpus / "validation.jsonl", {})
    monkeypatch.setattr(fit, "run_dir", lambda: tmp_path)
    cfg = compose_config(*EXACT, f"trainer.max_steps={STEPS}", "data.batch_size=8")
    model, trainer = fit.build(cfg, data)
    fit.fit(cfg, model, trainer, data)
    run, _ = together
    found = torch.load(run / "checkpoints" / f"last-step={STEPS}.ckpt", weights_only=False)["state_dict"]
    alone = model.state_dict()
    assert found.keys() == alone.keys()
    differ = {name: (found[name] - tensor).abs() > 2e-4 + 1e-3 * tensor.abs() for name, tensor in alone.items()}
    # AdamW moves a weight whose gradient is rounding as far as any other; which ones these are differs by processor.
    assert sum(int(one.sum()) for one in differ.values()) <= 1e-4 * sum(tensor.numel() for tensor in alone.values())
    for name, tensor in alone.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-3, rtol=1e-3, msg=lambda text, name=name: name + text)
    # The utterances of the validation set count once each, whichever process heard them.
    (point,) = [point for point in map(json.loads, (run / "history.jsonl").open()) if point["step"] == STEPS]
    (same,) = [point for point in map(json.loads, (tmp_path / "history.jsonl").open()) if point["step"] == STEPS]
    for key in ("val_wer", "val_cer", "val_loss", "learning_rate", "train_loss"):
        assert point[key] == pytest.approx(same[key], rel=1e-3), key


def test_only_the_first_process_writes(together):
    run, wrote = together
    assert str(run / "history.jsonl") in wrote["0"]
    assert wrote["1"] == set()
    assert len((run / "history.jsonl").read_text().splitlines()) == 2
    assert len(list(run.glob("wandb/offline-run-*"))) == 1
    assert len(list((run / "checkpoints").iterdir())) == 3
    assert {"model.nemo", "metrics.json", "config.yaml"} <= {path.name for path in run.iterdir()}


class Pair:
    """Two processes started side by side, as torchrun and srun do.

    Args:
        python: the interpreter.
        folder: for what they say.
        arguments: of both.
        environments: of each.
    """

    def __init__(self, python: str, folder: Path, arguments: list[str], environments: list[dict[str, str]]):
        self.outs = [folder / f"{rank}.txt" for rank in range(2)]
        self.processes = []
        for environment, out in zip(environments, self.outs, strict=True):
            with out.open("w") as file:
                self.processes.append(
                    subprocess.Popen(
                        [python, "-u", "train.py", *arguments], cwd=ROOT, env=os.environ | environment,
                        stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                    )
                )  # fmt: skip

    def said(self, rank: int = 0) -> str:
        """What a process has written."""
        return self.outs[rank].read_text()

    def wait_for(self, text: str) -> None:
        """Until the first process has written it."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.said():
            assert all(process.poll() is None for process in self.processes), self.said() + self.said(1)
            assert time.monotonic() < deadline, self.said() + self.said(1)
            time.sleep(0.1)

    def end(self) -> list[int]:
        """Exit statuses, once both have ended."""
        return [process.wait(PATIENCE) for process in self.processes]


def slurm(rank: int) -> dict[str, str]:
    """What Slurm tells a task."""
    return {
        "SLURM_JOB_ID": "81234", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NNODES": "1", "SLURM_NODELIST": "127.0.0.1", "SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank),
        "SLURM_NODEID": "0",
    }  # fmt: skip


def torchrun(rank: int, port: int) -> dict[str, str]:
    """What torchrun tells a worker."""
    return {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }  # fmt: skip


def test_stopped_as_slurm_tasks_and_continued_as_torchrun_workers_of_which_one_dies(corpus_overrides, tmp_path, python):
    from lightning.fabric.plugins.environments.lightning import find_free_network_port

    runs = tmp_path / "runs"
    endless = [*corpus_overrides, *EXACT, f"runs={runs}", "trainer.devices=2", "trainer.max_epochs=-1", "logger=none"]
    (tmp_path / "again").mkdir()
    pair = Pair(python, tmp_path, [*endless, "trainer.check_val_every_n_epoch=1000"], [slurm(0), slurm(1)])
    pair.wait_for("epoch 0")
    os.kill(pair.processes[1].pid, signal.SIGTERM)  # to one of them: both stop, at the same step
    assert pair.end() == [128 + signal.SIGTERM, 0], pair.said() + pair.said(1)
    (run,) = runs.glob("*/*")  # of the first one's clock
    assert (run / "checkpoints" / "stopped.ckpt").exists()
    assert "Stopped by SIGTERM at step" in pair.said()
    assert f"python train.py resume={run}\n" in pair.said()
    assert pair.said(1) == ""

    port = find_free_network_port()
    pair = Pair(python, tmp_path / "again", [f"resume={run}"], [torchrun(0, port), torchrun(1, port)])
    pair.wait_for("\nepoch ")
    assert "Continuing from stopped.ckpt" in pair.said()
    os.kill(pair.processes[1].pid, signal.SIGKILL)
    assert pair.end() == [1, -signal.SIGKILL], pair.said()
    assert "Another process of the run ended" in pair.said()
    assert "Traceback" not in pair.said()
