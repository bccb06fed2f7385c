"""The commands of `heyjetson`, one module each: `add(subparsers)` and what it runs."""

from __future__ import annotations

import argparse
from typing import Any

from heyjetson.errors import OptionError


def command(subparsers: Any, name: str, help: str, example: str) -> argparse.ArgumentParser:
    """A command with an example below its options."""
    return subparsers.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=f"examples:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """The bundle, and what runs it."""
    parser.add_argument("bundle", help="folder written by export.py")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument(
        "--provider", default="auto", help="auto, tensorrt, cuda or cpu (default auto: the best there is)"
    )


def add_decoder_options(parser: argparse.ArgumentParser) -> None:
    """What turns probabilities into text."""
    group = parser.add_argument_group("decoding")
    group.add_argument(
        "--lm",
        nargs="?",
        const="bundle",
        metavar="SCORER",
        help="use a language model: a scorer file, or without a value the one in the bundle",
    )
    group.add_argument(
        "--hot-words",
        type=hot_words,
        metavar="WORDS",
        help='make phrases likelier, by natural logarithms: "jetson:3,turn on:2"',
    )
    group.add_argument("--beam", type=int, metavar="N", help="hypotheses that are followed at once")


def hot_words(text: str) -> dict[str, float]:
    """Read `phrase:boost,phrase:boost`.

    >>> hot_words("jetson:3, turn on:2.5")
    {'jetson': 3.0, 'turn on': 2.5}
    """
    found = {}
    for part in text.split(","):
        phrase, colon, boost = part.rpartition(":")
        try:
            found[phrase.strip()] = float(boost)
        except ValueError:
            colon = ""
        if not colon or not phrase.strip():
            raise argparse.ArgumentTypeError(f'expected "phrase:boost,phrase:boost", found {part!r}')
    return found


def open_engine(options: argparse.Namespace) -> Any:
    """The engine that the options describe."""
    from heyjetson.bundle import Bundle
    from heyjetson.engine import Engine

    return Engine(Bundle(options.bundle), _threads(options), options.provider)


def open_trigger(options: argparse.Namespace) -> Any:
    """The trigger that the options describe."""
    from heyjetson.bundle import Bundle
    from heyjetson.trigger import Trigger

    return Trigger(Bundle(options.bundle), _threads(options), options.provider)


def _threads(options: argparse.Namespace) -> int:
    if options.threads < 1:
        raise OptionError(f"--threads must be at least 1, found {options.threads}.")
    return options.threads


def decoder_options(options: argparse.Namespace, n_best: int = 1) -> dict[str, Any]:
    """Arguments of `Engine.decoder` and `Engine.stream` from the options."""
    chosen: dict[str, Any] = {"scorer": options.lm, "hot_words": options.hot_words, "n_best": n_best}
    if options.beam is not None:
        from heyjetson.beam import BeamOptions

        chosen["options"] = BeamOptions(beam_size=options.beam)
    return chosen
