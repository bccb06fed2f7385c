"""How fast training is: hours of sound an hour, by encoder, batch, precision and device; and the recurrences alone.

    python benchmarks/train_throughput.py                                       # what this machine has
    python benchmarks/train_throughput.py --encoders hey_jetson_small --batch-sizes 8,32 --seconds 10
    python benchmarks/train_throughput.py --devices cuda --encoders hey_jetson_gru,nemo_conformer_small \\
        --batch-sizes 32,128 --precisions 32-true,bf16-mixed
    python benchmarks/train_throughput.py --loading --workers 4                 # sound read from files

A step is what training does with a batch: perturbation, front-end, encoder, decoder, CTC, gradient, clipping,
optimiser. The sound is noise with the durations of read books; batches hold like lengths, as in training. Without
--loading it lies in memory. The recurrences of two encoders are also timed alone, beside torch's fused bidirectional
ones. Prints the rows of benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    import torch
    from omegaconf import DictConfig

Batch = tuple[Any, Any, Any, Any]  # samples [B, S], length [B], labels [B, L], label length [B]

RATE = 16000
LETTERS = 14.0  # characters a second, as read books have
BATCHES = 8  # that are held in memory, one after the other
CORPUS = 960 * 30  # hours heard in 30 epochs of LibriSpeech
ENCODERS = (
    "hey_jetson_small,hey_jetson,hey_jetson_gru,hey_jetson_streaming,"
    "nemo_jasper_4x1,nemo_quartznet,nemo_conformer_small"
)
COLUMNS = ("encoder", "M parameters", "batch", "precision", "device", "sound", "step, ms", "hours an hour", "GB",
           "960 h × 30, days")  # fmt: skip
STACKS = (("gru", 7, 256), ("lstm", 2, 96))  # of hey_jetson_gru and hey_jetson_small
STACK_COLUMNS = ("recurrences", "batch", "precision", "device", "ours, ms", "fused, ms", "fused on packed, ms",
                 "fused / ours", "packed / ours")  # fmt: skip


@dataclass
class Table:
    """Rows as they are found, and as they are printed.

    Args:
        columns: their names.
        rows: found so far.
    """

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Take a row, and show it as a sign of life."""
        self.rows.append(cells)
        print("  ".join(cells), file=sys.stderr, flush=True)

    def show(self, title: str) -> None:
        """Print it: drawn on a terminal, and as Markdown."""
        from rich.console import Console
        from rich.table import Table as Drawn

        console = Console()
        if console.is_terminal:
            drawn = Drawn(*self.columns, title=title, title_justify="left")
            for row in self.rows:
                drawn.add_row(*row)
            console.print(drawn)
        print(f"\n| {' | '.join(self.columns)} |\n|{'---|' * len(self.columns)}")
        for row in self.rows:
            print(f"| {' | '.join(row)} |")


def durations(count: int, mean: float, rng: np.random.Generator) -> np.ndarray:
    """Seconds of utterances as in LibriSpeech: most near the longest, a tail of short ones."""
    return mean * rng.triangular(0.2, 1.3, 1.5, count)


