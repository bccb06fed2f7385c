"""What a word is written with, in any script."""

from __future__ import annotations

import unicodedata

JOINERS = "\u200c\u200d"  # within words of Persian and of Indian scripts


def in_word(character: str) -> bool:
    """Whether a character is part of a word: a letter, a digit, or a vowel sign or an accent that is a character of its
    own, without which another word is left."""
    return character.isalnum() or character in JOINERS or unicodedata.category(character).startswith("M")


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, with the apostrophes within them.

    >>> words_of("“It's”, 5 O’Clock – मैं हिन्दी।")
    ["it's", '5', "o'clock", 'मैं', 'हिन्दी']
    """
    folded = unicodedata.normalize("NFC", text.casefold()).replace("\u2019", "'")
    apart = "".join(one if one == "'" or in_word(one) else " " for one in folded)
    return [word for one in apart.split() if (word := one.strip("'"))]


def bare(text: str) -> str:
    """A text in small letters without what stands between its words: what two names of one phrase share.

    >>> bare("Hey, Jetson!"), bare("हिन्दी में"), bare("cafe\u0301") == bare("CAFÉ")
    ('heyjetson', 'हिन्दीमें', True)
    """
    return "".join(filter(in_word, unicodedata.normalize("NFC", text.casefold())))
