"""The command `heyjetson build-engine`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from heyjetson.commands import command


def build_engine_command(options: argparse.Namespace) -> int:
    """Build an engine, or show how it would be built."""
    from heyjetson.bundle import Bundle
    from heyjetson.tensorrt.build import build_engine
    from heyjetson.tensorrt.plan import BuildOptions

    def report(sentence: str) -> None:
        print(sentence, file=sys.stdout if options.dry_run else sys.stderr, flush=True)

    choices = BuildOptions(
        precision="fp16" if options.fp16 else options.precision,
        workspace=options.workspace,
        level=options.level,
        seconds=tuple(options.seconds) if options.seconds else None,
        batch=tuple(options.batch),
    )
    engine = build_engine(Bundle(options.bundle), choices, report, options.dry_run)
    if engine is not None:
        print(engine)
    return 0


def add(subparsers: Any) -> None:
    """Add `build-engine` to a command line.

    Args:
        subparsers: what `ArgumentParser.add_subparsers` returned.
    """
    three = ("SHORTEST", "USUAL", "LONGEST")
    parser = command(
        subparsers,
        "build-engine",
        "build a TensorRT engine for this GPU; heyjetson then uses it by itself",
        "  heyjetson build-engine bundles/digits --fp16\n"
        "  heyjetson build-engine bundles/digits --seconds 0.5 4 12 --batch 1 1 8\n"
        "  heyjetson build-engine bundles/digits --dry-run          shows the trtexec line and builds nothing",
    )
    parser.add_argument("bundle", help="folder written by export.py")
    precision = parser.add_mutually_exclusive_group()
    precision.add_argument("--precision", choices=("fp32", "fp16"), help="that the engine computes in (default fp32)")
    precision.add_argument("--fp16", action="store_true", help="the same as --precision fp16")
    parser.add_argument("--workspace", type=int, default=1024, metavar="MIB", help="memory for a kernel (default 1024)")
    parser.add_argument(
        "--level", type=int, default=3, choices=range(6), help="0 builds fastest, 5 runs fastest (default 3)"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        nargs=3,
        metavar=three,
        help="lengths of recordings (default: one frame, half the bundle's longest, its longest)",
    )
    parser.add_argument(
        "--batch",
        type=int,
        nargs=3,
        default=(1, 1, 4),
        metavar=("FEWEST", "USUAL", "MOST"),
        help="recordings at once (default 1 1 4)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and build nothing")
    parser.set_defaults(run=build_engine_command)
