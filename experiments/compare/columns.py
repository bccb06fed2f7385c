"""The columns of the comparison: the same for the terminal and for the page."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from experiments.compare.figures import Figure, figures
from experiments.compare.keys import Differing, value_text
from experiments.compare.record import DIED, DIVERGED, Run
from experiments.compare.statistics import Comparison
from heyjetson.significance import Difference, Interval

UNKNOWN = "–"


@dataclass(frozen=True)
class Cell:
    """One value.

    Args:
        value: to sort by.
        text: to show.
        short: to show where there is little room; the text when empty.
    """

    value: float | str | None
    text: str
    short: str = ""


MISSING = Cell(None, UNKNOWN)


@dataclass(frozen=True)
class Column:
    """One column.

    Args:
        title: shown, short.
        meaning: the title in full.
        cells: of the runs, in their order.
        rank: columns of high rank are left out first where there is little room; 0 stays.
        key: whether it is one of the configuration.
    """

    title: str
    meaning: str
    cells: tuple[Cell, ...]
    rank: int = 0
    key: bool = False

    def shortened(self) -> Column:
        """The column with its short texts."""
        return replace(self, cells=tuple(Cell(cell.value, cell.short or cell.text) for cell in self.cells))

    @property
    def known(self) -> bool:
        """Whether any run has a value."""
        return any(cell.value is not None for cell in self.cells)

    @property
    def numeric(self) -> bool:
        """Whether it is to be aligned as numbers."""
        return not any(isinstance(cell.value, str) for cell in self.cells)


def columns(comparison: Comparison, keys: list[Differing]) -> list[Column]:
    """All columns that any run has a value for, in their order.

    Args:
        comparison: of the runs.
        keys: that differ between them, in the order of `comparison.runs`.
    """
    runs = comparison.runs
    found = [Column("run", "name of the run", tuple(_name(comparison, index) for index in range(len(runs))))]
    for key in keys:
        cells = tuple(_setting(value) for value in key.values)
        found.append(Column(key.name, f"{key.key} of the configuration", cells, key=True))
    for name, rates in comparison.rates.items():
        title = "WER" if len(comparison.rates) == 1 else f"WER {name}"
        meaning = f"word error rate on {name}, with its 95 % interval"
        found.append(Column(title, meaning, tuple(_rate(rate) for rate in rates)))
    found.append(_differences(comparison))
    found += [_figure(figure, runs) for figure in figures(comparison)]
    return [column for column in found if column.known]


def _figure(figure: Figure, runs: list[Run]) -> Column:
    cells = []
    for run in runs:
        value = figure.value(run)
        if value is None:
            cells.append(MISSING)
        else:
            cells.append(Cell(value, value if isinstance(value, str) else figure.text(value)))
    return Column(figure.title, figure.meaning, tuple(cells), figure.rank)


def _differences(comparison: Comparison) -> Column:
    best = comparison.tested[0] if comparison.tested else None
    title = "to best" if comparison.reference == best else "to baseline"
    meaning = "difference in points of WER over all shared test sets, with its 95 % interval; * is significant"
    found = comparison.differences
    if not any(found):
        return Column(title, meaning, tuple(MISSING for _ in found))
    cells = [_difference(one) if one else MISSING for one in found]
    cells[comparison.reference or 0] = Cell(0.0, UNKNOWN)
    return Column(title, meaning, tuple(cells), 1)


def _difference(found: Difference) -> Cell:
    star = " *" if found.significant else ""
    delta = f"{found.delta * 100:+.2f}"
    return Cell(found.delta, f"{delta} ({found.low * 100:+.2f} to {found.high * 100:+.2f}){star}", delta + star)


def _rate(rate: Interval | None) -> Cell:
    if rate is None:
        return MISSING
    text = f"{rate.rate:.2%}"
    if math.isnan(rate.low):
        return Cell(rate.rate, text)
    half = f"{text} ±{(rate.high - rate.low) * 50:.2f}"
    return Cell(rate.rate, f"{text} ({rate.low * 100:.2f}–{rate.high * 100:.2f})", half)


def _name(comparison: Comparison, index: int) -> Cell:
    run = comparison.runs[index]
    marks = []
    if index == comparison.best:
        marks.append("best")
    if index == comparison.reference and comparison.tested and index != comparison.tested[0]:
        marks.append("baseline")
    if comparison.overall[index] is None:
        marks.append(next((end for end in (DIVERGED, DIED) if run.note.startswith(end)), "no result"))
    return Cell(run.name, f"{run.name} ({', '.join(marks)})" if marks else run.name)


def _setting(value: Any) -> Cell:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return MISSING if value is None else Cell(value if plain else value_text(value), value_text(value))
