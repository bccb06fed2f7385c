"""The public wake-word benchmark's stream and count (Picovoice/wake-word-benchmark), for whatever recordings are given.

As there: one stream for each word; four fifths of the backgrounds are replaced by digital silence of their length, and
drawn with replacement; labels reach from the start of a word's recording to half a second after its end; every event in
a labelled frame is a hit, so that a word may count twice. Backgrounds that hold the word are not looked for there
either. Three generators of one seed draw the order of the words and what is silent, the backgrounds, and the noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from experiments.trigger.evaluation.sources import RATE, Noise, Recording
from experiments.trigger.evaluation.streams import Part, Stream, mix

SEED = 778
SPEECH = 0.2  # share of the backgrounds that are heard
AFTER = 0.5  # seconds after the end of a recording that are still labelled


def word_stream(
    recordings: Sequence[Recording],
    backgrounds: Sequence[Recording],
    noise: Noise,
    *,
    hours: float,
    snr: float = 10.0,
    seed: int = SEED,
    left_out: Sequence[str] = (),
) -> Stream:
    """The benchmark's stream of one word.

    Args:
        recordings: of the word, in the order of their names.
        backgrounds: recordings between them, in the order of their names.
        noise: under everything, of the same seed.
        hours: of background, 24 there; the words come on top, and every gap ends with a whole recording.
        snr: decibels of every recording over the noise.
        seed: of all draws.
        left_out: told with the stream.
    """
    draws, order = np.random.RandomState(seed), np.random.RandomState(seed)
    gap = round(hours * 3600 * RATE) // (len(recordings) + 1)

    def between() -> Iterator[Part]:
        filled = 0
        while filled < gap:
            drawn = backgrounds[order.randint(low=0, high=len(backgrounds))]
            filled += drawn.samples
            yield Part(drawn.samples, drawn if draws.uniform() < SPEECH else None)

    words = draws.permutation(np.arange(len(recordings)))
    parts = list(between())
    for index in words:
        parts.append(Part(recordings[index].samples, recordings[index]))
        parts += between()
    return mix(parts, noise, snr, AFTER, list(left_out))
