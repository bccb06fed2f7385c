"""How well a language model foresees a text, by KenLM's own scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heyjetson.decoding.ngram import BEGIN, Ngram, NgramStates


@dataclass(frozen=True)
class Perplexity:
    """The result on a text.

    Args:
        value: how many tokens the model hesitates between; ends of sentences count, unknown tokens do not.
        tokens: in the text.
        unknown: of them.
    """

    value: float
    tokens: int
    unknown: int


def perplexity(path: Path, order: int, vocabulary: Sequence[str], sentences: Sequence[Sequence[str]]) -> Perplexity:
    """Score a text.

    Args:
        path: ARPA file.
        order: of the model.
        vocabulary: its tokens.
        sentences: tokens of each.
    """
    numbers = {token: number for number, token in enumerate(vocabulary)}
    states = NgramStates(Ngram(path, vocabulary, order))
    total, known, unknown = 0.0, 0, 0
    for sentence in sentences:
        context = BEGIN
        for token in sentence:
            number = numbers.get(token, states.ngram.unknown)
            score, context = states.follow(context, number)
            if number == states.ngram.unknown:
                unknown += 1
            else:
                total, known = total + score, known + 1
        total, known = total + states.finish(context), known + 1
        states.forget()
    return Perplexity(math.exp(-total / known), known + unknown - len(sentences), unknown)
