"""`python -m experiments.tracking`: models in W&B fetched or marked, and runs uploaded that were kept offline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.cli.guarded import guarded
from experiments.tracking.artifacts import PREFIX, Reference, connect, fetch_model
from experiments.tracking.lineage import mark_best
from experiments.tracking.offline_parts import sync


def main(arguments: Sequence[str] | None = None) -> None:
    """The command `python -m experiments.tracking`."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.tracking",
        description="Models in W&B: fetch one, or mark the best of an experiment; upload a run that was kept offline.",
        epilog="  python -m experiments.tracking fetch wandb:me/hey-jetson/synthetic:v3\n"
        "  python -m experiments.tracking best me/hey-jetson/synthetic\n"
        "  python -m experiments.tracking sync runs/synthetic/2026-01-31_12-00-00",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("fetch", help="download a model and print its path")
    one.add_argument("address", metavar="wandb:ENTITY/PROJECT/NAME:ALIAS")
    one = commands.add_parser("best", help="give `best` to the version with the lowest validation WER")
    one.add_argument("address", metavar="ENTITY/PROJECT/NAME")
    one = commands.add_parser("sync", help="upload a run that was kept offline, all its parts where it was continued")
    one.add_argument("folder", metavar="RUN", type=Path, help="the run's folder")
    given, further = parser.parse_known_args(arguments)
    if further and given.command != "sync":
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    if given.command == "sync":
        sys.exit(sync(given.folder, further))
    if given.command == "fetch":
        print(fetch_model(given.address))
        return
    wanted = Reference.parse(f"{PREFIX}{given.address}:best")
    best = mark_best(given.address, connect(f"{wanted.address} cannot be marked"))
    print(f"{given.address}:{best.version} is the best: validation WER {best.metadata['validation_wer']:.2%}")


if __name__ == "__main__":
    guarded(main)()
