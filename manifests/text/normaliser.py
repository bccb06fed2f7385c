"""The pipeline: it applies the steps, refuses what is not understood, and counts both."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from num2words import CONVERTER_CLASSES

from manifests.lines import ManifestError
from manifests.text import abbreviations, calendar, numbers, roman, signs
from manifests.text.markup import entities, markup
from manifests.text.options import TextOptions
from manifests.text.rules import (
    NO_PARENTHESES,
    NUMBERS,
    OUTSIDE,
    SIGNS,
    UNCOUNTED,
    NotUnderstoodError,
    Refusal,
    Rule,
    Step,
)
from manifests.text.unicode import accents, unicode_forms

# Letters that are more than a word, and what of them is faster to look for.
_CODED = re.compile("|".join((abbreviations.BARE.pattern, roman.PATTERN.pattern, calendar.SHORT_DAY.pattern)))
_CODES = (*abbreviations.BARE_LETTERS, *calendar.DAYS, "II", "IV", "VI", "IX", "XI", "XV", "XX", "War", "Chapter")
_SHOWN = 60  # characters of an example
_STRANGE = 20  # characters outside the labels that the report names


class Cleaned(NamedTuple):
    """What came of a transcript.

    Args:
        text: in characters of the labels; empty where it is refused or nothing is said.
        refused: why it cannot be used; None when it can.
    """

    text: str
    refused: Refusal | None = None


def _is_coded(text: str) -> bool:
    """Whether letters stand for more than a word: titles, roman numerals."""
    spaced = f"{text} "
    return any(letters in spaced for letters in _CODES) and _CODED.search(text) is not None


def _changed(before: str, after: str) -> tuple[str, str]:
    """The words that differ, with nothing around them."""
    old, new = before.split(), after.split()
    first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    old, new = old[first:], new[first:]
    while old and new and old[-1] == new[-1]:
        old.pop(), new.pop()
    return _short(" ".join(old)), _short(" ".join(new))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


@dataclass
class Normaliser:
    """Apply the pipeline and count what it did.

    Args:
        options: which steps.

    Raises:
        ManifestError: numbers of the language are not known.

    >>> normaliser = Normaliser()
    >>> normaliser("Dr. O'Neil paid $5 — [laughs] at Café №1!").text
    "doctor o'neil paid five dollars at cafe number one"
    >>> normaliser("on 3/4/2021").refused
    Refusal(kind='numbers that are not understood', found='3/4/2021')
    """

    options: TextOptions = field(default_factory=TextOptions)
    texts: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    strange: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        chosen = self.options
        if chosen.numbers and not {chosen.language, chosen.language[:2]} & set(CONVERTER_CLASSES):
            known = ", ".join(sorted(CONVERTER_CLASSES))
            raise ManifestError(
                f"Numbers cannot be put in words in the language {chosen.language!r}; known are {known}. "
                "Choose one, or leave out the step numbers."
            )
        steps: list[tuple[bool, Step]] = [
            ("entities" in chosen.markup, Step("markup", [Rule("entities", entities)], re.compile("&"))),
            (True, Step("unicode", [Rule("characters", unicode_forms)])),
            *((True, step) for step in markup(chosen.markup)),
            *((chosen.abbreviations and chosen.language == "en", step) for step in signs.abbreviations()),
            (chosen.numbers, numbers.step(chosen.language)),
            (chosen.accents, Step("accents", [Rule("letters", accents)], re.compile(r"[^\x00-\x7f]"))),
            (chosen.case, Step("case", [Rule("letters", str.lower)])),
            (chosen.punctuation, signs.slashes()),
            (chosen.punctuation, Step("punctuation", [Rule("all", signs.punctuation)])),
            (True, Step("spaces", [Rule("spaces", lambda text: " ".join(text.split()))])),
            (
                chosen.abbreviations and chosen.language == "en",
                Step("abbreviations", [abbreviations.LAST], abbreviations.LAST_TRIGGER),
            ),
            (True, Step("words", [Rule("placeholders", signs.placeholders)])),
        ]
        self._steps = [step for wanted, step in steps if wanted]
        self._labels = frozenset(chosen.labels)
        # Most transcripts of most corpora hold nothing else, and no step does anything to them but case.
        letters = "".join(c for c in sorted(self._labels) if c.isalpha() and self._run(c, [])[0] == c)
        word = rf"[{letters}]+" + (rf"(?:'[{letters}]+)*" if "'" in self._labels else "")
        self._plain = re.compile(rf"{word}(?: {word})*" if letters and " " in self._labels else r"(?!)")

    def __call__(self, text: str) -> Cleaned:
        """The transcript in characters of the labels, or why it cannot be used."""
        self.texts += 1
        lowered = text.lower() if self.options.case else text
        if (
            self._plain.fullmatch(lowered)
            and not signs.placeholder(lowered)
            and not abbreviations.shortened(lowered)
            and not (lowered != text and _is_coded(text))
        ):
            if lowered != text:
                self._count("case", "letters", text, lowered)
            return Cleaned(lowered)
        fired: list[tuple[str, str, str, str]] = []
        after, refused = self._run(text, fired)
        if refused:
            if refused.kind in (OUTSIDE, SIGNS):
                self.strange.update(set(refused.found) - self._labels if refused.kind == OUTSIDE else ())
            self.refused[refused.kind] += 1
            self.examples.setdefault(refused.kind, _short(refused.found))
            return Cleaned("", refused)
        counted = set()
        for step, rule, before, changed in fired:
            if (step, rule) not in counted:  # brackets within brackets make two passes, and one transcript
                counted.add((step, rule))
                self._count(step, rule, before, changed)
        return Cleaned(after)

    def _run(self, text: str, fired: list[tuple[str, str, str, str]]) -> tuple[str, Refusal | None]:
        try:
            for step in self._steps:
                if step.trigger and not step.trigger.search(text):
                    continue
                for rule in step.rules:
                    after = rule.apply(text)
                    if after != text:
                        if rule.name != UNCOUNTED and after.split() != text.split():
                            fired.append((step.name, rule.name, text, after))
                        text = after
        except NotUnderstoodError as error:
            return "", error.refusal
        if not self._labels.issuperset(text):
            return "", self._outside(text)
        return text, None

    def _outside(self, text: str) -> Refusal:
        outside = sorted(set(text) - self._labels)
        if self.options.numbers and any(unicodedata.category(character)[0] == "N" for character in outside):
            return Refusal(NUMBERS, "".join(outside))
        kind = SIGNS if self.options.punctuation and all(map(signs.is_sign, outside)) else OUTSIDE
        return Refusal(kind, "".join(outside))

    def _count(self, step: str, rule: str, before: str, after: str) -> None:
        name = f"{step}, {rule}"
        self.changed[name] += 1
        if name not in self.examples:
            old, new = _changed(before.translate(NO_PARENTHESES), after.translate(NO_PARENTHESES))
            self.examples[name] = f"{old!r} → {new!r}"

    def report(self) -> Iterable[str]:
        """One line for each rule that changed transcripts, with an example, and for each kind of refusal."""
        total = f"{self.texts:,} transcript{'s' * (self.texts != 1)}"
        for name, count in self.changed.most_common():
            yield f"{name}: {count:,} of {total} changed, such as {self.examples[name]}"
        for kind, count in self.refused.most_common():
            yield f"{kind}: {count:,} of {total} left out, such as {self.examples[kind]!r}"
        for character, count in self.strange.most_common(_STRANGE):
            name = unicodedata.name(character, "unnamed")
            yield f"outside the labels: {character!r} ({name.lower()}) in {count:,} transcript{'s' * (count > 1)}"
