"""Work for the processor: a bounded queue before a few threads, so that more requests wait or are refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from fastapi import Request

from heyjetson.server.errors import BusyError, RequestError

T = TypeVar("T")


class Workers:
    """Threads with a queue of bounded length.

    Args:
        threads: that work at once.
        queue: pieces of work that wait; None waits without a limit.
        name: of the threads.
    """

    def __init__(self, threads: int, queue: int | None, name: str):
        self.limit = None if queue is None else threads + queue
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._held = 0

    @property
    def held(self) -> int:
        """Pieces of work that run or wait."""
        return self._held

    @property
    def waiting(self) -> int:
        """Pieces of work that wait."""
        return max(self._held - self.threads, 0)

    def submit(self, function: Callable[..., T], *arguments: object) -> Future[T]:
        """Queue a call.

        Raises:
            BusyError: the queue is full.
        """
        with self._lock:
            if self.limit is not None and self._held >= self.limit:
                raise BusyError()
            self._held += 1
        try:
            future = self._pool.submit(function, *arguments)
        except RuntimeError:  # shut down
            self._release(None)
            raise BusyError() from None
        future.add_done_callback(self._release)
        return future

    def _release(self, _: Future[T] | None) -> None:
        with self._lock:
            self._held -= 1

    async def run(self, function: Callable[..., T], *arguments: object, gone: threading.Event | None = None) -> T:
        """Queue a call and wait for its result; leaving early takes back what has not begun.

        Args:
            function: to call.
            arguments: of it.
            gone: is set when the caller leaves early, for a function that looks at it.

        Raises:
            BusyError: the queue is full.
        """
        try:
            return await asyncio.wrap_future(self.submit(function, *arguments))
        except asyncio.CancelledError:
            if gone:
                gone.set()
            raise

    def close(self) -> None:
        """Let running work end and drop what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Wait for work, which is cancelled when the client leaves.

    Args:
        request: whose body has been read.
        work: for it.

    Raises:
        RequestError: the client has left.
    """
    future = asyncio.ensure_future(work)
    left = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({future, left}, return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            raise RequestError(499, "The client has left.", "gone")
        return future.result()
    finally:
        future.cancel()
        left.cancel()


async def _left(request: Request) -> None:
    """Wait until the client has gone: its request is read, nothing else can come."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
