"""The main job, in processes of its own, as a user runs it: train, be killed, resume, export, evaluate, transcribe.

The first command is a fresh interpreter's; those after it are forked from one that has imported NeMo, see `tests.warm`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, SMALL

QUICK = [
    *SMALL,
    "timed_steps=1",
    "trainer.max_time=null",
    "trainer.val_check_interval=1.0",
    "checkpoint.every_n_steps=2",
]


@pytest.fixture(scope="module")
def run(python):
    """A command: what it said, and its status, which must be 0 where it is not to be looked at."""

    def ended(*command: str, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run([python, *command], cwd=ROOT, capture_output=True, text=True, timeout=280)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return ended


@pytest.fixture(scope="module")
def killed_run(corpus_overrides, tmp_path_factory) -> Path:
    """A run killed with SIGKILL in mid-epoch, after its first checkpoints."""
    runs = tmp_path_factory.mktemp("runs")
    command = [sys.executable, "train.py", *corpus_overrides, *QUICK, f"runs={runs}", "trainer.max_epochs=1000"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 240
    while not list(runs.glob("*/*/checkpoints/last*.ckpt")):
        assert process.poll() is None, process.stdout.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (folder,) = runs.glob("*/*")
    return folder


def test_a_job_that_is_told_to_end_keeps_its_last_step(corpus_overrides, tmp_path, python):
    """SIGTERM to all processes of the job, as schedulers send it; in mixed precision, where gradients are clipped."""
    job = ["data.num_workers=1", "trainer.precision=bf16-mixed", "trainer.max_epochs=1000", f"runs={tmp_path}"]
    process = subprocess.Popen(
        [python, "train.py", *corpus_overrides, *QUICK, *job],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("epoch 0  step 1 "):
            os.killpg(process.pid, signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM, "".join(said)
    assert any("SIGTERM: checkpoint of step" in line for line in said), "".join(said)
    assert list(tmp_path.glob("*/*/checkpoints/stopped.ckpt"))


@pytest.fixture(scope="module")
def finished_run(killed_run, run) -> Path:
    """The killed run, resumed from a truncated newest checkpoint and let to its end."""
    checkpoints = sorted((killed_run / "checkpoints").glob("last*.ckpt"), key=lambda path: path.stat().st_mtime)
    step = int(checkpoints[-1].stem.partition("step=")[2])
    cut = checkpoints[-1].with_name(f"last-step={step + 2}.ckpt")
    cut.write_bytes(checkpoints[-1].read_bytes()[:1000])  # as a kill in the middle of writing leaves it
    done = run(
        "train.py",
        f"resume={killed_run}",
        f"trainer.max_steps={step + 4}",
        "logger=wandb",
        "trainer.log_every_n_steps=1",
    )
    assert f"{cut.name} cannot be read" in done.stdout
    assert "Continuing from " in done.stdout
    metrics = json.loads((killed_run / "metrics.json").read_text())
    assert metrics["steps"] == step + 4
    return killed_run


def test_the_finished_run_holds_everything(finished_run):
    metrics = json.loads((finished_run / "metrics.json").read_text())
    assert set(metrics["test"]) == {"unseen_voices"}
    assert {"wer", "cer", "cosine", "real_time_factor"} <= set(metrics["test"]["unseen_voices"])
    report = json.loads((finished_run / "test_unseen_voices.json").read_text())
    assert len(report["utterance_results"]) == 8
    assert "max_steps" in (finished_run / "config.yaml").read_text()


def wandb_records(folder: Path) -> list[dict]:
    (run_folder,) = folder.glob("wandb/offline-run-*")
    binary = Path(sys.executable).with_name("wandb")
    done = subprocess.run(
        [binary, "leet", "inspect", "--json", run_folder], capture_output=True, text=True, check=True, timeout=60
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_wandb_holds_losses_config_and_playable_predictions(finished_run):
    records = json.dumps(wandb_records(finished_run))
    for key in ("train_loss", "val_wer", "val_cer", "val_loss", "learning_rate", "test/unseen_voices/wer", "commit"):
        assert key in records, key
    assert list(finished_run.glob("wandb/offline-run-*/files/media/table/predictions*.json"))
    # W&B stages the sound of offline tables under drawn names, in the run's folder.
    staged = (finished_run / "wandb" / "artifacts" / "staging").iterdir()
    assert sum(path.read_bytes()[:4] == b"RIFF" for path in staged) >= 4


def test_evaluate_export_and_transcribe(finished_run, run, corpus, tmp_path):
    nemo, manifest = finished_run / "model.nemo", corpus / "test.jsonl"
    bundle = tmp_path / "bundle"
    said = run("export.py", f"model={nemo}", f"out={bundle}", f"manifest={manifest}", "licence=Apache-2.0").stdout
    assert "agree" in said
    described = json.loads((bundle / "manifest.json").read_text())
    assert described["licence"] == "Apache-2.0"
    assert described["training"]["name"] == "synthetic"
    assert len(described["training"]["data"]["train"]) == 64
    reports = []
    for model in (nemo, bundle):
        out = tmp_path / f"{model.name}.json"
        said = run("evaluate.py", f"model={model}", f"manifest={manifest}", f"out={out}", "worst=2").stdout
        assert "WER" in said
        reports.append(json.loads(out.read_text()))
    assert reports[0]["wer"] == pytest.approx(reports[1]["wer"], abs=0.02)
    assert described["measured"]["fp32"]["wer"] == reports[1]["wer"]
    wav = corpus / json.loads(manifest.read_text().splitlines()[0])["audio_filepath"]
    assert (
        run("-m", "heyjetson", "transcribe", str(bundle), str(wav)).stdout.strip()
        == (reports[1]["utterance_results"][0]["hypothesis"])
    )


def test_bad_data_is_refused_before_training(run, corpus, tmp_path):
    lines = (corpus / "train.jsonl").read_text().splitlines()
    broken = json.loads(lines[3]) | {"text": "What? 7"}
    lines = [
        json.dumps(json.loads(line) | {"audio_filepath": str(corpus / json.loads(line)["audio_filepath"])})
        for line in lines
    ]
    broken["audio_filepath"] = str(corpus / broken["audio_filepath"])
    lines[3] = json.dumps(broken)
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    arguments = [
        "data=manifests",
        f"data.train={tmp_path}/train.jsonl",
        f"data.validation={corpus}/validation.jsonl",
        f"runs={tmp_path}/runs",
        *QUICK,
        "trainer.max_steps=1",
    ]
    done = run("train.py", *arguments, check=False)
    assert done.returncode == 1
    assert "train.jsonl:4" in done.stderr
    assert "characters outside the labels: '7' '?' 'W'" in done.stderr
    assert not list(tmp_path.glob("runs/*/*/checkpoints/*"))
    done = run("train.py", *arguments, "data.on_bad_sample=skip")
    assert "1 bad utterances left out" in done.stdout
