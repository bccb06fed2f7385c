"""Signs that people say, and punctuation, which they do not; the steps of abbreviations."""

from __future__ import annotations

import re
import unicodedata

from manifests.text import abbreviations as shorts
from manifests.text import calendar, units
from manifests.text.rules import MISSING, SHORT, SIGNS, NotUnderstoodError, Rule, Step, refuse, replace, rule

# For example, or e g? Capitals with points are a name's.
_LATIN = r"\b(?:[eE]\.\s?g|[iI]\.\s?e)\b|\b(?:cf|viz)\."
_SYMBOLS = {
    "&": "and", "%": "percent", "@": "at", "+": "plus", "=": "equals", "°": "degrees", "#": "number", "¢": "cents",
    "×": "times", "÷": "divided by", "²": "squared", "³": "cubed",
}  # fmt: skip
# A sign that means what it says needs what it stands between or behind.
_BEHIND_NUMBER = "%°¢²³"
_SYMBOL = re.compile("[" + re.escape("".join(_SYMBOLS)) + "]")
_INTERNATIONAL = re.compile(r"\+\d{1,3}[ -]\(?\d")  # a telephone number, which the step numbers says
_DOMAIN = r"(?<=[^\W_])\.(?=(?:com|org|net|edu|gov|io|uk|de|fr|eu|info|ai|app|dev|tv)\b)|(?<=\bwww)\.(?=\w)"
_SAID = "§‰‱©\\^~|<>\ufffd"  # \ufffd is what a decoder puts where it could not read
_NOT_SAID = "®™℠"
_PICTURES = 0x2190  # arrows, dingbats, emoji and what else is So from here on
_ELISIONS = {"tis", "twas", "twill", "twere", "em", "cause", "til"}


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


# Tokenised as TED-LIUM's and the Penn Treebank's: it 's, don 't.
_CONTRACTION = re.compile(r"(?<=[^\W\d_]) '(?=(?:s|t|re|ve|ll|d|m)(?![\w'])(?!\s*'))", re.I)


def abbreviations() -> list[Step]:
    """English titles and common signs in words."""
    points = [Rule("titles", shorts.pointed), rule("addresses", _DOMAIN, lambda match: " dot ", needs=r"\.\w")]
    bare = [Rule("titles", shorts.bare)]
    contractions = [Rule("contractions", lambda text: _CONTRACTION.sub("'", text))]
    signs = [
        rule("degrees", r"(?:(?<![\w.,/-])(1)\s?|(?<=\d)\s?|(?<=\d\s))°(?:\s?([CF])\b)?", _degrees, needs="°"),
        Rule("signs", lambda text: replace(_SYMBOL, _symbol, text)),
    ]
    return [
        Step("abbreviations", [units.BEHIND_WORDS], units.WORDED_TRIGGER),
        Step("abbreviations", bare, shorts.BARE),
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
