"""A client's events, bounded in size and time: Wyoming's own reader believes every length that it is told."""

from __future__ import annotations

import asyncio
from typing import cast

from wyoming.event import Event, async_read_event, async_write_event

from heyjetson.errors import HeyJetsonError

EVENT_BYTES = 2**20  # of an event's data, and of its payload: half a minute of sound
LINE_BYTES = 2**16  # of an event's line
EVENT_SECONDS = 30.0  # that what a line has promised may take
SEND_SECONDS = 10.0  # a client that reads nothing for so long is given up


class WireError(HeyJetsonError):
    """What came is no event, or does not come.

    Args:
        message: what is wrong.
        code: the message in one word.
    """

    def __init__(self, message: str, code: str = "not_an_event"):
        super().__init__(message)
        self.code = code


class Wire:
    """One connection.

    Args:
        reader: of the connection, with `LINE_BYTES` as its limit.
        writer: of the connection.
        idle_seconds: without an event before the connection is given up.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, idle_seconds: float):
        self._reader, self._writer = reader, writer
        self._idle_seconds = idle_seconds
        self._begun = False

    async def read(self) -> Event | None:
        """The next event, or None where the client has gone.

        Raises:
            WireError: what came is none, is too large, or came too late.
        """
        self._begun = False
        try:
            # It reads by the two methods below, which are all of a reader that it uses.
            event = await async_read_event(cast(asyncio.StreamReader, self))
        except (HeyJetsonError, asyncio.IncompleteReadError, OSError) as error:
            if isinstance(error, WireError):
                raise
            return None
        except (AttributeError, KeyError, TypeError, RecursionError):
            event = None
        if event is None and not self._begun:
            return None
        if event is None or not isinstance(event.type, str) or not isinstance(event.data or {}, dict):
            raise WireError('An event is a line of JSON such as {"type": "describe"}, and then what the line promises.')
        return Event(event.type, event.data or {}, event.payload)

    async def readline(self) -> bytes:
        """An event's line."""
        try:
            line = await asyncio.wait_for(self._reader.readline(), self._idle_seconds)
        except asyncio.TimeoutError:
            raise WireError(f"Nothing came for {self._idle_seconds:g} s: connect again to go on.", "idle") from None
        except ValueError:
            raise WireError(f"An event's line may have {LINE_BYTES >> 10} KiB at most.", "too_large") from None
        self._begun = bool(line)
        return line

    async def readexactly(self, size: object) -> bytes:
        """What an event's line has promised."""
        if type(size) is not int or size > EVENT_BYTES:
            told = f"An event's data and its payload may have {EVENT_BYTES >> 20} MiB each at most, found {size!s:.40}."
            raise WireError(told, "too_large")
        try:
            return await asyncio.wait_for(self._reader.readexactly(size), EVENT_SECONDS)
        except asyncio.TimeoutError:
            raise WireError(f"The rest of an event did not come within {EVENT_SECONDS:g} s.", "too_slow") from None

    async def write(self, event: Event) -> None:
        """Send an event.

        Raises:
            OSError: the client is gone, or reads nothing.
        """
        try:
            await asyncio.wait_for(async_write_event(event, self._writer), SEND_SECONDS)
        except asyncio.TimeoutError:
            self._writer.transport.abort()  # what it has not read is not kept for it
            raise ConnectionResetError from None
