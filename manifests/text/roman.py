"""Roman numerals, which are letters to everything else: said behind what is numbered so, else the text is refused."""

from __future__ import annotations

import re

from manifests.text.figures import say
from manifests.text.rules import NUMBERS, Rule, refuse, rule

_VALUES = {"I": 1, "V": 5, "X": 10}
_LONG = r"(?=[IVX]{2,}\b)X{0,3}(?:IX|IV|V?I{0,3})"  # of one letter it is hardly ever a number
_NUMBERED = (
    "war|chapter|part|volume|book|act|scene|section|phase|type|title|article|appendix|mark|class|grade|stage|level|"
    "bowl|canto|factor"
)
PATTERN = re.compile(r"\b(?:[IVX]{2}|WWI|(?:War|Chapter)\s+[IVX]\b)")  # without it there is none


def value(numeral: str) -> int:
    """The number of a numeral.

    >>> [value(numeral) for numeral in ("II", "IV", "VIII", "XIX")]
    [2, 4, 8, 19]
    """
    values = [_VALUES[letter] for letter in numeral]
    return sum(-one if one < after else one for one, after in zip(values, [*values[1:], 0], strict=True))


def _numbered(match: re.Match[str]) -> str:
    return f"{match[1]} {say(value(match[2]))}"


ENGLISH: list[Rule] = [
    rule("roman numerals", r"\bWW(II?)\b", lambda match: f"world war {say(value(match[1]))}"),
    rule("roman numerals", rf"\b((?i:{_NUMBERED}))\s+({_LONG})\b", _numbered),
    rule("roman numerals", r"\b(World War|Chapter)\s+([IVX])\b(?!')", _numbered),
]
REFUSED = refuse(NUMBERS, "roman numerals", rf"\b{_LONG}\b")
