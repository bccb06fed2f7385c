"""Work for the processor: a bounded queue before a few threads, so that more requests wait or are refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from heyjetson.server.errors import BusyError

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

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Queue a call and wait for its result; leaving early takes back what has not begun.

        Raises:
            BusyError: the queue is full.
        """
        return await asyncio.wrap_future(self.submit(function, *arguments))

    def close(self) -> None:
        """Let running work end and drop what waits."""
        self._pool.shutdown(wait=True, cancel_futures=True)
