"""What streams share: made once for each scorer and set of hot words, and kept while it is among the last used."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from heyjetson.decoding.scorer import Scorer

KEPT = 4  # of a scorer, each with other hot words
Made = TypeVar("Made")
Key = tuple[Any, tuple[str, ...], tuple[tuple[str, float], ...]]
_of_scorer: weakref.WeakKeyDictionary[Scorer, OrderedDict[Key, Any]] = weakref.WeakKeyDictionary()
_without: OrderedDict[Key, Any] = OrderedDict()
_lock = threading.Lock()


def shared(
    make: Callable[[Sequence[str], Scorer | None, Mapping[str, float] | None], Made],
    labels: Sequence[str],
    scorer: Scorer | None,
    hot_words: Mapping[str, float] | None,
) -> Made:
    """What is made of these, the same for all who ask while it is among the KEPT last used.

    Args:
        make: makes it.
        labels: V characters.
        scorer: language model; None for none.
        hot_words: boosts of phrases; None for none.

    Raises:
        DecoderError: hot words cannot be written with the labels.
    """
    key = (make, tuple(labels), tuple((hot_words or {}).items()))
    with _lock:
        known = _without if scorer is None else _of_scorer.setdefault(scorer, OrderedDict())
        try:
            found: Made | None = known.get(key)
        except TypeError:  # a boost that is no number, and not hashable
            return make(labels, scorer, hot_words)
        if found is None:
            found = known[key] = make(labels, scorer, hot_words)
        known.move_to_end(key)
        while len(known) > KEPT:
            known.popitem(last=False)
        return found
