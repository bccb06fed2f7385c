"""Processes that read for a loader: they let a run save itself, and end with it."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable
from typing import Any


def guard_workers(loader: Any) -> Any:
    """Have a DataLoader's workers pass over a SIGTERM that is not from their own process, and return the loader.

    Schedulers send it to every process of a job, and a run whose workers are gone cannot write its last checkpoint.
    """
    loader.worker_init_fn = functools.partial(_prepare_worker, loader.worker_init_fn)
    return loader


def end_workers(loader: Any) -> None:
    """End the workers that a DataLoader, or one that has a `close` of its own, keeps for its next pass.

    Where it is let go of in a cycle of references its queues are closed before it could tell them, and it waits five
    seconds for each.
    """
    if hasattr(loader, "close"):
        loader.close()
        return
    iterator = getattr(loader, "_iterator", None)
    if iterator is not None:
        loader._iterator = None
        iterator._shutdown_workers()


def _prepare_worker(prepare: Callable[[int], None] | None, worker: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    if prepare is not None:
        prepare(worker)


def _end_with(owner: int) -> None:
    """Wait for a SIGTERM of the process that this one works for; only a thread that waits learns who sends it."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != owner:
        pass
    os._exit(0)
