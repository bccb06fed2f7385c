"""A word list and an n-gram model as the numpy search asks for them; KenLM, of flashlight-text, runs it."""

from __future__ import annotations

import math
import os
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from heyjetson.errors import DecoderError, ScorerError

UNKNOWN = "<unk>"
LN10 = math.log(10.0)
Context = tuple[int, ...]
BEGIN: Context = (-1,)
LAST = "\U0010ffff"  # sorts after every character
KNOWN = 20000  # beginnings of words that are remembered
_stderr = threading.Lock()


@contextmanager
def _silent() -> Iterator[None]:
    """Hide what KenLM draws on the standard error of the process while it loads."""
    with _stderr:
        try:
            kept = os.dup(2)
        except OSError:  # the process has no standard error
            yield
            return
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


class Ngram:
    """A language model file, shared by any number of streams.

    Args:
        path: ARPA or KenLM binary.
        tokens: what the numbers 0, 1, ... stand for; the number after the last is any other token.
        order: of the model: how many tokens, less one, are looked back at.

    Raises:
        DecoderError: flashlight-text is not installed.
        ScorerError: the file cannot be read.
    """

    def __init__(self, path: Path, tokens: Sequence[str], order: int):
        try:
            from flashlight.lib.text.decoder.kenlm import KenLM
            from flashlight.lib.text.dictionary import Dictionary
        except ImportError as error:
            raise DecoderError(
                "Without the compiled search, and where it is one of KenLM's tries, a language model needs "
                f'flashlight-text ({error}). Install it: pip install "heyjetson[lm]". '
                "Hot words and n-best lists work without it."
            ) from None
        self.path = path
        self.order = order
        self.unknown = len(tokens)
        try:
            with _silent():
                self.model = KenLM(str(path), Dictionary([*tokens, UNKNOWN]))
        except Exception as error:  # pybind passes on KenLM's own exceptions
            raise ScorerError(f"KenLM cannot read {path}: {str(error).strip()}. Build the scorer again.") from error

    def unigrams(self, tokens: Iterable[int]) -> np.ndarray:
        """Natural-log probability of each token without a context."""
        scores = []
        for number, token in enumerate(tokens):
            if number % 1000 == 0:  # a state keeps all its followers
                state = self.model.start(True)
            scores.append(self.model.score(state, token)[1] * LN10)
        return np.array(scores)


class NgramStates:
    """Where streams are in an n-gram model: the last tokens, and KenLM's states for them.

    Args:
        ngram: the model.
    """

    def __init__(self, ngram: Ngram):
        self.ngram = ngram
        self.forget()

    def forget(self) -> None:
        """Free the states of all contexts."""
        self._states: dict[Context, Any] = {BEGIN: self.ngram.model.start(False)}

    def adopt(self, other: NgramStates, contexts: Iterable[Context]) -> None:
        """Take the states of contexts from others of the same model."""
        for context in contexts:
            if context not in self._states:
                state = self._states[context] = other._states[context]
                state.children = {}  # a state keeps all its followers, which none of these needs

    def follow(self, context: Context, token: int) -> tuple[float, Context]:
        """Natural-log probability of a token, and the context after it."""
        state, score = self.ngram.model.score(self._states[context], token)
        after = (*context, token)[-(self.ngram.order - 1) :]
        self._states.setdefault(after, state)
        return score * LN10, after

    def finish(self, context: Context) -> float:
        """Natural-log probability that the utterance ends here."""
        return self.ngram.model.finish(self._states[context])[1] * LN10


class Lexicon:
    """The words that may be written, found by their beginnings.

    Args:
        words: sorted.
        scores: [words], natural-log probability of each without a context; the search looks ahead by it.
        extra: further words, of the language model's probability of an unknown one.
        extra_score: that probability.
    """

    def __init__(self, words: Sequence[str], scores: np.ndarray, extra: Iterable[str] = (), extra_score: float = 0.0):
        self.words = words
        self.scores = scores
        self.extra_score = extra_score
        self.extra = sorted(word for word in set(extra) if self._find(words, word) is None)
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    @staticmethod
    def _find(words: Sequence[str], word: str) -> int | None:
        place = bisect_left(words, word)
        return place if place < len(words) and words[place] == word else None

    def number(self, word: str) -> int | None:
        """The word's number; that of the unknown word where it is extra, None where it is no word."""
        place = self._find(self.words, word)
        if place is None and self._find(self.extra, word) is not None:
            return len(self.words)
        return place

    def ahead(self, beginning: str) -> tuple[float, frozenset[str]]:
        """The highest score of the words that begin so, and the characters they go on with."""
        if (known := self._known.get(beginning)) is None:
            if len(self._known) >= KNOWN:
                self._known.clear()
            known = self._known[beginning] = self._look(beginning)
        return known

    def _look(self, beginning: str) -> tuple[float, frozenset[str]]:
        best, following, size = -math.inf, set(), len(beginning)
        for words in (self.words, self.extra):
            place = bisect_left(words, beginning)
            end = bisect_left(words, beginning + LAST, place)
            if end > place:
                best = max(best, self.extra_score if words is self.extra else float(self.scores[place:end].max()))
            while place < end:  # from one following character to the next
                if len(words[place]) == size:
                    place += 1
                    continue
                following.add(words[place][size])
                place = bisect_left(words, words[place][: size + 1] + LAST, place, end)
        return best, frozenset(following)
