"""Is the same model learned from both loaders? WER and padding on digit strings, after the same hours of sound.

    python benchmarks/loaders.py --source DIR                          # a glance: half an hour of sound for each
    python benchmarks/loaders.py --source DIR --hours 15 --seeds 3     # the measurement: an hour on 2 quiet cores

Each loader trains `experiment=digits` for as many steps as its batches take to hold that much sound; steps, not time,
so that the one that is quicker does not learn more. Prints the rows of benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

LOADERS = ("plain", "lhotse")
PADDING = re.compile(r"([\d.]+%) padding$", re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """What one training gave.

    Args:
        steps: taken.
        seconds: from start to end, tests included.
        padding: share of the batches, as training prints it.
        seen: WER of the training speakers, from takes kept apart.
        unseen: WER of the speaker never heard.
    """

    steps: int
    seconds: float
    padding: str
    seen: float
    unseen: float


def seconds_a_step(overrides: list[str]) -> float:
    """Seconds of sound in a batch of the training set, on average; makes the corpus where it is not there."""
    from hydra import compose, initialize_config_dir

    from experiments.cli.guarded import quiet
    from experiments.cli.log_levels import set_log_levels
    from experiments.data.preparation import prepare_data
    from experiments.paths import CONF

    quiet()
    set_log_levels()
    from experiments.data.datamodule import SpeechDataModule

    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["experiment=digits", *overrides])
    data = prepare_data(cfg)
    batches = SpeechDataModule(cfg, data).batches
    return sum(map(sum, batches)) / len(batches)


def train(overrides: list[str], steps: int, runs: Path) -> Run:
    """Train for a number of steps and read what came of it."""
    command = [
        sys.executable, "train.py", "experiment=digits", "trainer.max_time=null", f"trainer.max_steps={steps}",
        "logger=none", f"runs={runs}", *overrides,
    ]  # fmt: skip
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    (written,) = runs.glob("*/*/metrics.json")
    metrics = json.loads(written.read_text())
    test = metrics["test"]
    padding = PADDING.findall(done.stdout)[-1]
    return Run(metrics["steps"], seconds, padding, test["seen"]["wer"], test["unseen"]["wer"])


def main() -> None:
    """Train with each loader and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default=None, help="folder with the digits (default: the public download)")
    parser.add_argument("--hours", type=float, default=0.5, help="of sound that each loader shows (default 0.5)")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each loader (default 1)")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the configuration, for both")
    given = parser.parse_args()
    shared = [*([f"data.source={Path(given.source).absolute()}"] if given.source else []), *given.overrides]
    print("| loader | seed | steps | hours of sound | s | padding | WER, seen | WER, unseen |")
    print("|---|---|---|---|---|---|---|---|")
    for loader in LOADERS:
        chosen = [*shared, f"data.loader={loader}"]
        each = seconds_a_step(chosen)
        steps = max(round(given.hours * 3600 / each), 1)
        runs = []
        for seed in range(1, given.seeds + 1):
            with tempfile.TemporaryDirectory() as temporary:
                run = train([*chosen, f"seed={seed}"], steps, Path(temporary))
            runs.append(run)
            shown = f"{run.steps:,} | {run.steps * each / 3600:.2f} | {run.seconds:.0f} | {run.padding}"
            print(f"| {loader} | {seed} | {shown} | {run.seen:.2%} | {run.unseen:.2%} |", flush=True)
        if len(runs) > 1:
            seen, unseen = (
                f"{statistics.mean(wers):.2%} ± {statistics.stdev(wers):.2%}"
                for wers in ([run.seen for run in runs], [run.unseen for run in runs])
            )
            print(f"| {loader} | mean ± deviation | | | | | {seen} | {unseen} |", flush=True)


if __name__ == "__main__":
    main()
