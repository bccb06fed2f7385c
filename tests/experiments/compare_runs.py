"""Run folders, bundles and sound as train.py, export.py and W&B leave them, without training anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml

from experiments.evaluation.report import Report, make_row
from manifests.lines import Utterance

DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
CONFIG: dict[str, Any] = {
    "name": "digits",
    "seed": 1,
    "optim": {"name": "adamw", "lr": 0.003},
    "encoder": {"_target_": "custom_modules.encoders.HeyJetsonEncoder", "recurrent": {"hidden": 96, "dropout": 0.1}},
    "augment": {"spectrogram": None},
    "data": {"batch_size": 8, "sample_rate": 16000},
}


def corpus(folder: Path, count: int = 60, seed: int = 0, sound: int = 60) -> list[Utterance]:
    """Strings of digits of four speakers; the first `sound` of them have a recording, half a second of a tone."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for index in range(count):
        text = " ".join(generator.choice(DIGITS, generator.integers(2, 8)))
        path = folder / f"{seed}{index:04d}.wav"
        if index < sound:
            time = np.arange(8000) / 16000
            soundfile.write(path, 0.3 * np.sin(2 * np.pi * (200 + 10 * index) * time), 16000)
        duration = round(0.4 * len(text.split()), 2)
        made.append(Utterance(path, duration, text, extra={"speaker": f"speaker{index % 4}"}))
    return made


def heard(text: str, rate: float, generator: np.random.Generator) -> str:
    """A text with words replaced, left out and added, a share of `rate` of each a third."""
    words = []
    for word in text.split():
        kind = generator.random() * 3 / max(rate, 1e-9)
        if kind < 1:
            words.append("nought")
        elif kind >= 2 or kind < 0:
            words.append(word)
        if 2 <= kind < 3:
            words.append("oh")
    return " ".join(words)


def make_run(
    folder: Path,
    tests: dict[str, list[Utterance]],
    rate: float,
    seed: int = 0,
    overrides: dict[str, Any] | None = None,
    finished: bool = True,
    history: bool = True,
    encoder: str = "hey_jetson_small",
) -> Path:
    """A run folder whose model errs on `rate` of the words.

    Args:
        folder: to make.
        tests: utterances by test set.
        rate: of the errors.
        seed: of the errors.
        overrides: dotted keys of the configuration.
        finished: whether it has metrics.json and the test results.
        history: whether it has history.jsonl.
        encoder: the choice of that group.
    """
    folder.mkdir(parents=True)
    config = json.loads(json.dumps(CONFIG))
    for key, value in (overrides or {}).items():
        *path, leaf = key.split(".")
        section = config
        for part in path:
            section = section[part]
        section[leaf] = value
    config["model"] = {"optim": config["optim"], "encoder": config["encoder"]}
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    (folder / ".hydra").mkdir()
    choices = {"hydra": {"runtime": {"choices": {"encoder": encoder, "experiment": "digits"}}}}
    (folder / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump(choices))
    (folder / ".hydra" / "overrides.yaml").write_text("[]\n")
    hidden = config["encoder"]["recurrent"]["hidden"]
    points = [
        {
            "step": 100 * point,
            "epoch": point - 1,
            "seconds": 20.0 * point * hidden / 96,
            "learning_rate": 0.001,
            "val_wer": round(rate + 0.9 / point, 4),
            "val_cer": round(rate / 3 + 0.4 / point, 4),
            "val_loss": round(60 / point, 3),
            "train_loss": round(50 / point, 3),
        }
        for point in range(1, 11 if finished else 4)
    ]
    if history:
        (folder / "history.jsonl").write_text("".join(json.dumps(point) + "\n" for point in points))
    if not finished:
        return folder
    (folder / "model.nemo").write_bytes(f"weights of {folder.name}, seed {seed}".encode() * hidden)
    generator = np.random.default_rng(seed)
    metrics: dict[str, Any] = {
        "parameters": 6000 * hidden,
        "steps": 1000,
        "epochs": 10,
        "best_step": 1000,
        "validation_wer": points[-1]["val_wer"],
        "seconds": points[-1]["seconds"],
        "test": {},
    }
    for name, utterances in tests.items():
        rows = [make_row(utterance, heard(utterance.text, rate, generator)) for utterance in utterances]
        report = Report(str(utterances[0].audio.parent / f"{name}.jsonl"), "SpeechModel", rows, 1.0)
        report.write(folder / f"test_{name}.json")
        metrics["test"][name] = report.totals()
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def make_bundle(
    folder: Path,
    run: Path,
    test: str,
    precision: str = "fp32",
    speed: float = 0.002,
    training: dict[str, Any] | None = None,
) -> Path:
    """A bundle that says it was exported from a run and measured on one of its test sets."""
    from heyjetson.bundle import file_hash

    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"graph" * (1000 if precision == "fp32" else 300))
    metrics = json.loads((run / "metrics.json").read_text())
    hashes = {name: f"{index:064d}" for index, name in enumerate(metrics["test"])}
    measured = metrics["test"][test] | {"real_time_factor": speed, "manifest": "test.jsonl"}
    measured["manifest_sha256"] = hashes[test]
    said = {"name": "digits", "folder": run.name, "data": hashes, "nemo_sha256": file_hash(run / "model.nemo")}
    manifest = {
        "format": 1,
        "kind": "ctc",
        "graph": "model.onnx",
        "precision": precision,
        "parameters": metrics["parameters"],
        "training": said | (training or {}),
        "encoder": {"_target_": "custom_modules.encoders.HeyJetsonEncoder"},
        "measured": {precision: measured},
        "files": {"model.onnx": {"bytes": (folder / "model.onnx").stat().st_size}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def rows_of(run: Path, test: str) -> list[dict[str, Any]]:
    """The utterances of a test result."""
    return json.loads((run / f"test_{test}.json").read_text())["utterance_results"]


def rewrite(run: Path, test: str, utterances: list[Utterance], hypotheses: list[str]) -> None:
    """Replace a run's test result by given hypotheses."""
    rows = [make_row(*pair) for pair in zip(utterances, hypotheses, strict=True)]
    report = Report(str(utterances[0].audio.parent / f"{test}.jsonl"), "SpeechModel", rows, 1.0)
    report.write(run / f"test_{test}.json")
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["test"][test] = report.totals()
    (run / "metrics.json").write_text(json.dumps(metrics))