def utterance(seconds: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noise [S] and as many letters [L] as are spoken in the time, none twice in a row."""
    samples = (0.1 * rng.standard_normal(round(seconds * RATE))).astype(np.float32)
    letters = np.cumsum(rng.integers(1, 27, max(round(seconds * LETTERS), 1))) % 28
    return samples, letters


def batches(size: int, mean: float, device: str) -> list[Batch]:
    """Batches of like lengths, where they are used."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    from experiments.data.sampler import LengthBatches

    rng = np.random.default_rng(0)
    seconds = durations(size * BATCHES, mean, rng)
    found = []
    for chosen in LengthBatches(seconds, size, spread=0.2):
        pairs = [utterance(seconds[index], rng) for index in chosen]
        samples, labels = ([torch.from_numpy(part) for part in parts] for parts in zip(*pairs, strict=True))
        tensors = (
            pad_sequence(samples, batch_first=True),
            torch.tensor([len(part) for part in samples]),
            pad_sequence(labels, batch_first=True),
            torch.tensor([len(part) for part in labels]),
        )
        found.append(tuple(tensor.to(device) for tensor in tensors))
    return found


def compose(encoder: str, *overrides: str) -> DictConfig:
    """conf/train.yaml with an encoder."""
    from hydra import compose as composed

    from experiments.cli.overrides import composing

    with composing():
        return composed("train", [f"encoder={encoder}", "logger=none", "data.num_workers=0", *overrides])


def files(folder: Path, count: int, mean: float) -> Path:
    """Write recordings and their manifest."""
    import soundfile

    from manifests.text import LABELS

    rng = np.random.default_rng(0)
    lines = []
    for index, seconds in enumerate(durations(count, mean, rng)):
        samples, letters = utterance(seconds, rng)
        soundfile.write(folder / f"{index}.wav", samples, RATE, "PCM_16")
        text = "".join(LABELS[letter] for letter in letters)
        lines.append({"audio_filepath": f"{index}.wav", "duration": len(samples) / RATE, "text": text})
    manifest = folder / "train.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return manifest


def read_batches(cfg: DictConfig, manifest: Path, device: str) -> Iterator[Batch]:
    """Batches read by the project's loader, without end."""
    from experiments.data.datamodule import SpeechDataModule
    from experiments.data.preparation import Data

    loader = SpeechDataModule(cfg, Data(manifest, manifest, {})).train_dataloader()
    while True:
        for batch in loader:
            yield tuple(tensor.to(device, non_blocking=True) for tensor in batch)


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def timed(step: Callable[[], Any], device: str, seconds: float, busy: bool) -> tuple[float, float]:
    """Repeat a step for some seconds after a warm-up.

    Args:
        step: what is timed.
        device: where.
        seconds: of measuring, at least.
        busy: count the time of this process alone.

    Returns:
        seconds a step, and the sum of what the steps returned for each second.
    """
    clock = time.process_time if busy and device == "cpu" else time.perf_counter
    for _ in range(10 if device == "cuda" else 2):
        step()
    wait(device)
    started, steps, total = clock(), 0, 0
    while steps < 3 or clock() - started < seconds:
        total = total + step()  # of tensors on the device, so that nothing waits for it
        steps += 1
    wait(device)
    spent = clock() - started
    return spent / steps, float(total) / spent


def reason(error: Exception) -> str:
    """What to say where a figure could not be had."""
    return "does not fit" if "out of memory" in str(error) else str(error).strip().splitlines()[0][:60]


def measure(
    table: Table, encoder: str, size: int, precision: str, device: str, given: argparse.Namespace, manifest: Path | None
) -> None:
    """A row: one encoder at one batch size in one precision."""
    import torch
    from lightning.fabric import Fabric

    from custom_modules.model import SpeechModel
    from experiments.training.fit import model_config

    class Step(torch.nn.Module):
        def __init__(self, model: SpeechModel):
            super().__init__()
            self.model = model

        def forward(self, signal, length, labels, label_length) -> torch.Tensor:
            log_probs, frames, _ = self.model.forward(input_signal=signal, input_signal_length=length)
            return self.model.loss(
                log_probs=log_probs, targets=labels, input_lengths=frames, target_lengths=label_length
            )

    cfg = compose(encoder, f"data.batch_size={size}", f"data.num_workers={given.workers}")
    torch.manual_seed(0)
    model = SpeechModel(model_config(cfg)).train()
    weights = f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.1f}"
    head = (encoder, weights, f"{size} × {given.mean:g} s", precision, device)
    source = f"files, {given.workers} workers" if manifest else "memory"
    try:
        fabric = Fabric(accelerator=device, devices=1, precision=precision)
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        step_of = Step(model)
        module, optimiser = fabric.setup(step_of, torch.optim.AdamW(parameters, lr=1e-4, fused=True))
        supply = read_batches(cfg, manifest, device) if manifest else cycle(batches(size, given.mean, device))

        def step() -> torch.Tensor:
            batch = next(supply)
            with fabric.autocast():  # as the Trainer does; `module` would round the samples as well
                loss = step_of(*batch)
            fabric.backward(loss)
            fabric.clip_gradients(module, optimiser, max_norm=1.0, error_if_nonfinite=False)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            return batch[1].sum()

        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        a_step, samples = timed(step, device, given.seconds, given.busy)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        table.add(*head, source, "–", reason(error), "–", "–")
        return
    speed = samples / RATE
    memory = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}" if device == "cuda" else "–"
    table.add(*head, source, f"{1000 * a_step:.0f}", f"{speed:.0f}", memory, f"{CORPUS / speed / 24:.1f}")


