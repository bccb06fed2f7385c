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


def place_of(overrides: list[str]) -> tuple[Path, bool]:
    """Where train.py will put its run.

    Args:
        overrides: the user's own.

    Returns:
        a folder, and whether it is the run's own; else it is that of all runs of its name.

    Raises:
        ConfigError: they ask for anything but one training on the synthetic corpus, whose test set is what is measured
            on, or cannot be composed.
    """
    from hydra import compose

    from experiments.cli.overrides import check_overrides, composing
    from experiments.cli.resume import expand_resume
    from experiments.errors import ConfigError

    if options := [one for one in overrides if one.startswith("-")]:
        raise ConfigError(
            f"make train trains one speech model and takes no {options[0]}: type python train.py … for it."
        )
    given = expand_resume(overrides)
    check_overrides("train", given)
    with composing():
        cfg = compose("train", given, return_hydra_config=True)
    if cfg.data.name != CORPUS.name:
        raise ConfigError(
            f"make train goes from the synthetic corpus to figures on it, and these are data of another kind, "
            f"{cfg.data.name}: type python train.py {shlex.join(overrides)}, then export.py and evaluate.py."
        )
    own = cfg.resume or next((one for one in given if one.startswith("hydra.run.dir=")), None)
    return (Path(str(cfg.hydra.run.dir)), True) if own else (Path(cfg.runs, cfg.name), False)


def run_in(place: Path, own: bool = False, since: float = 0.0) -> Path:
    """The run that train.py has put there, the last that finished.

    Args:
        place: see `place_of`.
        own: see there.
        since: when it began, seconds of `time.time`.

    Raises:
        ConfigError: none was finished since: another run would be exported in its place.
    """
    from experiments.errors import ConfigError

    ended = [place / "metrics.json"] if own else place.glob("*/metrics.json")
    found = [path for path in ended if path.exists() and path.stat().st_mtime >= since]
    if not found:
        raise ConfigError(f"train.py has finished no run in {place}. Export the one that is meant: python export.py …")
    return max(found, key=lambda path: path.stat().st_mtime).parent


def main(overrides: list[str]) -> None:
    """Corpus → train → export → evaluate → transcribe, then the figures.

    Args:
        overrides: passed on to train.py.
    """
    place, own = place_of(overrides)
    started, since = time.monotonic(), time.time()
    python = sys.executable
    test = CORPUS / "test.jsonl"
    step("corpus", python, "-m", "manifests", "synthetic", "--out", str(CORPUS))
    step("train", python, "train.py", *in_two_processes(overrides), *overrides)
    run = run_in(place, own, since)
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
    from experiments.cli.guarded import guarded

    guarded(main)(sys.argv[1:])
