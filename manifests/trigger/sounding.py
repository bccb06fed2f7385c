"""Texts that sound like a word: halves of it, words of nearly the same phonemes, spellings with a sound changed."""

from __future__ import annotations

import functools
import random
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from manifests.espeak import pronounce
from manifests.lines import ManifestError
from manifests.trigger.vocabulary import KEYWORDS, WORDS

REFERENCE = "en-us"  # the accent that sounds are compared in
# A near-miss differs in more than this share of a word's sounds. Who learns to refuse "commuter" and "computir" refuses
# "computer" as many people say it: benchmarks/RESULTS.md, Near-misses that are near.
DIFFERENT = 1 / 3
ROUNDING = 1e-6
MISSING = 2.0  # sounds that a phrase without one of its words lacks at least: one is hidden by any noise
# Sounds that accents take for one another cost a third to exchange.
_ALIKE = ("əɐʌɚɜaæɑɔɒ", "iɪeɛ", "uʊoɔ", "tdɾ", "sz", "ʃʒ", "kɡ", "pb", "fv", "θð", "nŋ", "ɹrɚɜ", "lɫ")
_ONSETS = "b c d f g h j k l m n p r s t v w y z ch sh st tr".split()
_VOWELS = "a e i o u ee oo ay".split()


@functools.lru_cache(maxsize=10_000)
def phonemes(text: str, voice: str = REFERENCE) -> tuple[str, ...]:
    """Phonemes of a text without stress and length, as espeak-ng would say it.

    >>> phonemes("hey jetson")
    ('h', 'eɪ', 'dʒ', 'ɛ', 't', 's', 'ə', 'n')

    Args:
        text: UTF-8.
        voice: espeak-ng's name of an accent.

    Raises:
        ValueError: there is no such voice.
    """
    found = re.split(r"[_\s]+", re.sub("[ˈˌː]", "", pronounce(text, voice)))
    return tuple(one for one in found if one)


def distance(word: Sequence[str], text: Sequence[str]) -> float:
    """How far the nearest stretch of a text is from a word: changes, each 1, between sounds that are alike a third.

    >>> distance("alex", "my alex here"), distance("stop", "top")
    (0.0, 1.0)

    Args:
        word: phonemes.
        text: phonemes; what lies before and after the stretch costs nothing.
    """
    row = [0.0] * (len(text) + 1)
    for sound in word:
        previous, row = row, [row[0] + 1.0]
        for column, other in enumerate(text, 1):
            row.append(min(previous[column] + 1, row[-1] + 1, previous[column - 1] + _change(sound, other)))
    return min(row)


def _change(one: str, other: str) -> float:
    if one == other:
        return 0.0
    return 1 / 3 if any(one[0] in alike and other[0] in alike for alike in _ALIKE) else 1.0


def check_speakable(word: str) -> None:
    """Refuse what an English voice would spell out or pass over in silence.

    Raises:
        ManifestError: there is no letter in it, or one that is not Latin.
    """
    letters = [one for one in word if one.isalpha()]
    foreign = sorted({one for one in letters if not unicodedata.name(one, "").startswith("LATIN")})
    if not letters:
        raise ManifestError(f"No voice can speak {word!r}: there is no letter in it. Write the word as it is said.")
    if foreign:
        raise ManifestError(
            f"No English voice can speak {word!r}: it would name the letters {' '.join(foreign)}. Write the word in "
            "Latin letters, as it sounds."
        )


def near_misses(words: Sequence[str], count: int, seed: int = 1) -> list[str]:
    """Texts that sound like one of the words and differ from all of them in more than a third of their sounds.

    A third are halves of the words and their sounds changed, a third are the nearest of a vocabulary, a third are other
    keywords and anything. A phrase without one of its words may be nearer to it.

    Args:
        words: to detect, each a word or a phrase.
        count: how many texts at most.
        seed: of what is drawn.
    """
    rng = random.Random(f"{seed}/near misses")
    targets = [phonemes(word) for word in words]

    def far(least: Sequence[float], text: str) -> bool:
        said = phonemes(text)
        return bool(said) and all(distance(target, said) >= one for target, one in zip(targets, least, strict=True))

    lacks = functools.partial(far, [MISSING] * len(targets))
    differs = functools.partial(far, [DIFFERENT * len(target) + ROUNDING for target in targets])
    changed, alike = [], []
    for word, target in zip(words, targets, strict=True):
        variants = dict.fromkeys([*_halves(word), *(_changed(word, rng) for _ in range(count))])
        changed.append(chain(filter(lacks, _shorter(word)), filter(differs, variants)))
        alike.append(filter(differs, _alike(word, target, rng)))
    anything = [text for text in KEYWORDS if text not in words] + rng.sample(WORDS, len(WORDS))
    return list(islice(_in_turn([_in_turn(changed), _in_turn(alike), filter(differs, anything)]), count))


def _in_turn(sources: Sequence[Iterable[str]]) -> Iterator[str]:
    """Texts of several sources, one of each in turn, none twice, until all are empty."""
    given: set[str] = set()
    left = [iter(source) for source in sources]
    while left:
        for source in list(left):
            text = next((one for one in source if one not in given), None)
            if text is None:
                left.remove(source)
            else:
                given.add(text)
                yield text


def _shorter(phrase: str) -> Iterator[str]:
    """A phrase without its first words, or without its last ones."""
    parts = phrase.split()
    for cut in range(1, len(parts)):
        yield " ".join(parts[:cut])
        yield " ".join(parts[cut:])


def _halves(phrase: str) -> Iterator[str]:
    """A phrase of which one word is only what comes from, or up to, one of its middle vowels."""
    for part in phrase.split():
        for at in (found.start() for found in re.finditer(r"(?<=[aeiouy])[^aeiouy]|(?<=[^aeiouy])[aeiouy]", part)):
            for half in (part[:at], part[at:]):
                if len(half) >= max(3, len(part) // 2) and half != part:
                    yield phrase.replace(part, half, 1)
                    yield half


def _changed(word: str, rng: random.Random) -> str:
    """The word with one run of consonants or of vowels exchanged."""
    runs = re.findall(r"[aeiou]+|[^aeiou\s]+|\s+", word.lower())
    number = rng.choice([number for number, run in enumerate(runs) if not run.isspace()])
    runs[number] = rng.choice(
        [one for one in (_VOWELS if runs[number][0] in "aeiou" else _ONSETS) if one != runs[number]]
    )
    return "".join(runs)


def _alike(word: str, target: Sequence[str], rng: random.Random) -> list[str]:
    """Words of the vocabulary by how near they are; of a phrase, with one of its words exchanged."""

    def nearest(sounds: Sequence[str], most: int) -> list[str]:
        def far(text: str) -> float:
            said = phonemes(text)
            return distance(sounds, said) + 0.5 * max(len(said) - len(sounds), 0)

        return sorted(WORDS, key=far)[:most]

    parts = word.split()
    if len(parts) == 1:
        return nearest(target, 60)
    found = []
    for number, part in enumerate(parts):
        for other in nearest(phonemes(part), 30):
            found.append(" ".join([*parts[:number], other, *parts[number + 1 :]]))
            found.append(other)
    rng.shuffle(found)
    return found
