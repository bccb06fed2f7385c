"""The figures of a run besides its error rates: where each comes from and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from experiments.compare.record import Result, Run
from experiments.compare.statistics import Comparison
from experiments.evaluation.report import Row

Judged = tuple[Result, Sequence[Row]]  # a test set of a run, and its rows that are compared, where they are known


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

    def over(tests: Callable[[list[Judged]], float | None]) -> Callable[[Run], float | None]:
        return lambda run: tests(_judged(run, comparison))

    device = [
        Figure("RTF", "real-time factor of the bundle, measured on one core", speed, _4, 1),
        Figure("MB", "size of the bundle's graph", size, _2, 2),
        Figure("precision", "of the bundle's weights", precision, str, 5),
    ]
    trained = "real-time factor of the model, in batches, on the machine that trained it"
    host = [
        Figure("RTF", trained, over(_real_time_factor), _4, 3),
        Figure(".nemo MB", "size of model.nemo", lambda run: _over(run.bytes, 1e6), _2, 5),
    ]
    return [
        Figure("CER", "character error rate over all shared test sets", over(_character_errors), _percent, 4),
        Figure("cosine", "cosine similarity of the word counts", over(_cosine), _3, 9),
        Figure("best val", "least word error rate of a validation", best_validation, _percent, 3),
        Figure("last val", "word error rate of the last validation", lambda run: run.last("val_wer"), _percent, 8),
        Figure("loss", "CTC loss of the last validation", lambda run: run.last("val_loss"), _3, 7),
        Figure("params M", "parameters, millions", parameters, _2, 2),
        *(device if any(run.bundle for run in comparison.runs) else host),
        Figure("steps", "optimiser steps", steps, _whole, 6),
        Figure("min", "minutes of training, validation included", minutes, _1, 2),
        Figure("Wh", "energy of the GPUs in watt hours, from W&B's system metrics", lambda run: run.energy, _3, 3),
    ]


def _judged(run: Run, comparison: Comparison) -> list[Judged]:
    """The test sets that a run is judged by: those of all runs, as its word errors are, else all that it has."""
    shared = comparison.shared
    found = [(name, shared.result(run, name)) for name in shared.ranking or shared.names]
    return [(result, shared.rows(run, name) or result.rows) for name, result in found if result]


def _character_errors(tests: list[Judged]) -> float | None:
    """Errors over characters; where these are not known, the rates weighed by words."""
    rows = [row for _, known in tests for row in known]
    if tests and all(known for _, known in tests):
        return sum(row.character_errors for row in rows) / max(sum(row.characters for row in rows), 1)
    return _weighed(tests, "cer", lambda result: result.size[1])


def _cosine(tests: list[Judged]) -> float | None:
    """The mean over utterances."""
    rows = [row for _, known in tests for row in known]
    if tests and all(known for _, known in tests):
        return sum(row.cosine for row in rows) / len(rows)
    return _weighed(tests, "cosine", lambda result: result.size[0])


def _real_time_factor(tests: list[Judged]) -> float | None:
    """Time over the length of the sound; where that is not known, weighed by words."""
    return _weighed(tests, "real_time_factor", lambda result: result.totals.get("audio_seconds", result.size[1]))


def _weighed(tests: list[Judged], name: str, weight: Callable[[Result], float]) -> float | None:
    known = [(result.totals[name], max(weight(result), 1)) for result, _ in tests if name in result.totals]
    return sum(value * share for value, share in known) / sum(share for _, share in known) if known else None


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
