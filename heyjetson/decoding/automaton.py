"""Words, language model and hot words as one automaton over characters, shared by all streams that use the same.

Its states are found as the searches reach them. What it computes is kept in tables, apart from the weights of the
language model, so that tuning fills them once. Beyond LIMIT states a new generation of tables begins with nothing; a
stream moves there when it settles next, and the old one goes with the last stream that reads it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from heyjetson.decoding.hotwords import HotWords, space_of
from heyjetson.decoding.ngram import BEGIN, Context, Lexicon, NgramStates

if TYPE_CHECKING:
    from heyjetson.decoding.scorer import Scorer

LIMIT = 65536  # states of a generation, for all streams together; 22 MB with 28 labels, and what stands for them
State = tuple[str, Context, int]  # the word being spelled, the last tokens of the language model, the hot words' state
SPELLING = "."  # stands for any word being spelled where there is no word list


class Tables:
    """One generation of an automaton's tables. They are written with the automaton's lock held.

    Args:
        automaton: whose.

    Attributes:
        score: [states, V], natural-log probability that a character brings from the language model, minus infinity
            where it cannot come, not a number where that is not known yet.
        target: [states, V], the state after it, int32.
        arrive: [states], what hot words add to a text that comes there.
        ahead: [states], natural-log probability of the likeliest word that the one being spelled may become.
        promise: [states], what hot words may bring to it.
        states: what the rows stand for.
    """

    def __init__(self, automaton: Automaton):
        self.automaton = automaton
        self.states: list[State] = []
        self.numbers: dict[State, int] = {}
        self.ngram = NgramStates(automaton.model) if automaton.model else None
        self._opened: dict[frozenset[str], np.ndarray] = {}
        self.score = np.zeros((0, len(automaton.labels)))
        self.target = np.zeros((0, len(automaton.labels)), np.int32)
        self.arrive, self.ahead, self.promise = np.zeros((3, 0))
        self.number(automaton.start)

    def number(self, state: State) -> int:
        """The row of a state; a new one where it has none."""
        number = self.numbers.get(state)
        if number is None:
            number = len(self.states)
            if number == len(self.arrive):
                self._grow(max(number, 64))
            word, _, hot = state
            lexicon, hot_words = self.automaton.lexicon, self.automaton.hot_words
            if hot_words:
                self.arrive[number], self.promise[number] = hot_words.boost[hot], hot_words.lookahead_score[hot]
            if lexicon:
                ahead, following = lexicon.ahead(word)
                self.ahead[number] = ahead if word else 0.0
                self.score[number] = self._open(following)
            self.states.append(state)
            self.numbers[state] = number
        return number

    def _grow(self, more: int) -> None:
        self.target = np.concatenate([self.target, np.zeros((more, self.target.shape[1]), np.int32)])
        self.arrive = np.concatenate([self.arrive, np.zeros(more)])
        self.ahead = np.concatenate([self.ahead, np.zeros(more)])
        self.promise = np.concatenate([self.promise, np.zeros(more)])
        # Last, since other streams look at these to know whether the tables grew.
        self.score = np.concatenate([self.score, np.full((more, self.score.shape[1]), np.nan)])

    def _open(self, following: frozenset[str]) -> np.ndarray:
        """[V], minus infinity where the word list has no such character, else not a number: not yet known."""
        if (row := self._opened.get(following)) is None:
            labels = self.automaton.labels
            row = np.array([np.nan if label in following or label == " " else -np.inf for label in labels])
            self._opened[following] = row
        return row

    def fill(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Compute what characters add, for pairs of a state and a label."""
        with self.automaton.lock:
            for state, label in pairs:
                if math.isnan(self.score.item(state, label)):
                    score, target = self.follow(self.states[state], label)
                    number = self.number(target) if target else 0
                    self.target[state, label] = number
                    self.score[state, label] = score  # last: whoever finds it finds the target, too

    def follow(self, state: State, label: int) -> tuple[float, State | None]:
        """What a character that the word list has brings from the language model, and the state after it.

        Minus infinity and None where it cannot come.
        """
        word, context, hot = state
        space, lexicon = self.automaton.space, self.automaton.lexicon
        if self.automaton.hot_words:
            hot = int(self.automaton.hot_words.follow[hot, label])
        if label == space:
            if not word:  # the search takes a second space for silence
                return -math.inf, None
            score = 0.0
            if self.ngram and lexicon:
                number = lexicon.number(word)
                if number is None:
                    return -math.inf, None
                score, context = self.ngram.follow(context, number)
            return score, ("", context, hot)
        if lexicon:
            return 0.0, (word + self.automaton.labels[label], context, hot)
        total = 0.0
        if self.ngram:
            # A space counts when a word follows it: an utterance that ends with one reads like one that does not.
            for token in [space, label] if not word and context != BEGIN else [label]:
                score, context = self.ngram.follow(context, token)
                total += score
        return total, (SPELLING, context, hot)


class Automaton:
    """What texts may go on with.

    Args:
        labels: V characters.
        scorer: language model; None for none.
        hot_words: boosts of phrases; None for none.

    Attributes:
        lock: held while tables are written.
        tables: the newest.
    """

    def __init__(self, labels: Sequence[str], scorer: Scorer | None, hot_words: Mapping[str, float] | None):
        self.labels = list(labels)
        self.space = space_of(labels)
        self.hot_words = HotWords(hot_words, labels) if hot_words else None
        self.model = scorer.ngram if scorer else None
        spelled = [word for phrase in self.hot_words.phrases for word in phrase.split()] if self.hot_words else []
        self.lexicon: Lexicon | None = scorer.lexicon(spelled) if scorer else None
        self.start: State = ("", BEGIN, self.hot_words.start if self.hot_words else 0)
        self.lock = threading.RLock()
        self.tables = Tables(self)

    def renewed(self, old: Tables, states: np.ndarray) -> tuple[Tables, np.ndarray]:
        """The newest tables and the numbers there of states that a stream has in its own, where those are full."""
        with self.lock:
            if len(old.states) <= LIMIT and old is self.tables:
                return old, states
            if len(self.tables.states) > LIMIT:
                self.tables = Tables(self)
            new = self.tables
            used = [old.states[number] for number in states.tolist()]
            if new.ngram and old.ngram:
                new.ngram.adopt(old.ngram, {state[1] for state in used})
            return new, np.array([new.number(state) for state in used], states.dtype)
