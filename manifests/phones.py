"""Transcripts as sounds: what espeak-ng would say, a letter for each phoneme.

An encoder that is to find words it never heard people say learns more from sounds than from English spelling, and so
does a model of few hours of speech, whose language model knows how words are pronounced.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from manifests.espeak import pronounce
from manifests.lines import ManifestError, Utterance

ACCENT = "en-us"
# Phonemes of espeak-ng's American English; what is no letter here is written as the letters it is made of.
LETTERS = {
    "t": "t", "n": "n", "ɪ": "I", "s": "s", "i": "i", "d": "d", "ə": "a", "ʌ": "U", "ɐ": "U", "l": "l", "w": "w",
    "ð": "D", "m": "m", "æ": "A", "k": "k", "z": "z", "aɪ": "Y", "ɛ": "E", "ɹ": "r", "h": "h", "b": "b", "f": "f",
    "u": "u", "eɪ": "e", "v": "v", "oʊ": "o", "p": "p", "ɔ": "O", "ɡ": "g", "ŋ": "N", "j": "j", "ɚ": "R", "ɜ": "R",
    "ʊ": "V", "ɑ": "Q", "ʃ": "S", "aʊ": "W", "ɾ": "t", "θ": "T", "dʒ": "J", "ᵻ": "I", "tʃ": "C", "ʒ": "Z", "ʔ": "t",
    "ɔɪ": "Oj", "ɔɹ": "Or", "ɑɹ": "Qr", "ɛɹ": "Er", "ɪɹ": "Ir", "ʊɹ": "Vr", "əl": "al", "iə": "ia", "aɪə": "Ya",
    "aɪɚ": "YR", "n̩": "an", "o": "o", "oɹ": "Or", "x": "k", "a": "A", "e": "e", "r": "r", "g": "g",
}  # fmt: skip
LABELS = (" ", *sorted(set("".join(LETTERS.values()))))
_MARKS = str.maketrans("", "", "ˈˌː")


def are_sounds(labels: Iterable[str]) -> bool:
    """Whether a model's labels are sounds: most of them are letters, too.

    >>> are_sounds(LABELS), are_sounds("abc ")
    (True, False)
    """
    return set(labels) == set(LABELS)


def sounds(text: str) -> str:
    """Phonemes of a text, a letter each, a space between words; each word as it is said alone.

    Args:
        text: in English, words with spaces between them.

    Raises:
        ManifestError: there is a phoneme that is none of English, or a word that has no sound.

    >>> sounds("hey jetson")
    'he JEtsan'
    """
    return " ".join(_word(word) for word in text.split() if any(map(str.isalnum, word)))


@functools.lru_cache(1 << 18)
def _word(word: str) -> str:
    phonemes = [bare for one in re.split(r"[_\s]+", pronounce(word, ACCENT)) if (bare := one.translate(_MARKS))]
    if unknown := [one for one in phonemes if one not in LETTERS]:
        raise ManifestError(f"{word!r} is spoken with {unknown[0]!r}, which is no sound of English. Leave it out.")
    if not phonemes:
        raise ManifestError(f"{word!r} is not spoken. Leave it out.")
    return "".join(LETTERS[one] for one in phonemes)


def as_sounds(utterances: Iterable[Utterance], left_out: list[str]) -> Iterator[Utterance]:
    """Utterances whose texts are their sounds.

    Args:
        utterances: with texts in English.
        left_out: grows by a sentence for each that cannot be written so.
    """
    for utterance in utterances:
        try:
            said = sounds(utterance.text)
        except ManifestError as error:
            left_out.append(f"{utterance.audio}: {error}")
            continue
        if said:
            yield replace(utterance, text=said)
        else:
            left_out.append(f"{utterance.audio}: nothing is said in it.")
