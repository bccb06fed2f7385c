"""The figures of a run besides its error rates: where each comes from and how it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from experiments.compare.record import Run
from experiments.compare.statistics import Comparison


@dataclass(frozen=True)
class Figure:
    """One figure.

    Args:
        title: short.
        meaning: in full.
        value: of a run; None where it is not known.
        text: of a value.
        rank: figures of high rank are left out first where there is little room.
    """

    title: str
    meaning: str
    value: Callable[[Run], float | str | None]
    text: Callable[[float], str]
    rank: int


def figures(comparison: Comparison) -> list[Figure]:
    """All figures, in their order; speed and size are those of bundles where there are any, of the models otherwise."""

    def total(name: str) -> Callable[[Run], float | None]:
        return lambda run: _over_tests(run, comparison, name)

    device = [
        Figure("RTF", "real-time factor of the bundle, measured on one core", speed, _4, 1),
        Figure("MB", "size of the bundle's graph", size, _2, 2),
        Figure("precision", "of the bundle's weights", precision, str, 5),
    ]
    trained = "real-time factor of the model, in batches, on the machine that trained it"
    host = [
        Figure("RTF", trained, total("real_time_factor"), _4, 3),
        Figure(".nemo MB", "size of model.nemo", lambda run: _over(run.bytes, 1e6), _2, 5),
    ]
    return [
        Figure("CER", "character error rate over all test sets", total("cer"), _percent, 4),
        Figure("cosine", "cosine similarity of the word counts", total("cosine"), _3, 9),
        Figure("best val", "least word error rate of a validation", best_validation, _percent, 3),
        Figure("last val", "word error rate of the last validation", lambda run: run.last("val_wer"), _percent, 8),
        Figure("loss", "CTC loss of the last validation", lambda run: run.last("val_loss"), _3, 7),
        Figure("params M", "parameters, millions", parameters, _2, 2),
        *(device if any(run.bundle for run in comparison.runs) else host),
        Figure("steps", "optimiser steps", steps, _whole, 6),
        Figure("min", "minutes of training, validation included", minutes, _1, 2),
        Figure("Wh", "energy of the GPUs in watt hours, from W&B's system metrics", lambda run: run.energy, _3, 3),
    ]


def _over_tests(run: Run, comparison: Comparison, name: str) -> float | None:
    """A figure of the totals over the test sets of the comparison, each weighed by its words."""
    results = [result for test in comparison.rates if (result := comparison.result(run, test))]
    known = [(result.totals[name], max(result.size[1], 1)) for result in results if name in result.totals]
    return sum(value * weight for value, weight in known) / sum(weight for _, weight in known) if known else None


def best_validation(run: Run) -> float | None:
    """Least word error rate of a validation."""
    value = run.metrics.get("validation_wer")
    return run.least("val_wer") if value is None else float(value)


def steps(run: Run) -> float | None:
    """Optimiser steps."""
    value = run.metrics.get("steps")
    return run.last("step") if value is None else float(value)


def minutes(run: Run) -> float | None:
    """Minutes of training."""
    seconds = run.metrics.get("seconds")
    return _over(run.last("seconds") if seconds is None else float(seconds), 60)


def parameters(run: Run) -> float | None:
    """Millions of parameters."""
    return _over(run.metrics.get("parameters"), 1e6)


def speed(run: Run) -> float | None:
    """Real-time factor of the run's bundle."""
    return run.bundle.real_time_factor if run.bundle else None


def precision(run: Run) -> str | None:
    """How the weights of the run's bundle are stored."""
    return run.bundle.precision if run.bundle else None


def size(run: Run) -> float | None:
    """Megabytes of the run's bundle."""
    return run.bundle.bytes / 1e6 if run.bundle else None


def _over(value: float | None, unit: float) -> float | None:
    return None if value is None else float(value) / unit


def _percent(value: float) -> str:
    return f"{value:.2%}"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _1(value: float) -> str:
    return f"{value:.1f}"


def _2(value: float) -> str:
    return f"{value:.2f}"


def _3(value: float) -> str:
    return f"{value:.3f}"


def _4(value: float) -> str:
    return f"{value:.4f}"
