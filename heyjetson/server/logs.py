"""The log: a line of JSON for each event, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone


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


def is_news(record: logging.LogRecord) -> bool:
    """uvicorn takes every socket that is refused for a fault of the application."""
    return "without completing handshake" not in record.msg


def configure(level: int = logging.INFO) -> None:
    """Write everything so. What uvicorn says of each request is left out: `headers` says more."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, least in (("uvicorn", logging.WARNING), ("uvicorn.access", logging.ERROR), ("httpx", logging.WARNING)):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).setLevel(least)
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.error").addFilter(is_news)
