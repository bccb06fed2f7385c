"""Runs brought into order, and the differences between them judged."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from experiments.compare.record import Key, Result, Run
from experiments.compare.shared_test_sets import Shared, share
from experiments.errors import ConfigError
from experiments.evaluation.report import Row
from heyjetson.significance import Bootstrap, Difference, Interval, difference, wer_interval


@dataclass
class Judged:
    """One test set, or all of them together, over the runs whose utterances are known.

    Args:
        name: shown.
        keys: the utterances, in one order for all runs.
        rows: of each run, by its place among all runs [run][utterance].
        groups: what is drawn together: the speaker of each utterance; None draws utterances.
        known: differences of pairs of runs that were computed.
    """

    name: str
    keys: list[Key]
    rows: dict[int, list[Row]]
    groups: list[str] | None = None
    known: dict[tuple[int, int], Difference] = field(default_factory=dict)

    @cached_property
    def columns(self) -> dict[int, int]:
        """The place of each run in the bootstrap."""
        return {run: column for column, run in enumerate(self.rows)}

    @cached_property
    def words(self) -> np.ndarray:
        """Words of each reference [N]."""
        return np.array([row.words for row in next(iter(self.rows.values()))])

    def errors(self, run: int) -> np.ndarray:
        """Word errors of each utterance [N]."""
        return np.array([row.word_errors for row in self.rows[run]])

    @cached_property
    def bootstrap(self) -> Bootstrap:
        """The same resampled test sets for all runs."""
        errors = np.stack([self.errors(run) for run in self.rows], axis=1)
        return Bootstrap(errors, self.words, groups=self.groups)

    def interval(self, run: int) -> Interval:
        """The run's rate with its interval: the numbers that train.py and evaluate.py show."""
        return wer_interval(self.errors(run), self.words, groups=self.groups)

    def difference(self, run: int, other: int) -> Difference:
        """How `run` differs from `other`: below 0, `run` is better. It does not depend on the other runs there are."""
        if (run, other) not in self.known:
            found = difference(self.errors(other), self.errors(run), self.words, groups=self.groups)
            self.known[run, other], self.known[other, run] = found, found.swapped
        return self.known[run, other]

    def estimate(self, run: int, other: int) -> Difference:
        """The same from one drawing for all pairs: quick for very many, and off in the last digit."""
        return self.bootstrap.difference(self.columns[other], self.columns[run])


@dataclass
class Comparison:
    """Runs in their order, best first and those without a result last, and what can be said of them.

    Args:
        runs: all of them.
        tests: the test sets that all tested runs share, by name; runs whose utterances are not known are not in them.
        rates: word error rate by test set and run, with its interval where it is known.
        overall: rate over all shared test sets of each run; None where it has no result.
        reference: the run that others are compared with, best or `--baseline`; None where none was tested.
        shared: the test sets.
    """

    runs: list[Run]
    tests: dict[str, Judged]
    rates: dict[str, list[Interval | None]]
    overall: list[float | None]
    reference: int | None
    shared: Shared

    @property
    def best(self) -> int | None:
        """The run with the fewest errors; None where there is nothing to be better than."""
        return self.tested[0] if len(self.tested) > 1 and self.shared.ranking else None

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the test sets."""
        return self.shared.notes

    def result(self, run: Run, name: str) -> Result | None:
        """The run's result on a test set of the comparison."""
        return self.shared.result(run, name)

    @cached_property
    def pooled(self) -> Judged | None:
        """All shared test sets as one; None without any."""
        tests = list(self.tests.values())
        if len(tests) < 2:
            return tests[0] if tests else None
        everywhere = [run for run in tests[0].rows if all(run in test.rows for test in tests)]
        rows = {run: [row for test in tests for row in test.rows[run]] for run in everywhere}
        groups = None if tests[0].groups is None else [group for test in tests for group in test.groups or []]
        return Judged("all test sets", [key for test in tests for key in test.keys], rows, groups)

    @cached_property
    def tested(self) -> list[int]:
        """The runs that have a result, best first."""
        return [index for index, rate in enumerate(self.overall) if rate is not None]

    @cached_property
    def differences(self) -> list[Difference | None]:
        """Of each run to the reference, over all shared test sets."""
        pooled, reference = self.pooled, self.reference
        if pooled is None or reference is None or reference not in pooled.rows:
            return [None] * len(self.runs)
        return [
            pooled.difference(run, reference) if run in pooled.rows and run != reference else None
            for run in range(len(self.runs))
        ]


