"""Two encoders in one run, by turns, on one core: what a step of training takes, and what their graphs cost.

    python benchmarks/side_by_side.py                                     # hey_jetson beside hey_jetson_gru
    python benchmarks/side_by_side.py hey_jetson hey_jetson_spectral --rounds 9

A figure is the median over the rounds of this process's own time, so other work on the machine changes it little. A
step is what training does with a batch in memory, of 8 utterances of `--mean` seconds: first as at the start, where
sound is not perturbed yet and layers may be left out, then as at the end. Graphs have drawn weights. Prints the rows
of benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.train_throughput import RATE, batches, compose  # noqa: E402

CLIPS = (3, 10)  # seconds


def training_step(model: Any, batch: tuple[Any, ...]) -> Callable[[], None]:
    """Perturbation, front-end, encoder, decoder, CTC, gradient, clipping, optimiser."""
    import torch

    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    signal, length, labels, label_length = batch

    def step() -> None:
        log_probs, frames, _ = model.forward(input_signal=signal, input_signal_length=length)
        loss = model.loss(log_probs=log_probs, targets=labels, input_lengths=frames, target_lengths=label_length)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def runs_of(encoder: str, folder: Path, mean: float) -> dict[str, Callable[[], Any]]:
    """What is timed of an encoder, by the name of its column."""
    import torch

    from custom_modules.model import SpeechModel
    from experiments.export.bundle import ExportOptions, export_bundle
    from experiments.training.fit import model_config
    from heyjetson import Bundle, Engine

    torch.manual_seed(0)
    model = SpeechModel(model_config(compose(encoder)))
    nemo = folder / f"{encoder}.nemo"
    model.save_to(str(nemo))
    export_bundle(model.eval(), nemo, folder / encoder, ExportOptions(seconds=[1.0], batch_sizes=[1]))
    engine = Engine(Bundle(folder / encoder), threads=1)
    step = training_step(model.train(), batches(8, mean, "cpu")[0])

    turns = count(1)

    def at(used: float) -> Callable[[], None]:
        def placed() -> None:
            model.follow_budget(used + 1e-9 * next(turns))  # another draw of the layers each time
            step()

        return placed

    noise = 0.1 * np.random.default_rng(0).standard_normal((1, max(CLIPS) * RATE)).astype(np.float32)
    found: dict[str, Callable[[], Any]] = {"first steps, ms": at(0.0), "last steps, ms": at(1.0)}
    for seconds in CLIPS:
        clip = noise[:, : seconds * RATE]
        found[f"RTF, {seconds} s"] = lambda clip=clip: engine.log_probs(clip)
    return found


def shown(column: str, spent: float) -> float:
    """Seconds as the figure of a column."""
    return 1000 * spent if column.endswith("ms") else spent / float(column.split()[1])


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="*", default=["hey_jetson", "hey_jetson_gru"], help="two of conf/encoder")
    parser.add_argument("--mean", type=float, default=4.0, help="seconds of an utterance, on average (default 4)")
    parser.add_argument("--rounds", type=int, default=5, help="a figure is the median of so many (default 5)")
    given = parser.parse_args()
    if len(given.encoders) != 2 or given.rounds < 1:
        parser.error("name two encoders of conf/encoder, and at least one round")
    from experiments.cli.guarded import quiet

    quiet()
    import torch

    import custom_modules  # noqa: F401
    from experiments.cli.log_levels import set_log_levels

    set_log_levels()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        runs = {encoder: runs_of(encoder, Path(folder), given.mean) for encoder in given.encoders}
        spent: dict[tuple[str, str], list[float]] = {}
        for turn in range(given.rounds + 1):
            for column in next(iter(runs.values())):
                for encoder, of in runs.items():
                    started = time.process_time()
                    of[column]()
                    if turn:  # the first warms up
                        spent.setdefault((encoder, column), []).append(time.process_time() - started)
    columns = list(next(iter(runs.values())))
    print(f"| encoder | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    medians = {key: statistics.median(values) for key, values in spent.items()}
    for encoder in given.encoders:
        cells = [f"{shown(column, medians[encoder, column]):.{0 if 'ms' in column else 4}f}" for column in columns]
        print(f"| {encoder} | {' | '.join(cells)} |")
    one, other = given.encoders
    ratios = [f"{medians[one, column] / medians[other, column]:.2f}" for column in columns]
    print(f"| {one} / {other} | {' | '.join(ratios)} |")


if __name__ == "__main__":
    main()
