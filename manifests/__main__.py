"""The command `python -m manifests`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from manifests import ManifestError, fsdd, synthetic
from manifests.check import Requirements, check

LABELS = " abcdefghijklmnopqrstuvwxyz'"


def _add_options(command: argparse.ArgumentParser, options: type) -> None:
    for field in fields(options):
        kind = type(field.default)
        name = "--" + field.name.replace("_", "-")
        command.add_argument(name, type=kind, default=field.default, help=f"default {field.default}")


def _options(kind: type, given: argparse.Namespace) -> Any:
    return kind(**{field.name: getattr(given, field.name) for field in fields(kind)})


def _made(manifests: dict[str, Path]) -> int:
    for split, path in manifests.items():
        with path.open() as lines:
            print(f"{split:12} {sum(1 for _ in lines):6} utterances  {path}")
    return 0


def _synthetic(given: argparse.Namespace) -> int:
    return _made(synthetic.build(given.out, _options(synthetic.SyntheticOptions, given), given.workers))


def _fsdd(given: argparse.Namespace) -> int:
    source = given.source or fsdd.download(given.out.parent / "fsdd-source")
    return _made(fsdd.build(source, given.out, _options(fsdd.DigitOptions, given)))


def _check(given: argparse.Namespace) -> int:
    needs = Requirements(labels=given.labels, longest=given.longest, decode=not given.fast)
    report = check(given.manifest, needs)
    for fault in report.faults:
        print(fault)
    counts = "".join(f", {count} {kind}" for kind, count in report.kinds.most_common())
    print(f"{len(report.good)} good utterances, {len(report.faults)} bad{counts}")
    return 1 if report.faults else 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(
        prog="python -m manifests",
        description="From a dataset to checked manifests.",
        epilog="examples:\n  python -m manifests synthetic\n  python -m manifests fsdd --source DIR\n"
        "  python -m manifests check data/synthetic/train.jsonl",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = main.add_subparsers(required=True)
    one = commands.add_parser("synthetic", help="AN4-like sentences in espeak-ng voices (about a minute)")
    one.add_argument("--out", type=Path, default=Path("data/synthetic"), help="folder (default data/synthetic)")
    one.add_argument("--workers", type=int, default=None, help="processes (default: all cores)")
    _add_options(one, synthetic.SyntheticOptions)
    one.set_defaults(run=_synthetic)
    two = commands.add_parser("fsdd", help="strings of real spoken digits (Free Spoken Digit Dataset)")
    two.add_argument("--source", type=Path, default=None, help="folder with the recordings (default: download them)")
    two.add_argument("--out", type=Path, default=Path("data/digits"), help="folder (default data/digits)")
    _add_options(two, fsdd.DigitOptions)
    two.set_defaults(run=_fsdd)
    three = commands.add_parser("check", help="name every bad utterance of a manifest")
    three.add_argument("manifest", type=Path)
    three.add_argument("--labels", default=LABELS, help="characters a transcript may have (default a-z, space, ')")
    three.add_argument("--longest", type=float, default=20.0, help="seconds (default 20)")
    three.add_argument("--fast", action="store_true", help="trust the durations, do not decode the sound")
    three.set_defaults(run=_check)
    return main


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0 good, 1 something is wrong, 2 wrong usage."""
    given = parser().parse_args(arguments)
    try:
        return given.run(given)
    except ManifestError as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
