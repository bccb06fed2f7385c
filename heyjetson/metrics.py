"""Word error rate, character error rate and cosine similarity, pooled over a test set.

Rates are sums of errors over sums of units (never means of rates). WER counts words, CER characters, spaces included.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kaldialign import align, edit_distance

_NOTHING = " "  # no word holds a space, so it cannot be taken for one


@dataclass(frozen=True)
class Errors:
    """Edit operations between references and hypotheses.

    Args:
        insertions: units only the hypotheses have.
        deletions: units only the references have.
        substitutions: units taken for others.
        total: units in the references.
    """

    insertions: int = 0
    deletions: int = 0
    substitutions: int = 0
    total: int = 0

    @property
    def count(self) -> int:
        """All errors."""
        return self.insertions + self.deletions + self.substitutions

    @property
    def rate(self) -> float:
        """Errors a reference unit. Without any reference unit, 0 when nothing was written and 1 otherwise."""
        return self.count / self.total if self.total else float(self.count > 0)

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.insertions + other.insertions,
            self.deletions + other.deletions,
            self.substitutions + other.substitutions,
            self.total + other.total,
        )


def _errors(reference: Sequence[str], hypothesis: Sequence[str]) -> Errors:
    counts = edit_distance(list(reference), list(hypothesis))
    return Errors(counts["ins"], counts["del"], counts["sub"], len(reference))


def word_errors(reference: str, hypothesis: str) -> Errors:
    """Word errors of one utterance.

    >>> word_errors("turn on the light", "turn the lights").count
    2
    """
    return _errors(reference.split(), hypothesis.split())


def aligned_words(reference: str, hypothesis: str) -> list[tuple[str, str | None, str | None]]:
    """What became of each word, with as few changes as can be: the operation, its word of the reference, and that of
    the hypothesis; the operation is `equal`, `insert` (the hypothesis alone has it), `delete` or `substitute`.

    >>> [operation for operation, _, _ in aligned_words("turn on the light", "turn the lights up")]
    ['equal', 'delete', 'equal', 'substitute', 'insert']
    """
    found: list[tuple[str, str | None, str | None]] = []
    for said, written in align(reference.split(), hypothesis.split(), _NOTHING):
        if said == _NOTHING:
            found.append(("insert", None, written))
        elif written == _NOTHING:
            found.append(("delete", said, None))
        else:
            found.append(("equal" if said == written else "substitute", said, written))
    return found


def character_errors(reference: str, hypothesis: str) -> Errors:
    """Character errors of one utterance, runs of spaces counting as one."""
    return _errors(" ".join(reference.split()), " ".join(hypothesis.split()))


def cosine_similarity(reference: str, hypothesis: str) -> float:
    """Cosine of the two utterances' word counts, over all words of both (1 when both are empty).

    >>> round(cosine_similarity("a b", "a c"), 2)
    0.5
    """
    a, b = Counter(reference.split()), Counter(hypothesis.split())
    if not a or not b:
        return float(a == b)
    # One root of the product, so that equal counts give exactly 1.
    lengths = sum(n * n for n in a.values()) * sum(n * n for n in b.values())
    return sum(count * b[word] for word, count in a.items()) / lengths**0.5


def pooled(errors: Iterable[Errors]) -> Errors:
    """Errors of a whole set."""
    return sum(errors, Errors())
