"""From a transcript as people write it to one in the model's characters.

One pipeline of named steps, in this order; each is off or on in `TextOptions`:

| step | does |
|---|---|
| unicode | compatibility forms (NFKC), typographic apostrophes and dashes, invisible characters |
| abbreviations | `Mr.` → mister, `&` → and, `%` → percent, ... |
| numbers | `1984` → nineteen eighty four, `3.14` → three point one four, `$5`, `21st`, `1980s`, `10:30`, by num2words |
| accents | `café` → cafe, `straße` → strasse |
| case | lower case |
| punctuation | all of it becomes space, but the apostrophe within a word and the signs that people say (`¥`, `%`) |

What is left outside the labels is never dropped in silence: it makes the transcript unfit, and the caller says so.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from num2words import CONVERTER_CLASSES, num2words

from manifests.lines import ManifestError

LABELS = " abcdefghijklmnopqrstuvwxyz'"
STEPS = ("abbreviations", "numbers", "accents", "case", "punctuation")  # those that may be left out

_TITLES = {
    "mr": "mister", "mrs": "misses", "ms": "miz", "dr": "doctor", "prof": "professor", "st": "saint", "jr": "junior",
    "sr": "senior", "rev": "reverend", "hon": "honorable", "gen": "general", "col": "colonel", "capt": "captain",
    "lt": "lieutenant", "sgt": "sergeant", "maj": "major", "gov": "governor", "pres": "president", "esq": "esquire",
    "vs": "versus", "etc": "et cetera", "no": "number", "vol": "volume", "dept": "department", "co": "company",
    "ltd": "limited", "inc": "incorporated", "mt": "mount", "ave": "avenue", "blvd": "boulevard",
}  # fmt: skip
# As words these end many a sentence: they need a number after them.
_BEFORE_NUMBER = {"no", "vol"}
_SYMBOLS = {
    "&": "and", "%": "percent", "@": "at", "+": "plus", "=": "equals", "°": "degrees", "#": "number", "¢": "cents",
    "×": "times", "÷": "divided by", "²": "squared", "³": "cubed",
}  # fmt: skip
_ABBREVIATION = re.compile(
    r"\b(" + "|".join(sorted(_TITLES, key=len, reverse=True)) + r")\.(?=\s*(\d)|[^\w\s]|\s+(\S)|\s*$)", re.I
)
_SYMBOL = re.compile("[" + re.escape("".join(_SYMBOLS)) + "]")
# NFKC turns № into the word No, ™ into letters, and a lone accent into a space, so these come first.
_BEFORE_NFKC = str.maketrans(
    dict.fromkeys("\u2019\u2018\u201b\u02bb\u02bc\u00b4\u0060\u2032\uff07", "'") | {"№": "#"} | dict.fromkeys("™℠", " ")
)
# Before a number the short ones may be a minus; the long ones part sentences.
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", "-") | dict.fromkeys("\u2014\u2015", " - "))
# NFKC would make 10² into 102 and 1½ into 11/2, so it is kept from what is raised, lowered or a fraction.
_NOT_RAISED = re.compile("[^²³¹\u00bc-\u00be\u2070-\u209c\u2150-\u215f\u2189]+")
_HIDDEN = re.compile("[\u180b-\u180d\ufe00-\ufe0f\U000e0100-\U000e01ef]")  # they choose between forms of a character
_MARKS = 30  # on one letter; Unicode's own limit (UAX 15), without which sorting them takes quadratic time
_PILE = re.compile(rf"[^\w\s\x00-\x7f]{{{_MARKS + 1}}}")
# Letters that Unicode does not take apart into a letter and an accent.
_WHOLE = str.maketrans({
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D",
    "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ł": "l", "Ł": "L", "ı": "i", "ħ": "h", "Ħ": "H",
})  # fmt: skip
_ACCENTS = frozenset(map(chr, range(0x300, 0x370))) - {"\u0338"}  # the bar that makes ≠ of =
_ELISIONS = {"tis", "twas", "twill", "twere", "em", "cause", "til"}
_LOST = "\ufffd"  # what a decoder puts where it could not read
_MONEY = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent")}
_FRACTIONS = {
    "½": "a half", "⅓": "a third", "⅔": "two thirds", "¼": "a quarter", "¾": "three quarters", "⅕": "a fifth",
    "⅖": "two fifths", "⅗": "three fifths", "⅘": "four fifths", "⅙": "a sixth", "⅚": "five sixths", "⅛": "an eighth",
    "⅜": "three eighths", "⅝": "five eighths", "⅞": "seven eighths",
}  # fmt: skip
_AMOUNT = r"[1-9]\d{0,2}(?:,\d{3}){1,4}(?!\d)|\d+"  # no open repetition: on 1,111,111,… it would take quadratic time
_LONGEST_AMOUNT = 15
_LONGEST_NUMBER = 9
_CURRENCY = re.compile(
    rf"([$£€])\s?(?:({_AMOUNT})(?:\.(\d+))?|\.(\d+))(?:\s+(thousand|million|billion|trillion)\b)?", re.I
)
_TELEPHONE = re.compile(r"(?<![\w.,-])(?:1-)?(?:\(\d{3}\)\s?|\d{3}[ -])?\d{3}-\d{4}(?![\w-])")
_TIME = re.compile(r"\b([01]?\d|2[0-3]):([0-5]\d)(?:(?=\s?([ap])\.?m\b)|\b)", re.I)
_DECADE = re.compile(r"(?<![\w.,])'?(\d{1,3}0)'?s\b")
_ORDINAL = re.compile(r"\b(\d{1,3}(?:,\d{3}){1,4}|\d{1,15})(?:st|nd|rd|th)\b", re.I)
_NEGATIVE = re.compile(r"(?<![\w-])-(?=[$£€]?\.?\d)")
_FRACTION = re.compile(rf"((?<=\d)\s?)?([{''.join(_FRACTIONS)}])")
_DECIMAL = re.compile(rf"(?:(?<![\d.])({_AMOUNT})|(?<![\w.]))\.(\d+)(?!\.?\d)")
_INTEGER = re.compile(_AMOUNT)
_SEPARATED = re.compile(r"\d+(?:[.,:]\d+)*")


@functools.lru_cache(4096)
def _say(number: int, to: str = "cardinal", language: str = "en") -> str:
    return num2words(number, to=to, lang=language).replace(",", "").replace("-", " ")


def _digits(figures: str, language: str = "en") -> str:
    return " ".join(_say(int(figure), language=language) for figure in figures if figure.isdigit())


def _amount(figures: str) -> str:
    plain = figures.replace(",", "")
    return _say(int(plain)) if len(plain) <= _LONGEST_AMOUNT else _digits(plain)


def _integer(figures: str, language: str = "en") -> str:
    if "," in figures:
        return _amount(figures)
    if len(figures) > 1 and int(figures[0]) == 0 or len(figures) > _LONGEST_NUMBER:
        return _digits(figures, language)  # a code or a telephone number, not an amount
    return _year(figures) if language == "en" else _say(int(figures), language=language)


def _year(figures: str) -> str:
    number = int(figures)
    return _say(number, "year" if 1100 <= number <= 2099 else "cardinal")


def _plural(count: int, unit: str) -> str:
    if count == 1:
        return unit
    return "pence" if unit == "penny" else unit + "s"


def _money(match: re.Match[str]) -> str:
    symbol, whole, part, cents, magnitude = match.groups()
    unit, small = _MONEY[symbol]
    part = part or cents or ""
    spoken = _amount(whole or "0")
    if magnitude or len(part) not in (0, 2):
        tail = f" point {_digits(part)}" if part else ""
        return f"{spoken}{tail}{' ' + magnitude if magnitude else ''} {unit}s"
    spoken = f"{spoken} {unit if spoken == 'one' else unit + 's'}"
    if not part or not int(part):
        return spoken
    change = f"{_say(int(part))} {_plural(int(part), small)}"
    return change if spoken.startswith("zero ") else f"{spoken} and {change}"


def _time(match: re.Match[str]) -> str:
    hour, minute = int(match[1]), int(match[2])
    if minute:
        return f"{_say(hour)} {'oh ' if minute < 10 else ''}{_say(minute)}"
    if match[3]:
        return _say(hour)
    return f"{_say(hour)} o'clock" if 1 <= hour <= 12 else f"{_say(hour)} hundred"


def _decade(match: re.Match[str]) -> str:
    words = _year(match[1])
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


def _fraction(match: re.Match[str]) -> str:
    return _FRACTIONS[match[2]] if match[1] is None else f"and {_FRACTIONS[match[2]]}"


def _replace(pattern: re.Pattern[str], spoken: Callable[[re.Match[str]], str], text: str) -> str:
    """Words in place of figures, parted from what touches them but not from punctuation."""

    def apart(match: re.Match[str]) -> str:
        start, end = match.span()
        before = "" if start == 0 or text[start - 1] in " ([{\"'-/" else " "
        after = "" if end == len(text) or text[end] in " .,;:!?)]}\"'-/" else " "
        return f"{before}{spoken(match)}{after}"

    return pattern.sub(apart, text)


def _unpiled(text: str) -> str:
    kept, pile = [], 0
    for character in text:
        pile = pile + 1 if unicodedata.combining(character) else 0
        if pile <= _MARKS:
            kept.append(character)
    return "".join(kept)


def unicode_forms(text: str) -> str:
    """Compatibility characters, apostrophes and dashes in one form each; invisible characters removed."""
    if text.isascii() and text.isprintable():
        return text.replace("`", "'")
    text = "".join(
        " " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf")
    )
    text = _HIDDEN.sub("", text).translate(_BEFORE_NFKC)
    if _PILE.search(text):
        text = _unpiled(text)
    text = _NOT_RAISED.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    return text.translate(_DASHES).translate(_BEFORE_NFKC)


def abbreviations(text: str) -> str:
    """English titles and common signs in words."""

    def spoken(match: re.Match[str]) -> str:
        short, number, following = match[1].lower(), match[2], match[3]
        if short in _BEFORE_NUMBER and not number:
            return match[0]
        if short == "st" and not (following and following.isupper()):
            return "street"
        return _TITLES[short]

    return _replace(_SYMBOL, lambda match: _SYMBOLS[match[0]], _replace(_ABBREVIATION, spoken, text))


def numbers(text: str, language: str = "en") -> str:
    """Figures in words; in English also amounts of money, times, ordinals, decades, decimals and fractions.

    In other languages a number with a point or a comma in it stays: 1.000 is one here and a thousand there.

    >>> numbers("In 1984 it cost $5.20, on the 21st at 10:30.")
    'In nineteen eighty four it cost five dollars and twenty cents, on the twenty first at ten thirty.'
    """
    if not any(character.isnumeric() for character in text):
        return text
    if language != "en":
        return _replace(
            _SEPARATED, lambda match: _integer(match[0], language) if match[0].isdigit() else match[0], text
        )
    for pattern, spoken in (
        (_TELEPHONE, lambda match: _digits(match[0])),
        (_NEGATIVE, lambda match: "minus "),
        (_CURRENCY, _money),
        (_TIME, _time),
        (_DECADE, _decade),
        (_ORDINAL, lambda match: _say(int(match[1].replace(",", "")), "ordinal")),
        (_FRACTION, _fraction),
        (_DECIMAL, lambda match: f"{_amount(match[1] or '0')} point {_digits(match[2])}"),
        (_INTEGER, lambda match: _integer(match[0])),
    ):
        text = _replace(pattern, spoken, text)
    return text


def accents(text: str) -> str:
    """Latin, Greek and Cyrillic letters without their marks."""
    if text.isascii():
        return text
    apart = "".join(c for c in unicodedata.normalize("NFD", text) if c not in _ACCENTS)
    return unicodedata.normalize("NFC", apart.translate(_WHOLE))


@functools.lru_cache(4096)
def _silent(character: str) -> bool:
    kind = unicodedata.category(character)
    said = kind == "Sc" or kind == "Sm" and not character.isascii() or character in _SYMBOLS or character == _LOST
    return kind[0] in "PS" and character != "'" and not said


def punctuation(text: str) -> str:
    """Spaces for punctuation; the apostrophe stays where it is part of a word, and so do signs that people say."""
    words = []
    for word in "".join(" " if _silent(c) else c for c in text).split():
        kept = word.strip("'")
        if word.startswith("'") and kept.lower() in _ELISIONS:
            kept = "'" + kept
        words.append(re.sub("''+", "'", kept))
    return " ".join(word for word in words if word)


@dataclass(frozen=True)
class TextOptions:
    """Which steps are taken; see the table above.

    Args:
        labels: characters a transcript may have in the end.
        language: of numbers, as num2words calls it; abbreviations are English.
        abbreviations: take that step (English only).
        numbers: take that step.
        accents: take that step. Turn it off where the labels hold accented letters.
        case: take that step.
        punctuation: take that step. Turn it off where the labels hold punctuation.
    """

    labels: str = LABELS
    language: str = "en"
    abbreviations: bool = True
    numbers: bool = True
    accents: bool = True
    case: bool = True
    punctuation: bool = True


@dataclass
class Normaliser:
    """Apply the pipeline and count what it did.

    Args:
        options: which steps.

    Raises:
        ManifestError: numbers of the language are not known.

    >>> normaliser = Normaliser()
    >>> normaliser("Dr. O'Neil paid $5 — at Café №1!")
    "doctor o'neil paid five dollars at cafe number one"
    >>> normaliser.unfit("日本")
    '日本'
    """

    options: TextOptions = field(default_factory=TextOptions)
    changed: Counter[str] = field(default_factory=Counter)
    texts: int = 0
    strange: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        chosen = self.options
        if chosen.numbers and not {chosen.language, chosen.language[:2]} & set(CONVERTER_CLASSES):
            known = ", ".join(sorted(CONVERTER_CLASSES))
            raise ManifestError(
                f"Numbers cannot be put in words in the language {chosen.language!r}; known are {known}. "
                "Choose one, or leave out the step numbers."
            )
        english = chosen.language == "en"
        steps: list[tuple[str, bool, Callable[[str], str]]] = [
            ("unicode", True, unicode_forms),
            ("abbreviations", chosen.abbreviations and english, abbreviations),
            ("numbers", chosen.numbers, functools.partial(numbers, language=chosen.language)),
            ("accents", chosen.accents, accents),
            ("case", chosen.case, str.lower),
            ("punctuation", chosen.punctuation, punctuation),
            ("spaces", True, lambda text: " ".join(text.split())),
        ]
        self._steps = [(name, step) for name, wanted, step in steps if wanted]
        self._labels = frozenset(chosen.labels)

    def __call__(self, text: str) -> str:
        """The transcript in the model's characters, as far as the steps can make it so."""
        self.texts += 1
        for name, step in self._steps:
            after = step(text)
            if after.split() != text.split():
                self.changed[name] += 1
            text = after
        return text

    def unfit(self, text: str) -> str:
        """Characters of a normalised text that are outside the labels, each once, sorted; empty when it is fit."""
        strange = sorted(set(text) - self._labels)
        self.strange.update(strange)
        return "".join(strange)

    def report(self) -> Iterable[str]:
        """One line for each step that changed something."""
        for name, count in self.changed.most_common():
            yield f"{name}: {count:,} of {self.texts:,} transcripts changed"
        for character, count in self.strange.most_common(20):
            name = unicodedata.name(character, "unnamed")
            yield f"outside the labels: {character!r} ({name.lower()}) in {count:,} transcript{'s' * (count > 1)}"


def options_from(given: Mapping[str, Any]) -> TextOptions:
    """Options from keys of a configuration; its labels may be a list.

    Raises:
        ManifestError: a key is unknown, or its value is not of its kind.
    """
    known = {option.name: type(option.default) for option in fields(TextOptions)}
    if unknown := set(given) - set(known):
        raise ManifestError(f"Unknown text options {sorted(unknown)}; known are {sorted(known)}.")
    chosen = {key: "".join(value) if isinstance(value, (list, tuple)) else value for key, value in given.items()}
    for key, value in chosen.items():
        if not isinstance(value, known[key]):  # the word no, taken for a choice, would mean yes
            kind = "true or false" if known[key] is bool else "text"
            raise ManifestError(f"The text option {key} must be {kind}, found {value!r}.")
    return TextOptions(**chosen)
