"""Which steps a transcript goes through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from manifests.lines import ManifestError
from manifests.text.conventions import CONVENTIONS, USUAL

LABELS = " abcdefghijklmnopqrstuvwxyz'"
STEPS = ("abbreviations", "numbers", "accents", "case", "punctuation")  # those that may be left out


@dataclass(frozen=True)
class TextOptions:
    """Which steps are taken; docs/data.md says what each does.

    Args:
        labels: characters a transcript may have in the end.
        language: of numbers, as num2words calls it; abbreviations are English.
        markup: conventions that the transcripts follow, of `CONVENTIONS`; other markup has the transcript refused.
        abbreviations: take that step (English only).
        numbers: take that step.
        accents: take that step. Turn it off where the labels hold accented letters.
        case: take that step.
        punctuation: take that step. Turn it off where the labels hold punctuation.

    Raises:
        ManifestError: a convention is unknown.
    """

    labels: str = LABELS
    language: str = "en"
    markup: tuple[str, ...] = USUAL
    abbreviations: bool = True
    numbers: bool = True
    accents: bool = True
    case: bool = True
    punctuation: bool = True

    def __post_init__(self) -> None:
        if unknown := [name for name in self.markup if name not in CONVENTIONS]:
            raise ManifestError(f"Unknown conventions of markup {unknown}; known are {', '.join(CONVENTIONS)}.")


def options_from(given: Mapping[str, Any]) -> TextOptions:
    """Options from keys of a configuration; its labels may be a list.

    Raises:
        ManifestError: a key is unknown, or its value is not of its kind.
    """
    known = {option.name: type(option.default) for option in fields(TextOptions)}
    if unknown := set(given) - set(known):
        raise ManifestError(f"Unknown text options {sorted(unknown)}; known are {sorted(known)}.")
    chosen = dict(given)
    if isinstance(chosen.get("labels"), (list, tuple)):
        chosen["labels"] = "".join(chosen["labels"])
    if isinstance(chosen.get("markup"), list):
        chosen["markup"] = tuple(chosen["markup"])
    for key, value in chosen.items():
        if not isinstance(value, known[key]):  # the word no, taken for a choice, would mean yes
            kind = {bool: "true or false", str: "text", tuple: "a list of names"}[known[key]]
            raise ManifestError(f"The text option {key} must be {kind}, found {value!r}.")
    return TextOptions(**chosen)
