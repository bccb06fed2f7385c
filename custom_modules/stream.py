"""Epochs of a known length from a stream of batches that has none, and workers that let a run save itself."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, Sampler


class EpochLoader:
    """Cut epochs of equal length from a loader; each goes on where the last one stopped.

    Progress bars, schedules and validation need to know how long an epoch is. A stream of shards does not know, and
    buckets that fill by chance give a few batches more in one pass than in the next.

    Args:
        loader: batches, endless or a pass over the data; after its last batch it is begun again.
        batches: in an epoch.
        order: names what decides the order of the batches.

    >>> epochs = EpochLoader([1, 2, 3], batches=2)
    >>> list(epochs), list(epochs)
    ([1, 2], [3, 1])
    """

    def __init__(self, loader: Any, batches: int, order: str = ""):
        if batches < 1:
            raise ValueError(f"An epoch must have at least one batch, found {batches}.")
        self.loader = loader
        self.batches = batches
        self.order = order
        self._first = 0  # batch of the epoch that is begun next
        self._pass = self._taken = 0
        self._stream = self._endless(0, 0)

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Any]:
        first, self._first = self._first, 0
        return islice(self._stream, self.batches - first)

    def position(self) -> tuple[int, int]:
        """Which pass over the data this is, and how many of its batches were given."""
        return self._pass, self._taken

    def begin_at(self, epoch: int, batch: int, position: tuple[int, int] | None = None) -> None:
        """Go on inside an epoch.

        Where the loader's sampler can begin inside a pass (`onward`), the batches are those that would have come; a
        stream of shards begins anew.

        Args:
            epoch: counts for nothing here.
            batch: of the epoch.
            position: in the stream, where it is known.
        """
        self._first = batch
        known = isinstance(getattr(self.loader, "sampler", None), Onward)
        self._stream = self._endless(*(position if position and known else (0, 0)))

    def close(self) -> None:
        """End the pass and the workers that read for it; one that is begun later goes on where it was."""
        self._stream.close()
        self._stream = self._endless(self._pass, self._taken)

    def _endless(self, passes: int, skip: int) -> Generator[Any, None, None]:
        while True:
            sampler = getattr(self.loader, "sampler", None)
            if sampler is not None and hasattr(sampler, "set_epoch"):
                sampler.set_epoch(passes)  # another order on each pass
            if isinstance(sampler, Onward):
                sampler.skip = skip
            self._pass, self._taken = passes, skip
            for batch in self.loader:
                self._taken += 1
                yield batch
            if not self._taken:
                raise ValueError("The training data holds no batch. Is data.batch_duration longer than an utterance?")
            passes, skip = passes + 1, 0


class Onward(Sampler):
    """A sampler of Lhotse's that can begin inside a pass: what comes before is drawn from the lists, and not read.

    Args:
        sampler: gives the same batches in each pass of one number.
    """

    def __init__(self, sampler: Any):
        self.sampler, self.skip = sampler, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order."""
        self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self.sampler), self.skip, None)


def onward(loader: DataLoader) -> DataLoader:
    """A loader of the same batches that can begin inside a pass, unless its workers draw them themselves.

    Each pass draws a seed for its workers, here from a generator of its own: a pass that is begun twice, by a run that
    is continued, must not draw from the model's.
    """
    if isinstance(loader.dataset, IterableDataset):
        loader.generator = torch.Generator()
        return loader
    return DataLoader(
        loader.dataset,
        batch_size=None,
        sampler=Onward(loader.sampler),
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
        generator=torch.Generator(),
    )


def guard_workers(loader: Any) -> Any:
    """Have a DataLoader's workers pass over a SIGTERM that is not from their own process, and return the loader.

    Schedulers send it to every process of a job, and a run whose workers are gone cannot write its last checkpoint.
    """
    loader.worker_init_fn = functools.partial(_prepare_worker, loader.worker_init_fn)
    return loader


def end_workers(loader: Any) -> None:
    """End the workers that an `EpochLoader` or a DataLoader keeps for its next pass.

    Where it is let go of in a cycle of references its queues are closed before it could tell them, and it waits five
    seconds for each.
    """
    if isinstance(loader, EpochLoader):
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
