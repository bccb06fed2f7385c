"""The command that bakes clips for a trigger word: trigger."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from manifests.commands import add
from manifests.lines import ManifestError


def _trigger(given: argparse.Namespace) -> int:
    from manifests.trigger.baking import Sources, bake, gather
    from manifests.trigger.clips import ClipOptions
    from manifests.trigger.spoken import SpokenOptions

    words = [word.strip() for word in given.words.split(",") if word.strip()]
    sources = Sources(
        words, positives=given.positives, negatives=given.negatives, backgrounds=_weights(given.backgrounds),
        spoken=not given.no_spoken, part=given.part, cache=given.cache or given.out / "spoken",
    )  # fmt: skip
    options = SpokenOptions(part=given.part or "train", voices=tuple(given.voices.split(",")))
    pools, faults = gather(sources, options)
    for fault in faults:
        print(f"left out: {fault}")
    for word, takes in pools.words.items():
        print(f"{word}: {len(takes):,} takes")
    print(f"near-misses: {len(pools.negatives):,}, backgrounds: {len(pools.backgrounds):,}")
    baked = bake(pools, given.out, given.clips, ClipOptions(seconds=given.seconds), given.seed)
    print(f"{baked.manifest}: {given.clips:,} clips, {baked.words:,} words; {baked.left_out:,} found no place")
    return 0


def _weights(given: list[str]) -> dict[str, float] | list[str]:
    """`FOLDER` or `FOLDER=WEIGHT`, all of one kind."""
    pairs = [folder.rpartition("=") for folder in given]
    weighted = [pair for pair in pairs if pair[1]]
    if not weighted:
        return given
    try:
        if len(weighted) < len(given):
            raise ValueError
        return {folder: float(weight) for folder, _, weight in pairs}
    except ValueError:
        raise ManifestError(
            f"--backgrounds: expected FOLDER or FOLDER=WEIGHT, all of one kind, found {' '.join(given)}."
        ) from None


def register(commands: Any) -> None:
    """Add this command to the command line."""
    one = add(commands, "trigger", _trigger, "bake clips for a trigger word (training makes them as it goes)",
              ['"hey jetson" --out data/trigger --clips 200',
               "alexa,computer --positives DIR --backgrounds DIR=2 DIR=1 --out data/trigger"])  # fmt: skip
    one.add_argument("words", help="to detect, separated by commas")
    one.add_argument("--out", type=Path, required=True, help="folder to write to")
    one.add_argument("--clips", type=int, default=100, help="how many (default 100)")
    one.add_argument("--seconds", type=float, default=10.0, help="of a clip (default 10)")
    one.add_argument(
        "--positives", type=Path, default=None, help="folder of takes, with a folder for each word if there are several"
    )
    one.add_argument("--negatives", type=Path, nargs="*", default=[], help="folders of takes of what sounds alike")
    one.add_argument(
        "--backgrounds",
        nargs="*",
        default=[],
        metavar="FOLDER[=WEIGHT]",
        help="recordings without the words, or manifests",
    )
    one.add_argument("--no-spoken", action="store_true", help="only recordings, nothing by synthetic voices")
    one.add_argument(
        "--voices", default="installed", metavar="NAME[:FOLDER],…",
        help="that speak: espeak, kokoro, piper, flite, folder:FOLDER (default: all that are installed)",
    )  # fmt: skip
    one.add_argument(
        "--part", choices=("train", "validation", "test"), default=None, help="of the recordings and voices"
    )
    one.add_argument("--cache", type=Path, default=None, help="folder of what voices have spoken (default OUT/spoken)")
    one.add_argument("--seed", type=int, default=1, help="of everything random (default 1)")
