"""The commands of `python -m manifests`: what is asked on the command line and what is shown there, nothing else."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from manifests.lines import ManifestError
from manifests.text import CONVENTIONS, LABELS, STEPS, USUAL, TextOptions

# An argument in a docstring, and what it says of it up to the next one.
ARGUMENT = re.compile(r"^    (\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)
STEPS_LISTED = f"Steps: {', '.join(STEPS)}."


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


def add_fields(parser: argparse.ArgumentParser, options: type) -> None:
    """One option for each field of a dataclass, with what its docstring says of it and its default."""
    told = {name: " ".join(text.split()) for name, text in ARGUMENT.findall(inspect.getdoc(options) or "")}
    for field in fields(options):
        default: Any = field.default
        kind, said = (str, "none") if default is None else (type(default), default)
        text = f"{told.get(field.name, '').rstrip('.')} (default {said})".strip()
        parser.add_argument(
            f"--{field.name.replace('_', '-')}", type=kind, default=default, help=text.replace("%", "%%")
        )


def add_channels(parser: Any) -> None:
    """The option that says which channel of a recording is meant."""
    parser.add_argument(
        "--channels",
        default="mix",
        help="of recordings that have several: mix, first, second or a number (default mix)",
    )


def add_text(group: Any) -> None:
    """The options that say how transcripts are normalised."""
    group.add_argument("--labels", default=LABELS, help="characters a transcript may have (default a-z, space, ')")
    group.add_argument("--language", default="en", help="of numbers in words, as num2words calls it (default en)")
    group.add_argument("--without", default="", metavar="STEP,…", help="steps to leave out")
    group.add_argument(
        "--markup", default=",".join(USUAL), metavar="NAME,…",
        help="conventions that the transcripts follow; lines with other markup are left out (default %(default)s; "
        f"there are also {', '.join(name for name in CONVENTIONS if name not in USUAL)}; docs/data.md explains them)",
    )  # fmt: skip


def text_options(given: argparse.Namespace) -> TextOptions:
    """What `add_text` asked for.

    Raises:
        ManifestError: a step or a convention is unknown.
    """
    left_out = {step.strip() for step in given.without.split(",") if step.strip()}
    if unknown := left_out - set(STEPS):
        raise ManifestError(f"--without: unknown steps {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}.")
    steps: dict[str, Any] = dict.fromkeys(left_out, False)
    markup = tuple(name.strip() for name in given.markup.split(",") if name.strip())
    return TextOptions(labels=given.labels, language=given.language, markup=markup, **steps)


def from_fields(options: type, given: argparse.Namespace) -> Any:
    """The dataclass from what was given."""
    return options(**{field.name: getattr(given, field.name) for field in fields(options)})


def refuse_sources(targets: Iterable[Path], sources: Sequence[Path]) -> None:
    """Refuse to write over what is read.

    Raises:
        ManifestError: one of the targets is a source.
    """
    for path in targets:
        if any(path.resolve() == source.resolve() for source in sources):
            raise ManifestError(f"{path} is what is read, and would be overwritten. Give another --out.")


def count_lines(manifest: Path) -> int:
    """Utterances of a manifest."""
    with manifest.open("rb") as lines:
        return sum(1 for line in lines if line.strip())
