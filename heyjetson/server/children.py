"""Processes of one kind that wait for tasks: started when needed, kept for the next task, replaced when they end."""

from __future__ import annotations

from pathlib import Path
from queue import Empty, SimpleQueue

from heyjetson.server.child_process import Child, end, spawn
from heyjetson.server.workers import Workers


class Children:
    """What has such processes; a task is done in a thread of `workers`.

    Args:
        workers: the threads.
        script: that a process runs.
        memory: bytes of address space that each may have.
        most: processes that are kept.
    """

    def __init__(self, workers: Workers, script: Path, memory: int, most: int):
        self.workers = workers
        self._script, self._memory, self._most = script, memory, most
        self._idle: SimpleQueue[Child] = SimpleQueue()
        self._closed = False

    def _spawn(self) -> Child:
        return spawn(self._script, self._memory)

    def _living(self) -> Child:
        """A process that waits for a task; one that ended while it was idle is replaced."""
        while True:
            try:
                child = self._idle.get_nowait()
            except Empty:
                return self._spawn()
            if child.poll() is None:
                return child
            end(child)

    def _give_back(self, child: Child) -> None:
        if self._closed or self._idle.qsize() >= self._most:
            end(child)
        else:
            self._idle.put(child)

    def close(self) -> None:
        """Let running work end, and the processes."""
        self._closed = True
        self.workers.close()
        while True:
            try:
                end(self._idle.get_nowait())
            except Empty:
                return
