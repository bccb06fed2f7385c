"""One client: its events in order, what they ask for, and what is answered. Its faults end its own connection alone."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import Describe, SelectProgram
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect

from heyjetson.errors import HeyJetsonError, OptionError
from heyjetson.wyoming.about import info
from heyjetson.wyoming.services import NAME, Listener, Services
from heyjetson.wyoming.sound import SoundFormat
from heyjetson.wyoming.wire import Wire

LOG = logging.getLogger("heyjetson.wyoming")
STEP_SECONDS = 0.5  # that are heard at once at most, so that no client keeps a thread from the others
T = TypeVar("T")
E = TypeVar("E", bound=Eventable)


class Connection:
    """A client until it goes.

    Args:
        services: what is offered.
        wire: to the client.

    Attributes:
        since: when it began to wait for an event, by `time.monotonic`.
        finishing: the last words are being computed.
    """

    def __init__(self, services: Services, wire: Wire):
        self.services, self.wire = services, wire
        self.since = time.monotonic()
        self.finishing = False
        self._request: Transcribe | Detect | None = None
        self._listener: Listener | None = None
        self._format: SoundFormat | None = None

    @property
    def idle(self) -> bool:
        """Nothing is being heard or computed."""
        return self._listener is None and not self.finishing

    async def run(self) -> None:
        """Answer until the client goes, or does what cannot be answered."""
        try:
            while (event := await self.wire.read()) is not None:
                await self._answer(event)
                self.since = time.monotonic()
        except OSError:
            pass  # the client is gone, or reads nothing
        except HeyJetsonError as error:
            await self.refuse(str(error), getattr(error, "code", type(error).__name__))
        except Exception:
            LOG.exception("The server failed.")
            await self.refuse("The server failed on this. Its log says why.", "internal_error")

    async def refuse(self, message: str, code: str) -> None:
        """Say why the connection ends: a client that waited for an answer would wait for ever."""
        with suppress(OSError):
            await self.wire.write(Error(message, code).event())

    async def _answer(self, event: Event) -> None:
        if Describe.is_type(event.type):
            await self.wire.write(info(self.services).event())
        elif Ping.is_type(event.type):
            await self.wire.write(Pong(_read(Ping, event).text).event())
        elif SelectProgram.is_type(event.type):
            if (name := _read(SelectProgram, event).name) != NAME:
                raise OptionError(f"There is no program {str(name)[:60]!r} here: there is {NAME!r}.")
        elif Transcribe.is_type(event.type):
            self._ask(_read(Transcribe, event))
        elif Detect.is_type(event.type):
            self._ask(_read(Detect, event))
        elif AudioStart.is_type(event.type):
            await self._begin(SoundFormat.of(_read(AudioStart, event)))
        elif AudioChunk.is_type(event.type):
            await self._hear(_read(AudioChunk, event))
        elif AudioStop.is_type(event.type):
            await self._finish()
        else:  # the protocol grows: what is not known is passed over
            LOG.debug("An event of type %.40r is not known.", event.type)

    def _ask(self, request: Transcribe | Detect) -> None:
        """The sound that follows is for this."""
        self.services.check(request)
        self._request, self._listener = request, None

    async def _begin(self, sound: SoundFormat) -> None:
        self._format = sound
        self._listener = await self._work(self.services.open, self._request, sound.rate, sound.channels)
        await self._say(self._listener.begin())

    async def _hear(self, chunk: AudioChunk) -> None:
        sound = SoundFormat.of(chunk)
        if self._listener is None:  # some clients send no audio-start
            await self._begin(sound)
        if sound != self._format:
            raise OptionError("The format of the sound cannot change: send audio-stop and audio-start before.")
        assert self._listener
        timestamp = chunk.timestamp if type(chunk.timestamp) is int else None
        samples = sound.samples(chunk.audio)
        step = max(round(STEP_SECONDS * sound.rate), 1)
        for start in range(0, len(samples), step):
            await self._say(await self._work(self._listener.hear, samples[start : start + step], timestamp))

    async def _finish(self) -> None:
        """Give the last words; a client that sent no sound gets the answer of silence."""
        if self._listener is None:
            await self._begin(self._format or SoundFormat(16000, 2, 1))
        assert self._listener
        listener, self._listener = self._listener, None
        self.finishing = True
        try:
            await self._say(await self._work(listener.finish))
        finally:
            self.finishing = False
        self._request = None

    async def _say(self, events: list[Event]) -> None:
        for event in events:
            await self.wire.write(event)

    async def _work(self, function: Callable[..., T], *arguments: object) -> T:
        """Let a thread do it: one thing at a time for each client, whose next event waits in its own socket."""
        return await asyncio.get_running_loop().run_in_executor(self.services.pool, function, *arguments)


def _read(kind: type[E], event: Event) -> E:
    """An event as its own kind.

    Raises:
        OptionError: fields are missing.
    """
    try:
        return kind.from_event(event)  # type: ignore[return-value]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise OptionError(f"The event {event.type[:40]!r} lacks a field, or has one of another type.") from None
