"""The socket of one live stream: what comes waits in a bounded inbox, is heard in order, and answered within a time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect

from heyjetson.server import prometheus
from heyjetson.server.errors import DeadlineError, StuckError, public_error
from heyjetson.server.live.inbox import Ending, Inbox
from heyjetson.server.live.session import Event
from heyjetson.server.models import Models
from heyjetson.together import Work

STEP_SECONDS = 0.5  # that are heard at once at most, so that no client keeps a thread from the others
SEND_SECONDS = 10.0  # a client that reads nothing for so long is given up
FAULTS = 20  # messages that could not be used, after which a client is given up
POLICY, FAILED, RESTART = 1008, 1011, 1012  # RFC 6455 and its registry
PARTIALS = ("partial", "conversation.item.input_audio_transcription.delta")  # events whose latency is counted
TIMED = ("partial", "final")  # and told


class Talk(Protocol):
    """One client's stream, in the messages of its kind of socket. May block, but for `item` and `fault`."""

    def __init__(self, models: Models, query: Mapping[str, str]): ...

    @property
    def rate(self) -> int:
        """Hertz of the sound."""

    def ready(self) -> list[Event]:
        """What is said before anything was heard."""

    def item(self, message: bytes | str) -> bytes | str:
        """What a message holds: sound, or what `obey` takes."""

    @property
    def missing(self) -> int:
        """Bytes of sound that must come before there can be anything to tell."""

    def hearing(self, sound: bytes) -> Work[list[Event]]:
        """Take the next samples; the caller runs the steps."""

    def obey(self, command: str) -> list[Event]:
        """Do what a message that holds no sound asks for."""

    def flush(self) -> list[Event]:
        """End the running utterance."""

    @staticmethod
    def fault(status: int, code: str, message: str, item: bytes | str = b"") -> Event:
        """What is said of something that went wrong with an item, or with all."""


class Connection:
    """An accepted socket until its end.

    Args:
        socket: accepted.
        models: the models, and the threads that run them.
        client: who opened it, see `access.client_of`.
        kind: of stream; it is made of the server and the address's query, in a thread.
    """

    def __init__(self, socket: WebSocket, models: Models, client: str, kind: type[Talk]):
        self.socket, self.models, self.client, self.kind = socket, models, client, kind
        self.faults = 0
        self.inbox = Inbox(2**16)
        self._last = time.monotonic()  # when something came

    def stop(self) -> None:
        """The server ends: give the running utterance and close."""
        self.inbox.put(
            Ending(RESTART, "The server is being stopped. Connect again in a moment.", "stopped", flush=True)
        )

    async def run(self) -> None:
        """Hear and answer until an end."""
        try:
            talk = await self.models.live.run(self.kind, self.models, self.socket.query_params)
        except Exception as error:
            status, code, message = public_error(error)
            await self._end(Ending(POLICY if status < 500 else FAILED, message, code))
            return
        self.models.batches.streams += 1
        self.inbox.step = max(round(STEP_SECONDS * talk.rate), 1) * 2
        helpers = [asyncio.create_task(self._read(talk)), asyncio.create_task(self._watch())]
        try:
            for event in talk.ready():
                await self._say(event)
            await self._end(await self._hear(talk))
        except (WebSocketDisconnect, asyncio.TimeoutError, RuntimeError):
            pass  # the client is gone, or reads nothing
        finally:
            self.models.batches.streams -= 1
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _read(self, talk: Talk) -> None:
        """Put what comes into the inbox, as long as there is room."""
        while True:
            await self.inbox.room()
            message = await self.socket.receive()
            if message["type"] != "websocket.receive":
                self.inbox.put(Ending())
                return
            item = message.get("bytes")
            if item == b"":  # is nothing: no sound, and no sign of a client that wants something
                continue
            self._last = time.monotonic()
            self.inbox.put(talk.item(message.get("text") or "" if item is None else item))

    async def _watch(self) -> None:
        """End the stream when nothing came for long, and nothing that came waits."""
        idle = self.models.settings.idle_seconds
        while (left := self._last + idle - time.monotonic()) > 0 or self.inbox.ready:
            await asyncio.sleep(max(left, 0.05))
        why = f"Nothing was received for {idle:g} s, so the stream was closed. Connect again to go on."
        self.inbox.put(Ending(POLICY, why, "idle", flush=True))

    async def _hear(self, talk: Talk) -> Ending:
        """Work on the inbox in order, one thing at a time."""
        while True:
            item, since = await self.inbox.take(talk.missing)
            if isinstance(item, Ending):
                if item.flush:
                    with suppress(DeadlineError, StuckError):  # its last words are lost, and the client still told why
                        await self._tell(await self._work(talk.flush), since)
                return item
            try:
                if isinstance(item, bytes):
                    events = await self.models.batches.hear(talk, item)
                else:
                    events = await self._work(talk.obey, item)
            except Exception as error:
                status, code, message = public_error(error)
                if status >= 500:
                    return Ending(FAILED, message, code)
                self.faults += 1
                if self.faults >= FAULTS:
                    return Ending(POLICY, f"{message} That was fault number {FAULTS}: the stream was closed.", code)
                events = [talk.fault(status, code, message, item)]
            await self._tell(events, since)

    async def _work(self, function: Callable[..., list[Event]], *arguments: object) -> list[Event]:
        return await self.models.live.run(function, *arguments)

    async def _tell(self, events: list[Event], since: float) -> None:
        for event in events:
            latency = time.perf_counter() - since
            if event["type"] in TIMED:
                event["latency_ms"] = round(latency * 1000, 1)
            if event["type"] in PARTIALS:
                prometheus.PARTIAL.observe(latency)
            await self._say(event)

    async def _say(self, event: Event) -> None:
        await asyncio.wait_for(self.socket.send_text(json.dumps(event, ensure_ascii=False)), SEND_SECONDS)

    async def _end(self, ending: Ending) -> None:
        """Tell why, and close."""
        if not ending.code:
            return
        with suppress(WebSocketDisconnect, asyncio.TimeoutError, RuntimeError):
            status = 500 if ending.code == FAILED else 422
            await self._say(self.kind.fault(status, ending.reason, ending.message))
            await asyncio.wait_for(self.socket.close(ending.code, ending.reason), SEND_SECONDS)


class Connections:
    """The live streams of a server, bounded in number.

    Args:
        limit: streams at once.
        share: of these, that one client may hold.
    """

    def __init__(self, limit: int, share: int):
        self.limit, self.share = limit, share
        self._open: set[Connection] = set()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._open)

    @property
    def full(self) -> bool:
        """One more is refused."""
        return self._stopping or len(self._open) >= self.limit

    def has_all(self, client: str) -> bool:
        """One more of a client is refused, whatever there is left for others."""
        return sum(connection.client == client for connection in self._open) >= self.share

    @contextmanager
    def added(self, connection: Connection) -> Iterator[None]:
        """Count a connection as long as it is open."""
        self._open.add(connection)
        prometheus.stream_opened()
        try:
            yield
        finally:
            self._open.discard(connection)
            prometheus.stream_closed()

    async def close(self, seconds: float, hurried: Callable[[], bool] = lambda: False) -> None:
        """Take no more, end all streams with their last words, and wait for that.

        Args:
            seconds: that are waited at most.
            hurried: whether nobody waits any more.
        """
        self._stopping = True
        for connection in self._open:
            connection.stop()
        deadline = time.monotonic() + seconds
        while self._open and time.monotonic() < deadline and not hurried():
            await asyncio.sleep(0.02)
