"""Text that changes while one looks at it."""

from __future__ import annotations

import sys
from types import TracebackType


class LiveText:
    """Shows the end of a growing text on one line of a terminal; elsewhere shows nothing. Use as a context."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.shown = ""

    def __enter__(self) -> LiveText:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def show(self, text: str) -> None:
        """Replace what is shown."""
        if not self.terminal or text == self.shown:
            return
        import shutil

        width = shutil.get_terminal_size().columns - 2
        sys.stderr.write(f"\r\x1b[K{text[-width:]}")
        sys.stderr.flush()
        self.shown = text

    def clear(self) -> None:
        """Take it away, for a line that stays."""
        if self.terminal and self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self.shown = ""
