"""KenLM's own scores of whole sentences and single words, through flashlight's binding, which has wheels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flashlight.lib.text.decoder.kenlm import KenLM
from flashlight.lib.text.dictionary import Dictionary

END = "</s>"


class KenLMReference:
    """A language model as KenLM reads it.

    Args:
        path: ARPA or binary.
        words: that will be asked for; all others count as unknown.
    """

    def __init__(self, path: Path, words: Iterable[str]):
        listed = [*dict.fromkeys(word for word in words if word not in ("<s>", END, "<unk>")), "<unk>"]
        self._numbers = {word: number for number, word in enumerate(listed)}
        self._model = KenLM(str(path), Dictionary(listed))

    def begin(self) -> Any:
        """The state at the beginning of a sentence."""
        return self._model.start(False)

    def follow(self, state: Any, word: str) -> tuple[float, Any]:
        """Base-10 logarithm of a word's probability, and the state after it; the word may be the sentence's end."""
        if word == END:
            after, score = self._model.finish(state)
        else:
            after, score = self._model.score(state, self._numbers.get(word, self._numbers["<unk>"]))
        return score, after

    def sentence(self, words: Iterable[str]) -> float:
        """Base-10 logarithm of a sentence's probability, its end included."""
        state, scores = self.begin(), []
        for word in [*words, END]:
            score, state = self.follow(state, word)
            scores.append(score)
        return math.fsum(scores)
