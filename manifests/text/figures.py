"""Single numbers in words."""

from __future__ import annotations

import functools

from num2words import num2words

LONGEST_AMOUNT = 15
LONGEST_NUMBER = 9


@functools.lru_cache(4096)
def say(number: int, to: str = "cardinal", language: str = "en") -> str:
    """A number in words, without hyphens and commas; `to` as num2words has it."""
    words = num2words(number, to=to, lang=language).replace(",", "").replace("-", " ")
    return words.replace("odicotto", "odiciotto") if language == "it" else words  # 118, as num2words 0.5.14 has it


def digits(figures: str, language: str = "en") -> str:
    """Figures one by one; all else in the text is passed over."""
    return " ".join(say(int(figure), language=language) for figure in figures if figure.isdigit())


def amount(figures: str) -> str:
    """Figures with or without commas, as an amount in English."""
    plain = figures.replace(",", "")
    return say(int(plain)) if len(plain) <= LONGEST_AMOUNT else digits(plain)


def year(figures: str) -> str:
    """An English number, as a year where it may be one."""
    number = int(figures)
    return say(number, "year" if 1100 <= number <= 2099 else "cardinal")


def integer(figures: str) -> str:
    """An English number: an amount where it has commas, figures where zeros lead or it is long, else as years are."""
    if "," in figures:
        return amount(figures)
    if len(figures) > 1 and int(figures[0]) == 0 or len(figures) > LONGEST_NUMBER:
        return digits(figures)  # a code or a telephone number, not an amount
    return year(figures)


def ordinal(number: int) -> str:
    """`first`, `twenty first`."""
    return say(number, "ordinal")


def plural(word: str) -> str:
    """Of a number in words: twenties, halves, fifths."""
    if word.endswith("half"):
        return f"{word[:-1]}ves"
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def foreign(figures: str, language: str) -> str | None:
    """A whole number in another language; None where it is not certain how it is said."""
    if len(figures) > 1 and int(figures[0]) == 0 or len(figures) > LONGEST_NUMBER:
        return digits(figures, language)
    try:
        said = say(int(figures), language=language)
        # 1984: in many languages a year is said otherwise than an amount.
        certain = not 1100 <= int(figures) <= 2099 or say(int(figures), "year", language) == said
        # 11000: num2words says ten thousand in Azerbaijani (findings/num2words-other-numbers.sh).
        certain = certain and (int(figures) < 2000 or say(int(figures) - 1000, language=language) != said)
    except (NotImplementedError, OverflowError, ValueError, KeyError, IndexError, TypeError):
        return None
    return said if certain else None
