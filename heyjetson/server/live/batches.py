"""What live streams hear, in batches: streams whose sound comes at about the same time are stepped together."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from heyjetson.server import prometheus
from heyjetson.server.live.session import Event
from heyjetson.server.workers import Workers
from heyjetson.together import Together, Work

WAIT = 0.015  # seconds that sound waits for others' to be heard with
AT_ONCE = 32  # streams in one piece of work


class Stepped(Protocol):
    """What of a client's stream is used here; see `heyjetson.server.live.connection.Talk`."""

    @property
    def rate(self) -> int:
        """Hertz of the sound."""

    def hearing(self, sound: bytes) -> Work[list[Event]]:
        """Take the next samples; the caller runs the steps."""


class Batches:
    """Hears for all live streams of a server.

    Args:
        together: runs their steps.
        workers: whose threads do it, one at a time.
    """

    def __init__(self, together: Together, workers: Workers):
        self.together, self.workers = together, workers
        self._waiting: list[tuple[Stepped, bytes, asyncio.Future[list[Event]]]] = []
        self._task: asyncio.Task[None] | None = None
        self.streams = 0  # that are open

    async def hear(self, talk: Stepped, sound: bytes) -> list[Event]:
        """Let a stream hear its next samples.

        Args:
            talk: whose turn it is; not to be asked again before this has returned.
            sound: of it.

        Returns:
            what is to be told.
        """
        if not self.together.batches:  # none gains by waiting for others
            (found,) = await self.workers.run(self._hear, [(talk, sound)])
            if isinstance(found, Exception):
                raise found
            return found
        future: asyncio.Future[list[Event]] = asyncio.get_running_loop().create_future()
        self._waiting.append((talk, sound, future))
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                if len(self._waiting) < self.streams:
                    await asyncio.sleep(WAIT)
                batch, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
                heard = [(talk, sound) for talk, sound, future in batch if not future.cancelled()]
                waits = [future for *_, future in batch if not future.cancelled()]
                found: list[list[Event] | Exception]
                try:
                    found = await self.workers.run(self._hear, heard)
                except Exception as error:
                    found = [error] * len(heard)
                for future, result in zip(waits, found, strict=True):
                    if future.done():
                        continue
                    if isinstance(result, Exception):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
        finally:
            self._task = None

    def _hear(self, heard: list[tuple[Stepped, bytes]]) -> list[list[Event] | Exception]:
        begun = time.perf_counter()
        found = self.together.run([talk.hearing(sound) for talk, sound in heard])
        share = (time.perf_counter() - begun) / max(len(heard), 1)
        for talk, sound in heard:
            prometheus.observe_transcription(len(sound) / 2 / talk.rate, share)
        return found
