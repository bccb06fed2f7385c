"""Abbreviations, signs that people say, and punctuation, which they do not."""

from __future__ import annotations

import re
import unicodedata

from manifests.text import calendar
from manifests.text.rules import MISSING, SHORT, SIGNS, NotUnderstoodError, Rule, Step, refuse, replace, rule

_TITLES = {
    "mr": "mister", "mrs": "misses", "ms": "miz", "dr": "doctor", "prof": "professor", "st": "saint", "jr": "junior",
    "sr": "senior", "rev": "reverend", "hon": "honorable", "gen": "general", "col": "colonel", "capt": "captain",
    "lt": "lieutenant", "sgt": "sergeant", "maj": "major", "gov": "governor", "pres": "president", "esq": "esquire",
    "vs": "versus", "etc": "et cetera", "no": "number", "vol": "volume", "dept": "department", "co": "company",
    "ltd": "limited", "inc": "incorporated", "mt": "mount", "ave": "avenue", "blvd": "boulevard", "p": "page",
    "pp": "pages", "fig": "figure", "ch": "chapter", "approx": "approximately",
}  # fmt: skip
# As words these end many a sentence: they need a number after them.
_BEFORE_NUMBER = {"no", "vol", "p", "pp", "fig", "ch"}
# Without a point as well, where a name or a day follows.
BARE_TITLES = {"Mr": "mister", "MR": "mister", "Mrs": "misses", "MRS": "misses", "Ms": "miz", "Dr": "doctor",
         "Prof": "professor"}  # fmt: skip
# For example, or e g? Capitals with points are a name's.
_LATIN = r"\b(?:[eE]\.\s?g|[iI]\.\s?e)\b|\b(?:cf|viz)\."
_SYMBOLS = {
    "&": "and", "%": "percent", "@": "at", "+": "plus", "=": "equals", "°": "degrees", "#": "number", "¢": "cents",
    "×": "times", "÷": "divided by", "²": "squared", "³": "cubed",
}  # fmt: skip
_ABBREVIATION = re.compile(
    r"\b(" + "|".join(sorted(_TITLES, key=len, reverse=True)) + r")\.(?=\s*(\d)|[^\w\s]|\s+(\S)|\s*$)", re.I
)
# A sign that means what it says needs what it stands between or behind.
_BEHIND_NUMBER = "%°¢²³"
_SYMBOL = re.compile("[" + re.escape("".join(_SYMBOLS)) + "]")
_INTERNATIONAL = re.compile(r"\+\d{1,3}[ -]\(?\d")  # a telephone number, which the step numbers says
_DOMAIN = r"(?<=[^\W_])\.(?=(?:com|org|net|edu|gov|io|uk|de|fr|eu|info|ai|app|dev|tv)\b)|(?<=\bwww)\.(?=\w)"
_SAID = "§‰‱©\\^~|<>\ufffd"  # \ufffd is what a decoder puts where it could not read
_NOT_SAID = "®™℠"
_PICTURES = 0x2190  # arrows, dingbats, emoji and what else is So from here on
_ELISIONS = {"tis", "twas", "twill", "twere", "em", "cause", "til"}


def _title(match: re.Match[str]) -> str:
    short, number, following = match[1].lower(), match[2], match[3]
    if short in _BEFORE_NUMBER and not number:
        return match[0]
    if short == "st" and not (following and following.isupper()):
        return "street"
    return _TITLES[short]


def _symbol(match: re.Match[str]) -> str:
    sign, text, start = match[0], match.string, match.start()
    before, after = text[max(0, start - 2) : start], text[start + 1 : start + 2]
    if sign == "+" and _INTERNATIONAL.match(text, start):
        return sign
    near = before[-1:] if before[-1:] != " " else before[:1]
    if sign in _BEHIND_NUMBER:
        alright = near.isnumeric() or sign in "²³" and near.isalpha()
    elif sign == "#":
        alright = after.isdigit() or after == " " and text[start + 2 : start + 3].isdigit()
    else:
        opened = not before[-1:].strip() and after.isalpha()  # &x, +word, @name: not what the sign means
        alright = not opened and after != sign and (not before or after != "") or sign == "+" and after.strip() == ""
    if not alright:
        raise NotUnderstoodError(SIGNS, text[max(0, start - 10) : start + 10])
    return _SYMBOLS[sign]


def _degrees(match: re.Match[str]) -> str:
    scale = {"C": " celsius", "F": " fahrenheit"}.get(match[2], "")
    return f"{match[1] or ''} degree{scale}" if match[1] else f"degrees{scale}"