def compare(
    runs: list[Run], baseline: str | None = None, test: str | None = None, force: bool = False, speakers: bool = False
) -> Comparison:
    """Bring runs into order and judge their differences.

    Args:
        runs: as they were read.
        baseline: name, or part of the name, of the run to compare with; the best when None.
        test: the only test set to look at; all that the runs share when None.
        force: compare what utterances the runs have in common, where they were tested on different ones.
        speakers: draw whole speakers instead of utterances.

    Raises:
        ConfigError: the runs were tested on different utterances, there is no such baseline or test set, or the
            speakers are not known.
    """
    shared = share(runs, test, force)
    overall = [_overall(run, shared) for run in runs]
    order = sorted(range(len(runs)), key=lambda index: (overall[index] is None, overall[index] or 0.0))
    runs = [runs[index] for index in order]
    place = {old: new for new, old in enumerate(order)}
    tests = {
        name: Judged(name, keys, {place[run]: [found[key] for key in keys] for run, found in rows.items()})
        for name, (keys, rows) in shared.sets.items()
    }
    for judged in tests.values():
        judged.rows = dict(sorted(judged.rows.items()))
        if speakers:
            judged.groups = _speakers(judged)
    comparison = Comparison(
        runs,
        tests,
        {name: [_rate(run, index, name, tests, shared) for index, run in enumerate(runs)] for name in shared.names},
        [overall[index] for index in order],
        None,
        shared,
    )
    if comparison.tested:
        comparison.reference = _find(baseline, comparison) if baseline else comparison.tested[0]
    elif baseline:
        raise ConfigError("No run has a result, so there is nothing to compare with a baseline.")
    return comparison


def _overall(run: Run, shared: Shared) -> float | None:
    """Errors over words of the shared test sets; without one, of all test sets of the run."""
    if not run.results:
        return None
    errors, words = 0.0, 0
    for name in shared.ranking or [shared.titles[id(result)] for result in run.results.values()]:
        result = shared.result(run, name)
        if result is None:
            return None
        rows = shared.rows(run, name)
        if rows is not None:
            errors += sum(row.word_errors for row in rows)
            words += sum(row.words for row in rows)
        else:
            count = max(result.size[1], 1)
            errors += result.totals["wer"] * count
            words += count
    return errors / words if words else float(errors > 0)


def _rate(run: Run, index: int, name: str, tests: dict[str, Judged], shared: Shared) -> Interval | None:
    result = shared.result(run, name)
    if result is None:
        return None
    judged = tests.get(name)
    if judged is not None and index in judged.rows and (judged.groups or len(judged.keys) < len(result.rows)):
        return judged.interval(index)
    if "wer_low" in result.totals or not result.rows:  # what train.py or evaluate.py computed from the same rows
        unknown = float("nan")
        low, high = (result.totals.get(key, unknown) for key in ("wer_low", "wer_high"))
        return Interval(result.totals["wer"], low, high)
    return wer_interval([row.word_errors for row in result.rows], [row.words for row in result.rows])


def _speakers(judged: Judged) -> list[str]:
    named = [row.speaker for row in next(iter(judged.rows.values()))]
    if not all(named):
        raise ConfigError(
            f"The utterances of {judged.name} do not all name a speaker, so whole speakers cannot be drawn. Leave out "
            '--speakers, or add "speaker" to the manifest and test again with evaluate.py.'
        )
    return [str(name) for name in named]


def _find(baseline: str, comparison: Comparison) -> int:
    """The one run that a name stands for."""
    names = [run.name for run in comparison.runs]
    if baseline.rstrip("/") in names:
        found = [names.index(baseline.rstrip("/"))]
    else:
        part = baseline.rstrip("/")
        found = [i for i, run in enumerate(comparison.runs) if part in run.name or run.place.endswith(part)]
    if len(found) == 1 and comparison.overall[found[0]] is not None:
        return found[0]
    if len(found) == 1:
        raise ConfigError(f"The baseline {names[found[0]]} has no result: {comparison.runs[found[0]].note}.")
    if found:
        raise ConfigError(f"--baseline {baseline} may be {', '.join(names[i] for i in found[:5])}: write more of it.")
    near = difflib.get_close_matches(baseline, names, 3, 0.3) or names[:3]
    raise ConfigError(f"There is no run {baseline} to take as baseline. The nearest are: {', '.join(near)}.")
