"""What a stream's language model and hot words weigh: the same in the compiled search and in the numpy one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from heyjetson.decoding.hotwords import HotWords
    from heyjetson.decoding.scorer import Scorer


class Weights(NamedTuple):
    """Of one stream.

    Args:
        alpha: of the language model.
        beta: added for each word.
        most: that one character can add to a score, with what it promises: language models only take away.
    """

    alpha: float
    beta: float
    most: float


def weights_of(scorer: Scorer | None, hot_words: HotWords | None, alpha: float | None, beta: float | None) -> Weights:
    """Those that were asked for, and the scorer's own in place of None."""
    if alpha is None:
        alpha = scorer.alpha if scorer else 0.0
    if beta is None:
        beta = scorer.beta if scorer else 0.0
    outlook = hot_words.outlook if hot_words else 0.0
    return Weights(alpha, beta, max(beta, 0.0) + outlook + 1e-6)
