"""One progress bar for all that takes longer than two seconds, silent when not on a terminal; threads under it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
R = TypeVar("R")
WINDOW = 4096  # calls in flight: a quarter of a million futures would take a gigabyte


def progress(items: Iterable[T], description: str, total: int) -> Iterator[T]:
    """Yield `items`, drawing a bar on standard error while they pass.

    Args:
        items: what to pass through.
        description: what is being done, at the left of the bar.
        total: how many items will come.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        yield from bar.track(items, total=total, description=description)


def threaded(
    function: Callable[[T], R], items: Sequence[T], description: str, workers: int | None = None
) -> Iterator[R]:
    """Results of a function for each item, in their order, by threads, under a progress bar.

    Args:
        function: must release the interpreter where it works, as reading and resampling sound does.
        items: its arguments.
        description: at the left of the bar.
        workers: threads; all cores when None.
    """

    def results(pool: ThreadPoolExecutor) -> Iterator[R]:
        for start in range(0, len(items), WINDOW):
            yield from pool.map(function, items[start : start + WINDOW])

    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        yield from progress(results(pool), description, len(items))
