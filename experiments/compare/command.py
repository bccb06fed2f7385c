"""The command line of compare.py."""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.cli.guarded import guarded
from experiments.errors import ConfigError
from heyjetson.arguments import Parser

EXAMPLES = """examples:
  python compare.py runs/digits                      all runs below a folder
  python compare.py runs/digits/A runs/digits/B --html report.html
  python compare.py runs --test unseen --baseline A  one test set; differences to one run instead of the best
  python compare.py runs/digits/A bundles/int8       a run and a bundle, each tested with evaluate.py
  python compare.py runs/digits/*/wandb/offline-run-*   offline W&B runs
  python compare.py --project me/hey-jetson          runs of a W&B project (needs WANDB_API_KEY)
  python compare.py --workspace --project me/hey-jetson   the same plots as a saved view in W&B
"""


def parser() -> argparse.ArgumentParser:
    """Arguments of the command."""
    parser = Parser(
        prog="compare.py",
        description="Compare runs: a table of what differs, error rates with 95 % intervals, and a verdict.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    runs = "run folders, folders of runs, bundles, offline W&B runs (default: runs)"
    add("runs", nargs="*", type=Path, metavar="RUN", help=runs)
    add("--html", type=Path, metavar="FILE", help="also write a page with curves, plots, texts and sound")
    add("--baseline", metavar="RUN", help="compare with this run, by name or part of it (default: the best)")
    add("--test", metavar="NAME", help="look at this test set only (default: all that the runs share)")
    add("--force", action="store_true", help="runs of different test data: compare the utterances in common")
    add("--speakers", action="store_true", help="intervals over speakers, not utterances (docs/compare.md)")
    add("--bundles", type=Path, default=Path("bundles"), metavar="DIR", help="where bundles lie (default: bundles)")
    add("--project", metavar="ENTITY/PROJECT", help="a W&B project: read its runs, or save the workspace there")
    add("--workspace", action="store_true", help="save a W&B workspace with these plots (needs WANDB_API_KEY)")
    add("--audio", type=_count, default=60, metavar="N", help="utterances with sound in the page (default: 60)")
    add("--top", type=_count, default=40, metavar="N", help="runs to print; 0 prints all (default: 40)")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is no count: give 0 or more")
    return int(text)


@guarded
def main(arguments: list[str]) -> None:
    """Read → judge → show → write.

    Args:
        arguments: of the command line.
    """
    options = parser().parse_args(arguments)
    from experiments.compare.columns import columns
    from experiments.compare.keys import differing
    from experiments.compare.online import load_project, require_key
    from experiments.compare.runs import load
    from experiments.compare.statistics import compare
    from experiments.compare.table import show

    if options.workspace:
        require_key("A workspace")
    if options.html and options.html.is_dir():
        raise ConfigError(f"{options.html} is a folder; give a file, as in --html {options.html}/report.html.")
    given = options.runs or ([] if options.project else [Path("runs")])
    runs = load(given, options.bundles) if given else []
    if options.project and not (options.workspace and given):
        runs += load_project(options.project)
    comparison = compare(runs, options.baseline, options.test, options.force, options.speakers)
    keys = differing(comparison.runs)
    table = columns(comparison, keys)
    show(comparison, table, top=options.top)
    if options.html:
        from experiments.compare.page import write_page

        write_page(options.html, comparison, table, keys, options.audio)
        print(f"page    {options.html} ({options.html.stat().st_size / 1e6:.1f} MB)")
    if options.workspace:
        from experiments.compare.workspace import save

        print(f"view    {save(options.project, comparison, keys)}")
