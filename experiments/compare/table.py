"""The comparison in a terminal, or as plain lines where there is none."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from experiments.compare.columns import Column
from experiments.compare.statistics import Comparison
from experiments.compare.summary import verdict

BORDER = 3  # of a column: a line and a space on each side
FAULTS = 10  # lines at most
PLAIN_WIDTH = 100_000  # nothing is folded or left out where nobody looks at a screen


def show(comparison: Comparison, columns: list[Column], console: Console | None = None, top: int = 0) -> None:
    """Print the table, the verdict and the notes.

    Args:
        comparison: of the runs.
        columns: of the table.
        console: to print to.
        top: how many of the best runs to print; 0 prints all.
    """
    console = console or Console()
    screen = console.is_terminal
    if not screen:
        console = Console(file=console.file, width=PLAIN_WIDTH)
    fitting, left_out = fit(columns, console.width if screen else PLAIN_WIDTH)
    table = Table(title_justify="left") if screen else Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in fitting:
        table.add_column(
            Text(column.title), justify="right" if column.numeric else "left", no_wrap=column.numeric, overflow="fold"
        )
    count = min(top, len(comparison.runs)) if top else len(comparison.runs)
    for index in range(count):
        table.add_row(
            *(Text(column.cells[index].text) for column in fitting),
            style="bold green" if index == comparison.best else "dim" if comparison.overall[index] is None else "",
        )
    console.print(table)
    notes = [f"{len(comparison.runs) - count} more runs; --top 0 lists all."] if count < len(comparison.runs) else []
    if left_out:
        notes.append(f"Left out for want of width: {', '.join(left_out)}. --html shows all.")
    if any(" *" in column.cells[index].text for column in fitting if column.rank for index in range(count)):
        notes.append("* significant at 95 %: the interval leaves out 0 and the matched-pair test agrees.")
    for line in [*notes, *comparison.notes, *faults(comparison), "", *verdict(comparison)]:
        console.print(Text(line))


def fit(columns: list[Column], width: int) -> tuple[list[Column], list[str]]:
    """The columns that find room, and the titles of the others.

    Args:
        columns: all.
        width: characters of a line. Intervals are shortened first; then figures give way by their
            rank, at last keys of the configuration from the right.
    """
    kept = list(columns) if _total(columns) <= width else [column.shortened() for column in columns]
    columns = list(kept)
    order = sorted((column for column in columns if column.rank), key=lambda column: -column.rank)
    order += [column for column in reversed(columns) if column.key]
    for column in order:
        if _total(kept) <= width:
            break
        kept.remove(column)
    return kept, [column.title for column in columns if column not in kept]


def _total(columns: list[Column]) -> int:
    return sum(_width(column) + BORDER for column in columns) + 1


def _width(column: Column) -> int:
    longest = max(len(cell.text) for cell in column.cells)
    if not column.numeric:
        longest = min(longest, 30)
    return max(longest, *(len(word) for word in column.title.split()))


def faults(comparison: Comparison) -> list[str]:
    """What is wrong with runs, one line for each kind."""
    found: dict[str, list[str]] = {}
    for run in comparison.runs:
        if run.note:
            found.setdefault(run.note if run.results else f"Without a result ({run.note})", []).append(run.name)
    lines = [f"{note}: {', '.join(names)}." for note, names in found.items()]
    return lines[:FAULTS] + ([f"{len(lines) - FAULTS} more kinds of fault."] if len(lines) > FAULTS else [])
