"""What a text may go on with, and what that adds to its score: words, language model and hot words as one automaton.

Its states are found as the search reaches them. All it computes is kept in tables, so that the search can look up many
texts and characters at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from heyjetson.decoding.hotwords import HotWords
from heyjetson.decoding.ngram import BEGIN, Context, Lexicon, NgramStates

if TYPE_CHECKING:
    from heyjetson.decoding.scorer import Scorer

LIMIT = 16384  # states kept; 5 MB with 28 labels
State = tuple[str, Context, int]  # the word being spelled, the last tokens of the language model, the hot words' state
SPELLING = "."  # stands for any word being spelled where there is no word list


class FusionGraph:
    """The automaton of one stream.

    Args:
        labels: V characters.
        scorer: language model; None for none.
        hot_words: None for none.
        alpha: weight of the language model; the scorer's own when None.
        beta: added for each word; the scorer's own when None.

    Attributes:
        lookahead_score: [states], what the word being spelled can still bring to each.
        most: that one character can add to a score, with what it promises.
    """

    START = 0

    def __init__(
        self,
        labels: Sequence[str],
        scorer: Scorer | None = None,
        hot_words: HotWords | None = None,
        alpha: float | None = None,
        beta: float | None = None,
    ):
        self.labels = labels
        self.space = labels.index(" ") if " " in labels else len(labels)
        self.hot_words = hot_words
        self.alpha = (scorer.alpha if scorer else 0.0) if alpha is None else alpha
        self.beta = (scorer.beta if scorer else 0.0) if beta is None else beta
        self.ngram = NgramStates(scorer.ngram) if scorer else None
        spelled = [word for phrase in hot_words.phrases for word in phrase.split()] if hot_words else []
        self.lexicon: Lexicon | None = scorer.lexicon(spelled) if scorer else None
        # The most that one character can add, what it promises included: language models only take away.
        outlook = float(hot_words.boost.max() + hot_words.lookahead_score.max()) if hot_words else 0.0
        self.most = max(self.beta, 0.0) + outlook + 1e-6
        self._clear([("", BEGIN, hot_words.start if hot_words else 0)])

    def _clear(self, states: list[State]) -> None:
        """Keep these states only, numbered in this order."""
        self._states: list[State] = []
        self._numbers: dict[State, int] = {}
        self._gains = np.zeros((0, len(self.labels)))
        self._targets = np.zeros((0, len(self.labels)), np.int64)
        self._rows: dict[frozenset[str], np.ndarray] = {}
        self.lookahead_score = np.zeros(0)
        for state in states:
            self._number(state)

    def _number(self, state: State) -> int:
        number = self._numbers.get(state)
        if number is None:
            number = self._numbers[state] = len(self._states)
            self._states.append(state)
            if number == len(self.lookahead_score):
                more = max(number, 64)
                empty = np.full((more, len(self.labels)), np.nan)
                self._gains = np.concatenate([self._gains, empty])
                self._targets = np.concatenate([self._targets, np.zeros(empty.shape, np.int64)])
                self.lookahead_score = np.concatenate([self.lookahead_score, np.zeros(more)])
            self.lookahead_score[number] = self._potential(state)
            if self.lexicon:
                self._gains[number] = self._open(self.lexicon.ahead(state[0])[1])
        return number

    def _open(self, following: frozenset[str]) -> np.ndarray:
        """[V], minus infinity where the word list has no such character, else not a number: not yet known."""
        if (row := self._rows.get(following)) is None:
            row = np.array([np.nan if label in following or label == " " else -np.inf for label in self.labels])
            self._rows[following] = row
        return row

    def _potential(self, state: State) -> float:
        """What the word being spelled can still bring."""
        word, _, hot = state
        ahead = self.alpha * self.lexicon.ahead(word)[0] if self.lexicon and word else 0.0
        return ahead + (float(self.hot_words.lookahead_score[hot]) if self.hot_words else 0.0)

    def _follow(self, state: State, label: int) -> tuple[float, State | None]:
        """What a character that the word list has adds to the score, and the state after it; None if it cannot come."""
        word, context, hot = state
        gain = 0.0
        if self.hot_words:
            hot = int(self.hot_words.follow[hot, label])
            gain += float(self.hot_words.boost[hot])
        if label == self.space:
            if not word:  # the search takes a second space for silence
                return -math.inf, None
            gain += self.beta
            if self.ngram and self.lexicon:
                number = self.lexicon.number(word)
                if number is None:
                    return -math.inf, None
                score, context = self.ngram.follow(context, number)
                gain += self.alpha * score
            return gain, ("", context, hot)
        if self.lexicon:
            return gain, (word + self.labels[label], context, hot)
        if self.ngram:
            # A space counts when a word follows it: an utterance that ends with one reads like one that does not.
            for token in [self.space, label] if not word and context != BEGIN else [label]:
                score, context = self.ngram.follow(context, token)
                gain += self.alpha * score
        return gain, (SPELLING, context, hot)

    def advance(self, states: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What characters add to texts.

        Args:
            states: [M], of the texts.
            labels: [M], the character of each.

        Returns:
            gains: [M], minus infinity where the character cannot come.
            targets: [M], the states after it.
        """
        gains = self._gains[states, labels]
        missing = np.isnan(gains)
        if missing.any():
            for state, label in zip(states[missing].tolist(), labels[missing].tolist(), strict=True):
                gain, target = self._follow(self._states[state], label)
                number = self._number(target) if target else 0
                self._gains[state, label], self._targets[state, label] = gain, number
            gains = self._gains[states, labels]
        return gains, self._targets[states, labels]

    def finish(self, state: int) -> float:
        """What the end of the utterance adds; minus infinity within a word that is none."""
        current = self._states[state]
        if current[:2] == ("", BEGIN):
            return 0.0
        gain = 0.0
        if current[0]:
            gain, after = self._follow(current, self.space)
            if after is None:
                return gain
            current = after
        return gain + (self.alpha * self.ngram.finish(current[1]) if self.ngram else 0.0)

    def compact(self, states: np.ndarray) -> np.ndarray:
        """Forget what is not needed any more, where much has come together.

        Args:
            states: [N], those in use.

        Returns:
            their new numbers.
        """
        if len(self._states) <= LIMIT:
            return states
        start = self._states[self.START]
        kept, numbers = np.unique(np.concatenate([[self.START], states]), return_inverse=True)
        used = [self._states[number] for number in kept.tolist()]
        if self.ngram:
            self.ngram.forget({state[1] for state in used})
        self._clear(used)
        assert self._states[self.START] == start
        return numbers[1:]
