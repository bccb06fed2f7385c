"""uvicorn's protocols with an end to what a client can hold up, and the limits that they are given."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol

from heyjetson.server.http.connection_limits import ROUND, Gate

LINGER = 12.0  # seconds after the stream's end; a client that reads has answered the close before
HEAD_SECONDS = 15.0  # that a request's head may take
LEFT_SECONDS = 5.0  # after an answer, that a body which nobody read may still take
UNREAD_SECONDS = 60.0  # that a client may read nothing of an answer
HEAD_BYTES = 32 * 2**10
MESSAGE_BYTES = 2**20  # of a live stream's message

_Socket: Any = AutoWebSocketsProtocol


class RequestProtocol(H11Protocol):
    """Cuts a connection on which no request begins, one whose client does not read its answer, and one whose request
    was answered before its body had come.

    Args:
        gate: that is told whether a request runs.
        options: of uvicorn's protocol.
    """

    _head: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _left: asyncio.TimerHandle | None = None

    def __init__(self, *, gate: Gate | None = None, **options: Any):
        super().__init__(**options)
        self._gate = gate
        self._number = -1  # of the connection's file

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        self._number = connection.fileno() if connection else -1
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Something of a head or of a body has come."""
        super().data_received(data)
        if self.transport.get_protocol() is self:  # else it has become a socket
            self._watch()

    def _watch(self) -> None:
        """Give what has begun its time, once: bytes that drip do not give it more."""
        if self.conn.their_state is not h11.IDLE:
            _cancel(self._head)
            self._head = None
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self.transport.abort)
        runs = self.cycle is not None and not self.cycle.response_complete
        if runs or self.conn.their_state is not h11.SEND_BODY:
            _cancel(self._left)
            self._left = None
        elif self._left is None:  # uvicorn's own timer ends with the next byte
            self._left = self.loop.call_later(LEFT_SECONDS, self.transport.abort)
        if self._gate:
            self._gate.busy(self._number, runs)

    def on_response_complete(self) -> None:
        """An answer is whole; its request may not be."""
        super().on_response_complete()
        self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """The connection becomes a socket, which is busy until it ends."""
        super().handle_websocket_upgrade(event)
        _cancel(self._head)
        if self._gate:
            self._gate.busy(self._number, True)
            self._gate = None

    def pause_writing(self) -> None:
        """The client has much to read."""
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        _cancel(self._unread)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        super().connection_lost(exc)
        for timer in (self._head, self._unread, self._left):
            _cancel(timer)
        self._gate = None  # the file's number is another's soon


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer:
        timer.cancel()


class SocketProtocol(_Socket):
    """Cuts the connection a while after its stream ended: what was not read until then stays unread."""

    async def run_asgi(self) -> None:
        """Serve the socket."""
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(LINGER, self.transport.abort)

    def keepalive_timeout(self) -> None:
        """A ping was not answered."""
        super().keepalive_timeout()
        self.loop.call_later(LINGER, self.transport.abort)


def options_with(gate: Gate) -> dict[str, Any]:
    """Options of uvicorn: h11 and asyncio always, whatever else is installed, since the limits are made for them."""
    return {
        "loop": "asyncio",
        "http": partial(RequestProtocol, gate=gate),
        "h11_max_incomplete_event_size": HEAD_BYTES,
        "ws": SocketProtocol,
        "ws_max_size": MESSAGE_BYTES,
        "ws_per_message_deflate": False,  # sound gets no smaller, and each stream would take time and memory for it
        "backlog": ROUND,
    }
