"""The command `python -m manifests`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from heyjetson.arguments import Parser
from heyjetson.errors import refused_by_system
from manifests import ManifestError
from manifests.commands import datasets, lines, sound, trigger
from manifests.show import reader_may_leave
from manifests.whole import NoRoomError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = Parser(
        prog="python -m manifests",
        description="From a dataset to checked manifests.",
        epilog="examples:\n  python -m manifests an4\n  python -m manifests folder recordings --out data/mine\n"
        "  python -m manifests check data/mine/train.jsonl\n  python -m manifests COMMAND --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = main.add_subparsers(required=True, metavar="COMMAND")
    for group in (datasets, lines, sound, trigger):
        group.register(commands)
    return main


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0 good, 1 something is wrong, 2 wrong usage."""
    given = parser().parse_args(arguments)
    try:
        return given.run(given)
    except (ManifestError, NoRoomError) as error:
        print(f"\nError: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if (said := refused_by_system(error)) is None:
            raise
        print(f"\nError: {said}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. What is finished is kept; the same command goes on from there.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    with reader_may_leave():
        sys.exit(main())
