"""The command `heyjetson`."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from heyjetson.arguments import Parser
from heyjetson.errors import HeyJetsonError, refused_by_system
from heyjetson.installed import sentence
from heyjetson.printing import escape_unprintable

# Commands in the order of the help, and their modules.
COMMANDS = {name: f"heyjetson.commands.{name}" for name in (
    "transcribe", "listen", "detect", "record", "serve", "wyoming", "info", "bench", "doctor",
)} | {"build-engine": "heyjetson.tensorrt.command"}  # fmt: skip


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The command line.

    Args:
        only: the one command that is going to be used; the others' modules are not imported then.
    """
    main = Parser(
        prog="heyjetson",
        description="Run a speech or trigger bundle on this device.",
        epilog="examples:\n"
        "  heyjetson transcribe bundles/synthetic hello.wav\n"
        "  heyjetson listen bundles/streaming\n"
        "  heyjetson listen wake/ --transcribe-with bundles/streaming\n"
        "  heyjetson serve bundles/streaming\n"
        "  heyjetson wyoming bundles/streaming --uri tcp://0.0.0.0:10300\n"
        "  heyjetson bench bundles/synthetic\n"
        "  heyjetson doctor",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = main.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in [only] if only else COMMANDS:
        importlib.import_module(COMMANDS[name]).add(commands)
    return main


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0 all good, 1 a file or bundle failed, 2 wrong usage."""
    logging.basicConfig(format="heyjetson: %(message)s", level=logging.WARNING)
    # The little that is computed with numpy gains nothing by threads, and starting them takes a tenth of a second.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    escape_unprintable()
    given = sys.argv[1:] if arguments is None else arguments
    options = parser(given[0] if given and given[0] in COMMANDS else None).parse_args(arguments)
    try:
        return options.run(options)
    except HeyJetsonError as error:
        print(f"heyjetson: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ImportError, OSError) as error:
        said = sentence(error) or (refused_by_system(error) if isinstance(error, OSError) else None)
        if said is None:
            raise
        print(f"heyjetson: {said}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
