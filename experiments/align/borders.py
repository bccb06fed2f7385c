"""From where a model heard the letters of an utterance to where the utterance begins and ends.

The spikes of a CTC model are not borders: the first may come a quarter of a second behind the onset, the last before or
behind the end, by other times for each model. Borders are therefore put into the pause around the spikes, by the level
of the sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

BLOCK = 0.01  # seconds of a level
SMOOTHED = 3  # blocks; less than the shortest pause
REACH = 1.0  # seconds from the outermost letter within which an utterance ends; spikes are nearer than that
RANGE = 45.0  # dB below the loud part of an utterance, beneath which everything is silence
SILENCE = 0.15  # of the way from the quietest to the loud part, in dB, is taken for silence
LEAST = 6.0  # dB between quiet and loud, with which there is a pause to be found


@dataclass(frozen=True)
class Spikes:
    """Where an utterance was heard, in seconds.

    Args:
        first: middle of the frame of its first letter.
        last: middle of the frame of its last letter.
        after: end of what is said before it and is no text, or of the recording's beginning, 0.
        before: begin of what is said behind it and is no text, or the end of the recording.
    """

    first: float
    last: float
    after: float
    before: float


def levels(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Level of each block of a recording [S], in dB, over `SMOOTHED` blocks each."""
    size = BLOCK * sample_rate
    count = max(int(len(samples) / size + 1e-6), 1)
    places = sliding_window_view(samples, min(max(int(size + 1e-6), 1), len(samples)))
    # At 22,050 Hz blocks begin at uneven samples: 220 to each would be a second too few in seven minutes.
    even = abs(size - round(size)) < 1e-6
    blocks = places[:: round(size)][:count] if even else places[(np.arange(count) * size + 1e-6).astype(int)]
    power = np.einsum("bs,bs->b", blocks, blocks, dtype=np.float32) / blocks.shape[1]
    padded = np.pad(power.astype(np.float64), SMOOTHED // 2, mode="edge")
    return 10 * np.log10(np.convolve(padded, np.ones(SMOOTHED) / SMOOTHED, "valid") + 1e-12)


def borders(
    spikes: Sequence[Spikes], samples: np.ndarray, sample_rate: int, padding: float
) -> list[tuple[float, float]]:
    """Begin and end of each utterance in seconds; none overlaps another.

    Args:
        spikes: of the utterances, in their order.
        samples: of the recording [S].
        sample_rate: hertz.
        padding: seconds of a pause that belong to the utterance beside it, where there are as many.
    """
    level = levels(samples, sample_rate)
    length = len(samples) / sample_rate
    found = []
    for number, here in enumerate(spikes):
        earliest = max(here.after, spikes[number - 1].last if number else 0.0, here.first - REACH)
        latest = min(here.before, spikes[number + 1].first if number + 1 < len(spikes) else length, here.last + REACH)
        loud = float(np.percentile(level[_blocks(level, here.first, here.last)], 90))
        left = _pause(level, earliest, here.first, loud)
        right = _pause(level, here.last, latest, loud)
        found.append((max(left[1] - padding, left[0], 0.0), min(right[0] + padding, right[1], length)))
    for number in range(1, len(found)):
        (begin, end), (next_begin, next_end) = found[number - 1], found[number]
        if end > next_begin:  # they share the pause
            blocks = _blocks(level, next_begin, end)
            quiet = level[blocks]
            middle = float(np.flatnonzero(quiet <= quiet.min() + 1e-9).mean() + blocks.start + 0.5) * BLOCK
            within = level[blocks].max() - quiet.min() < LEAST
            meet = (next_begin + end) / 2 if within else min(max(middle, next_begin), end)
            found[number - 1], found[number] = (begin, meet), (meet, next_end)
    # A letter alone among others lasts a block on either side, as far as these leave it.
    for number, (here, (begin, end)) in enumerate(zip(spikes, found, strict=True)):
        earliest = found[number - 1][1] if number else 0.0
        latest = found[number + 1][0] if number + 1 < len(found) else length
        found[number] = max(earliest, min(begin, here.first - BLOCK)), min(latest, max(end, here.last + BLOCK))
    return found


def _blocks(level: np.ndarray, begin: float, end: float) -> slice:
    """The blocks of a stretch, one at least."""
    first = min(max(int(begin / BLOCK), 0), len(level) - 1)
    return slice(first, min(max(int(np.ceil(end / BLOCK)), first + 1), len(level)))


def _pause(level: np.ndarray, begin: float, end: float, loud: float) -> tuple[float, float]:
    """The longest pause of a stretch; where there is none, its quietest block. A stop within a word is shorter."""
    if end <= begin:
        return (begin + end) / 2, (begin + end) / 2
    blocks = _blocks(level, begin, end)
    part = level[blocks]
    floor = max(float(part.min()), loud - RANGE)
    if loud - floor >= LEAST:
        edges = np.flatnonzero(np.diff(part <= floor + SILENCE * (loud - floor), prepend=False, append=False))
        runs = edges.reshape(-1, 2)
        first, last = runs[np.argmax(runs[:, 1] - runs[:, 0])]
    else:
        first = int(part.argmin())
        last = first + 1
    return max((blocks.start + int(first)) * BLOCK, begin), min((blocks.start + int(last)) * BLOCK, end)
