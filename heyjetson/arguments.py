"""Command lines: a mistyped option or command is answered with the nearest that exists."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` whose refusals name the nearest; its subcommands are parsers of this kind, too.

    >>> parser = Parser(prog="hear", exit_on_error=False)
    >>> _ = parser.add_argument("--format")
    >>> print(parser.not_known(["--formt", "json"]))
    there is no option --formt. Did you mean --format?
    """

    _given: tuple[str, ...] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]
        """As of `argparse`, but what is left over ends the program here, where the options of the command are known."""
        self._given = tuple(sys.argv[1:] if args is None else args)
        found, further = super().parse_known_args(args, namespace)
        if further:
            self.error(self.not_known(further))
        return found, []

    def error(self, message: str) -> NoReturn:
        """As of `argparse`; a file that looks like an option is named."""
        files = [text for text in self._given if text.startswith("-") and text != "-" and os.path.exists(text)]
        super().error(f"{message} The file {files[0]} is written ./{files[0]}" if files else message)

    def not_known(self, further: list[str]) -> str:
        """What is said against arguments that are none."""
        options = [text for text in further if text.startswith("-")]
        if not options:
            return f"not understood: {' '.join(further)}"
        name = options[0].partition("=")[0]
        known = [option for option in self._option_string_actions if option.startswith("--")]
        return f"there is no option {name}." + (_nearest(name, known) or " --help lists those there are.")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        raise argparse.ArgumentError(
            action, f"there is no {value!r}.{_nearest(str(value), choices)} There are: {', '.join(choices)}"
        )


def _nearest(text: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches  # of use to those alone who mistype

    near = get_close_matches(text, known, 1, 0.5)
    return f" Did you mean {near[0]}?" if near else ""
