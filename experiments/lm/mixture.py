"""Linear interpolation of models of several texts (Jelinek and Mercer, 1980): few sentences like those that will be
spoken are not lost among many of other kinds.

There is a model of all sentences, one of the transcripts, and one of each text. How much each counts is found on every
tenth transcript, which the models for that did not learn from. All are over the same n-grams: the probability of one is
the weighted mean of what they give it, and what is left for others after a context is spread by the mixture's shorter
n-grams, as SRILM's `ngram -mix-lm` does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from experiments.lm.estimate import BEGIN, UNKNOWN, Model, count, numbered

ROUNDS = 100  # of expectation and maximisation
PRIOR = 5.0  # tokens that are taken to speak for each model before any is seen: few transcripts decide little
LEAST = 0.005  # a model of which less is taken is left out
HELD_OUT = 10  # every so many transcripts
FEWEST = 50  # different transcripts, of which a tenth tells how much each model counts


def mixture(sentences: Sequence[Sequence[str]], source: np.ndarray, order: int) -> tuple[Model, np.ndarray]:
    """Estimate one model of transcripts and texts.

    Args:
        sentences: tokens of each.
        source: [sentences], 0 for transcripts, for others the number of their text.
        order: longest n-gram.

    Returns:
        the model, and the weights [1 + sources] of the models of all sentences, of the transcripts, and of each text.
            All sentences alone count where there is no text, or where the transcripts are too few to tell.

    Raises:
        LmError: see `count`.
    """
    counted = count(sentences, order)
    different = list(dict.fromkeys(tuple(sentences[number]) for number in np.flatnonzero(source == 0).tolist()))
    parts = [np.ones(len(sentences), bool), *(source == number for number in range(source.max() + 1))]
    if len(parts) == 2 or len(different) < FEWEST:
        return counted.model(), np.eye(len(parts))[0]
    unseen = set(different[::HELD_OUT])
    seen = np.array([tuple(sentence) not in unseen for sentence in sentences])
    weights = best_weights([counted.model(part & seen) for part in parts], list(unseen))
    used = np.flatnonzero(weights)
    return interpolated([counted.model(parts[number]) for number in used], weights[used]), weights


def interpolated(models: Sequence[Model], weights: np.ndarray) -> Model:
    """One model of several.

    Args:
        models: of the same n-grams.
        weights: [models], not below zero, 1 in all.
    """
    orders = []
    lower: np.ndarray | None = None
    for parts in zip(*(model.orders for model in models), strict=True):
        own = sum(weight * part.probability for weight, part in zip(weights, parts, strict=True))
        order = replace(parts[0], probability=own)
        if lower is not None:
            seen = np.bincount(order.context, own, len(lower))
            of_seen = np.bincount(order.context, lower[order.ending], len(lower))
            order.left_over = np.where(of_seen > 0, (1 - seen) / np.maximum(1 - of_seen, 1e-12), 1.0).clip(1e-12)
        orders.append(order)
        lower = own
    return Model(models[0].vocabulary, orders)


def best_weights(models: Sequence[Model], sentences: Sequence[Sequence[str]]) -> np.ndarray:
    """Weights by which the models foresee sentences best (expectation and maximisation, with a Dirichlet prior).

    Args:
        models: of the same n-grams.
        sentences: tokens of each, none of which any model was made of.

    Returns:
        [models], 1 in all.
    """
    given = np.stack([probabilities(model, sentences) for model in models])
    weights = np.full(len(models), 1 / len(models))
    for _ in range(ROUNDS):
        share = weights[:, None] * given
        weights = (share / share.sum(0)).sum(1) + PRIOR
        weights /= weights.sum()
    weights[weights < LEAST] = 0.0
    return weights / weights.sum()


def probabilities(model: Model, sentences: Sequence[Sequence[str]]) -> np.ndarray:
    """[tokens], what a model gives each token and each end of sentences; tokens that it does not know are left out."""
    tokens, position, _ = numbered(sentences, model.vocabulary)
    first = model.orders[0]
    assert first.probability is not None
    found, rows = first.probability[tokens], tokens
    for n, order in enumerate(model.orders[1:], 2):
        assert order.probability is not None and order.left_over is not None
        before = np.concatenate([[-1], rows[:-1]])
        before[position < n - 1] = -1
        keys = order.context * len(model.vocabulary) + order.token  # in order
        wanted = before * len(model.vocabulary) + tokens
        rows = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        rows[(keys[rows] != wanted) | (before < 0)] = -1
        shorter = np.where(before < 0, 1.0, order.left_over[before]) * found
        found = np.where(rows < 0, shorter, order.probability[rows])
    return found[(tokens != BEGIN) & (tokens != UNKNOWN)]
