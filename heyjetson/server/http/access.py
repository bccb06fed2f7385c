"""Who may ask, and how often: keys, rates, and pages of other sites that have no business here."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from heyjetson.server import prometheus
from heyjetson.server.errors import RequestError, problem
from heyjetson.server.http.connection_limits import address_of
from heyjetson.server.settings import Settings

if TYPE_CHECKING:
    from limits.strategies import FixedWindowRateLimiter

CLOSED = ("/v1/", "/metrics")  # what wants a key and is counted; pages, static files and health are open to all
SUBPROTOCOL = "heyjetson.key."  # then the key's UTF-8 in hexadecimal digits: a browser's socket sends no headers
OPENAIS = "openai-insecure-api-key."  # then the key: as OpenAI's client sends it in a browser
READS = ("GET", "HEAD", "OPTIONS")
OWN = ("same-origin", "none")  # of Sec-Fetch-Site: our own pages, and what the user typed or opened


def accepted(keys: Sequence[str], given: str | None) -> bool:
    """Is a key one of those that are accepted? Takes as long whatever it is, and always looks at all of them."""
    digest = _digest(given or "")
    found = False
    for key in keys:
        found |= hmac.compare_digest(_digest(key), digest)
    return found and given is not None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def key_of(connection: HTTPConnection) -> str | None:
    """The key that came with a request or a socket."""
    kind, _, token = connection.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token.strip():
        return token.strip()
    if key := connection.headers.get("x-api-key"):
        return key
    if connection.scope["type"] == "websocket":
        for name in connection.scope.get("subprotocols", []):
            if name.startswith(OPENAIS):
                return name[len(OPENAIS) :]
            if name.startswith(SUBPROTOCOL):
                try:
                    return bytes.fromhex(name[len(SUBPROTOCOL) :]).decode()
                except ValueError:
                    return None
    return None


class Access:
    """Refuses before anything of a body is read.

    Args:
        app: what is behind.
        settings: with `keys`, `hosts` and `requests_per_minute`.
    """

    def __init__(self, app: ASGIApp, settings: Settings):
        self.app = app
        self.settings = settings
        self._limiter: FixedWindowRateLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or a socket on, or answer 400, 401, 403 or 429; a socket before it is accepted."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        try:
            check(HTTPConnection(scope), self.settings, self._count)
        except RequestError as error:
            prometheus.REFUSED.labels(error.code).inc()
            await problem(error.status, str(error), error.code, error.headers)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _count(self, client: str) -> None:
        """Count a request of a client.

        Raises:
            RequestError: 429.
        """
        rate = self.settings.requests_per_minute
        if not rate:
            return
        if self._limiter is None:
            from limits.storage import MemoryStorage
            from limits.strategies import FixedWindowRateLimiter  # the one whose clients are forgotten

            self._limiter = FixedWindowRateLimiter(MemoryStorage())
        from limits import RateLimitItemPerMinute

        item = RateLimitItemPerMinute(rate)
        if not self._limiter.hit(item, client):
            seconds = max(math.ceil(self._limiter.get_window_stats(item, client).reset_time - time.time()), 1)
            raise RequestError(
                429,
                f"More than {rate} requests in a minute: try again in {seconds} s.",
                "rate_limit_exceeded",
                {"Retry-After": str(seconds)},
            )


def check(connection: HTTPConnection, settings: Settings, count: Callable[[str], None] = lambda _: None) -> None:
    """May this request, or this socket, go on?

    Args:
        connection: what wants to.
        settings: with `keys`, `hosts` and `addresses`.
        count: takes the client, where requests are counted.

    Raises:
        RequestError: 400, the host is not one of ours; 401, the key; 403, a page of another site; 429, too often.
    """
    _require_host(connection, settings)
    closed = connection.scope["path"].startswith(CLOSED)
    if closed or connection.scope["type"] == "websocket" or connection.scope["method"] not in READS:
        _require_origin(connection.headers)
    if not closed:
        return
    key = key_of(connection)
    known = accepted(settings.keys, key)
    count(client_of(connection, settings))
    if settings.keys and not known:
        found = "none came with the request" if key is None else "the one that came is not accepted"
        raise RequestError(
            401,
            f"This server wants a key, and {found}: send it as `Authorization: Bearer KEY`.",
            "invalid_api_key",
            {"WWW-Authenticate": "Bearer"},
        )


def _require_host(connection: HTTPConnection, settings: Settings) -> None:
    """The name that was asked for must be one of ours: another site's page may have made its own name point here.

    A page under an address came from that address. A supervisor asks for the health under any.
    """
    try:
        name = urlsplit(f"//{connection.headers.get('host', '')}").hostname or ""
    except ValueError:
        raise RequestError(400, "The header Host holds no name of a host.", "unknown_host") from None
    known = not settings.hosts or name in settings.hosts or (settings.addresses and _is_address(name))
    if not known and not connection.scope["path"].startswith("/health/"):
        raise RequestError(
            400,
            f"This server does not answer under that name, {name[:100]!r}: start it with --host-name and the name.",
            "unknown_host",
        )


def _is_address(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _require_origin(headers: Headers) -> None:
    """A browser says which site's page asks; only our own pages may have something computed or changed, or listen.

    It says so in Sec-Fetch-Site over TLS and on this machine, else in Origin or, of a picture or a link, in Referer.
    What is no browser sends none of them.
    """
    host = headers.get("host", "").lower()
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    foreign = origin is not None and origin.partition("://")[2].lower() != host
    if site is not None:
        foreign |= site.lower() not in OWN
    elif origin is None and (referer := headers.get("referer")):
        foreign = referer.partition("://")[2].partition("/")[0].partition("?")[0].lower() != host
    if foreign:
        raise RequestError(403, "Pages of other sites may not use this server.", "foreign_origin")


def _address(connection: HTTPConnection) -> str:
    """The client that asks; see `connection_limits.address_of`."""
    return address_of(connection.client.host if connection.client else "")


def client_of(connection: HTTPConnection, settings: Settings) -> str:
    """Who asks, as limits of a client see it: the key where it is one of ours, else the address."""
    key = key_of(connection)
    return _digest(key or "").hex() if accepted(settings.keys, key) else _address(connection)
