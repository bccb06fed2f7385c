"""Training batches: NeMo's plain loader, or Lhotse's with buckets of like duration, from a manifest or from shards."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from custom_modules.sampler import LengthBatches
from custom_modules.utterances import LINES, Reader
from experiments.data.preparation import Data
from experiments.errors import ConfigError
from manifests import read_manifest
from manifests.shard import SHARDS, read_index

LOADERS = ("plain", "lhotse")
BUFFER = 5000  # utterances that are shuffled and put into buckets at a time
DRY_RUN = 20_000  # batches that are counted; beyond, a pass over the metadata would take minutes


def train_loader(cfg: DictConfig, data: Data) -> dict[str, Any]:
    """Arguments of NeMo's training loader.

    Args:
        cfg: the whole configuration.
        data: manifests of the run.

    Raises:
        ConfigError: data.loader is unknown, or does not fit the data.
    """
    if cfg.data.loader not in LOADERS:
        raise ConfigError(f"data.loader must be one of {', '.join(LOADERS)}, found {cfg.data.loader!r}.")
    if cfg.data.loader == "plain":
        if data.shards:
            raise ConfigError("Shards are read by Lhotse: add data.loader=lhotse.")
        return _shared(cfg, data) | {
            "manifest_filepath": str(data.train),
            "batch_size": cfg.data.batch_size,
            "length_spread": float(cfg.data.length_spread),
            "shortest_first": cfg.data.shortest_first,
            "seed": cfg.seed,
            "shuffle": True,
        }
    lines = {"input_cfg": [{"type": LINES, "manifest": str(data.train)}]}
    source = {"shar_path": str(data.shards / SHARDS)} if data.shards else lines
    # Shards are read again and again without end: a larger buffer would be filled by passes over the same utterances.
    held = min(BUFFER, read_index(data.shards).utterances) if data.shards else BUFFER
    return _shared(cfg, data) | source | {
        "use_lhotse": True,
        "batch_duration": cfg.data.batch_duration,
        "use_bucketing": True,
        "num_buckets": cfg.data.buckets,
        "bucket_buffer_size": held,
        "shuffle_buffer_size": held,
        "num_cuts_for_bins_estimate": held,
        "shuffle": True,
        "concurrent_bucketing": False,  # its thread never ends on an endless stream, and keeps the process alive
        "seed": cfg.seed,
        # Every worker of every process reads all shards, in an order of its own that is the same on the next run of the
        # same seed. Of a manifest each process takes its share of the batches, so that all must have one order.
        "shard_seed": "randomized" if data.shards and cfg.data.num_workers else cfg.seed,
    }  # fmt: skip


def validation_loader(cfg: DictConfig, data: Data) -> dict[str, Any]:
    """Arguments of NeMo's validation loader; always plain, so that every utterance counts once."""
    return _shared(cfg, data) | {
        "manifest_filepath": str(data.validation),
        "batch_size": cfg.data.batch_size,
        "shuffle": False,
    }


def _shared(cfg: DictConfig, data: Data) -> dict[str, Any]:
    return {
        "channels": data.channels,
        "sample_rate": cfg.data.sample_rate,
        "labels": list(cfg.labels),
        "num_workers": cfg.data.num_workers,
        "pin_memory": cfg.data.pin_memory,
    }


def other_shards(arguments: dict[str, Any], step: int) -> dict[str, Any]:
    """Arguments of a loader of shards that begins with others than at the start of the run.

    A stream of shards cannot begin inside: it would have to be read again from the first step on.

    Args:
        arguments: from `train_loader`.
        step: at which the run goes on.
    """
    seed = int(np.random.SeedSequence([arguments["seed"], step]).generate_state(1)[0] >> 8)
    drawn = arguments["shard_seed"] == "randomized"
    return arguments | {"seed": seed, "shard_seed": "randomized" if drawn else seed}


def batch_durations(
    arguments: dict[str, Any], ranks: int = 1, durations: Sequence[float] | None = None
) -> list[list[float]]:
    """Seconds of the utterances in each batch of one epoch of one process; for the largest corpora, of a part of one.

    Args:
        arguments: of the loader, from `train_loader`.
        ranks: processes of the run.
        durations: of the utterances of a plain loader; read from its manifest when None.
    """
    if arguments.get("use_lhotse"):
        from nemo.collections.common.data.lhotse.dataloader import (
            get_lhotse_sampler_from_config,
            make_structured_with_schema_warnings,
        )

        quiet = OmegaConf.create(arguments | {"metadata_only": True, "force_finite": True})
        quiet.pop("channels")  # NeMo knows no such key
        sampler, _ = get_lhotse_sampler_from_config(make_structured_with_schema_warnings(quiet), 0, 1)
        batches = list(islice(([cut.duration for cut in cuts] for cuts in sampler), DRY_RUN))
        return batches[::ranks][: max(len(batches) // ranks, 1)]
    if durations is None:
        durations = [utterance.duration for utterance in read_manifest(arguments["manifest_filepath"])]
    keys = ("batch_size", "length_spread", "shortest_first", "seed")
    size, spread, shortest_first, seed = (arguments[key] for key in keys)
    order = LengthBatches(durations, size, spread, shortest_first, seed, ranks=ranks)
    return [[durations[index] for index in batch] for batch in order]


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


def drawn_sound(data: Data, sample_rate: int, seed: int) -> Iterator[np.ndarray]:
    """Utterances of the training set in a drawn order: [S] float32 each, at `sample_rate`."""
    reader = Reader(sample_rate, data.channels)
    if data.shards:
        from lhotse import CutSet

        for cut in CutSet.from_shar(in_dir=str(data.shards / SHARDS), shuffle_shards=True, seed=seed):
            yield reader.cut(cut).numpy()
        return
    utterances = read_manifest(data.train)
    random.Random(seed).shuffle(utterances)
    for utterance in utterances:
        yield reader(utterance.audio, *utterance.segment).numpy()
