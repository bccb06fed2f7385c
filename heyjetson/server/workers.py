"""Work for the processor: a bounded queue before a few threads, so that more requests wait or are refused.

Every piece of work has a deadline, counted from its beginning. A thread cannot be killed: one that is over it is told
to stop (`cancelled`), its caller gets a sentence at once, and another thread takes its place. There are as many such
spare threads as workers; when they are used up the pool is stuck, and says so instead of taking more.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastapi import Request

from heyjetson.server import prometheus
from heyjetson.server.errors import BusyError, DeadlineError, LeftError, StuckError

T = TypeVar("T")
LOG = logging.getLogger("heyjetson.server")
SECONDS = 60.0  # a piece of work may take, where nobody chose


def _nothing() -> None:
    """What is left of a call that was made."""


@dataclass(eq=False)
class _Piece:
    """A call that waits or runs.

    Args:
        function: to call.
        arguments: of it.
        seconds: that it may take.
        cancelled: is set when nobody waits for it any more.
    """

    function: Callable[..., Any]
    arguments: tuple[object, ...]
    seconds: float
    cancelled: threading.Event | None
    future: Future[Any] = field(default_factory=Future)
    queued: float = field(default_factory=time.monotonic)
    deadline: float | None = None  # None: it waits

    def take(self) -> Any:
        """Call it, once: what it was given, a recording perhaps, is not kept for longer."""
        function, arguments = self.function, self.arguments
        self.drop()
        return function(*arguments)

    def drop(self) -> None:
        """Let go of what it would work on."""
        self.function, self.arguments = _nothing, ()


class Workers:
    """Threads with a queue of bounded length.

    Args:
        threads: that work at once.
        queue: pieces of work that wait; None waits without a limit.
        name: of the threads.
        seconds: that a piece of work may take; more can be given to each.
    """

    def __init__(self, threads: int, queue: int | None, name: str, seconds: float = SECONDS):
        self.limit = None if queue is None else threads + queue
        self.threads = threads
        self.name = name
        self.seconds = seconds
        self._pool = ThreadPoolExecutor(2 * threads, thread_name_prefix=name)
        self._changed = threading.Condition(threading.RLock())  # futures call back within it
        self._waiting: deque[_Piece] = deque()
        self._running: set[_Piece] = set()
        self._abandoned: set[_Piece] = set()
        self._moved = time.monotonic()  # when a piece of work last began
        self._watch: threading.Thread | None = None
        self._watched = float("inf")  # when the watch looks next
        self._closed = False

    @property
    def held(self) -> int:
        """Pieces of work that run or wait; not those that were given up."""
        return len(self._running) + len(self._waiting)

    @property
    def waiting(self) -> int:
        """Pieces of work that wait."""
        return len(self._waiting)

    @property
    def overdue(self) -> int:
        """Threads that still do what was given up."""
        return len(self._abandoned)

    def trouble(self) -> str | None:
        """Why this pool cannot be counted on, as a sentence: its threads are held by work that is over its deadline,
        or nothing has begun for long while work waits. None where all is well."""
        with self._changed:
            if len(self._abandoned) >= self.threads:
                return f"{len(self._abandoned)} threads of {self.name} are held by work that is over its deadline."
            if self._waiting:
                still = time.monotonic() - max(self._moved, self._waiting[0].queued)
                if still > self.seconds:
                    return f"Work waits for the threads of {self.name}, and none has begun for {still:.0f} s."
        return None

    def submit(
        self,
        function: Callable[..., T],
        *arguments: object,
        more: float = 0.0,
        cancelled: threading.Event | None = None,
    ) -> Future[T]:
        """Queue a call.

        Args:
            function: to call.
            arguments: of it.
            more: seconds on top of those that every piece of work has.
            cancelled: is set at the deadline, for a function that looks at it.

        Returns:
            its result, or `DeadlineError`.

        Raises:
            BusyError: the queue is full.
            StuckError: no thread is left.
        """
        piece = _Piece(function, arguments, self.seconds + more, cancelled)
        with self._changed:
            if self._closed or (self.limit is not None and self.held >= self.limit):
                raise BusyError()
            if len(self._abandoned) >= 2 * self.threads:
                raise StuckError(self.name)
            self._waiting.append(piece)
            self._dispatch()
        piece.future.add_done_callback(lambda _: self._forget(piece))
        return piece.future

    def _dispatch(self) -> None:
        """Let begin what can; under the lock."""
        while self._waiting and len(self._running) < self.threads:
            if len(self._running) + len(self._abandoned) >= 2 * self.threads:
                return
            piece = self._waiting.popleft()
            if not piece.future.set_running_or_notify_cancel():
                continue
            self._moved = time.monotonic()
            piece.deadline = self._moved + piece.seconds
            self._running.add(piece)
            self._pool.submit(self._work, piece)
            if self._watch is None:
                self._watch = threading.Thread(target=self._watching, name=f"{self.name}-deadlines", daemon=True)
                self._watch.start()
            elif piece.deadline < self._watched:
                self._changed.notify_all()

    def _work(self, piece: _Piece) -> None:
        result, fault = None, None
        try:
            result = piece.take()
        except BaseException as error:
            fault = error
        with self._changed:
            late = piece in self._abandoned
            self._abandoned.discard(piece)
            self._running.discard(piece)
            self._dispatch()
            if self._closed:
                self._changed.notify_all()
            prometheus.OVERDUE.labels(self.name).set(len(self._abandoned))
        if late:
            LOG.warning("Work of %s that was given up has ended.", self.name)
        elif fault is not None:
            piece.future.set_exception(fault)
            fault = None  # its frames hold this one
        else:
            piece.future.set_result(result)

    def _forget(self, piece: _Piece) -> None:
        """What was cancelled while it waited makes room."""
        with self._changed:
            if piece in self._waiting:
                self._waiting.remove(piece)
                piece.drop()

    def _watching(self) -> None:
        """Give up what is over its deadline, until the pool is closed and nothing runs."""
        with self._changed:
            while not self._closed or self._running:
                now = time.monotonic()
                for piece in [one for one in self._running if one.deadline is not None and one.deadline <= now]:
                    self._give_up(piece)
                # Where nothing runs it looks again when what may begin now would be late: waking it costs live streams.
                self._watched = min((one.deadline or now for one in self._running), default=now + self.seconds)
                self._changed.wait(max(self._watched - now, 0))

    def _give_up(self, piece: _Piece) -> None:
        """Let another thread take the place of one that takes too long; under the lock."""
        self._running.discard(piece)
        self._abandoned.add(piece)
        prometheus.DEADLINES.labels(self.name).inc()
        prometheus.OVERDUE.labels(self.name).set(len(self._abandoned))
        LOG.error("Work of %s was given up after %g s.", self.name, piece.seconds)
        if piece.cancelled:
            piece.cancelled.set()
        piece.future.set_exception(DeadlineError(piece.seconds))
        self._dispatch()
        if len(self._abandoned) >= 2 * self.threads:  # nobody is left who could begin what waits
            while self._waiting:
                waiting = self._waiting.popleft()
                if waiting.future.set_running_or_notify_cancel():
                    waiting.future.set_exception(StuckError(self.name))

    async def run(
        self,
        function: Callable[..., T],
        *arguments: object,
        more: float = 0.0,
        cancelled: threading.Event | None = None,
    ) -> T:
        """Queue a call and wait for its result; leaving early takes back what has not begun.

        Args:
            function: to call.
            arguments: of it.
            more: seconds on top of those that every piece of work has.
            cancelled: is set when the caller leaves early, or at the deadline, for a function that looks at it.

        Raises:
            BusyError: the queue is full.
            DeadlineError: it took too long.
            StuckError: no thread is left.
        """
        try:
            return await asyncio.wrap_future(self.submit(function, *arguments, more=more, cancelled=cancelled))
        except asyncio.CancelledError:
            if cancelled:
                cancelled.set()
            raise

    def close(self) -> None:
        """Let running work end, each until its deadline, and drop what waits."""
        with self._changed:
            self._closed = True
            dropped, running = list(self._waiting), [piece.future for piece in self._running]
            self._waiting.clear()
            self._changed.notify_all()
        for piece in dropped:
            piece.future.cancel()
        for future in running:
            future.exception()
        self._pool.shutdown(wait=not self._abandoned)


async def unless_disconnected(request: Request, work: Awaitable[T]) -> T:
    """Wait for work, which is cancelled when the client leaves.

    Args:
        request: whose body has been read.
        work: for it.

    Raises:
        LeftError: see there.
    """
    future = asyncio.ensure_future(work)
    left = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({future, left}, return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            raise LeftError
        return future.result()
    finally:
        future.cancel()
        left.cancel()


async def _left(request: Request) -> None:
    """Wait until the client has gone: its request is read, nothing else can come."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
