"""What one stream's texts may go on with, and what that adds to their scores: a shared automaton, weighted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from heyjetson.decoding import automaton
from heyjetson.decoding.kept import shared
from heyjetson.decoding.ngram import BEGIN
from heyjetson.decoding.weighing import weights_of

if TYPE_CHECKING:
    from heyjetson.decoding.scorer import Scorer


class FusionGraph:
    """The automaton as one stream sees it.

    Args:
        labels: V characters.
        scorer: language model; None for none.
        hot_words: boosts of phrases; None for none.
        alpha: weight of the language model; the scorer's own when None.
        beta: added for each word; the scorer's own when None.

    Attributes:
        modelled: a language model says what a word is.
        boosted: there are hot words.
        tables: of the automaton, shared with other streams.
        most: that one character can add to a score, with what it promises.
    """

    START = 0

    def __init__(
        self,
        labels: Sequence[str],
        scorer: Scorer | None = None,
        hot_words: Mapping[str, float] | None = None,
        alpha: float | None = None,
        beta: float | None = None,
    ):
        self.modelled, self.boosted = scorer is not None, bool(hot_words)
        self.automaton = shared(automaton.Automaton, labels, scorer, hot_words)
        self.tables: automaton.Tables = self.automaton.tables
        self.labels, self.space = self.automaton.labels, self.automaton.space
        self.alpha, self.beta, self.most = weights_of(scorer, self.automaton.hot_words, alpha, beta)

    def potential(self, states: np.ndarray) -> np.ndarray:
        """What the words being spelled can still bring, [M], to texts in these states."""
        return self.alpha * self.tables.ahead[states] + self.tables.promise[states]

    def advance(self, states: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What characters add to texts.

        Args:
            states: [M], of the texts.
            labels: [M], the character of each.

        Returns:
            gains: [M], minus infinity where the character cannot come.
            targets: [M], the states after it.
        """
        scores = self.tables.score[states, labels]
        missing = np.isnan(scores)
        if missing.any():
            self.tables.fill(list(zip(states[missing].tolist(), labels[missing].tolist(), strict=True)))
            scores = self.tables.score[states, labels]
        targets = self.tables.target[states, labels]
        possible = scores > -np.inf
        weighted = self.alpha * np.where(possible, scores, 0.0)
        gains = self.tables.arrive[targets] + np.where(labels == self.space, self.beta, 0.0) + weighted
        return np.where(possible, gains, -np.inf), targets

    def finish(self, state: int) -> float:
        """What the end of the utterance adds; minus infinity within a word that is none."""
        tables = self.tables
        current = tables.states[state]
        if current[:2] == ("", BEGIN):
            return 0.0
        gain = 0.0
        with self.automaton.lock:
            if current[0]:
                score, after = tables.follow(current, self.space)
                if after is None:
                    return score
                current = after
                hot = self.automaton.hot_words
                gain = (float(hot.boost[current[2]]) if hot else 0.0) + self.beta + self.alpha * score
            return gain + (self.alpha * tables.ngram.finish(current[1]) if tables.ngram else 0.0)

    def start(self) -> int:
        """Begin an utterance in the newest tables: the state of the empty text."""
        self.tables = self.automaton.renewed(self.tables, np.zeros(0, np.int64))[0]
        return self.START

    def full(self) -> bool:
        """Whether the stream should move to other tables when it can."""
        return len(self.tables.states) > automaton.LIMIT or self.tables is not self.automaton.tables

    def compact(self, states: np.ndarray) -> np.ndarray:
        """Move to new tables where those in use have grown large.

        Args:
            states: [N], those in use.

        Returns:
            their new numbers.
        """
        self.tables, numbers = self.automaton.renewed(self.tables, states)
        return numbers
