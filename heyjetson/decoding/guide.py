"""What the compiled search's texts may go on with: words, language model and hot words, made once and only read."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from heyjetson.decoding import core
from heyjetson.decoding.hotwords import HotWords, space_of
from heyjetson.decoding.kept import shared
from heyjetson.decoding.spelling import SpellingTrie, WordBytes, pointer
from heyjetson.decoding.weighing import weights_of

if TYPE_CHECKING:
    from heyjetson.decoding.scorer import Scorer


class GuideParts:
    """What streams share whatever their weights.

    Args:
        labels: V characters.
        scorer: language model; None for none.
        hot_words: boosts of phrases; None for none.

    Raises:
        DecoderError: hot words cannot be written with the labels.
    """

    def __init__(self, labels: Sequence[str], scorer: Scorer | None, hot_words: Mapping[str, float] | None):
        self.space = space_of(labels)
        self.hot_words = HotWords(hot_words, labels) if hot_words else None
        self.model = scorer.mapped if scorer else None
        self.words = self.extra = self.tokens = None
        if scorer and self.model:
            if scorer.unit == "word":
                self.words = scorer.trie
                spelled = {word for phrase in (hot_words or {}) for word in phrase.split()}
                column = {label: number for number, label in enumerate(labels)}
                unknown = sorted(word for word in spelled if self.words.number([column[c] for c in word]) < 0)
                if unknown:  # they have the probability of an unknown word
                    numbers = np.zeros(len(unknown), np.int32)
                    self.extra = SpellingTrie(WordBytes.of(unknown), numbers, self.model.unigrams(numbers), labels)
            else:
                self.tokens = np.append(self.model.numbers(scorer.tokens), 0).astype(np.uint32)  # 0: without a space

    def view(self, labels: int) -> core.Guide:
        """What the library reads, without weights; it holds addresses only."""
        view = core.Guide(labels=labels, space=self.space, lexicon=self.words is not None)
        if self.model:
            view.ngram = ctypes.pointer(self.model.view)
        if self.words:
            view.words = self.words.view()
        if self.extra:
            view.extra = self.extra.view()
        if self.tokens is not None:
            view.tokens = pointer(self.tokens)
        if hot := self.hot_words:
            view.hot, view.hot_start = len(hot.boost), hot.start
            view.follow, view.boost, view.promise = map(pointer, (hot.follow, hot.boost, hot.lookahead_score))
        return view


class Guide:
    """The parts as one stream weighs them; see `FusionGraph`, which is the numpy search's.

    Args:
        labels: V characters.
        scorer: language model; None for none.
        hot_words: boosts of phrases; None for none.
        alpha: weight of the language model; the scorer's own when None.
        beta: added for each word; the scorer's own when None.

    Attributes:
        modelled: a language model says what a word is.
        boosted: there are hot words.
        view: what the library reads, valid as long as this lives.
    """

    def __init__(
        self,
        labels: Sequence[str],
        scorer: Scorer | None = None,
        hot_words: Mapping[str, float] | None = None,
        alpha: float | None = None,
        beta: float | None = None,
    ):
        self.modelled, self.boosted = scorer is not None, bool(hot_words)
        self.parts = shared(GuideParts, labels, scorer, hot_words)
        self.space = self.parts.space
        self.view = self.parts.view(len(labels))
        self.view.alpha, self.view.beta, self.view.most = weights_of(scorer, self.parts.hot_words, alpha, beta)
