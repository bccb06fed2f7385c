"""The commands of `python -m manifests`: what is asked on the command line and what is shown there, nothing else."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any


def add(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    examples: Sequence[str],
    parents: Sequence[argparse.ArgumentParser] = (),
    program: str = "python -m manifests",
) -> argparse.ArgumentParser:
    """A command with its examples under --help.

    Args:
        commands: subparsers.
        name: of the command.
        run: what it does; returns the exit status.
        summary: one line.
        examples: arguments after `PROGRAM NAME`.
        parents: parsers whose options it shares.
        program: what the command belongs to.
    """
    lines = "\n".join(f"  {program} {name} {example}".rstrip() for example in examples)
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"examples:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=list(parents),
    )
    parser.set_defaults(run=run)
    return parser


def add_fields(parser: argparse.ArgumentParser, options: type, texts: dict[str, str] | None = None) -> None:
    """One option for each field of a dataclass, with its default."""
    for field in fields(options):
        text = f"{texts[field.name]} " if texts and field.name in texts else ""
        default: Any = field.default
        parser.add_argument(
            f"--{field.name.replace('_', '-')}", type=type(default), default=default, help=f"{text}(default {default})"
        )


def add_channels(parser: Any) -> None:
    """The option that says which channel of a recording is meant."""
    parser.add_argument(
        "--channels",
        default="mix",
        help="of recordings that have several: mix, first, second or a number (default mix)",
    )


def from_fields(options: type, given: argparse.Namespace) -> Any:
    """The dataclass from what was given."""
    return options(**{field.name: getattr(given, field.name) for field in fields(options)})


def count_lines(manifest: Path) -> int:
    """Utterances of a manifest."""
    with manifest.open("rb") as lines:
        return sum(1 for line in lines if line.strip())
