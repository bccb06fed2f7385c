"""Words for what a model of sounds has heard: of those that sound alike, the likeliest between their neighbours.

The search reads sounds as it reads letters, and its language model is one of words as they are pronounced. What is left
is "two" or "too": a Viterbi search over pairs of words, whose probabilities back off (Brants et al., 2007).
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from heyjetson.decoding.hypothesis import Hypothesis, SentenceSearch, Word
from heyjetson.errors import DecoderError
from heyjetson.loudness import Loudness

BORDER = "<s>"  # of a sentence
BACKOFF = 0.4  # of Brants et al.
SEEN = 2  # times that a pair must be there to be kept: others are chance, and most


class Pronunciations:
    """How words are pronounced, and how often they stand side by side.

    Args:
        sounds: of each word its pronunciation.
        counts: how often each word is there, and sentences as `BORDER`.
        pairs: how often the second word follows the first, of pairs in which one sounds like another word.
    """

    def __init__(self, sounds: Mapping[str, str], counts: Mapping[str, int], pairs: Mapping[tuple[str, str], int]):
        self.sounds, self.counts, self.pairs = sounds, counts, pairs
        self._alike: dict[str, list[str]] = defaultdict(list)  # words by their pronunciation
        for word, said in sounds.items():
            self._alike[said].append(word)
        self._total = max(sum(counts.values()), 1)

    @classmethod
    def of(cls, sentences: Iterable[str], sounds: Mapping[str, str]) -> Pronunciations:
        """Count words and pairs in sentences, all of whose words have sounds."""
        alike = Counter(sounds.values())
        counts: Counter[str] = Counter()
        pairs: Counter[tuple[str, str]] = Counter()
        for sentence in sentences:
            words = sentence.split()
            counts.update([BORDER, *words])
            pairs.update(zip([BORDER, *words], [*words, BORDER], strict=True))
        unsure = {word for word, said in sounds.items() if alike[said] > 1}
        kept = {pair: count for pair, count in pairs.items() if count >= SEEN and not unsure.isdisjoint(pair)}
        return cls({word: sounds[word] for word in counts if word != BORDER}, counts, kept)

    def text(self) -> str:
        """A line for each word, with its sounds and its count, and for each pair; tabs between."""
        lines = [f"{word}\t{said}\t{self.counts[word]}" for word, said in sorted(self.sounds.items())]
        lines += [f"{BORDER}\t\t{self.counts[BORDER]}"]
        lines += [f"{first} {second}\t\t{count}" for (first, second), count in sorted(self.pairs.items())]
        return "\n".join([*lines, ""])

    @classmethod
    def parse(cls, text: str) -> Pronunciations:
        """What `text` wrote.

        Raises:
            ValueError: it is something else.
        """
        sounds: dict[str, str] = {}
        counts: dict[str, int] = {}
        pairs: dict[tuple[str, str], int] = {}
        for line in text.splitlines():
            name, said, count = line.split("\t")
            first, _, second = name.partition(" ")
            if second:
                pairs[first, second] = int(count)
                continue
            counts[name] = int(count)
            if said:
                sounds[name] = said
        return cls(sounds, counts, pairs)

    def _score(self, before: str, word: str) -> float:
        """Natural logarithm of how likely a word is behind another."""
        if count := self.pairs.get((before, word)):
            return math.log(count / self.counts[before])
        return math.log(BACKOFF * max(self.counts.get(word, 0), 1) / self._total)

    def spell(self, said: Sequence[str], hot_words: Mapping[str, float] | None = None) -> list[str]:
        """Words of what was said, one for each; what is no word's pronunciation stays as it is.

        Args:
            said: pronunciations.
            hot_words: phrases and what each adds to the score, as in the search, which knows their sounds alone.
        """
        best: dict[str, tuple[float, list[str]]] = {BORDER: (0.0, [])}
        for sounds, more in zip(said, self._boosts(said, hot_words or {}), strict=True):
            # Where nothing sounds alike there is nothing to choose, and all ways meet.
            best = {
                word: max(
                    (score + self._score(before, word) + more.get(word, 0.0), [*words, word])
                    for before, (score, words) in best.items()
                )
                for word in self._alike.get(sounds, [sounds])
            }
        return max((score + self._score(word, BORDER), words) for word, (score, words) in best.items())[1]

    def _boosts(self, said: Sequence[str], hot_words: Mapping[str, float]) -> list[dict[str, float]]:
        """What hot words add to each spelling of each word: where all of a phrase was said, its words share it."""
        boosts: list[dict[str, float]] = [{} for _ in said]
        places: dict[str, list[int]] = defaultdict(list)
        for place, sounds in enumerate(said if hot_words else ()):
            places[sounds].append(place)
        for phrase, boost in hot_words.items():
            words = phrase.split()
            sounds_of = [self.sounds.get(word, "") for word in words]
            for place in places.get(sounds_of[0], ()) if words else ():
                if list(said[place : place + len(words)]) == sounds_of:
                    for at, word in enumerate(words, place):
                        boosts[at][word] = boosts[at].get(word, 0.0) + boost / len(words)
        return boosts

    def spelled(self, phrase: str) -> str:
        """A phrase with its words as they stand here: clients write names as people do."""
        return " ".join(word if word in self.sounds else word.lower() for word in phrase.split())

    def knows(self, phrase: str) -> bool:
        """Whether it says how all words of a phrase are pronounced."""
        return all(word in self.sounds for word in phrase.split())

    def __contains__(self, sounds: str) -> bool:
        """Whether they are the pronunciation of a word."""
        return sounds in self._alike

    def phrases(self, hot_words: Mapping[str, float]) -> dict[str, float]:
        """Hot words as the search reads them; of some that sound alike the one that adds most, or takes least.

        Raises:
            DecoderError: nothing says how a word is pronounced.
        """
        found: dict[str, float] = {}
        for phrase, boost in hot_words.items():
            sounds = self.phrase(phrase)
            found[sounds] = max(boost, found.get(sounds, boost))
        return found

    def phrase(self, phrase: str) -> str:
        """A phrase as the search reads it.

        Raises:
            DecoderError: nothing says how a word of it is pronounced.
        """
        if unknown := [word for word in phrase.split() if word not in self.sounds]:
            raise DecoderError(
                f"The scorer does not say how {unknown[0]!r} is pronounced, and this model writes sounds: leave it out "
                "of the hot words, or make the language model from texts that hold it."
            )
        return " ".join(self.sounds[word] for word in phrase.split())


class SpelledDecoder:
    """A decoder whose words are written as usual; see `Decoder`.

    Args:
        decoder: that gives sounds.
        pronunciations: of its words.
        hot_words: phrases and what each adds to the score, of words that sound alike.
    """

    def __init__(
        self, decoder: SentenceSearch, pronunciations: Pronunciations, hot_words: Mapping[str, float] | None = None
    ):
        self.decoder, self.pronunciations = decoder, pronunciations
        self.hot_words = dict(hot_words or {})

    def reset(self, offset: float = 0.0, sound: Loudness | None = None) -> None:
        """Begin an utterance."""
        self.decoder.reset(offset, sound)

    def feed(self, log_probs: np.ndarray) -> None:
        """Take the next frames, [T, V + 1]."""
        self.decoder.feed(log_probs)

    def words(self) -> list[Word]:
        """The likeliest words so far; the last ones may still change. One of which a part is said is not among them."""
        words = self.decoder.words()
        whole = words and words[-1].text in self.pronunciations
        return self._spelled(words if whole else words[:-1])

    def finish(self) -> list[Hypothesis]:
        """End the utterance: its readings, the likeliest first."""
        return [self._written(reading) for reading in self.decoder.finish()]

    def ending(self) -> list[Hypothesis]:
        """What `finish` would give; more may follow."""
        return [self._written(reading) for reading in self.decoder.ending()]

    def _spelled(self, words: Sequence[Word]) -> list[Word]:
        texts = self.pronunciations.spell([word.text for word in words], self.hot_words)
        return [replace(word, text=text) for word, text in zip(words, texts, strict=True)]

    def _written(self, reading: Hypothesis) -> Hypothesis:
        words = self._spelled(reading.words)
        return replace(reading, words=words, text=" ".join(word.text for word in words))
