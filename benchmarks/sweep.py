"""A search among settings of which some kill their trial: how many more die, and what it finds all the same.

    python benchmarks/sweep.py                  # three minutes: five seeds of 40 trials, five ways to search
    python benchmarks/sweep.py --seeds 10

Nine batch sizes and a learning rate, from one trial to the next the same error for the same values. Two of the sizes,
others for each seed and never the best one, kill the trial: one ends in a MemoryError, one in NaN. Ours runs as
`python sweep.py` does, each trial a process of its own; the others are given the same values to judge in this process.
Optuna's own TPE is told FAIL. W&B's bayes is that of its local controller, the package `sweeps`, run by uv in an
environment of its own, since it needs an older numpy; it is told `failed`, as W&B's agent would.

Prints the rows of benchmarks/RESULTS.md; exits with 1 when more than 15 % of our trials after the tenth die.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

SIZES = (4, 8, 12, 16, 24, 32, 48, 64, 96)
BEST_SIZE, BEST_RATE = 24, 10**-2.5
RATES = (1e-4, 1e-1)
TRIALS, LEARNT, MOST = 40, 10, 0.15
PARAMETERS = {
    "size": {"values": list(SIZES)},
    "rate": {"distribution": "log_uniform_values", "min": RATES[0], "max": RATES[1]},
}
PACKAGE = "sweeps==0.3.0"
Found = tuple[list[bool], float]  # which trials died, and the least error


def deadly(seed: int) -> tuple[int, int]:
    """The size that wants too much memory, and the one that ends in NaN."""
    first, second = random.Random(seed).sample([size for size in SIZES if size != BEST_SIZE], 2)
    return first, second


def error(size: int, rate: float) -> float:
    """What a trial would report; 0 is the best."""
    return 0.05 * abs(SIZES.index(size) - SIZES.index(BEST_SIZE)) + 0.1 * abs(math.log10(rate / BEST_RATE))


def trial(arguments: list[str]) -> None:
    """What a run of train.py leaves behind, without the training."""
    given = dict(argument.split("=", 1) for argument in arguments)
    memory, nan = deadly(int(given["seed"])) if given["deadly"] == "true" else (0, 0)
    size = int(given["size"])
    if size == memory:
        raise MemoryError
    value = float("nan") if size == nan else error(size, float(given["rate"]))
    Path(os.environ["HEYJETSON_TRIAL"], "history.jsonl").write_text(json.dumps({"step": 1, "val_wer": value}) + "\n")


def ours(seed: int, kills: bool = True) -> Found:
    """A sweep as sweep.py runs it."""
    import yaml  # type: ignore[import-untyped]

    from experiments.sweep.claims import RUN, value_of
    from experiments.sweep.definition import load_definition
    from experiments.sweep.runner import Runner
    from experiments.sweep.samplers import SeededByTrial
    from experiments.sweep.settling import spoilt
    from experiments.sweep.storage import kept, open_storage, open_study

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tree = {
            "program": str(Path(__file__).resolve()),
            "method": "bayes",
            "metric": {"name": "val_wer"},
            "parameters": PARAMETERS | {"seed": {"value": seed}, "deadly": {"value": str(kills).lower()}},
            "command": ["${interpreter}", "${program}", "${args_no_hyphens}"],
        }
        (folder / "sweep.yaml").write_text(yaml.safe_dump(tree))
        definition = load_definition(folder / "sweep.yaml")
        study = open_study(definition, "sweep", open_storage(f"sqlite:///{folder}/sweep.db"))
        study.sampler = SeededByTrial(definition, seed)
        runner = Runner(study, definition, folder / "runs", TRIALS, poll=0.005)
        runner.console.quiet = True
        runner.run()
        trials = sorted(kept(study), key=lambda one: one.user_attrs[RUN])
        return [spoilt(one) for one in trials], min(v for one in trials if (v := value_of(one)) is not None)


def optunas(seed: int, sampler: str) -> Found:
    """Optuna's own loop, told FAIL where a trial dies."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=getattr(optuna.samplers, sampler)(seed=seed))
    died, best = [], math.inf
    for _ in range(TRIALS):
        one = study.ask()
        size, rate = one.suggest_categorical("size", SIZES), one.suggest_float("rate", *RATES, log=True)
        died.append(size in deadly(seed))
        if died[-1]:
            study.tell(one, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(one, error(size, rate))
            best = min(best, error(size, rate))
    return died, best


def controller(seed: int) -> Found:
    """W&B's local controller; runs where the package `sweeps` is."""
    import numpy as np
    from sweeps import RunState, SweepRun, next_run  # type: ignore[import-not-found]

    np.random.seed(seed)
    random.seed(seed)
    config = {"method": "bayes", "metric": {"name": "val_wer", "goal": "minimize"}, "parameters": PARAMETERS}
    runs: list[SweepRun] = []
    died, best = [], math.inf
    for _ in range(TRIALS):
        one = next_run(config, runs)
        size, rate = int(one.config["size"]["value"]), float(one.config["rate"]["value"])
        died.append(size in deadly(seed))
        one.state = RunState.failed if died[-1] else RunState.finished
        if not died[-1]:
            value = error(size, rate)
            one.history, one.summary_metrics = [{"val_wer": value}], {"val_wer": value}
            best = min(best, value)
        runs.append(one)
    return died, best


def wandbs(seed: int) -> Found:
    """W&B's bayes, in an environment of its own.

    Raises:
        RuntimeError: there is no uv, or the package cannot be had.
    """
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    if uv is None:
        raise RuntimeError("there is no uv to install it with")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [uv, "run", "--no-project", "--python", python, "--with", PACKAGE, "python", __file__]
    done = subprocess.run([*command, "--controller", str(seed)], cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    died, best = json.loads(done.stdout.splitlines()[-1])
    return died, best


def share(died: list[bool]) -> float:
    """Of the trials after the tenth, those that died."""
    return statistics.mean(died[LEARNT:])


def main() -> int:
    """Search in all ways, print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--controller", type=int, metavar="SEED", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.controller is not None:
        print(json.dumps(controller(given.controller)))
        return 0
    ways: dict[str, Callable[[int], Found]] = {
        "sweep.py, `bayes`": ours,
        "the same without deadly settings": lambda seed: ours(seed, kills=False),
        "random search": lambda seed: optunas(seed, "RandomSampler"),
        "Optuna's TPE, told FAIL": lambda seed: optunas(seed, "TPESampler"),
        "W&B's bayes, told `failed`": wandbs,
    }
    print("| search | die after the tenth | by seed | error above the best possible |\n|---|---|---|---|")
    shares = []
    for name, way in ways.items():
        try:
            found = [way(seed) for seed in range(given.seeds)]
        except RuntimeError as fault:
            print(f"\n{name} is left out: {fault}.")
            continue
        each = [share(died) for died, _ in found]
        shares.append(statistics.mean(each))
        texts = ", ".join(f"{one:.0%}" for one in each)
        print(f"| {name} | {shares[-1]:.1%} | {texts} | {statistics.mean(best for _, best in found):.4f} |", flush=True)
    return int(shares[0] > MOST)


if __name__ == "__main__":
    if "HEYJETSON_TRIAL" in os.environ:
        trial(sys.argv[1:])
    else:
        sys.exit(main())
