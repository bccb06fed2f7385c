"""Work that nobody waits for any more."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref

import pytest

from heyjetson.server.errors import DeadlineError, RequestError, StuckError
from heyjetson.server.workers import Workers, unless_disconnected


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

    async def wait() -> None:
        client = Client()
        first = asyncio.create_task(unless_disconnected(client, workers.run(endless, cancelled=gone)))
        await asyncio.to_thread(begun.wait, 30)
        second = asyncio.create_task(unless_disconnected(client, workers.run(ran.append, 1)))
        while workers.waiting != 1:
            await asyncio.sleep(0)
        client.leaves.set()
        for task in (first, second):
            with pytest.raises(RequestError, match="has left"):
                await task

    asyncio.run(wait())
    workers.close()
    assert gone.is_set() and ran == [] and workers.held == 0


def test_work_is_waited_for_as_long_as_its_client_is_there():
    workers = Workers(1, 1, "work")

    async def wait() -> int:
        return await unless_disconnected(Client(), workers.run(max, 1, 2))

    assert asyncio.run(wait()) == 2
    workers.close()


@pytest.fixture
def stubborn():
    """Work that does not end before it is let, whatever it is told."""
    go_on = threading.Event()
    yield lambda: go_on.wait(30)
    go_on.set()


def test_work_over_its_deadline_is_given_up_and_its_thread_replaced(stubborn):
    workers = Workers(1, 1, "work", 0.05)
    gone = threading.Event()
    with pytest.raises(DeadlineError, match=r"gave this up after 0\.05 s") as error:
        workers.submit(stubborn, cancelled=gone).result(30)
    assert error.value.status == 503
    assert gone.is_set() and workers.overdue == 1 and workers.held == 0
    assert workers.submit(max, 1, 2).result(30) == 2
    assert "1 threads of work" in (workers.trouble() or "")


def test_a_pool_without_threads_left_refuses_and_recovers():
    workers = Workers(1, 2, "work", 0.05)
    go_on, ended = threading.Event(), threading.Semaphore(0)

    def stays() -> None:
        go_on.wait(30)
        ended.release()

    first, second, third = (workers.submit(function) for function in (stays, stays, stays))
    for given in (first, second):
        assert isinstance(given.exception(30), DeadlineError)
    assert isinstance(third.exception(30), StuckError)  # it waited for a thread that nobody has
    with pytest.raises(StuckError, match="start the server again"):
        workers.submit(max, 1, 2)
    go_on.set()
    for _ in range(2):
        assert ended.acquire(timeout=30)
    while workers.overdue:
        pass
    assert workers.trouble() is None
    assert workers.submit(max, 1, 2).result(30) == 2
    workers.close()


def test_a_queue_that_does_not_move_is_trouble(stubborn, monkeypatch):
    workers = Workers(1, 1, "work", 60.0)
    workers.submit(stubborn, more=3600.0)  # a long recording, within its deadline
    assert workers.trouble() is None
    workers.submit(max, 1, 2)
    assert workers.trouble() is None
    now = time.monotonic()
    monkeypatch.setattr("heyjetson.server.workers.time.monotonic", lambda: now + 61)
    assert "none has begun for 61 s" in (workers.trouble() or "")


def test_more_seconds_are_given_to_what_needs_them():
    workers = Workers(1, 1, "work", 0.0)
    ended = threading.Event()
    assert workers.submit(ended.is_set, more=30.0).result(30) is False
    workers.close()


def test_short_work_does_not_wake_the_watch():
    """Live streams send some each 40 ms, and a thread more that wakes for it holds them up."""
    workers = Workers(1, None, "work")
    looked = []
    wait = workers._changed.wait
    workers._changed.wait = lambda seconds: looked.append(seconds) or wait(seconds)
    for _ in range(50):
        workers.submit(max, 1, 2).result(30)
    assert len(looked) <= 2
    workers.close()


def test_what_was_worked_on_is_let_go():
    """A recording that is done must not stay in memory with its future."""

    class Recording:
        pass

    workers = Workers(1, 1, "work")
    given = Recording()
    kept = weakref.ref(given)
    future = workers.submit(lambda one: type(one).__name__, given)
    assert future.result(30) == "Recording"
    workers.close()
    del given
    assert kept() is None
    assert future.done()
