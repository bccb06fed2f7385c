"""Interpolated modified Kneser-Ney smoothing (Chen and Goodman, 1998; Heafield et al., 2013).

The probability of a token after a context is its discounted count there, and what the discounts left over is spread by
the probability after the context without its first token. Counts of lower orders are numbers of different tokens before
them. An n-gram is a row of arrays: its context and its ending are rows of the order below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise

import numpy as np

from experiments.lm import LmError
from manifests.progress import progress

UNKNOWN, BEGIN, END = 0, 1, 2
SPECIAL = ("<unk>", "<s>", "</s>")
FALLBACK = (0.5, 1.0, 1.5)  # discounts of KenLM's --discount_fallback
NEVER = -99.0  # what ARPA files give the probability of <s>


@dataclass
class Order:
    """All n-grams of one length.

    Args:
        context: [n-grams], row of all tokens but the last in the order below.
        token: [n-grams], the last.
        ending: [n-grams], row of all tokens but the first in the order below.
        count: [n-grams].
        from_begin: [n-grams], whether the first token is <s>.
    """

    context: np.ndarray
    token: np.ndarray
    ending: np.ndarray
    count: np.ndarray
    from_begin: np.ndarray
    probability: np.ndarray | None = None
    left_over: np.ndarray | None = None  # [n-grams of the order below], what their discounts left
    discounts: tuple[float, float, float] = FALLBACK
    fell_back: bool = False


@dataclass(frozen=True)
class Model:
    """An estimated model.

    Args:
        vocabulary: tokens by number.
        orders: unigrams first.
    """

    vocabulary: list[str]
    orders: list[Order]

    def backoff(self, n: int) -> np.ndarray:
        """[n-grams of order n], the weight of the order below after each; 1 where nothing followed it."""
        if n == len(self.orders):
            return np.ones(len(self.orders[n - 1].token))
        left = self.orders[n].left_over
        assert left is not None
        return left


@dataclass(frozen=True)
class Counted:
    """N-grams of texts, of which any part can be a model.

    Args:
        vocabulary: tokens by number.
        orders: unigrams first, with the counts of the whole text as they are.
        rows: [tokens] of each order, row of the n-gram that ends there; -1 where none does.
        sentence: [tokens], number of the sentence.
    """

    vocabulary: list[str]
    orders: list[Order]
    rows: list[np.ndarray]
    sentence: np.ndarray

    def model(self, part: np.ndarray | None = None) -> Model:
        """The model of some sentences, over the n-grams of all.

        Args:
            part: [sentences], whether each is learnt from; None for all.
        """
        orders = [replace(order) for order in self.orders]
        if part is not None:
            chosen = part[self.sentence]
            for order, rows in zip(orders, self.rows, strict=True):
                order.count = np.bincount(rows[chosen & (rows >= 0)], minlength=len(order.token))
        for below, above in pairwise(orders):
            different = np.bincount(above.ending[above.count > 0], minlength=len(below.token))
            below.count = np.where(below.from_begin, below.count, different)
        _smooth(orders, len(self.vocabulary))
        return Model(self.vocabulary, orders)


def estimate(sentences: Sequence[Sequence[str]], order: int) -> Model:
    """Estimate a model; see `count`."""
    return count(sentences, order).model()


def count(sentences: Sequence[Sequence[str]], order: int) -> Counted:
    """Count what there is to learn.

    Args:
        sentences: tokens of each.
        order: longest n-gram.

    Raises:
        LmError: there is no token, or no sentence is long enough.
    """
    words = sorted({token for sentence in sentences for token in sentence} - set(SPECIAL))
    if not words:
        raise LmError("The texts hold no word. Give manifests or --text files with some.")
    vocabulary = [*SPECIAL, *words]
    tokens, position, sentence = numbered(sentences, vocabulary)
    every = np.arange(len(vocabulary))
    nothing = np.zeros(len(vocabulary), np.int64)
    orders = [Order(nothing, every, nothing, np.bincount(tokens, minlength=len(vocabulary)), every == BEGIN)]
    rows = [tokens]
    for n in progress(range(2, order + 1), "counting n-grams", order - 1):
        places = np.flatnonzero(position >= n - 1)
        if len(places) == 0:
            raise LmError(f"No sentence has {n - 2} words, so there are no n-grams of order {n}. Give a lower --order.")
        keys = rows[-1][places - 1] * len(vocabulary) + tokens[places]
        unique, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        context, token = np.divmod(unique, len(vocabulary))
        orders.append(Order(context, token, rows[-1][places][first], counts, orders[-1].from_begin[context]))
        rows.append(np.full(len(tokens), -1))
        rows[-1][places] = inverse
    return Counted(vocabulary, orders, rows, sentence)


def numbered(sentences: Sequence[Sequence[str]], vocabulary: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens of sentences, with their beginnings and ends.

    Args:
        sentences: tokens of each.
        vocabulary: tokens by number.

    Returns:
        number of each token, its position within its sentence, and the number of the sentence, [tokens] each.
    """
    numbers = {word: number for number, word in enumerate(vocabulary)}
    lines = [
        [BEGIN, *(numbers.get(token, UNKNOWN) for token in sentence), END]
        for sentence in progress(sentences, "numbering words", len(sentences))
    ]
    lengths = np.array([len(line) for line in lines])
    tokens = np.fromiter(chain.from_iterable(lines), np.int64, lengths.sum())
    sentence = np.repeat(np.arange(len(lines)), lengths)
    return tokens, np.arange(len(tokens)) - np.repeat(np.cumsum(lengths) - lengths, lengths), sentence


def discounts(counts: np.ndarray) -> tuple[tuple[float, float, float], bool]:
    """What is taken off counts of one, two, and three or more.

    Args:
        counts: of one order's n-grams.

    Returns:
        the discounts, and whether the counts were too few to tell, so that fixed ones were taken.
    """
    ones, twos, threes, fours = (int((counts == count).sum()) for count in (1, 2, 3, 4))
    if min(ones, twos, threes, fours) == 0:
        return FALLBACK, True
    share = ones / (ones + 2 * twos)
    found = (1 - 2 * share * twos / ones, 2 - 3 * share * threes / twos, 3 - 4 * share * fours / threes)
    if any(not 0 < discount < count for count, discount in enumerate(found, 1)):
        return FALLBACK, True
    return found, False


def _smooth(orders: list[Order], vocabulary: int) -> None:
    """Probabilities and left-over shares of all n-grams."""
    lower = np.full(1, 1 / (vocabulary - 1))  # <s> is never said
    for n, current in enumerate(orders, 1):
        counts = current.count.astype(np.float64)
        if n == 1:
            counts[BEGIN] = 0.0
        current.discounts, current.fell_back = discounts(counts)
        contexts = 1 if n == 1 else len(orders[n - 2].token)
        taken = np.array([0.0, *current.discounts])[np.minimum(counts, 3).astype(int)]
        total = np.bincount(current.context, counts, contexts)
        left = np.bincount(current.context, taken, contexts)
        followed = total > 0
        current.left_over = np.where(followed, left / np.where(followed, total, 1.0), 1.0)
        own = (counts - taken) / np.where(followed, total, 1.0)[current.context]
        current.probability = own + current.left_over[current.context] * lower[current.ending]
        if n == 1:
            current.probability[BEGIN] = 0.0
        lower = current.probability