_ENDINGS = tuple(_TITLES)
BARE = re.compile(rf"\b({'|'.join(BARE_TITLES)})(?=\s+[^\W\d_])")
# Tokenised as TED-LIUM's and the Penn Treebank's: it 's, don 't.
_CONTRACTION = re.compile(r"(?<=[^\W\d_]) '(?=(?:s|t|re|ve|ll|d|m)(?![\w'])(?!\s*'))", re.I)


def _titles(text: str) -> str:
    # Most points end a sentence, and this is faster than to look for all of the titles.
    if any(piece[-10:].lower().endswith(_ENDINGS) for piece in text.split(".")[:-1]):
        return replace(_ABBREVIATION, _title, text)
    return text


def abbreviations() -> list[Step]:
    """English titles and common signs in words."""
    points = [Rule("titles", _titles), rule("addresses", _DOMAIN, lambda match: " dot ", needs=r"\.\w")]
    bare = [Rule("titles", lambda text: replace(BARE, lambda match: BARE_TITLES[match[1]], text))]
    contractions = [Rule("contractions", lambda text: _CONTRACTION.sub("'", text))]
    signs = [
        rule("degrees", r"(?:(?<![\w.,/-])(1)\s?|(?<=\d)\s?|(?<=\d\s))°(?:\s?([CF])\b)?", _degrees, needs="°"),
        Rule("signs", lambda text: replace(_SYMBOL, _symbol, text)),
    ]
    return [
        Step("abbreviations", bare, BARE),
        Step("abbreviations", [refuse(SHORT, "latin", _LATIN)], re.compile(_LATIN)),
        Step("abbreviations", [Rule("days", calendar.days)], calendar.SHORT_DAY),
        Step("abbreviations", [Rule("months", calendar.months)], calendar.SHORT_MONTH),
        Step("abbreviations", points, re.compile(r"\.")),
        Step("abbreviations", contractions, _CONTRACTION),
        Step("abbreviations", signs, _SYMBOL),
        Step("abbreviations", [refuse(SIGNS, "addresses", "://")], re.compile(":")),
    ]


def slashes() -> Step:
    """Or, and, per, or silent? But `and/or` is said so."""
    pattern = r"(?<!\band)(?<=[^\W\d_])/(?=[^\W\d_])|\band/(?!or\b)(?=[^\W\d_])"
    return Step("punctuation", [refuse(SIGNS, "slashes", pattern, re.I)], re.compile("/"))


def _silent(character: str) -> bool:
    kind = unicodedata.category(character)
    if character in _SYMBOLS or character in _SAID or character == "'":
        return False
    if kind == "So":
        return ord(character) >= _PICTURES or character in _NOT_SAID
    if kind == "Sk":
        return "\U0001f3fb" <= character <= "\U0001f3ff"  # the skin of emoji
    return kind[0] == "P"


def is_sign(character: str) -> bool:
    """Whether a character is one that people may say, and neither letter nor figure nor punctuation."""
    return unicodedata.category(character)[0] in "SP" and character != "\ufffd"


class _Spoken(dict[int, str | int]):
    """For `str.translate`: a space for what is not said. It is filled as characters are met."""

    def __missing__(self, code: int) -> str | int:
        self[code] = " " if _silent(chr(code)) else code
        return self[code]


_SPOKEN = _Spoken()


def punctuation(text: str) -> str:
    """Spaces for punctuation; the apostrophe stays where it is part of a word, and so do signs that people say."""
    found = text.translate(_SPOKEN).split()
    if "'" not in text:
        return " ".join(found)
    words = []
    for word in found:
        kept = word.strip("'")
        if word.startswith("'") and kept.lower() in _ELISIONS:
            kept = "'" + kept
        words.append(re.sub("''+", "'", kept))
    return " ".join(word for word in words if word)


PLACEHOLDER = re.compile(r"\b(?:xxx|XXX|yyy|YYY)\b")  # of CHAT, for words that nobody understood


def placeholder(text: str) -> bool:
    """Whether a text has a word that stands for others."""
    return any(letters in text for letters in ("xxx", "XXX", "yyy", "YYY")) and bool(PLACEHOLDER.search(text))


def placeholders(text: str) -> str:
    """Refuse a text with placeholders in it."""
    if placeholder(text):
        raise NotUnderstoodError(MISSING, "xxx")
    return text
