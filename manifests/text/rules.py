"""What the steps are made of: rules with names, and the word that a text is not understood."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

MISSING = "missing words"  # said, but not written down
MARKUP = "markup that is not understood"
NUMBERS = "numbers that are not understood"
SHORT = "abbreviations that are said in several ways"
SIGNS = "signs that are not understood"
OUTSIDE = "characters outside the labels"

UNCOUNTED = ""  # name of a rule that takes back what another did, and is no change of its own
# Parentheses that stay are these between two rules of markup: control characters are removed before.
LEFT, RIGHT = "\x02", "\x03"
PARENTHESES = str.maketrans({LEFT: "(", RIGHT: ")"})
NO_PARENTHESES = str.maketrans({LEFT: None, RIGHT: None})


class Refusal(NamedTuple):
    """Why a transcript cannot be used: the kind, and what was found in it."""

    kind: str
    found: str

    @property
    def counted(self) -> str:
        """The kind as a count has it: `transcripts with numbers that are not understood`."""
        return f"transcripts with {self.kind}"

    def of(self, text: str) -> str:
        """The kind, what was found, and the transcript it was found in."""
        return f"{self.kind} {self.found!r}: {text!r:.80}"


class NotUnderstoodError(Exception):
    """Raised by a rule: the transcript cannot be said with certainty."""

    def __init__(self, kind: str, found: str) -> None:
        super().__init__(f"{kind}: {found!r}")
        self.refusal = Refusal(kind, found.translate(PARENTHESES).strip()[:80])


@dataclass(frozen=True)
class Rule:
    """One thing that is done to a text.

    Args:
        name: as the report has it.
        apply: the text after it; raises `NotUnderstoodError`.
    """

    name: str
    apply: Callable[[str], str]


@dataclass(frozen=True)
class Step:
    """Rules that are taken or left out together.

    Args:
        name: as `--without` has it.
        rules: in the order they are applied in.
        trigger: without a match of it no rule can do anything; None where that is not known.
    """

    name: str
    rules: Sequence[Rule]
    trigger: re.Pattern[str] | None = None


def replace(pattern: re.Pattern[str], spoken: Callable[[re.Match[str]], str], text: str) -> str:
    """Words in place of what matches, parted from what touches them but not from punctuation."""

    def apart(match: re.Match[str]) -> str:
        said = spoken(match)
        if said == match[0]:
            return said
        start, end = match.span()
        before = "" if start == 0 or text[start - 1] in " ([{\"'-/" else " "
        after = "" if end == len(text) or text[end] in " .,;:!?)]}\"'-/" else " "
        return f"{before}{said}{after}"

    return pattern.sub(apart, text)


def rule(
    name: str, pattern: str, spoken: Callable[[re.Match[str]], str], flags: int = 0, needs: str | None = None
) -> Rule:
    """A rule that puts words in place of what matches a pattern.

    Args:
        name: as the report has it.
        pattern: a regular expression.
        spoken: the words for a match; the match itself where it is not certain.
        flags: of the expression.
        needs: an expression that is faster to look for, without which the pattern does not match.
    """
    compiled, needed = re.compile(pattern, flags), re.compile(needs) if needs else None

    def apply(text: str) -> str:
        return text if needed and not needed.search(text) else replace(compiled, spoken, text)

    return Rule(name, apply)


def refuse(kind: str, name: str, pattern: str, flags: int = 0) -> Rule:
    """A rule that refuses a text in which a pattern matches."""
    compiled = re.compile(pattern, flags)

    def apply(text: str) -> str:
        if found := compiled.search(text):
            raise NotUnderstoodError(kind, found[0])
        return text

    return Rule(name, apply)
