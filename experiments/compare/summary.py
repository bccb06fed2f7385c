"""Which run is best, by how much, and whether the difference may be chance: in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.compare.statistics import Comparison, Judged
from heyjetson.significance import Difference

SHOWN_EQUALS = 5


def verdict(comparison: Comparison) -> list[str]:
    """What the comparison says, in sentences, the most important first."""
    if not comparison.tested:
        return ["No run has a test result yet, so none can be called best."]
    best = comparison.tested[0]
    name = comparison.runs[best].name
    if len(comparison.tested) == 1:
        return [f"{name} is the only run with a result: {_rates(comparison, best)}."]
    if comparison.best is None:
        return ["The runs share no test set, so none can be called best."]
    sentences = [f"{name} has the fewest errors: {_rates(comparison, best)}."]
    pooled = comparison.pooled
    if pooled is None or best not in pooled.rows or len(pooled.rows) < 2:
        return [*sentences, "Whether the differences are more than chance cannot be said: no utterances are known."]
    ranked = list(pooled.rows)
    second = ranked[1]
    sentences.append(_against(comparison, pooled.difference(second, best), second))
    equals = [run for run in ranked[1:] if not pooled.difference(run, best).significant]
    if len(ranked) > 2:
        sentences.append(_equals(comparison, equals, len(ranked)))
    if comparison.reference not in (best, second) and comparison.reference in pooled.rows:
        sentences.append(_better_than(comparison, pooled, best, comparison.reference))
    return sentences


def _rates(comparison: Comparison, run: int) -> str:
    texts = [
        f"WER {rate if rate.low == rate.low else f'{rate.rate:.2%}'} on {name}"
        for name, rates in comparison.rates.items()
        if (rate := rates[run]) is not None
    ]
    return ", ".join(texts)


def points(difference: Difference) -> str:
    """A difference in percentage points, with its interval.

    >>> points(Difference(0.0059, 0.0005, 0.0113, 0.02, 0.03))
    '+0.59 points (+0.05 to +1.13, p = 0.03)'
    """
    chance = "p < 0.001" if difference.p_value < 0.001 else f"p = {difference.p_value:.2g}"
    return (
        f"{difference.delta * 100:+.2f} points ({difference.low * 100:+.2f} to {difference.high * 100:+.2f}, {chance})"
    )


def _against(comparison: Comparison, found: Difference, second: int) -> str:
    said = "The difference is significant." if found.significant else "That may be chance: it is not significant."
    return f"Next is {comparison.runs[second].name} with {points(found)}. {said}"


def _equals(comparison: Comparison, equals: Sequence[int], count: int) -> str:
    if not equals:
        return f"The other {count - 1} are significantly worse."
    names = ", ".join(comparison.runs[run].name for run in equals[:SHOWN_EQUALS])
    more = f" and {len(equals) - SHOWN_EQUALS} more" if len(equals) > SHOWN_EQUALS else ""
    return f"Of {count - 1} others, {len(equals)} cannot be told from it: {names}{more}."


def _better_than(comparison: Comparison, pooled: Judged, best: int, reference: int) -> str:
    found = pooled.difference(best, reference)
    said = "significant" if found.significant else "not significant"
    return f"Against the baseline {comparison.runs[reference].name} it has {points(found)}: {said}."
