"""The one way of data into training: manifests, the order of their utterances, and the loaders of both kinds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lhotse.dataset.dataloading import make_worker_init_fn
from lhotse.dataset.iterable_dataset import IterableDatasetWrapper
from nemo.collections.common.data.lhotse import dataloader as nemo_lhotse
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import DataLoader

from experiments.data.epoch_loader import EpochLoader, Onward
from experiments.data.left_out import LeftOut
from experiments.data.loader_workers import guard_workers
from experiments.data.preparation import Data
from experiments.data.sampler import EvenBatches, LengthBatches, fingerprint
from experiments.data.utterances import LINES, Cuts, Lines, Reader, shard_cuts
from experiments.errors import ConfigError
from manifests.shard import SHARDS, read_index

LOADERS = ("plain", "lhotse")
BUFFER = 5000  # utterances that are shuffled and put into buckets at a time
DRY_RUN = 20_000  # batches that are counted; beyond, a pass over the metadata would take minutes
OTHER_RANK = 100_000  # between the seeds of two processes, as Lhotse has it


class SpeechDataModule(pl.LightningDataModule):
    """Loaders of batches: signals [B, S] and their lengths [B], labels [B, L] and theirs.

    Training batches are of like length, from a manifest (`data.loader=plain`), or from buckets of like duration, from a
    manifest or shards (`lhotse`). Validation and tests are always plain, so that every utterance counts once.

    Args:
        cfg: the whole configuration.
        data: manifests of the run.
        rank: of this process.
        ranks: processes of the run.
        step: at which the run goes on.
        left_out: file that lists utterances of training that cannot be read; None has the first of them raise.

    Raises:
        ConfigError: data.loader is unknown, or does not fit the data.
    """

    def __init__(
        self,
        cfg: DictConfig,
        data: Data,
        rank: int = 0,
        ranks: int = 1,
        step: int = 0,
        left_out: Path | None = None,
    ):
        super().__init__()
        if cfg.data.loader not in LOADERS:
            raise ConfigError(f"data.loader must be one of {', '.join(LOADERS)}, found {cfg.data.loader!r}.")
        if cfg.data.loader == "plain" and data.shards:
            raise ConfigError("Shards are read by Lhotse: add data.loader=lhotse.")
        self.cfg, self.data, self.rank, self.ranks, self.step = cfg, data, rank, ranks, step
        self.left_out = LeftOut(left_out) if left_out else None
        self.reader = Reader(cfg.data.sample_rate, data.channels)

    def train_dataloader(self) -> DataLoader | EpochLoader:
        """The loader of training, the same one each time: it knows its place in the epoch."""
        return self._training

    def val_dataloader(self) -> DataLoader:
        """The loader that the best weights are chosen by, in the manifest's order.

        Raises:
            ConfigError: there are fewer utterances than processes.
        """
        return self._validation

    def test_dataloader(self) -> list[DataLoader]:
        """A loader for each test set, in the manifest's order."""
        return [self._in_order(path) for path in self.data.test.values()]

    @cached_property
    def batches(self) -> list[list[float]]:
        """Seconds of the utterances in each batch of one epoch of one process; for the largest corpora, of a part."""
        if self.cfg.data.loader == "plain":
            lines = self._training.dataset
            return [[lines.durations[index] for index in batch] for batch in self._training.sampler]
        # All processes count alike, and by the metadata of shards alone: a sampler of its own, that reads no sound.
        sampler, _ = self._buckets(0, 1, self.cfg.seed, metadata_only=True, force_finite=True)
        batches = list(islice(([cut.duration for cut in cuts] for cuts in sampler), DRY_RUN))
        return batches[:: self.ranks][: max(len(batches) // self.ranks, 1)]

    def random_sound(self, seed: int) -> Iterator[np.ndarray]:
        """Utterances of the training set in a random order: [S] float32 each, at the model's rate."""
        if self.data.shards:
            yield from (self.reader.cut(cut).numpy() for cut in shard_cuts(self.data.shards, seed))
            return
        utterances = list(self.data.lines(self.data.train))
        random.Random(seed).shuffle(utterances)
        yield from (self.reader(one.audio, *one.segment).numpy() for one in utterances)

    @cached_property
    def _training(self) -> Any:
        chosen = self.cfg.data
        if chosen.loader == "plain":
            lines = Lines(self.data.lines(self.data.train), self.cfg.labels, self.reader, self.left_out)
            sampler = LengthBatches(
                lines.durations,
                chosen.batch_size,
                float(chosen.length_spread),
                chosen.shortest_first,
                self.cfg.seed,
                self.rank,
                self.ranks,
            )
            return self._loader(lines, sampler=sampler, persistent_workers=chosen.num_workers > 0)
        # Of shards no order is known: they have no length, and may have no end. Epochs are cut from them.
        order = fingerprint(fingerprint(None if self.data.shards else self.batches), self.ranks)
        return EpochLoader(self._bucket_loader(), len(self.batches), order)

    @cached_property
    def _validation(self) -> DataLoader:
        return self._in_order(self.data.validation, self.rank, self.ranks)

    def _in_order(self, manifest: Path, rank: int = 0, ranks: int = 1) -> DataLoader:
        lines = Lines(self.data.lines(manifest), self.cfg.labels, self.reader)
        try:
            return self._loader(lines, sampler=EvenBatches(len(lines), self.cfg.data.batch_size, rank, ranks))
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def _loader(self, dataset: Any, **arguments: Any) -> DataLoader:
        """A loader whose dataset takes what makes a batch: indices, or Lhotse's cuts."""
        chosen = self.cfg.data
        shared = {"batch_size": None, "num_workers": chosen.num_workers, "pin_memory": chosen.pin_memory}
        return guard_workers(DataLoader(dataset, **shared, **arguments))

    def _bucket_loader(self) -> DataLoader:
        nemo_lhotse.maybe_set_cuda_expandable_segments(True)  # batches differ in size
        seed = self._seed()
        sampler, iterable = self._buckets(self.rank, self.ranks, seed)
        cuts = Cuts(self.cfg.labels, self.reader, self.left_out)
        # Each pass draws a seed for its workers, here from a generator of its own: a pass that is begun twice, by a run
        # that is continued, must not draw from the model's.
        generator = torch.Generator()
        if not iterable:
            return self._loader(cuts, sampler=Onward(sampler), generator=generator)
        return self._loader(  # the workers draw the batches themselves
            IterableDatasetWrapper(cuts, sampler),
            worker_init_fn=make_worker_init_fn(rank=self.rank, world_size=self.ranks, seed=seed),
            persistent_workers=self.cfg.data.num_workers > 0,
            generator=generator,
        )

    def _seed(self) -> int:
        """Of the loader. A stream of shards cannot begin inside, where it would have to be read again from the first
        step on: a run that goes on begins with others."""
        if not (self.data.shards and self.step):
            return self.cfg.seed
        return int(np.random.SeedSequence([self.cfg.seed, self.step]).generate_state(1)[0] >> 8)

    def _buckets(self, rank: int, ranks: int, seed: int, **more: Any) -> tuple[Any, bool]:
        """NeMo's sampler of buckets, and whether it reads sound itself, of shards.

        Args:
            rank: whose batches it gives.
            ranks: processes.
            seed: of the order.
            more: keys of NeMo's configuration.
        """
        chosen, shards = self.cfg.data, self.data.shards
        lines = {"input_cfg": [{"type": LINES, "manifest": str(self.data.train)}]}
        # Shards are read again and again without end: a larger buffer would be filled by passes over the same ones.
        held = min(BUFFER, read_index(shards).utterances) if shards else BUFFER
        # Every worker of every process reads all shards, in an order of its own that is the same on the next run of the
        # same seed. Of a manifest each process takes its share of the batches, so that all must have one order.
        shard_seed = "randomized" if shards and chosen.num_workers else seed + OTHER_RANK * rank * bool(shards)
        config = ({"shar_path": str(shards / SHARDS)} if shards else lines) | {
            "use_lhotse": True,
            "sample_rate": chosen.sample_rate,
            "batch_duration": chosen.batch_duration,
            "use_bucketing": True,
            "num_buckets": chosen.buckets,
            "bucket_buffer_size": held,
            "shuffle_buffer_size": held,
            "num_cuts_for_bins_estimate": held,
            "shuffle": True,
            "concurrent_bucketing": False,  # its thread never ends on an endless stream, and keeps the process alive
            "num_workers": chosen.num_workers,
            "seed": seed,
            "shard_seed": shard_seed,
        }
        checked = nemo_lhotse.make_structured_with_schema_warnings(OmegaConf.create(config | more))
        return nemo_lhotse.get_lhotse_sampler_from_config(checked, rank, ranks)


def padding(batches: list[list[float]]) -> float:
    """Share of a padded batch that is padding, over all batches.

    >>> round(padding([[1.0, 3.0], [2.0, 2.0]]), 3)
    0.2
    """
    sound = sum(sum(batch) for batch in batches)
    return 1.0 - sound / sum(len(batch) * max(batch) for batch in batches)


def describe(batches: list[list[float]], ranks: int = 1) -> str:
    """What the loader gives each process of the run, in a line."""
    sizes = [len(batch) for batch in batches]
    seconds = sum(sum(batch) for batch in batches) / len(batches)
    each = f" for each of {ranks} processes" if ranks > 1 else ""
    return (
        f"{len(batches)} batches an epoch{each}, {min(sizes)} to {max(sizes)} utterances and {seconds:.0f} s each, "
        f"{padding(batches):.1%} padding"
    )
