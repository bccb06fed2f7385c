"""What a command says while it works: by rich on a terminal, plain elsewhere; warnings to standard error."""

from __future__ import annotations

import logging
import sys

SPEAKER = logging.getLogger("experiments")


class ConsoleHandler(logging.Handler):
    """Writes to the streams as they are when a record comes: the processes of a run silence theirs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        stream = sys.stderr if record.levelno >= logging.WARNING else sys.stdout
        try:
            if stream.isatty():
                from rich import get_console
                from rich.console import Console
                from rich.logging import RichHandler

                console = get_console() if stream is sys.stdout else Console(file=stream)  # that of progress bars
                RichHandler(console=console, show_path=False, show_level=False, log_time_format="%X").emit(record)
            else:
                stream.write(record.getMessage() + "\n")
                stream.flush()
        except BrokenPipeError:  # who reads no more, `head` say, wants no more; a training goes on
            pass
        except Exception:
            self.handleError(record)


def log_to_console() -> None:
    """Have the log of this project's commands written, once."""
    if not any(isinstance(handler, ConsoleHandler) for handler in SPEAKER.handlers):
        SPEAKER.addHandler(ConsoleHandler())
    SPEAKER.setLevel(logging.INFO)
    SPEAKER.propagate = False  # libraries give the root handlers of their own
