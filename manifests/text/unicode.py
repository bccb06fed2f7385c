"""One form for each character, and letters without their marks."""

from __future__ import annotations

import re
import unicodedata

# NFKC turns № into the word No, ™ into letters, and a lone accent into a space, so these come first.
_BEFORE_NFKC = str.maketrans(
    dict.fromkeys("\u2019\u2018\u201b\u02bb\u02bc\u00b4\u0060\u2032\uff07", "'")
    | {"№": "#", "\u2044": "/", "\u2215": "/"}
    | dict.fromkeys("™℠", " ")
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


def accents(text: str) -> str:
    """Latin, Greek and Cyrillic letters without their marks."""
    if text.isascii():
        return text
    apart = "".join(c for c in unicodedata.normalize("NFD", text) if c not in _ACCENTS)
    return unicodedata.normalize("NFC", apart.translate(_WHOLE))
