"""--help says of every option of every command what it is, not its default alone."""

import argparse
from collections.abc import Iterator

import pytest

from experiments.lm.__main__ import parser as language_models
from heyjetson.cli import parser as device
from manifests.__main__ import parser as corpora


def options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Command and option, and what is said of it; of all commands below as well."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from options(command)
        else:
            yield f"{parser.prog} {' '.join(action.option_strings) or action.dest}", action.help or ""


@pytest.mark.parametrize("program", [device, corpora, language_models], ids=["heyjetson", "manifests", "lm"])
def test_every_option_is_explained(program):
    told = dict(options(program()))
    assert len(told) > 20
    assert not [name for name, text in told.items() if not text or text.startswith(("(default", "default"))]
