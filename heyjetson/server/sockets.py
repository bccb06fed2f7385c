"""uvicorn's protocols with an end to what a client can hold up, and the limits that they are given."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol

LINGER = 12.0  # seconds after the stream's end; a client that reads has answered the close before
HEAD_SECONDS = 15.0  # that a request's head may take
UNREAD_SECONDS = 60.0  # that a client may read nothing of an answer
HEAD_BYTES = 32 * 2**10
MESSAGE_BYTES = 2**20  # of a live stream's message

_Socket: Any = AutoWebSocketsProtocol


class RequestProtocol(H11Protocol):
    """Cuts a connection on which no request begins, and one whose client does not read its answer."""

    _head: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Something of a head or of a body has come."""
        super().data_received(data)
        self._watch()

    def _watch(self) -> None:
        """Give what has begun its time, once: bytes that drip do not give it more."""
        if self.conn.their_state is not h11.IDLE:
            _cancel(self._head)
            self._head = None
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

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
        _cancel(self._head)
        _cancel(self._unread)


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


# Of uvicorn: h11 always, whatever else is installed, since the limits are made for it.
OPTIONS: dict[str, Any] = {
    "http": RequestProtocol,
    "h11_max_incomplete_event_size": HEAD_BYTES,
    "ws": SocketProtocol,
    "ws_max_size": MESSAGE_BYTES,
}
