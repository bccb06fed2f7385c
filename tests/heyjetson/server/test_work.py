"""Work that nobody waits for any more."""

from __future__ import annotations

import asyncio
import threading

import pytest

from heyjetson.server.errors import RequestError
from heyjetson.server.work import Workers, unless_gone


class Client:
    """A request whose client leaves when it is told to."""

    def __init__(self) -> None:
        self.leaves = asyncio.Event()

    async def receive(self) -> dict[str, str]:
        await self.leaves.wait()
        return {"type": "http.disconnect"}


def test_work_is_told_that_its_client_left_and_what_waits_is_dropped():
    workers = Workers(1, 1, "work")
    begun, gone = threading.Event(), threading.Event()
    ran = []

    def endless() -> None:
        begun.set()
        assert gone.wait(30)

    async def work() -> None:
        client = Client()
        first = asyncio.create_task(unless_gone(client, workers.run(endless, gone=gone)))
        await asyncio.to_thread(begun.wait, 30)
        second = asyncio.create_task(unless_gone(client, workers.run(ran.append, 1)))
        while workers.waiting != 1:
            await asyncio.sleep(0)
        client.leaves.set()
        for task in (first, second):
            with pytest.raises(RequestError, match="has left"):
                await task

    asyncio.run(work())
    workers.close()
    assert gone.is_set() and ran == [] and workers.held == 0


def test_work_is_waited_for_as_long_as_its_client_is_there():
    workers = Workers(1, 1, "work")

    async def work() -> int:
        return await unless_gone(Client(), workers.run(max, 1, 2))

    assert asyncio.run(work()) == 2
    workers.close()