def measure_stack(
    table: Table, cell: str, layers: int, hidden: int, size: int, precision: str, device: str, given: argparse.Namespace
) -> None:
    """A row: our bidirectional stack beside torch's, forward and gradient, on frames of 40 ms.

    Torch's is timed twice: on a padded batch, whose padding its backward direction reads as sound, and on packed
    sequences, which give what ours gives.
    """
    import torch
    from lightning.fabric import Fabric
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    from custom_modules.recurrent import RecurrentStack

    fabric = Fabric(accelerator=device, devices=1, precision=precision)
    torch.manual_seed(0)
    frames = round(given.mean / 0.04)
    x = torch.randn(size, frames, 2 * hidden, device=device)
    length = torch.linspace(0.8 * frames, frames, size).round().long()  # as like as in a batch
    on_device = length.to(device)
    ours = RecurrentStack(2 * hidden, layers, hidden, cell, norm="none").to(device)
    torchs = getattr(torch.nn, cell.upper())(2 * hidden, hidden, layers, batch_first=True, bidirectional=True).to(
        device
    )

    def packed() -> torch.Tensor:
        given_frames = pack_padded_sequence(x, length, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(torchs(given_frames)[0], batch_first=True)[0]

    def run(module: torch.nn.Module, outputs: Callable[[], torch.Tensor]) -> float:
        def step() -> float:
            with fabric.autocast():
                loss = outputs().float().square().mean()
            loss.backward()
            module.zero_grad(set_to_none=True)
            return 0.0

        return 1000 * timed(step, device, given.seconds / 2, given.busy)[0]

    head = (f"{layers} × 2 × {hidden} {cell.upper()}", f"{size} × {frames} frames", precision, device)
    try:
        mine = run(ours, lambda: ours(audio_signal=x, length=on_device)[0])
        fused, on_packed = run(torchs, lambda: torchs(x)[0]), run(torchs, packed)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        table.add(*head, "–", reason(error), "–", "–", "–")
        return
    ratios = (f"{fused / mine:.2f}", f"{on_packed / mine:.2f}")
    table.add(*head, f"{mine:.0f}", f"{fused:.0f}", f"{on_packed:.0f}", *ratios)


def options() -> argparse.Namespace:
    """What the command line says; the rest is what suits the machine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", default=ENCODERS, help=f"of conf/encoder (default {ENCODERS}); '' skips them")
    parser.add_argument("--batch-sizes", help="utterances in a batch (default 8; on a GPU 32,128)")
    parser.add_argument("--precisions", help="of Lightning (default 32-true; on a GPU also bf16-mixed)")
    parser.add_argument("--devices", help="cpu, cuda (default: cuda where there is one)")
    parser.add_argument("--mean", type=float, default=12.0, help="seconds of an utterance, on average (default 12)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of measuring for each row (default 20)")
    parser.add_argument("--loading", action="store_true", help="read the sound from files, by data.loader=plain")
    parser.add_argument("--workers", type=int, default=0, help="processes that read, with --loading (default 0)")
    parser.add_argument("--threads", type=int, help="cores used on a CPU (default all)")
    parser.add_argument("--busy", action="store_true", help="the machine works besides: count own time (--threads 1)")
    parser.add_argument("--no-stacks", action="store_true", help="leave out the recurrences alone")
    return parser.parse_args()


def main() -> None:
    """Measure and print the tables."""
    given = options()
    from experiments.cli.guarded import quiet

    quiet()
    import torch

    from experiments.cli.log_levels import set_log_levels

    set_log_levels()
    if given.threads:
        torch.set_num_threads(given.threads)
    devices = (given.devices or ("cuda" if torch.cuda.is_available() else "cpu")).split(",")
    table, stacks = Table(COLUMNS), Table(STACK_COLUMNS)
    with tempfile.TemporaryDirectory() as temporary:
        for device in devices:
            on_gpu = device == "cuda"
            sizes = [int(size) for size in (given.batch_sizes or ("32,128" if on_gpu else "8")).split(",")]
            precisions = (given.precisions or ("32-true,bf16-mixed" if on_gpu else "32-true")).split(",")
            manifest = files(Path(temporary), max(sizes) * BATCHES * 4, given.mean) if given.loading else None
            for size in sizes:
                for precision in precisions:
                    for encoder in filter(None, given.encoders.split(",")):
                        measure(table, encoder, size, precision, device, given, manifest)
                    for stack in () if given.no_stacks else STACKS:
                        measure_stack(stacks, *stack, size, precision, device, given)
    print(f"{hardware(devices)}; torch {torch.__version__}, {torch.get_num_threads()} threads")
    for found, title in ((table, "training"), (stacks, "forward and gradient of the recurrences")):
        if found.rows:
            found.show(title)


def hardware(devices: list[str]) -> str:
    """What was measured on."""
    import torch

    if "cuda" in devices:
        return torch.cuda.get_device_name()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if os.path.exists("/proc/cpuinfo") else []:
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return "an unknown processor"


if __name__ == "__main__":
    main()
