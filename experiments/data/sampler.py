"""Batches of like length, and their shares: several processes see together what one would see alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np
from torch.utils.data import Sampler

T = TypeVar("T")


def fingerprint(*parts: object) -> str:
    """A short name for what decides an order; another name, another order."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


class EpochOrder(Sampler[T]):
    """An order that epoch and batch say all of, so that a run goes on anywhere in it."""

    def __init__(self) -> None:
        self.epoch = 0
        self._start = (0, 0)

    def position(self) -> None:
        """Nothing: epoch and batch say it all."""

    def begin_at(self, epoch: int, batch: int, position: object = None) -> None:
        """Leave out the first batches of one epoch, which were trained on before."""
        self.epoch, self._start = epoch, (epoch, batch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order; Lightning does so at the start of each epoch."""
        self.epoch = epoch

    @property
    def left_out(self) -> int:
        """Batches of this epoch that were trained on before."""
        epoch, batch = self._start
        return batch if self.epoch == epoch else 0


class LengthBatches(EpochOrder[list[int]]):
    """Training batches of utterances of like length (semi-sorted batching: Ge et al., 2021), drawn by seed and epoch.

    Each process of a run takes its share of one and the same batch of `batch_size * ranks` utterances. Short utterances
    are where CTC finds its first alignments, and they cost least, so that the first epoch may begin with them
    (SortaGrad: Amodei et al., 2016).

    Args:
        durations: of the utterances, in seconds.
        batch_size: of one process.
        spread: share of the range of durations by which neighbours may differ; from 1 on the order is free.
        shortest_first: sort the batches of the first epoch.
        seed: of the order; the same on all processes.
        rank: of this process.
        ranks: processes.

    >>> batches = [list(LengthBatches([4, 1, 3, 2, 5], 1, 0.0, True, 0, rank, 2)) for rank in (0, 1)]
    >>> batches
    [[[1], [2], [4]], [[3], [0], [4]]]
    """

    def __init__(
        self,
        durations: Sequence[float],
        batch_size: int,
        spread: float,
        shortest_first: bool = False,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
    ):
        super().__init__()
        self.durations = np.asarray(durations, dtype=np.float64)
        self.size = batch_size * ranks
        self.spread = spread
        self.shortest_first = shortest_first
        self.seed = seed
        self.rank = rank
        self.ranks = ranks

    @property
    def order(self) -> str:
        """Names the order of all epochs, which is that of other numbers of processes with as large a batch together."""
        drawn = hashlib.sha256(self.durations.tobytes()).hexdigest()
        return fingerprint(drawn, self.size, self.spread, self.shortest_first, self.seed)

    def __len__(self) -> int:
        return -(-len(self.durations) // self.size)

    def __iter__(self) -> Iterator[list[int]]:
        return islice(self._batches(), self.left_out, None)

    def _batches(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        sort_now = self.shortest_first and self.epoch == 0
        if self.spread < 1 or sort_now:
            bound = np.ptp(self.durations) * min(self.spread, 1.0) / 2
            order = np.argsort(self.durations + rng.uniform(-bound, bound, len(self.durations)), kind="stable")
        else:
            order = rng.permutation(len(self.durations))
        batches = [order[start : start + self.size] for start in range(0, len(order), self.size)]
        for index in range(len(batches)) if sort_now else rng.permutation(len(batches)):
            # Of a last batch with fewer utterances than processes, one is heard twice: no process may be without.
            yield np.resize(batches[index], max(len(batches[index]), self.ranks))[self.rank :: self.ranks].tolist()


class EvenBatches(Sampler[list[int]]):
    """The share of one process of all utterances in their order, each once, in as many batches as the others have.

    Args:
        utterances: how many there are.
        batch_size: largest batch.
        rank: of this process.
        ranks: processes.

    Raises:
        ValueError: there are fewer utterances than processes.

    >>> [list(EvenBatches(7, 2, rank, 2)) for rank in (0, 1)]
    [[[0, 1], [4, 5]], [[2, 3], [6]]]
    """

    def __init__(self, utterances: int, batch_size: int, rank: int = 0, ranks: int = 1):
        if utterances < ranks:
            raise ValueError(
                f"The validation set has {utterances} utterances, fewer than the {ranks} processes of the run. Use a "
                "larger one, or fewer processes."
            )
        count = min(-(-utterances // (batch_size * ranks)), utterances // ranks)
        self.batches = [part.tolist() for part in np.array_split(np.arange(utterances), count * ranks)][rank::ranks]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)
