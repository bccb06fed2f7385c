"""Which encoder learns most in the same time? A list of models, each trained on one budget, tested, put into a bundle.

    python benchmarks/race.py budget=6min data=digits data.source=DIR               # all of conf/experiment/ladder
    python benchmarks/race.py 'entries=[hey_jetson_small,nemo_quartznet]' seeds=3   # two of them, three times
    python benchmarks/race.py budget=6min clock=processor                           # beside other work

Below `out` each training keeps its run folder, so a race that was stopped goes on where it was, and compare.py reads
them. `write=true` puts the table into benchmarks/RESULTS.md, between the marks of the race, and the figure beside it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from omegaconf import DictConfig, OmegaConf  # noqa: E402

from benchmarks.race_results import Training, figure, result, table, write  # noqa: E402
from experiments.cli.entry import entry  # noqa: E402
from experiments.cli.overrides import check_overrides  # noqa: E402
from experiments.errors import ConfigError  # noqa: E402
from experiments.paths import CONF  # noqa: E402

LADDER = CONF / "experiment" / "ladder"
BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|steps)")
PRINTING = threading.Lock()


def budget_overrides(budget: str) -> list[str]:
    """Overrides that end a training after `90s`, `6min`, `1h` or `2000steps`.

    Raises:
        ConfigError: it is none of these.
    """
    found = BUDGET.fullmatch(str(budget).strip())
    if not found:
        raise ConfigError(f"budget={budget}: write 90s, 6min, 1h or 2000steps.")
    amount, unit = float(found[1]), found[2]
    if unit == "steps":
        return ["trainer.max_time=null", f"trainer.max_steps={round(amount)}", "trainer.max_epochs=100000"]
    seconds = round(amount * {"s": 1, "min": 60, "h": 3600}[unit])
    clock = f"{seconds // 86400:02}:{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return [f"trainer.max_time={clock}", "trainer.max_steps=-1", "trainer.max_epochs=100000"]


def chosen_entries(cfg: DictConfig) -> list[str]:
    """Names of the ladder's files that take part.

    Raises:
        ConfigError: one does not exist.
    """
    there = sorted(path.stem for path in LADDER.glob("*.yaml"))
    if cfg.entries == "all":
        return there
    names = [cfg.entries] if isinstance(cfg.entries, str) else list(cfg.entries)
    if unknown := [name for name in names if name not in there]:
        raise ConfigError(f"No such entry: {', '.join(unknown)}. conf/experiment/ladder/ has {', '.join(there)}.")
    return names


def data_overrides() -> list[str]:
    """What was given of the data, as it was given; a file is looked for from where the race was started."""
    given = [argument for argument in sys.argv[1:] if argument.startswith(("data=", "data."))]
    return given if any(argument.startswith("data=") for argument in given) else ["data=digits", *given]


def run(command: list[str], log: Path) -> None:
    """Run a command of the project, its output into a log.

    Raises:
        RuntimeError: it failed; the message is the last line it wrote.
    """
    with log.open("a") as file:
        file.write(f"\n$ {' '.join(command)}\n")
        file.flush()
        done = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    if done.returncode:
        last = [line for line in log.read_text().splitlines() if line.strip()][-1]
        raise RuntimeError(f"{command[0]} ended with status {done.returncode}: {last} (all of it: {log})")


def finished(folder: Path) -> Path | None:
    """The newest complete run below `folder`, if there is one."""
    runs = sorted(folder.glob("*/metrics.json"), key=lambda path: path.stat().st_mtime)
    return runs[-1].parent if runs else None


def title_of(name: str, seed: int) -> str:
    """Name of a training, and of its folder."""
    return name if seed == 1 else f"{name}-seed{seed}"


def overrides_of(cfg: DictConfig, name: str, seed: int) -> list[str]:
    """What an entry is trained with, but for where its run goes."""
    return [
        f"experiment=ladder/{name}", *data_overrides(), *budget_overrides(cfg.budget), f"threads={cfg.threads}",
        f"clock={cfg.clock}", f"seed={seed}", *cfg.overrides,
    ]  # fmt: skip


def require_same(cfg: DictConfig, name: str, seed: int) -> None:
    """Refuse a race whose trainings were done with something else: their figures would stand under this command.

    Raises:
        ConfigError: names one, what it was trained with, and what to do.
    """
    title = title_of(name, seed)
    found = finished((Path.cwd() / cfg.out).resolve() / title)
    kept = found / ".hydra" / "overrides.yaml" if found else None
    if kept is None or not kept.is_file():
        return
    before = {str(one) for one in OmegaConf.load(kept) if not str(one).startswith(("runs=", "name=", "resume="))}
    if others := sorted(before ^ set(overrides_of(cfg, name, seed))):
        raise ConfigError(
            f"{found} was trained for another race: {', '.join(others)} {'is' if len(others) == 1 else 'are'} not in "
            "both. Give this one a folder of its own, out=runs/OTHER, or remove that one."
        )


def train(cfg: DictConfig, name: str, seed: int) -> Training | str:
    """Train an entry, test it and make its bundle, unless that was done; what went wrong comes back as a sentence."""
    out = (Path.cwd() / cfg.out).resolve()
    title = title_of(name, seed)
    folder = out / title
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    try:
        if (found := finished(folder)) is None:
            where = [f"runs={out}", f"name={title}"]
            run(["train.py", *overrides_of(cfg, name, seed), *where], folder / "log.txt")
            found = finished(folder)
            assert found is not None
        if not (found / "bundle" / "manifest.json").is_file():
            run(["export.py", f"model={found}/model.nemo", f"out={found}/bundle"], folder / "log.txt")
    except RuntimeError as error:
        return f"{title}: {error}"
    training = Training(name, seed, found)
    with PRINTING:
        rates = "  ".join(f"{test} {rate:.1%}" for test, rate in training.rates().items())
        print(f"{title}: WER {rates}  ({(time.perf_counter() - started) / 60:.1f} min)", flush=True)
    return training


@entry("race")
def main(cfg: DictConfig) -> None:
    """Train all → measure on one quiet core → table and figure."""
    names = chosen_entries(cfg)
    for name in names:
        check_overrides("train", [f"experiment=ladder/{name}", *data_overrides(), *cfg.overrides])
    jobs = [(name, seed) for seed in range(1, cfg.seeds + 1) for name in names]
    for job in jobs:
        require_same(cfg, *job)
    print(f"{len(jobs)} trainings of {cfg.budget}, {cfg.workers} at once, below {cfg.out}/", flush=True)
    with ThreadPoolExecutor(cfg.workers) as pool:
        ended = list(pool.map(lambda job: train(cfg, *job), jobs))
    if not (trainings := [one for one in ended if isinstance(one, Training)]):
        raise ConfigError("No training came to its end:\n" + "\n".join(str(one) for one in ended))
    results = [result([one for one in trainings if one.name == name], cfg.clip_seconds) for name in names
               if any(one.name == name for one in trainings)]  # fmt: skip
    command = f"python benchmarks/race.py {' '.join(sys.argv[1:])}".replace(" write=true", "")
    text = table(results, command)
    print(text)
    picture = figure(results, ROOT / "benchmarks" if cfg.write else Path(cfg.out))
    print(f"figure  {picture}")
    if cfg.write:
        write(text, ROOT / "benchmarks" / "RESULTS.md")
    if failed := [one for one in ended if isinstance(one, str)]:
        raise ConfigError("These did not come to their end:\n" + "\n".join(failed))


if __name__ == "__main__":
    main()
