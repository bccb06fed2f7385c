"""Does a graph say what its model says? Compared on noise, at several lengths, batch sizes and chunkings."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from nemo.core.classes.common import typecheck

from custom_modules.model import SpeechModel
from experiments.entry import ConfigError
from experiments.export.difference import largest_difference
from experiments.export.graphs import ClipGraph
from heyjetson import Engine


@dataclass(frozen=True)
class Parity:
    """How far a graph is from its model.

    Args:
        difference: largest difference of a log-probability, in proportion in frames that reach far below -10.
        cases: pairs of batch size and seconds tried.
        rounding: how far the model itself is from its encoder and decoder in float64, counted in the same way; deep
            stacks add up what float32 leaves out.
    """

    difference: float
    cases: int
    rounding: float

    def within(self, tolerance: float) -> bool:
        """Whether the two agree: to the tolerance, or as well as the model in float32 agrees with itself in float64.

        The graph and the model each have their own rounding, hence twice it.
        """
        return self.difference <= max(tolerance, 2 * self.rounding)


def _expected(model: SpeechModel, samples: np.ndarray, length: np.ndarray) -> tuple[np.ndarray, list[int]]:
    with torch.no_grad(), typecheck.disable_checks():
        log_probs, frames = ClipGraph(model).eval()(torch.from_numpy(samples), torch.from_numpy(length))
    return log_probs.numpy(), frames.tolist()


def _rounding(model: SpeechModel, samples: np.ndarray, length: np.ndarray, expected: np.ndarray) -> float:
    """How far a model's log-probabilities of one clip are from those of its encoder and decoder in float64."""
    encoder, decoder = (copy.deepcopy(part).double() for part in (model.encoder, model.decoder))
    with torch.no_grad(), typecheck.disable_checks():
        features, frames = model.preprocessor(input_signal=torch.from_numpy(samples), length=torch.from_numpy(length))
        encoded, frames = encoder(audio_signal=features.double(), length=frames)[:2]
        exact = decoder(encoder_output=encoded).numpy()
    return largest_difference(expected[0, : int(frames[0])], exact[0, : int(frames[0])])


def check_parity(
    model: SpeechModel, engine: Engine, seconds: Sequence[float], batch_sizes: Sequence[int], seed: int = 0
) -> Parity:
    """Compare a graph with its model on noise, with unequal lengths in a batch; a stream is cut at drawn places.

    Args:
        model: the reference, which sees each clip as a whole.
        engine: holds the graph.
        seconds: lengths to try.
        batch_sizes: batch sizes to try; a stream has one utterance.
        seed: of the noise and of the cuts.

    Raises:
        ConfigError: the two give another number of frames.
    """
    rng = np.random.default_rng(seed)
    worst, cases, rounding = 0.0, 0, 0.0
    for batch in [1] if engine.bundle.streams else batch_sizes:
        for duration in seconds:
            total = round(duration * model.preprocessor._sample_rate)
            samples = (rng.standard_normal((batch, total)) * 0.1).astype(np.float32)
            length = np.linspace(total, max(total * 0.6, model.preprocessor.window), batch).astype(np.int64)
            samples[np.arange(total) >= length[:, None]] = 0.0
            expected, expected_frames = _expected(model, samples, length)
            case = f"{batch} x {duration} s"
            if engine.bundle.streams:
                cuts = np.sort(rng.integers(0, total, size=8))
                found = engine.stream_log_probs(np.split(samples[0], cuts))[None]
                frames = [found.shape[1]]
            else:
                found, counts = engine.log_probs(samples, length)
                frames = counts.tolist()
            if frames != expected_frames:
                raise ConfigError(
                    f"The graph gives frames {frames} where the model gives {expected_frames} ({case}). "
                    "No bundle was written."
                )
            for row, count in enumerate(frames):
                worst = max(worst, largest_difference(found[row, :count], expected[row, :count]))
            cases += 1
            if batch == 1 and duration == max(seconds):
                rounding = _rounding(model, samples, length, expected)
    return Parity(worst, cases, rounding)
