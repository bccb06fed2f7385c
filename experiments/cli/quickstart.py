"""`make train`: the main job from nothing to a transcript, by the very commands a user would type."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

BUNDLE = Path("bundles/synthetic")
CORPUS = Path("data/synthetic")
# Beginnings of overrides that say where to train, or how much at once.
PLACED = (
    "trainer.devices", "trainer.accelerator", "trainer.strategy", "data.batch_size", "data.loader", "threads",
    "experiment", "resume", "launcher",
)  # fmt: skip


def step(title: str, *command: str) -> None:
    """Show a command, run it, say how long it took; end the job when it fails."""
    shown = shlex.join(["python" if part == sys.executable else part for part in command])
    print(f"\n== {title}\n$ {shown}", flush=True)
    started = time.monotonic()
    status = subprocess.run(command, check=False).returncode
    if status:
        print(f"\n{title} failed with status {status}; the message above says why.", file=sys.stderr)
        sys.exit(status)
    print(f"   ({time.monotonic() - started:.0f} s)", flush=True)


def in_two_processes(overrides: list[str]) -> list[str]:
    """Overrides for train.py by which two cores without a GPU hold a tenth to a half more steps than one process does,
    each process having half of the batch of conf/experiment/synthetic.yaml.

    Args:
        overrides: the user's own; where one of them says where to train, or how much at once, there are none.
    """
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    taken = any(one.lstrip("+~").startswith(PLACED) for one in overrides)
    if taken or cores < 2 or torch.accelerator.is_available():
        return []
    return ["trainer.accelerator=cpu", "trainer.devices=2", "data.batch_size=8"]


def newest_run(runs: Path) -> Path:
    """The run that finished last."""
    return max(runs.glob("*/metrics.json"), key=lambda path: path.stat().st_mtime).parent


def main(overrides: list[str]) -> None:
    """Corpus → train → export → evaluate → transcribe, then the figures.

    Args:
        overrides: passed on to train.py.
    """
    started = time.monotonic()
    python = sys.executable
    test = CORPUS / "test.jsonl"
    step("corpus", python, "-m", "manifests", "synthetic", "--out", str(CORPUS))
    step("train", python, "train.py", *in_two_processes(overrides), *overrides)
    run = newest_run(Path("runs/synthetic"))
    nemo = run / "model.nemo"
    step("export", python, "export.py", f"model={nemo}", f"out={BUNDLE}", f"manifest={test}", "licence=Apache-2.0")
    report_path = run / "bundle_test.json"
    step("evaluate", python, "evaluate.py", f"model={BUNDLE}", f"manifest={test}", f"out={report_path}", "worst=5")
    examples = [json.loads(line) for line in test.read_text().splitlines()[:3]]
    files = [str(test.parent / example["audio_filepath"]) for example in examples]
    step("transcribe", str(Path(python).with_name("heyjetson")), "transcribe", str(BUNDLE), *files)

    report = json.loads(report_path.read_text())
    metrics = json.loads((run / "metrics.json").read_text())
    heard = {row["audio"]: row["hypothesis"] for row in report["utterance_results"]}
    console = Console()
    figures = Table("figure", "value", title="the bundle on voices it was never trained on")
    figures.add_row("WER", f"{report['wer']:.2%}")
    figures.add_row("CER", f"{report['cer']:.2%}")
    figures.add_row("cosine similarity", f"{report['cosine']:.3f}")
    figures.add_row("real-time factor, one core", f"{report['real_time_factor']:.4f}")
    figures.add_row("parameters", f"{metrics['parameters'] / 1e6:.2f} M")
    figures.add_row("minutes, all steps", f"{(time.monotonic() - started) / 60:.1f}")
    console.print(figures)
    texts = Table("reference", "transcript", title="three of them")
    for example, file in zip(examples, files, strict=True):
        texts.add_row(example["text"], heard[str(Path(file).absolute())])
    console.print(texts)
    print(
        f"model   {nemo}\nbundle  {BUNDLE}\nW&B run {run / 'wandb'}   (wandb sync {run}/wandb/offline-run-* uploads it)"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
