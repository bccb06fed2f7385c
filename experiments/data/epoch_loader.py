"""Epochs of a known length from a stream of batches that has none."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import islice
from typing import Any

from torch.utils.data import Sampler


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

        Where the loader's sampler can begin inside a pass (`Onward`), the batches are those that would have come; a
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
