"""The log: a line of JSON for each event, on standard error."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone

from heyjetson.server import prometheus

LOG = logging.getLogger("heyjetson.server")
MINUTE = 60.0  # seconds


class JsonFormatter(logging.Formatter):
    """A record, and the `fields` that came with it, as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        moment = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        line = {"time": moment, "level": record.levelname.lower(), "logger": record.name}
        fields = getattr(record, "fields", None)
        if fields is None or record.exc_info:
            line["message"] = record.getMessage()
        line |= fields or {}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class Bound:
    """Lets so many lines of a minute through, and as many warnings and faults, so that no flood of requests fills the
    disk or hides a fault. What was left out is told in one line when the next minute begins.

    Args:
        lines: a minute.
        clock: seconds.
    """

    def __init__(self, lines: int, clock: Callable[[], float] = time.monotonic):
        self.lines, self.clock = lines, clock
        self._lock = threading.Lock()
        self._began = clock()
        self._count: Counter[bool] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written; see `logging.Filter`."""
        left_out = 0
        with self._lock:
            now = self.clock()
            if now - self._began >= MINUTE:
                left_out = sum(max(count - self.lines, 0) for count in self._count.values())
                self._began = now
                self._count.clear()
            grave = record.levelno >= logging.WARNING
            self._count[grave] += 1
            written = self._count[grave] <= self.lines
            if not written:
                prometheus.LOG_LEFT_OUT.inc()
        if left_out:
            LOG.warning("%d lines of the log were left out: more than %d came in a minute.", left_out, self.lines)
        return written


def is_news(record: logging.LogRecord) -> bool:
    """uvicorn takes every socket that is refused for a fault of the application."""
    return "without completing handshake" not in record.msg


def configure(level: int = logging.INFO, lines: int | None = None) -> None:
    """Write everything so. What uvicorn says of each request is left out: `headers` says more.

    Args:
        level: the least that is written.
        lines: of a minute at most, see `Bound`; None sets no bound.
    """
    handler = logging.StreamHandler(sys.stderr)
    if lines is not None:
        handler.addFilter(Bound(lines))
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, least in (("uvicorn", logging.WARNING), ("uvicorn.access", logging.ERROR), ("httpx", logging.WARNING)):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).setLevel(least)
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.error").addFilter(is_news)
