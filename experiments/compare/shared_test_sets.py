"""Which test sets runs share, and what to do where they were tested on different utterances."""

from __future__ import annotations

from dataclasses import dataclass, field

from experiments.compare.record import Key, Result, Run
from experiments.errors import ConfigError
from experiments.evaluation.report import Row

Rows = dict[int, dict[Key, Row]]


@dataclass
class Shared:
    """The test sets of a comparison.

    Args:
        names: of all of them, those that every tested run has first.
        ranking: those that every tested run has.
        sets: of these, the utterances in common, and each run's row of each; runs of which only totals are known are
            left out.
        titles: the name under which a result is known here, by its `id`.
        notes: what was left out.
    """

    names: list[str] = field(default_factory=list)
    ranking: list[str] = field(default_factory=list)
    sets: dict[str, tuple[list[Key], Rows]] = field(default_factory=dict)
    titles: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def result(self, run: Run, name: str) -> Result | None:
        """The run's result on a test set."""
        return next((result for result in run.results.values() if self.titles.get(id(result)) == name), None)

    def rows(self, run: Run, name: str) -> list[Row] | None:
        """The run's rows that are compared."""
        result = self.result(run, name)
        if result is None or not result.rows or name not in self.sets:
            return None
        return [result.by_key[key] for key in self.sets[name][0]]


def share(runs: list[Run], test: str | None = None, force: bool = False) -> Shared:
    """Find the test sets that runs share.

    Args:
        runs: as they were read.
        test: the only one to look at.
        force: take the utterances in common where runs were tested on different ones.

    Raises:
        ConfigError: runs were tested on different utterances and `force` is not given, or `test` does not exist.
    """
    tested = [index for index, run in enumerate(runs) if run.results]
    shared = Shared()
    titled: dict[str, dict[int, Result]] = {}
    for index in tested:
        for result in runs[index].results.values():
            title = _title(result, titled, index)
            titled.setdefault(title, {})[index] = result
            shared.titles[id(result)] = title
    if test is not None:
        if test not in titled:
            there = ", ".join(titled) or "none"
            raise ConfigError(f"There is no test set {test}; the runs have: {there}.")
        titled = {test: titled[test]}
        if left_out := [runs[index].name for index in tested if index not in titled[test]]:
            shared.notes.append(f"Not tested on {test}: {', '.join(left_out)}.")
        tested = list(titled[test])
    if not tested:
        return shared
    shared.ranking = [name for name, results in titled.items() if len(results) == len(tested)]
    shared.names = [*shared.ranking, *(name for name in titled if name not in shared.ranking)]
    for name in list(shared.ranking):
        _settle(name, titled[name], runs, shared, force)
    for name in shared.names:
        helped = [runs[index].name for index, result in titled[name].items() if result.scorer]
        if 0 < len(helped) < len(titled[name]):
            shared.notes.append(f"{name}: a language model took part in {', '.join(helped)}, and in no other.")
        if name not in shared.ranking:
            missing = len(tested) - len(titled[name])
            if missing:
                shared.notes.append(f"{name} was not tested by {missing} of {len(tested)} runs and decides nothing.")
    if not shared.ranking and len(tested) > 1:
        _nothing_shared(runs, tested, titled, shared, force)
    return shared


def _title(result: Result, titled: dict[str, dict[int, Result]], run: int) -> str:
    """The name of a result here: that of the same utterances in another run, whatever they are called there."""
    for name, others in titled.items():
        first = next(iter(others.values()))
        if run not in others and result.rows and first.rows and result.same_set(first):
            return name
    return result.name


def _settle(name: str, results: dict[int, Result], runs: list[Run], shared: Shared, force: bool) -> None:
    """Make one test set that of all its runs, or refuse."""
    first, *others = results.items()
    different = next((other for other in others if not first[1].same_set(other[1])), None)
    with_rows = {index: result.by_key for index, result in results.items() if result.rows}
    if different and not force:
        raise ConfigError(_refusal(name, runs, first, different))
    found = [set(keys) for keys in with_rows.values()]
    common = set.intersection(*found) if found else set()
    if different:
        if len(with_rows) < len(results) or not common:
            shared.notes.append(f"{name}: the runs have no utterance in common, so it decides nothing.")
            shared.ranking.remove(name)
            return
        shared.notes.append(f"{name}: only the {len(common)} utterances in common are compared (--force).")
    if with_rows and common:
        order = [key for key in next(iter(with_rows.values())) if key in common]
        shared.sets[name] = (order, with_rows)


def _refusal(name: str, runs: list[Run], first: tuple[int, Result], second: tuple[int, Result]) -> str:
    sizes = [
        f"{runs[index].name} on {result.size[0]} utterances of {result.size[1]} words"
        for index, result in (first, second)
    ]
    common = len(first[1].by_key.keys() & second[1].by_key.keys())
    return (
        f"The runs were tested on different data: for {name}, {sizes[0]}, {sizes[1]}, {common or 'none'} of them in "
        "common. Their error rates say nothing about each other. Test both on one manifest (`python evaluate.py "
        "model=… manifest=…`), or compare the utterances in common with --force."
    )


def _nothing_shared(
    runs: list[Run], tested: list[int], titled: dict[str, dict[int, Result]], shared: Shared, force: bool
) -> None:
    """No test set is everyone's: refuse, or say so."""
    if force:
        shared.notes.append("The runs share no test set: their error rates cannot be compared.")
        return
    one = tested[0]
    apart = [index for index in tested if not any({one, index} <= results.keys() for results in titled.values())]
    other = apart[0] if apart else tested[-1]
    names = [f"{runs[index].name} on {' and '.join(runs[index].results)}" for index in (one, other)]
    raise ConfigError(
        f"The runs share no test set: {names[0]} was tested, {names[1]}. Test them on one manifest (`python "
        "evaluate.py model=… manifest=…`), or list them side by side with --force."
    )
