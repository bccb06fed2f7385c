"""Runs started by Hydra's launchers: side by side on one machine, and as jobs of a Slurm that is a few scripts."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments.cli.overrides import check_launcher, check_overrides
from experiments.errors import ConfigError
from tests.conftest import ROOT, SMALL
from tests.experiments.slurm_fake import flags, install

PATIENCE = 240  # seconds
TINY = [
    *SMALL,
    "trainer.accelerator=cpu",
    "trainer.max_time=null",
    "statistics_utterances=4",
    "checkpoint.every_n_steps=2",
]


def start(python: str, *arguments: str, **environment: str) -> subprocess.Popen:
    command = [python, "train.py", "-m", *arguments]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen, runs: Path) -> str:
    """What it printed; it must have ended well."""
    said, _ = process.communicate(timeout=PATIENCE)
    logs = "\n".join(path.read_text() for path in runs.glob(".submitit/*/*_log.*"))
    assert process.returncode == 0, said + logs
    return said


def test_several_values_are_checked_one_by_one_and_need_the_switch():
    check_overrides("train", ["-m", "launcher=slurm", "optim.lr=1e-3,3e-3", "encoder=hey_jetson,nemo_quartznet"])
    check_overrides("train", ["launcher=slurm", "--cfg", "job"])
    with pytest.raises(ConfigError, match=r"optim.lr=1e-3,3e-3 names several values. Add -m"):
        check_overrides("train", ["optim.lr=1e-3,3e-3"])
    with pytest.raises(ConfigError, match="Did you mean nemo_quartznet"):
        check_overrides("train", ["-m", "encoder=hey_jetson,nemo_quartzne"])
    with pytest.raises(ConfigError, match=r"There is no key optim\.rate"):
        check_overrides("train", ["--multirun", "optim.rate=1e-3,3e-3"])


def test_two_runs_at_a_time_on_this_machine(corpus_overrides, tmp_path, python):
    runs = tmp_path / "runs"
    said = ended(
        start(
            python, "launcher=local_parallel", "optim.lr=1e-3,3e-3", *corpus_overrides, *TINY, f"runs={runs}",
            "threads=1", "trainer.max_steps=3",
        ),
        runs,
    )  # fmt: skip
    folders = sorted(runs.glob("synthetic/*"))
    assert f"python compare.py {str(folders[0])[:-1]}*" in said
    rates = [OmegaConf.load(folder / "config.yaml").optim.lr for folder in folders]
    assert rates == [1e-3, 3e-3]
    for folder in folders:
        assert json.loads((folder / "metrics.json").read_text())["steps"] == 3
        assert len((folder / ".hydra" / "overrides.yaml").read_text().splitlines()) > 5
    began = max((folder / ".hydra" / "config.yaml").stat().st_mtime for folder in folders)
    assert began < min((folder / "metrics.json").stat().st_mtime for folder in folders)


def test_jobs_are_started_with_the_switch_where_there_is_a_slurm(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match="Add -m"):
        check_launcher(["launcher=slurm", "optim.lr=1"])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="no sbatch on this machine"):
        check_launcher(["-m", "launcher=slurm"])
    monkeypatch.setenv("PATH", install(tmp_path / "bin"))
    check_launcher(["-m", "launcher=slurm"])
    check_launcher(["launcher=local"])


def test_what_sbatch_is_asked_for(tmp_path, python):
    environment = {"PATH": install(tmp_path / "bin"), "FAKE_SLURM": "refuse"}
    process = start(
        python, "launcher=slurm", "seed=1,2,3", "trainer.devices=4", "trainer.num_nodes=2", f"runs={tmp_path}/runs",
        "hydra.launcher.partition=gpu", "hydra.launcher.timeout_min=600", "hydra.launcher.constraint=h100",
        "+hydra.launcher.additional_parameters.reservation=speech", "hydra.launcher.setup=[module load cuda]",
        **environment,
    )  # fmt: skip
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "Batch job submission failed" in said
    script = (tmp_path / "bin" / "job.sh").read_text()
    asked = flags(script)
    expected = {
        "partition": "gpu", "time": "600", "nodes": "2", "ntasks-per-node": "4", "gpus-per-node": "4",
        "cpus-per-task": "8", "constraint": "h100", "reservation": "speech", "signal": "USR2@300", "array": "0-2%3",
    }  # fmt: skip
    assert expected.items() <= asked.items()
    assert script.index("module load cuda") < script.index("srun")


def test_a_slurm_job_that_is_pre_empted_continues_by_itself(corpus_overrides, tmp_path, python):
    state, runs = tmp_path / "bin", tmp_path / "runs"
    path = install(state)
    process = start(
        python, "launcher=slurm", *corpus_overrides, *TINY, f"runs={runs}", "trainer.max_steps=80", "threads=1",
        "hydra.launcher.gpus_per_node=0", PATH=path,
    )  # fmt: skip
    deadline = time.monotonic() + PATIENCE
    while not list(runs.glob("*/*/checkpoints/last*.ckpt")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(int((state / "pid-1000_0").read_text()), signal.SIGUSR2)  # as Slurm does before it takes the node
    ended(process, runs)
    assert (state / "requeues").read_text() == "1000\n"
    (folder,) = runs.glob("synthetic/*")
    assert json.loads((folder / "metrics.json").read_text())["steps"] == 80
    said = "".join(path.read_text() for path in runs.glob(".submitit/*/*_log.out"))
    assert "SIGUSR2: checkpoint of step" in said
    assert "Continuing from stopped.ckpt" in said
