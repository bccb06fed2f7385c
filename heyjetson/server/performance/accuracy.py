"""How far a transcript is from what was said: word by word to look at, and in figures.

Upper and lower case, punctuation and spaces are compared as they are, but for runs of spaces. Engines that write
sentences are brought to the form of the truth by `plain` first.
"""

from __future__ import annotations

from typing import Any

from heyjetson.letters import words_of

CELLS = 25_000_000  # characters of one text times characters of the other: about half a second of work


def align(reference: str, hypothesis: str) -> list[dict[str, str | None]]:
    """`metrics.aligned_words` as the page has it: {"op", "reference", "hypothesis"} for each word in order."""
    from heyjetson import metrics

    keys = ("op", "reference", "hypothesis")
    return [dict(zip(keys, word, strict=True)) for word in metrics.aligned_words(reference, hypothesis)]


def score(reference: str, hypothesis: str) -> dict[str, Any]:
    """The figures of one utterance.

    Args:
        reference: what was said.
        hypothesis: what was written.

    Returns:
        words and characters of the reference, word_errors and character_errors, wer and cer (errors a unit of the
        reference), cosine (of the word counts, see `heyjetson.metrics`).

    >>> score("a b", "a c")["wer"]
    0.5
    """
    from heyjetson import metrics

    words, characters = metrics.word_errors(reference, hypothesis), metrics.character_errors(reference, hypothesis)
    return {
        "words": words.total,
        "word_errors": words.count,
        "wer": words.rate,
        "characters": characters.total,
        "character_errors": characters.count,
        "cer": characters.rate,
        "cosine": metrics.cosine_similarity(reference, hypothesis),
    }


def comparable(reference: str, hypothesis: str) -> bool:
    """Whether two texts are short enough for `align` and `score`, which take time and memory as their product."""
    return len(reference) * len(hypothesis) <= CELLS


def plain(text: str) -> str:
    """Words alone, in lower case, as transcripts of training data are written: an engine that writes `Turn on, please.`
    has not heard anything else than `turn on please`. Vowel signs and accents that are characters of their own stay in
    their word.

    >>> plain("It's  5 o’clock — well-known, Müller!"), plain("मैं हिन्दी।")
    ("it's 5 o'clock well known müller", 'मैं हिन्दी')
    """
    return " ".join(word for word in words_of(text) if any(map(str.isalnum, word)))
