"""What a request's body may be: how large, and how slow."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heyjetson.server import prometheus
from heyjetson.server.errors import BusyError, RequestError, problem
from heyjetson.server.settings import Settings

COMMAND_BYTES = 2**20  # of what is no form: the event loop reads JSON all at once, and stands still meanwhile
ELSEWHERE = ("/v1/sentiment",)  # what is read in a process of its own
DRAINED_SECONDS = 5.0  # that the rest of a refused body is read for: a client that still sends would not see the answer
SLOW = "The upload {}: send it again over a better connection, or as flac or mp3, which are smaller."


class BodyLimits:
    """Counts bodies' bytes as they come: a Content-Length may lie, and a chunked body has none.

    Args:
        app: what is behind.
        settings: with `upload_bytes`, `bodies_bytes`, `upload_seconds` and `idle_seconds`.

    Attributes:
        held: bytes of the bodies of all requests that have no whole answer yet: uploads are kept until then.
    """

    def __init__(self, app: ASGIApp, settings: Settings):
        self.app = app
        self.settings = settings
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; 413 where its body is too large, 408 where it is too slow, 503 where there is no room."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        form = headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
        most = self.settings.upload_bytes
        body = _Body(self, receive, most if form or scope["path"] in ELSEWHERE else min(COMMAND_BYTES, most))
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > body.most:
            await _refuse(scope, receive, send, body.too_large())
            return
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            if body.refusal and not begun:
                return  # what is made of half a body
            begun = True
            await send(message)

        try:
            await self.app(scope, body.receive, answer)
        except Exception:
            if not body.refusal or begun:
                raise
        finally:
            self.held -= body.bytes
        if body.refusal and not begun:
            await _refuse(scope, receive, send, body.refusal)


class _Body:
    """A body that is being received; the application sees one that is refused as a client that has left."""

    def __init__(self, limits: BodyLimits, receive: Receive, most: int):
        self.limits, self.settings, self.most = limits, limits.settings, most
        self.refusal: RequestError | None = None
        self.bytes = 0
        self._receive = receive
        self._ended = False
        self._begun: float | None = None

    def too_large(self) -> RequestError:
        told = f"The upload is larger than {self.most / 2**20:g} MiB: cut it, or send flac or mp3, which are smaller."
        if self.most < self.settings.upload_bytes:
            told = f"The request is larger than {self.most / 2**20:g} MiB, which only a form with a file may be."
        return RequestError(413, told, "too_large")

    async def receive(self) -> Message:
        if self._ended:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        self._begun = now if self._begun is None else self._begun
        rest = self._begun + self.settings.upload_seconds - now
        try:
            message = await asyncio.wait_for(self._receive(), min(self.settings.idle_seconds, max(rest, 0)))
        except asyncio.TimeoutError:
            late = rest <= self.settings.idle_seconds
            told = f"took longer than {self.settings.upload_seconds:g} s" if late else "came to a halt"
            return self._refuse(RequestError(408, SLOW.format(told), "too_slow"))
        size = len(message.get("body", b""))
        self.bytes += size
        self.limits.held += size
        self._ended = not message.get("more_body", False)
        if self.bytes > self.most:
            return self._refuse(self.too_large())
        if self.limits.held > self.settings.bodies_bytes:
            return self._refuse(BusyError(5))
        return message

    def _refuse(self, error: RequestError) -> Message:
        self.refusal = error
        self._ended = True
        return {"type": "http.disconnect"}


async def _refuse(scope: Scope, receive: Receive, send: Send, error: RequestError) -> None:
    """Answer, and read on for a while: a socket that is closed on unread bytes takes the answer with it."""
    prometheus.REFUSED.labels(error.code).inc()
    response = problem(error.status, str(error), error.code, error.headers | {"Connection": "close"})
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    if error.status != 408:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(_drain(receive), DRAINED_SECONDS)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Receive) -> None:
    while (await receive()).get("more_body", False):
        pass
