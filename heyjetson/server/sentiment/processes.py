"""Texts, analysed in a process of its own: VADER is a loop in Python, which in a thread would hold live streams up."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from heyjetson.server.child_process import Child, ended, receive
from heyjetson.server.children import Children
from heyjetson.server.errors import BusyError, ClientDisconnectedError, MisfitError, RequestError
from heyjetson.server.settings import Settings
from heyjetson.server.workers import Workers

LOG = logging.getLogger("heyjetson.server")
MEMORY = 2**30  # bytes of address space of a process
PATIENCE = (
    1.0  # seconds that one too many is kept, for there may be room then: who is refused at once asks at once again
)
TRIES = 2  # where a process ends by itself
BROKEN = "The process that analyses texts was killed twice, most likely because the machine is short of memory. "


SCRIPT = Path(__file__).with_name("analyse_process.py")


class Errand(threading.Event):
    """Is set when nobody waits for a piece of work any more, and ends the process that does it."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._child: Child | None = None

    def set(self) -> None:
        """Give it up."""
        super().set()
        with self._lock:
            if self._child is not None:
                self._child.kill()

    @contextmanager
    def done_by(self, child: Child) -> Iterator[None]:
        """Let a process do it.

        Raises:
            ClientDisconnectedError: nobody waits for it.
        """
        with self._lock:
            self._child = child
        try:
            if self.is_set():
                raise ClientDisconnectedError
            yield
        finally:
            with self._lock:
                self._child = None


class Analysts(Children):
    """Processes that analyse texts, one at a time each: as many as ask at once, of which one stays for the next.

    They are started when they are needed.

    Args:
        settings: with the limits.
    """

    def __init__(self, settings: Settings):
        super().__init__(Workers(1, settings.queue, "texts", settings.work_seconds), SCRIPT, MEMORY, 1)

    async def requested(self, body: bytes) -> bytes:
        """Analyse what a client sent.

        Args:
            body: of the request, see `analyse_process.SentimentRequest`.

        Returns:
            the answer as JSON.

        Raises:
            RequestError: 4xx, it cannot be used; 503, too much is in work, or it takes too long.
        """
        errand = Errand()
        try:
            return await self.workers.run(self._analyse, {}, body, errand, cancelled=errand)
        except BusyError:
            await asyncio.sleep(PATIENCE)
        return await self.workers.run(self._analyse, {}, body, errand, cancelled=errand)

    def heard(self, heard: dict[str, Any], seconds: float, errand: Errand) -> bytes:
        """Analyse what was heard; called in the thread that heard it.

        Args:
            heard: that of `conversation.heard`.
            seconds: that the recording lasts.
            errand: to be given up by.

        Returns:
            the answer as JSON, with what was heard.

        Raises:
            ClientDisconnectedError: nobody waits for it.
            RequestError: it cannot be analysed.
        """
        return self._analyse({"seconds": seconds}, json.dumps(heard).encode(), errand)

    def _analyse(self, task: dict[str, Any], body: bytes, errand: Errand) -> bytes:
        for _ in range(TRIES):
            try:
                child = self._living()
            except OSError as error:
                LOG.error("No process that analyses texts can be started: %s", error)
                break
            try:
                with errand.done_by(child):
                    answer = _converse(child, task, body)
            except RequestError:
                self._give_back(child)
                raise
            except BaseException as error:
                status = ended(child)
                if errand.is_set():
                    raise ClientDisconnectedError from None
                if not isinstance(error, OSError | EOFError):
                    raise
                LOG.error("A process that analyses texts ended by itself, or was killed: status %s.", status)
                continue
            self._give_back(child)
            return answer
        raise RequestError(503, BROKEN + "Try again in a while.", "analyst_killed", {"Retry-After": "10"})


def _converse(child: Child, task: dict[str, Any], body: bytes) -> bytes:
    """Give a process its task and take its answer.

    Raises:
        RequestError: it is refused; the process is ready for the next one.
        EOFError, OSError: the process ended.
    """
    assert child.stdin and child.stdout
    child.stdin.write(json.dumps({**task, "bytes": len(body)}).encode() + b"\n")
    child.stdin.write(body)
    child.stdin.flush()
    letter, found = receive(child.stdout)
    if letter == b"A":
        return found
    if letter == b"F":
        raise MisfitError(json.loads(found))
    status, code, message = json.loads(found)
    raise RequestError(status, message, code)
