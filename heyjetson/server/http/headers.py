"""What surrounds every request: an id, headers that keep browsers careful, a line in the log."""

from __future__ import annotations

import logging
import re
import time
import uuid
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heyjetson.server import prometheus
from heyjetson.server.errors import problem

log = logging.getLogger("heyjetson.access")
faults = logging.getLogger("heyjetson.server")

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "style-src-attr 'unsafe-inline'",  # plotly.js gives its drawings style attributes
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def request_id(scope: Scope) -> str:
    """The id that came with a request, where it is a harmless one; else a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"").decode("latin-1")
    return given if SANE.fullmatch(given) else uuid.uuid4().hex


class Surroundings:
    """Outermost of the application.

    Args:
        app: what is behind.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a socket; a fault that nobody expected is logged, answered 500 and ends nothing else."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        entry = _Entry(scope)

        async def counted() -> Message:
            message = await receive()
            entry.received(message)
            return message

        async def answer(message: Message) -> None:
            entry.sent(message)
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                _add(message, scope, entry.id)
            await send(message)

        try:
            await self.app(scope, counted, answer)
        except Exception:
            faults.exception("A request failed.", extra={"fields": {"id": entry.id, "path": scope["path"]}})
            if scope["type"] == "http" and entry.status is None:
                told = f"The server failed on this request, {entry.id}. Its log says why."
                await problem(500, told, "internal_error")(scope, receive, answer)
            elif scope["type"] == "http":  # an answer that is half there must not look whole
                raise
            elif not entry.ended:
                await answer({"type": "websocket.close", "code": 1011})
        finally:
            entry.write()


def _add(message: Message, scope: Scope, id: str) -> None:
    """Add the headers that an answer has not set by itself."""
    message.setdefault("headers", [])
    headers = MutableHeaders(raw=message["headers"])
    headers["X-Request-ID"] = id
    for name, value in SECURITY.items():
        headers.setdefault(name, value)
    # Transcripts stay in no cache; files of the server are asked for again, and are mostly not sent again.
    headers.setdefault("Cache-Control", "no-cache" if scope["path"].startswith("/static/") else "no-store")


class _Entry:
    """What the log says of a request. Never a query: keys and words may be in it."""

    def __init__(self, scope: Scope):
        self.scope = scope
        self.id = request_id(scope)
        self.begun = time.perf_counter()
        self.status: int | None = None
        self.ended = False
        self.bytes = {"in": 0, "out": 0}
        scope.setdefault("state", {})["request_id"] = self.id

    def received(self, message: Message) -> None:
        body = message.get("body") or message.get("bytes") or message.get("text") or b""
        self.bytes["in"] += len(body)
        if message["type"] == "websocket.disconnect":
            self.ended = True
            self.status = self.status if self.status not in (None, 101) else message.get("code", 1005)

    def sent(self, message: Message) -> None:
        kind = message["type"]
        self.bytes["out"] += len(message.get("body") or message.get("bytes") or message.get("text") or b"")
        if kind in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
        elif kind == "websocket.accept":
            self.status = 101
        elif kind == "websocket.close":
            self.ended = True
            self.status = 403 if self.status is None else message.get("code", 1000)

    def write(self) -> None:
        seconds = time.perf_counter() - self.begun
        socket = self.scope["type"] == "websocket"
        method = "SOCKET" if socket else self.scope["method"]
        status = 499 if self.status is None else self.status  # the client left before there was an answer
        if not socket:
            named = method if method in METHODS else "OTHER"
            prometheus.observe_request(named, _template(self.scope), status, seconds)
        client = self.scope.get("client")
        fields: dict[str, Any] = {
            "id": self.id,
            "method": method,
            "path": self.scope["path"],
            "status": status,
            "ms": round(seconds * 1000, 1),
            "bytes_in": self.bytes["in"],
            "bytes_out": self.bytes["out"],
            "client": client[0] if client else None,
        }
        log.info("%s %s %s", method, self.scope["path"], status, extra={"fields": fields})


def _template(scope: Scope) -> str:
    """A route's path as it was written: paths that clients make up are no labels."""
    if scope["path"].startswith("/static/"):
        return "/static"
    return getattr(scope.get("route"), "path", "none")
