"""Commands that write sound or send it somewhere: mix, shard, wandb."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from manifests.check import Requirements
from manifests.commands import add, add_channels, count_lines
from manifests.lines import ManifestError
from manifests.show import span, typed
from manifests.text import LABELS


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in text.split(":"))
    except ValueError:
        raise ManifestError(f"--snr: expected LOW:HIGH in decibels, for example 0:20, found {text!r}.") from None
    return low, high


def _mix(given: argparse.Namespace) -> int:
    from manifests.mix import MixOptions, mix, skipped

    low, high = _range(given.snr)
    options = MixOptions(
        noise=given.noise, rir=given.rir, snr_low=low, snr_high=high, copies=given.copies, seed=given.seed,
        room_probability=given.room_probability, noise_probability=given.noise_probability, channels=given.channels,
    )  # fmt: skip
    mixed = mix(given.manifest, given.out, options)
    print(f"{mixed}: {count_lines(mixed):,} utterances")
    for fault in skipped(mixed):
        print(f"left out: {fault}")
    return 0


def _shard(given: argparse.Namespace) -> int:
    from manifests.shard import shard

    needs = Requirements(labels=given.labels, longest=given.longest, decode=not given.fast, channels=given.channels)
    index = shard(given.manifest, given.out, given.shards, needs, given.seed, given.on_bad_sample)
    print(f"{given.out}: {index.utterances:,} utterances, {span(index.hours)} in {index.shards} shards")
    print(
        f"train on it:  python train.py data=manifests data.loader=lhotse {typed(given.out, 'data.shards=')} "
        "data.validation=FILE.jsonl data.test.test=FILE.jsonl"
    )
    return 0


def _wandb(given: argparse.Namespace) -> int:
    from manifests.wandb_table import log_table

    where = log_table(given.manifest, given.project, given.rows, given.out, given.seed, given.channels)
    print(f"W&B run {where}")
    if not where.startswith("http"):
        print(f"look at it:  WANDB_ERROR_REPORTING=false wandb leet {where}\nupload it:   wandb sync {where}")
    return 0


def register(commands: Any) -> None:
    """Add these commands to the command line."""
    one = add(commands, "mix", _mix, "bake noise and rooms into recordings (augment=noisy draws them in training)",
              ["data/an4/test.jsonl --out data/an4-noisy --noise cafes --snr 0:20",
               "data/an4/train.jsonl --out data/an4-rooms --rir rooms --copies 3"])  # fmt: skip
    one.add_argument("manifest", type=Path, help="JSON lines")
    one.add_argument("--out", type=Path, required=True, help="folder to write to")
    one.add_argument("--noise", type=Path, default=None, help="folder of recorded noise (default: synthetic noise)")
    one.add_argument("--rir", type=Path, default=None, help="folder of impulse responses (default: synthetic rooms)")
    one.add_argument("--snr", default="0:20", metavar="LOW:HIGH", help="decibels of speech over noise (default 0:20)")
    one.add_argument("--room-probability", type=float, default=0.5, help="share heard in a room (default 0.5)")
    one.add_argument("--noise-probability", type=float, default=1.0, help="share heard in noise (default 1)")
    one.add_argument("--copies", type=int, default=1, help="mixtures of each utterance (default 1)")
    one.add_argument("--seed", type=int, default=1, help="of everything random")
    add_channels(one)
    one = add(commands, "shard", _shard, "pack a manifest into Lhotse Shar shards, for network storage and clusters",
              ["data/libri/train.jsonl --out data/libri/shards --shards 64"])  # fmt: skip
    one.add_argument("manifest", type=Path, help="JSON lines")
    one.add_argument("--out", type=Path, required=True, help="folder to write to")
    one.add_argument("--shards", type=int, default=16, help="a multiple of GPUs × loader processes (default 16)")
    one.add_argument("--labels", default=LABELS, help="characters a transcript may have (default a-z, space, ')")
    one.add_argument("--longest", type=float, default=20.0, help="seconds (default 20)")
    one.add_argument("--fast", action="store_true", help="trust the durations, do not decode the sound")
    add_channels(one)
    one.add_argument("--seed", default="", help="of the order")
    one.add_argument(
        "--on-bad-sample",
        choices=("fail", "skip"),
        default="fail",
        help="one that cannot be trained on: stop, or leave it out and say so (default fail)",
    )
    one = add(commands, "wandb", _wandb, "a W&B table: file, playable sound, duration, text, two spectrograms",
              ["data/an4/train.jsonl", "data/an4/train.jsonl --rows 500 --project an4"])  # fmt: skip
    one.add_argument("manifest", type=Path, help="JSON lines")
    one.add_argument("--project", default="hey-jetson", help="in W&B (default hey-jetson)")
    one.add_argument("--rows", type=int, default=100, help="recordings drawn from it (default 100)")
    one.add_argument(
        "--out", type=Path, default=Path("runs/tables"), help="folder of an offline run (default runs/tables)"
    )
    one.add_argument("--seed", default="", help="another seed, another sample")
    add_channels(one)
