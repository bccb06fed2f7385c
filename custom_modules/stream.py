"""Epochs of a known length from a stream of batches that has none, and workers that let a run save itself."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any


class EpochLoader:
    """Cut epochs of equal length from a loader; each goes on where the last one stopped.

    Progress bars, schedules and validation need to know how long an epoch is. A stream of shards does not know, and
    buckets that fill by chance give a few batches more in one pass than in the next.

    Args:
        loader: batches, endless or a pass over the data; after its last batch it is begun again.
        batches: in an epoch.

    >>> epochs = EpochLoader([1, 2, 3], batches=2)
    >>> list(epochs), list(epochs)
    ([1, 2], [3, 1])
    """

    def __init__(self, loader: Any, batches: int):
        if batches < 1:
            raise ValueError(f"An epoch must have at least one batch, found {batches}.")
        self.loader = loader
        self.batches = batches
        self._stream = self._endless()

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Any]:
        return islice(self._stream, self.batches)

    def _endless(self) -> Iterator[Any]:
        passes = 0
        while True:
            sampler = getattr(self.loader, "sampler", None)
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(passes)  # another order on each pass
            empty = True
            for batch in self.loader:
                empty = False
                yield batch
            if empty:
                raise ValueError("The training data holds no batch. Is data.batch_duration longer than an utterance?")
            passes += 1


def guard_workers(loader: Any) -> Any:
    """Have a DataLoader's workers pass over a SIGTERM that is not from their own process, and return the loader.

    Schedulers send it to every process of a job, and a run whose workers are gone cannot write its last checkpoint.
    """
    loader.worker_init_fn = functools.partial(_prepare_worker, loader.worker_init_fn)
    return loader


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
