"""uvicorn's websocket, whose end does not wait for a client that reads nothing."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol

LINGER = 12.0  # seconds after the stream's end; a client that reads has answered the close before

_Base: Any = AutoWebSocketsProtocol


class SocketProtocol(_Base):
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
