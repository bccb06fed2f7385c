"""How many connections there may be, in all and of one client: counted where they are accepted, before TLS."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import resource
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from heyjetson.server import prometheus

RESERVE = 256  # files for models, decoders and uploads, and for connections that were asked to go
LEAST = 16  # connections, however few files there may be
SHARE = 4  # a client may have one in so many of the connections
ROOM = 64  # times that others are closed for a client, one after the other, and then
ROOM_SECONDS = 0.125  # until the next time: closing and letting in is work, of which no client may ask without end
ROUND = 8  # connections that are let in, or refused, before the event loop does something else
BACKLOG = 128  # connections that wait for that
QUIET = 60.0  # seconds between two lines of the log about connections that cannot be accepted
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

log = logging.getLogger("heyjetson.server")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def room(wanted: int) -> int:
    """Raise the limit of open files as far as it is needed and may be raised.

    Args:
        wanted: connections.

    Returns:
        how many connections the limit leaves room for, `wanted` at most.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + RESERVE
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    left = max(soft - RESERVE, LEAST)
    log.warning("The limit of %d open files leaves room for %d connections, not %d: see ulimit -n.", soft, left, wanted)
    return min(left, wanted)


def networks(addresses: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and networks such as `10.0.0.0/8`.

    Raises:
        ValueError: one is neither.
    """
    return tuple(ipaddress.ip_network(address, strict=False) for address in addresses)


@lru_cache(4096)
def address_of(host: str) -> str:
    """The client behind an address: of version 6 the network, of which one client has all."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return host if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))


@dataclass
class _Client:
    """Of one client.

    Args:
        held: its connections, but those that were asked to go.
        idle: those on which no request runs, the longest first.
        room: times that room can be made for it at once, when it last was, at `since`.
    """

    held: int = 0
    idle: dict[int, Accepted] = field(default_factory=dict)
    room: float = ROOM
    since: float = field(default_factory=lambda: time.monotonic())

    def takes_room(self) -> bool:
        """Whether room may be made for it, which is counted."""
        now = time.monotonic()
        self.room = min(self.room + (now - self.since) / ROOM_SECONDS, ROOM)
        self.since = now
        if self.room < 1:
            return False
        self.room -= 1
        return True


class Accepted(socket.socket):
    """A connection, which tells the gate when it is closed."""

    gate: Gate | None = None
    client = ""
    sent_off = False

    def close(self) -> None:
        """Close it."""
        if self.gate:
            self.gate.left(self)
        super().close()


class Gate:
    """Lets connections in. Where there is no room, the one that is idle the longest makes some.

    Args:
        most: connections in all.
        proxies: addresses whose connections are not counted as one client's: each has many behind it.
    """

    def __init__(self, most: int, proxies: Sequence[str] = ()):
        self.most = most
        self.each = max(most // SHARE, 1)
        self.held = 0
        self._proxies = networks(proxies)
        self._clients: dict[str, _Client] = {}
        self._open: dict[int, Accepted] = {}

    def admit(self, connection: Accepted, host: str) -> bool:
        """Count a connection, unless there is no room and no idle one that could make some."""
        client = address_of(host)
        mine = self._clients.get(client) or _Client()
        if mine.held >= self.each and not self._is_proxy(client):
            if not mine.takes_room() or not self._send_off(mine):
                return False
        elif self.held >= self.most and not (self._takes_room(client, mine) and self.make_room()):
            return False
        mine = self._clients.setdefault(client, mine)
        mine.held += 1
        self.held += 1
        connection.gate, connection.client = self, client
        self._open[connection.fileno()] = mine.idle[connection.fileno()] = connection
        return True

    def _takes_room(self, client: str, mine: _Client) -> bool:
        return mine.takes_room() or self._is_proxy(client)

    def make_room(self) -> bool:
        """Close an idle connection, of the client that has most of those; False where none is idle."""
        most = max(self._clients.values(), key=_idle, default=None)
        return most is not None and self._send_off(most)

    def busy(self, number: int, busy: bool) -> None:
        """A request runs on the connection with this file number, or none does."""
        connection = self._open.get(number)
        if connection is None or connection.sent_off:
            return
        idle = self._clients[connection.client].idle
        if busy:
            idle.pop(number, None)
        else:
            idle.setdefault(number, connection)

    def left(self, connection: Accepted) -> None:
        """A connection is closed."""
        connection.gate = None
        del self._open[connection.fileno()]
        if not connection.sent_off:
            self._uncount(connection)

    def _send_off(self, client: _Client) -> bool:
        """Ask the connection that is idle the longest to go: the event loop sees its end and closes it."""
        for connection in client.idle.values():
            prometheus.REFUSED.labels("idle_connection").inc()
            self._uncount(connection)
            connection.sent_off = True
            with suppress(OSError):  # the client was faster
                connection.shutdown(socket.SHUT_RDWR)
            return True
        return False

    def _uncount(self, connection: Accepted) -> None:
        client = self._clients[connection.client]
        client.idle.pop(connection.fileno(), None)
        client.held -= 1
        self.held -= 1
        if not client.held:
            del self._clients[connection.client]

    def _is_proxy(self, client: str) -> bool:
        try:
            address = ipaddress.ip_address(client.partition("/")[0])
        except ValueError:
            return False
        return any(address in network for network in self._proxies)


def _idle(client: _Client) -> int:
    return len(client.idle)


class Listener(socket.socket):
    """A listening socket behind a gate."""

    gate: Gate
    _exhausted = 0.0

    def listen(self, backlog: int = BACKLOG, /) -> None:
        """Listen: asyncio accepts as many in a round as it takes for the backlog, which is a longer one."""
        super().listen(max(backlog, BACKLOG))

    def accept(self) -> tuple[Accepted, Any]:
        """The next connection that is let in.

        Raises:
            BlockingIOError: there is none, or many were refused; asyncio goes on with what else is to do.
            OSError: there are no files left, at most once in a second: asyncio would ask again as often as its backlog.
        """
        for _ in range(ROUND):
            try:
                number, address = self._accept()  # type: ignore[attr-defined]
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise
                self.gate.make_room()
                now = time.monotonic()
                if now - self._exhausted < 0.5:
                    raise BlockingIOError from None
                self._exhausted = now
                raise
            connection = Accepted(self.family, self.type, self.proto, fileno=number)
            if self.gate.admit(connection, address[0] if isinstance(address, tuple) else ""):
                return connection, address
            connection.close()
            prometheus.REFUSED.labels("connections").inc()
        raise BlockingIOError


class Complaints:
    """A loop's handler of exceptions that says once a minute that nothing can be accepted; the rest as ever."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log what has happened."""
        if not str(context.get("message")).startswith("socket.accept()"):
            loop.default_exception_handler(context)
            return
        now = time.monotonic()
        if now >= self._next:
            self._next = now + QUIET
            log.error("No connection can be accepted: %s. This is said once a minute.", context.get("exception"))
