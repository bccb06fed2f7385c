"""What must never end a training: its failures are said once and forgiven."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LOG = logging.getLogger(__name__)


class BestEffort:
    """`with forgive("the table of predictions"): …` goes on after any error, and says each task's first.

    Args:
        consequence: what the reader is told after the cause.
    """

    def __init__(self, consequence: str = "Training goes on; metrics.json and history.jsonl hold the figures."):
        self.consequence = consequence
        self.said: set[str] = set()

    @contextmanager
    def __call__(self, task: str) -> Iterator[None]:
        """Forgive what is raised inside.

        Args:
            task: named in the message, a noun.
        """
        try:
            yield
        except Exception as error:  # a tracker's client raises errors of any kind
            if task not in self.said:
                self.said.add(task)
                LOG.info(f"Logging failed: {task}: {first_line(error)}. {self.consequence}")


def first_line(error: Exception) -> str:
    """What an error says, on one line without its last stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:300].rstrip(".")
