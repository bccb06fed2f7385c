"""Does a graph say what its model says? Compared on noise, at several lengths, batch sizes and chunkings."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from nemo.core.classes.common import typecheck
from torch import Tensor

from experiments.errors import ConfigError
from experiments.export.graphs import ClipGraph, Model
from heyjetson import Bundle, Engine, Trigger
from heyjetson.check import largest_difference
from heyjetson.frames import FrameStream

LAST_BIT = 2.0**-23  # of float32, in proportion
DRAWS = 3  # of the weights' last bits


@dataclass(frozen=True)
class Parity:
    """How far a graph is from its model.

    Args:
        difference: largest difference of an output, in proportion where log-probabilities reach far below -10.
        cases: pairs of batch size and seconds tried.
    """

    difference: float
    cases: int


def _expected(model: Model, samples: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, list[int]]:
    with torch.no_grad(), typecheck.disable_checks():
        given, frames = ClipGraph(model).eval()(torch.from_numpy(samples), torch.from_numpy(length))
    return given.numpy(), frames.tolist()


def rounding(model: Model, seconds: Sequence[float], batch_sizes: Sequence[int], seed: int = 0) -> float:
    """How far rounding can put a model off: a deep stack or a recurrence raises it, in few frames a hundred times.

    The model beside its encoder and decoder in float64, and these beside themselves with each weight moved by its last
    bit in float32: no float32 computation can be asked to be closer (backward error; Higham, 2002, chapter 1).

    Args:
        model: in evaluation mode.
        seconds: of `check_parity`, like what follows.
        batch_sizes: batch sizes.
        seed: of the noise.

    Returns:
        largest difference of a log-probability, counted as in `Parity`.
    """
    exact = _Parts(model, None)
    moved = [_Parts(model, draw) for draw in range(DRAWS)]
    worst = 0.0
    for samples, length, _ in _cases(model, seconds, batch_sizes, seed):
        with torch.no_grad(), typecheck.disable_checks():
            heard = model.preprocessor(input_signal=torch.from_numpy(samples), length=torch.from_numpy(length))
        reference = exact(*heard)
        found, counts = _expected(model, samples, length)
        for given in (found, *(parts(*heard) for parts in moved)):
            for row, count in enumerate(counts):
                worst = max(worst, largest_difference(given[row, :count], reference[row, :count]))
    return worst


class _Parts:
    """Encoders and decoders of a model in float64.

    Args:
        model: whose.
        draw: seed by which each weight is moved by the last bit that float32 has for it, up or down; None moves none.
    """

    def __init__(self, model: Model, draw: int | None):
        graph = ClipGraph(model)
        graph.frontend = None  # what is heard is given
        self.graph = copy.deepcopy(graph).double().eval()
        if draw is None:
            return
        generator = torch.Generator().manual_seed(draw)
        with torch.no_grad():
            for weight in self.graph.parameters():
                up = torch.randint(0, 2, weight.shape, generator=generator).to(weight)
                weight.mul_(1 + LAST_BIT * (2 * up - 1))

    def __call__(self, features: Tensor, frames: Tensor) -> np.ndarray:
        """Outputs [B, T, V + 1], or those of a trigger, of features [B, D, N] and their lengths [B]."""
        with torch.no_grad(), typecheck.disable_checks():
            return self.graph.heard(features.double(), frames)[0].numpy()


def _noise(rng: np.random.Generator, model: Model, batch: int, seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """A batch of noise [B, S] of unequal lengths [B], the first the longest."""
    total = round(seconds * model.preprocessor._sample_rate)
    samples = (rng.standard_normal((batch, total)) * 0.1).astype(np.float32)
    length = np.linspace(total, max(total * 0.6, model.preprocessor.window), batch).astype(np.int64)
    samples[np.arange(total) >= length[:, None]] = 0.0
    return samples, length


def _cases(
    model: Model, seconds: Sequence[float], batch_sizes: Sequence[int], seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Noise [B, S], its lengths [B], and places to cut a stream at."""
    rng = np.random.default_rng(seed)
    for batch in batch_sizes:
        for duration in seconds:
            samples, length = _noise(rng, model, batch, duration)
            yield samples, length, np.sort(rng.integers(0, samples.shape[1], size=8))


def check_parity(
    model: Model, bundle: Bundle, seconds: Sequence[float], batch_sizes: Sequence[int], seed: int = 0
) -> Parity:
    """Compare a graph with its model on noise, with unequal lengths in a batch; a stream is cut at random places.

    Args:
        model: the reference, which sees each clip as a whole.
        bundle: holds the graph.
        seconds: lengths to try.
        batch_sizes: batch sizes to try; a stream has one utterance.
        seed: of the noise and of the cuts.

    Raises:
        ConfigError: the two give another number of frames.
    """
    worst, cases = 0.0, 0
    engine: Any = Trigger(bundle) if bundle.is_trigger else Engine(bundle)
    for samples, length, cuts in _cases(model, seconds, [1] if bundle.streams else batch_sizes, seed):
        expected, expected_frames = _expected(model, samples, length)
        if bundle.streams:
            found = _streamed(engine, np.split(samples[0], cuts))[None]
            frames = [found.shape[1]]
        else:
            found, counts = engine.log_probs(samples, length)
            frames = counts.tolist()
        if frames != expected_frames:
            case = f"{len(samples)} x {samples.shape[1] / bundle.sample_rate:g} s"
            raise ConfigError(
                f"The graph gives frames {frames} where the model gives {expected_frames} ({case}). "
                "No bundle was written."
            )
        for row, count in enumerate(frames):
            worst = max(worst, largest_difference(found[row, :count], expected[row, :count]))
        cases += 1
    return Parity(worst, cases)


def _streamed(engine: Engine | Trigger, chunks: Sequence[np.ndarray]) -> np.ndarray:
    """All that a stream's graph gives, [T, V + 1, W or W + P + 1]."""
    return FrameStream(engine.bundle, engine.session).whole(chunks)
