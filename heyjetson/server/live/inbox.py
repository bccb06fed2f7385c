"""What a live stream was sent and has not heard yet, bounded and in order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass

WAITING_BYTES = 2 * 2**20  # of a connection: more is not read


@dataclass(frozen=True)
class Ending:
    """The last thing in an inbox: why nothing more comes.

    Args:
        code: the socket is closed with; 0 where the client is gone.
        message: for the client.
        reason: the message in one word.
        flush: give the running utterance first.
    """

    code: int = 0
    message: str = ""
    reason: str = ""
    flush: bool = False


class Inbox:
    """What came and was not heard yet, in order.

    Args:
        step: bytes that `take` joins at most.
    """

    def __init__(self, step: int):
        self.step = step
        self._items: deque[tuple[bytes | str | Ending, float]] = deque()
        self._bytes = 0
        self._least = 0  # bytes of sound that are worth being taken
        self._come = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: bytes | str | Ending) -> None:
        """Add something that came now."""
        self._items.append((item, time.perf_counter()))
        self._count(256 if isinstance(item, Ending) else len(item) + 256)
        self._come.set()

    def _count(self, change: int) -> None:
        self._bytes += change
        if self._bytes < WAITING_BYTES:
            self._room.set()
        else:
            self._room.clear()

    async def room(self) -> None:
        """Wait until more may come."""
        await self._room.wait()

    @property
    def ready(self) -> bool:
        """Whether there is something that `take` need not wait for."""
        return self._enough() is not None

    def _enough(self) -> float | None:
        """When that came which is enough to be taken; None where it has not."""
        length = 0
        for item, since in self._items:
            length += len(item) if isinstance(item, bytes) else 0
            if not _is_sound(item) or length >= self._least:
                return since
        return None

    async def take(self, least: int = 0) -> tuple[bytes | str | Ending, float]:
        """Wait for what is next: sound that waits is joined, up to a step.

        Args:
            least: bytes of sound that are waited for, unless something else comes behind them: fewer change nothing.

        Returns:
            it, and when that came which ended the waiting.
        """
        self._least = least
        while (since := self._enough()) is None:
            self._come.clear()
            await self._come.wait()
        first, _ = self._pop()
        if not isinstance(first, bytes) or not _is_sound(first):
            return first, since
        parts = [first]
        length = len(first)
        while length < self.step and self._items:
            following = self._items[0][0]
            if not isinstance(following, bytes) or not _is_sound(following):
                break
            parts.append(following)
            length += len(following)
            self._pop()
        if length <= self.step:
            return b"".join(parts), since
        joined = b"".join(parts)
        self._items.appendleft((joined[self.step :], since))
        self._count(length - self.step + 256)
        return joined[: self.step], since

    def _pop(self) -> tuple[bytes | str | Ending, float]:
        item, since = self._items.popleft()
        self._count(-(256 if isinstance(item, Ending) else len(item) + 256))
        return item, since


def _is_sound(item: bytes | str | Ending) -> bool:
    """Whether an item may be joined with others: half a sample may not."""
    return isinstance(item, bytes) and len(item) % 2 == 0
