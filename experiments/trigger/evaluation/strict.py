"""Streams of this project's own: the public benchmark's mixing with what is odd in it mended.

All words come in one stream, so that one taken for another is seen; what lies between them is speech all the time, each
recording once before any comes again; backgrounds whose transcript has one of the words are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from experiments.trigger.evaluation.sources import RATE, Noise, Recording
from experiments.trigger.evaluation.streams import Part, Stream, mix

BOOST = 6.0  # decibels up or down by which a background that comes again differs
PAUSE = 5.0  # seconds of noise alone
PAUSES = 0.1  # share of them in a stream without words


def _in_turn(recordings: Sequence[Recording], rng: np.random.Generator) -> Iterator[Part]:
    """Every recording once, in drawn order, then all again at another level, without end."""
    again = False
    while True:
        for index in rng.permutation(len(recordings)):
            recording = recordings[index]
            yield Part(recording.samples, recording, float(rng.uniform(-BOOST, BOOST)) if again else 0.0)
        again = True


def distinct_hours(recordings: Sequence[Recording]) -> float:
    """Hours of all recordings together."""
    return sum(recording.samples for recording in recordings) / RATE / 3600


def word_stream(
    words: dict[str, list[Recording]],
    backgrounds: Sequence[Recording],
    noise: Noise,
    *,
    hours: float | None = None,
    snr: float = 10.0,
    seed: int = 778,
    left_out: Sequence[str] = (),
) -> Stream:
    """A stream in which every recording of every word occurs once, backgrounds between.

    Args:
        words: recordings of each.
        backgrounds: recordings without the words.
        noise: under everything.
        hours: of background; as many as `backgrounds` hold when None. Of more, they come again at other levels.
        snr: decibels of every recording over the noise.
        seed: of the order.
        left_out: told with the stream.
    """
    rng = np.random.default_rng(seed)
    said = [recording for recordings in words.values() for recording in recordings]
    order = [said[index] for index in rng.permutation(len(said))]
    between = _in_turn(backgrounds, rng)
    wanted = distinct_hours(backgrounds) if hours is None else hours
    gap = wanted * 3600 * RATE / (len(order) + 1)
    parts: list[Part] = []
    filled = 0
    for number in range(len(order) + 1):
        # Counted from the start, so that what one gap is too long the next is shorter.
        while filled < round(gap * (number + 1)):
            parts.append(next(between))
            filled += parts[-1].samples
        if number < len(order):
            parts.append(Part(order[number].samples, order[number]))
    return mix(parts, noise, snr, None, list(left_out))


def negative_stream(
    backgrounds: Sequence[Recording],
    noise: Noise,
    hours: float,
    *,
    snr: float = 10.0,
    seed: int = 778,
    left_out: Sequence[str] = (),
) -> Stream:
    """A stream without any of the words: speech over noise, a tenth of it noise alone.

    Args:
        backgrounds: recordings; they come again at other levels and over other noise where they are shorter than
            `hours`. The stream's `distinct_hours` say how long they are.
        noise: under everything.
        hours: length.
        snr: decibels of every recording over the noise.
        seed: of the order.
        left_out: told with the stream.
    """
    rng = np.random.default_rng(seed)
    between = _in_turn(backgrounds, rng)
    total = round(hours * 3600 * RATE)
    parts: list[Part] = []
    filled = pauses = 0
    while filled < total:
        pause = pauses < PAUSES * filled
        parts.append(Part(round(PAUSE * RATE)) if pause else next(between))
        pauses += parts[-1].samples if pause else 0
        filled += parts[-1].samples
    return mix(parts, noise, snr, None, list(left_out))
