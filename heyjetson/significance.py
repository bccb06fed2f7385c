"""How far a word error rate can be trusted: bootstrap intervals, and tests of the difference between two systems.

The interval of a rate and of a difference follow Bisani & Ney, "Bootstrap estimates for confidence intervals in ASR
performance evaluation" (ICASSP 2004): utterances are drawn again, with replacement, and each draw has its pooled rate.
The p-value is that of the matched-pair sentence-segment word error test (Gillick & Cox, "Some statistical issues in the
comparison of speech recognition algorithms", ICASSP 1989), with whole utterances as segments.

Covered: that the test set is a sample of utterances. Not covered: other speakers, rooms and microphones than those in
the set, and that another training run of the same configuration ends elsewhere. Utterances of one speaker are alike, so
intervals over utterances are too narrow as soon as a few speakers make up the set: give `groups`, one speaker for each
utterance, and whole speakers are drawn. That in turn needs speakers: with fewer than about ten, it is a rough guide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95
CELLS = 4_000_000  # numbers drawn at once: 32 MB
TINY = 1e-300  # in place of a zero that would be divided by


@dataclass(frozen=True)
class Drawing:
    """How test sets are drawn again from one.

    Args:
        confidence: share of such intervals that hold the true rate.
        draws: of the bootstrap; more are steadier in the last digit, and take longer.
        seed: of the draws: equal input gives equal output.

    Raises:
        ValueError: the confidence or the number of draws is out of its range.
    """

    confidence: float = CONFIDENCE
    draws: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1 or self.draws < 1:
            raise ValueError(
                f"confidence lies between 0 and 1, draws at 1 or more; found {self.confidence} and {self.draws}."
            )


USUAL = Drawing()


@dataclass(frozen=True)
class Interval:
    """A rate with its confidence interval, as fractions.

    Args:
        rate: pooled: errors over words.
        low: lower end.
        high: upper end.
    """

    rate: float
    low: float
    high: float

    def __str__(self) -> str:
        """In per cent, as tables show it.

        >>> str(Interval(0.038, 0.0291, 0.0476))
        '3.80% (2.91 to 4.76)'
        """
        return f"{self.rate:.2%} ({self.low * 100:.2f} to {self.high * 100:.2f})"


@dataclass(frozen=True)
class Difference:
    """How system b differs from system a on the same utterances.

    Args:
        delta: rate of b minus rate of a; below 0, b is better.
        low: lower end of its confidence interval.
        high: upper end.
        probability_of_improvement: share of the draws in which b made fewer errors than a; a tie counts half.
        p_value: of the matched-pair test, two-sided: how often equal systems would differ this much.
        confidence: of the interval.
    """

    delta: float
    low: float
    high: float
    probability_of_improvement: float
    p_value: float
    confidence: float = CONFIDENCE

    @property
    def significant(self) -> bool:
        """Whether the interval leaves out 0 and the matched-pair test agrees."""
        return (self.low > 0 or self.high < 0) and self.p_value < 1 - self.confidence

    @property
    def swapped(self) -> Difference:
        """The same, as a differs from b."""
        better = 1 - self.probability_of_improvement
        return Difference(-self.delta, -self.high, -self.low, better, self.p_value, self.confidence)


def wer_interval(
    errors: ArrayLike, words: ArrayLike, groups: Sequence[Any] | None = None, drawing: Drawing = USUAL
) -> Interval:
    """The pooled error rate of a test set with its bootstrap interval (percentiles).

    Args:
        errors: of each utterance [N].
        words, groups, drawing: see `Bootstrap`.

    Returns:
        the interval. Two cases leave the bootstrap nothing to draw from: without any error the upper end is the
        binomial one (words taken as independent: about 3 over their number), and one utterance or group gives 0 to 1.

    Raises:
        ValueError: the arrays do not fit together, or are empty.

    >>> print(wer_interval([1, 0, 2, 0] * 50, [5, 4, 6, 5] * 50))
    15.00% (12.95 to 17.04)
    """
    return Bootstrap(np.reshape(errors, (-1, 1)), words, groups, drawing).interval(0)


def difference(
    errors_a: ArrayLike,
    errors_b: ArrayLike,
    words: ArrayLike,
    groups: Sequence[Any] | None = None,
    drawing: Drawing = USUAL,
) -> Difference:
    """Compare two systems on the same utterances: paired bootstrap and matched-pair test.

    Args:
        errors_a: of system a on each utterance [N].
        errors_b: of system b on the same utterances [N].
        words, groups, drawing: see `Bootstrap`; whole groups are the segments of the matched-pair test as well.

    Raises:
        ValueError: the arrays do not fit together, or are empty.

    >>> found = difference([2, 1, 1, 0] * 50, [1, 0, 1, 0] * 50, [5, 4, 6, 5] * 50)
    >>> round(found.delta, 3), found.significant
    (-0.1, True)
    """
    errors = [np.asarray(errors_a), np.asarray(errors_b)]
    if errors[0].shape != errors[1].shape:
        raise ValueError(
            f"The systems have {errors[0].shape} and {errors[1].shape} utterances; give the same ones to both."
        )
    forth, back = (sorted(zip(*pair, strict=True)) for pair in (errors, errors[::-1]))
    swapped = forth > back  # one drawing for both orders of the systems, and for each of the utterances
    found = Bootstrap(np.stack(errors[:: -1 if swapped else 1], axis=1), words, groups, drawing)
    return found.difference(0, 1).swapped if swapped else found.difference(0, 1)


def mean_interval(values: ArrayLike, drawing: Drawing = USUAL) -> Interval:
    """The mean of a figure of each utterance [N], with its bootstrap interval.

    >>> print(mean_interval([0.5, 1.0] * 50))
    75.00% (70.00 to 80.00)
    """
    table = np.asarray(values, dtype=float)[:, None]
    mean = float(table.mean())
    low, high = _ends(_draw(table, drawing)[:, 0] / len(table), drawing.confidence)
    return Interval(mean, min(low, mean), max(high, mean))


class Bootstrap:
    """Test sets drawn once, on which any number of systems are compared.

    Args:
        errors: of each utterance and system [N, S].
        words: of each reference [N].
        groups: of each utterance [N], its speaker for instance; whole groups are drawn then.
        drawing: how.

    Raises:
        ValueError: the arrays do not fit together, or are empty.
    """

    def __init__(
        self,
        errors: ArrayLike,
        words: ArrayLike,
        groups: Sequence[Any] | None = None,
        drawing: Drawing = USUAL,
    ):
        self.confidence = drawing.confidence
        self.counts = _per_group(np.asarray(errors), np.asarray(words), groups)
        self.totals = self.counts.sum(axis=0)
        self.sums = _draw(self.counts, drawing)

    def interval(self, system: int) -> Interval:
        """The rate of one system; see `wer_interval`."""
        words = int(self.totals[-1])
        rate = float(_rates(self.totals[system], words))
        if len(self.counts) == 1:
            return Interval(rate, 0.0, max(1.0, rate))
        if not self.totals[system]:
            return Interval(0.0, 0.0, 1 - (1 - self.confidence) ** (1 / words) if words else 1.0)
        low, high = _ends(_rates(self.sums[:, system], self.sums[:, -1]), self.confidence)
        return Interval(rate, min(low, rate), max(high, rate))

    def difference(self, a: int, b: int) -> Difference:
        """How system b differs from system a; see `difference`."""
        errors = self.sums[:, b] - self.sums[:, a]
        rates_a, rates_b = (_rates(self.sums[:, system], self.sums[:, -1]) for system in (a, b))
        low, high = _ends(rates_b - rates_a, self.confidence)
        delta = float(_rates(self.totals[b], self.totals[-1]) - _rates(self.totals[a], self.totals[-1]))
        better = float(np.mean((errors < 0) + 0.5 * (errors == 0)))
        p_value = matched_pairs(self.counts[:, b] - self.counts[:, a])
        return Difference(delta, min(low, delta), max(high, delta), better, p_value, self.confidence)


def _ends(values: np.ndarray, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def matched_pairs(differences: ArrayLike) -> float:
    """Two-sided p-value of the matched-pair test.

    Args:
        differences: errors of b minus errors of a, of each segment [N]. Student's law takes the place of the paper's
            normal one: the same from some fifty segments on, and safer below.

    >>> matched_pairs([0, 0, 0])
    1.0
    """
    values = np.asarray(differences, dtype=np.int64)
    count, total = len(values), int(values.sum())
    if total == 0 or count < 2:
        return 1.0
    spread = count * int((values**2).sum()) - total**2  # exact, so that the order of segments changes nothing
    if spread == 0:  # all differ by the same: the sign test is what is left
        return float(2.0 ** (1 - count))
    return _student(abs(total) * math.sqrt((count - 1) / spread), count - 1)


def _student(t: float, freedom: int) -> float:
    """How often Student's t is at least so far from 0: the incomplete beta function I_x(freedom / 2, 1 / 2), by its
    continued fraction (DLMF 8.17.22, evaluated as Lentz has it). SciPy has it, too, but is
    no part of what runs on a device.
    """
    a, b, x = freedom / 2, 0.5, freedom / (freedom + t * t)
    if x >= 1.0:
        return 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if near := x > (a + 1) / (a + b + 2):  # where it hardly converges, the other tail does
        a, b, x = b, a, 1 - x
    fraction, c, d = 1.0, 1.0, 0.0
    for step in range(1, 1000):
        half = step // 2
        if step % 2:
            term = -x * (a + half) * (a + b + half) / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            term = x * half * (b - half) / ((a + 2 * half - 1) * (a + 2 * half))
        d, c = 1 / (1 + term * d or TINY), 1 + term / c or TINY
        fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    tail = front / (a * fraction)
    return 1 - tail if near else tail


def _per_group(errors: np.ndarray, words: np.ndarray, groups: Sequence[Any] | None) -> np.ndarray:
    """Errors and words side by side [N, S + 1], summed over each group."""
    if errors.ndim != 2 or words.ndim != 1 or len(errors) != len(words):
        raise ValueError(f"Give one number for each utterance; errors are {errors.shape}, words {words.shape}.")
    if not len(words):
        raise ValueError("There is no utterance to take an error rate of.")
    given = np.concatenate([errors, words[:, None]], axis=1)
    counts = given.astype(np.int64)
    if (counts < 0).any() or (counts != given).any():
        raise ValueError("Errors and words are counts: whole numbers, none below 0.")
    if groups is None:
        return counts
    if len(groups) != len(counts):
        raise ValueError(f"There are {len(counts)} utterances and {len(groups)} groups.")
    names: dict[Any, int] = {}
    index = np.array([names.setdefault(group, len(names)) for group in groups])
    summed = np.zeros((len(names), counts.shape[1]), dtype=np.int64)
    np.add.at(summed, index, counts)
    return summed


def _draw(counts: np.ndarray, drawing: Drawing) -> np.ndarray:
    """Column sums of samples of the rows [draws, C].

    Equal rows are interchangeable, so what is drawn is how often each distinct row occurs: the same law, and the work
    no longer grows with the number of utterances.
    """
    rows, occurrences = np.unique(counts, axis=0, return_counts=True)
    generator, draws = np.random.default_rng(drawing.seed), drawing.draws
    size = max(1, CELLS // len(rows))
    sums = np.empty((draws, rows.shape[1]), dtype=rows.dtype)
    for start in range(0, draws, size):
        drawn = generator.multinomial(len(counts), occurrences / len(counts), min(size, draws - start))
        sums[start : start + size] = drawn.astype(float) @ rows.astype(float)  # whole numbers, and fast in BLAS
    return sums


def _rates(errors: Any, words: Any) -> Any:
    """Errors over words; without a word, 0 when there is no error and 1 otherwise."""
    return np.where(words > 0, errors / np.maximum(words, 1), np.minimum(errors, 1))
