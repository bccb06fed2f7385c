"""What a run will take, said before its first step: a few steps are timed on made-up sound, and leave no trace."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Timer

from custom_modules.model import SpeechModel
from experiments.errors import ConfigError
from experiments.training.progress_bar import ProcessorTimer
from experiments.training.resumption import random_states, set_random_states
from manifests.show import span

LONGEST = 10.0  # seconds for all timed steps; the first one is always taken
SPEECH_RATE = 12  # characters a second, as English is read


@dataclass(frozen=True)
class Estimate:
    """What steps take on this machine, without reading sound, the optimiser and validations.

    Args:
        step: seconds of a step of the usual batch.
        memory: bytes at most, of the GPU where there is one, else of this process.
        processor: the seconds are of this process's own time, as the budget is with clock=processor.
    """

    step: float
    memory: int
    processor: bool = False


def estimate(model: SpeechModel, trainer: pl.Trainer, batches: Sequence[Sequence[float]], steps: int) -> Estimate:
    """Time steps of the batch in the middle, and take the largest one once; weights and random states stay.

    Args:
        model: to be trained.
        trainer: says on what, and how precisely.
        batches: seconds of each utterance in each batch of an epoch.
        steps: how many are timed at most.

    Raises:
        ConfigError: the largest batch does not fit into the GPU's memory.
    """
    device = trainer.strategy.root_device
    area = [len(batch) * max(batch) for batch in batches]
    order = np.argsort(area, kind="stable")
    largest, middle = batches[order[-1]], batches[order[len(order) // 2]]
    with _untouched(model, device):
        try:
            more = model.silence.most if model.silence is not None else 0.0
            _step(model, trainer, [seconds + more for seconds in largest])
        except torch.OutOfMemoryError:
            raise ConfigError(
                f"The largest batch, {len(largest)} utterances of up to {max(largest):.1f} s, does not fit into the "
                "GPU's memory. Lower data.batch_size (data.batch_duration with Lhotse) or data.longest, or choose "
                "trainer.precision=bf16-mixed."
            ) from None
        memory = _memory(device)
        processor = any(isinstance(one, ProcessorTimer) for one in trainer.callbacks)
        clock = time.process_time if processor else time.perf_counter
        times: list[float] = []
        began = time.perf_counter()
        while len(times) < steps and (not times or time.perf_counter() - began < LONGEST):
            started = clock()
            _step(model, trainer, middle)
            times.append(clock() - started)
    return Estimate(float(np.mean(times)), memory, processor)


def sentence(
    found: Estimate,
    trainer: pl.Trainer,
    batches: int,
    folder: Path,
    checkpoints: float,
    done: int = 0,
    spent: float = 0.0,
) -> str:
    """An estimate against the budget of the run.

    Args:
        found: from `estimate`.
        trainer: has the budget: of time, steps or epochs, whichever ends first.
        batches: of an epoch.
        folder: of the run.
        checkpoints: bytes that will be needed for them.
        done: steps that were trained before.
        spent: seconds of a budget of time that were used before.
    """
    each = found.step * trainer.accumulate_grad_batches
    epoch = -(-batches // trainer.accumulate_grad_batches)
    steps = (
        min((most for most in (trainer.max_steps, (trainer.max_epochs or -1) * epoch) if most > 0), default=10**9)
        - done
    )
    seconds = min((one._duration for one in trainer.callbacks if isinstance(one, Timer) and one._duration), default=0.0)
    left = max(seconds - spent, 0.0)
    if steps <= 0 or (seconds and not left):
        what = "its budget is spent; more of trainer.max_time, max_steps or max_epochs, whichever it has, goes on"
    elif seconds and left / each < steps:
        what = f"at most {left / each:,.0f} steps, {left / each / epoch:,.1f} epochs, in {span(left / 3600)}"
    else:
        what = f"{steps:,} steps, {steps / epoch:,.1f} epochs, take at least {span(steps * each / 3600)}"
    free = shutil.disk_usage(folder).free
    return (
        f"A step takes {_seconds(each)}{' of the processor' * found.processor} here, without reading sound, the "
        f"optimiser and validations: {what}. "
        f"Memory {found.memory / 1e9:.1f} GB, checkpoints up to {_bytes(checkpoints)} of {_bytes(free)} free."
    )


def _step(model: SpeechModel, trainer: pl.Trainer, batch: Sequence[float]) -> None:
    """Forward and backward of a batch of noise with as many characters as speech of its length has."""
    device, rate = trainer.strategy.root_device, model.preprocessor._sample_rate
    lengths = torch.tensor([max(round(seconds * rate), 1) for seconds in batch], device=device)
    signal = 0.05 * torch.randn(len(batch), int(lengths.max()), device=device)
    counts = (lengths / rate * SPEECH_RATE).long().clamp_min(1)
    labels = torch.randint(len(model.labels), (len(batch), int(counts.max())), device=device)
    signal, lengths, labels, counts = model.with_silence((signal, lengths, labels, counts))
    with trainer.precision_plugin.train_step_context():
        log_probs, frames, _ = model.forward(input_signal=signal, input_signal_length=lengths)
        counts = torch.minimum(counts, frames // 2).clamp_min(1)
        loss = model.loss(log_probs=log_probs, targets=labels, input_lengths=frames, target_lengths=counts)
    loss.backward()
    model.zero_grad(set_to_none=True)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _untouched(model: Any, device: torch.device) -> Iterator[None]:
    """Within it the model trains; afterwards it and all random generators are as they were."""
    states = random_states()
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    modes = {name: module.training for name, module in model.named_modules()}
    place = next(model.parameters()).device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        model.to(device).train()
        yield
    finally:
        model.zero_grad(set_to_none=True)
        model.to(place)
        for name, module in model.named_modules():
            module.training = modes[name]
        for name, buffer in model.named_buffers():
            if name in buffers and buffer.shape == buffers[name].shape:  # NeMo's encoders grow theirs of positions
                buffer.copy_(buffers[name])
        set_random_states(states)


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _bytes(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
