"""A recording and its transcript become segments, each with a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from experiments.align.acoustic import Acoustic
from experiments.align.borders import Spikes, borders
from experiments.align.lattice import GAP, BestPath, Costs, Emissions, align
from experiments.align.texts import Utterance

WINDOW = 1.0  # seconds that a score is the mean of; Kürzinger et al. take 30 frames, of 30 to 40 ms


@dataclass(frozen=True)
class Segment:
    """An utterance that was found.

    Args:
        utterance: what is said.
        begin: seconds.
        end: seconds.
        score: mean log-probability of its worst second; 0 is best.
    """

    utterance: Utterance
    begin: float
    end: float
    score: float


@dataclass(frozen=True)
class Aligned:
    """What became of a recording.

    Args:
        segments: in their order.
        missing: utterances that were not found in the sound.
        seconds: length of the recording.
        unspoken: seconds in which the model hears speech that the text does not have.
    """

    segments: list[Segment] = field(default_factory=list)
    missing: list[Utterance] = field(default_factory=list)
    seconds: float = 0.0
    unspoken: float = 0.0


def segment(
    acoustic: Acoustic, samples: np.ndarray, utterances: Sequence[Utterance], costs: Costs, padding: float
) -> Aligned:
    """Find the utterances of a transcript in a recording.

    Args:
        acoustic: a model.
        samples: of the recording [S] float32, at the model's rate.
        utterances: in the order they are spoken in, in characters of the model.
        costs: of sound without text and of text without sound.
        padding: seconds of a pause that belong to the utterance beside it.

    Raises:
        ConfigError: the recording is shorter than a frame.
    """
    log_probs = acoustic.log_probs(samples)
    index = {label: number for number, label in enumerate(acoustic.labels)}
    # Columns behind the blank are one further.
    column = {label: number + (number >= acoustic.blank_id) for label, number in index.items()}
    texts = [[column[character] for character in utterance.text] for utterance in utterances]
    emissions = Emissions(log_probs, acoustic.blank_id, column.get(" "), costs.unspoken)
    path = align(texts, emissions, costs)
    return _segments(acoustic, samples, utterances, texts, emissions, path, padding)


def _segments(
    acoustic: Acoustic,
    samples: np.ndarray,
    utterances: Sequence[Utterance],
    texts: Sequence[Sequence[int]],
    emissions: Emissions,
    path: BestPath,
    padding: float,
) -> Aligned:
    owner = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    owners = np.where(path.characters == GAP, GAP, owner[path.characters])
    frame_seconds, length = acoustic.frame_seconds, len(samples) / acoustic.sample_rate
    unspoken = (path.characters == GAP) & (emissions.other > emissions.silence)
    columns = np.concatenate([np.asarray(text) for text in texts])[path.characters]
    columns = np.where(path.spoken, columns, emissions.blank_id)
    on_path = emissions.log_probs[np.arange(len(columns)), columns]
    spoken = np.flatnonzero(owners != GAP)
    found, first = np.unique(owners[spoken], return_index=True)
    begins = spoken[first]
    ends = spoken[np.append(first[1:], len(spoken))[: len(first)] - 1] + 1
    others = np.flatnonzero(unspoken)
    spikes, scores = [], []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        at = int(np.searchsorted(others, begin))
        spikes.append(
            Spikes(
                (begin + 0.5) * frame_seconds,
                (end - 0.5) * frame_seconds,
                (int(others[at - 1]) + 1) * frame_seconds if at else 0.0,
                min(int(others[at]) * frame_seconds if at < len(others) else length, length),
            )
        )
        scores.append(worst_mean(on_path[begin:end], max(round(WINDOW / frame_seconds), 1)))
    times = borders(spikes, samples, acoustic.sample_rate, padding)
    return Aligned(
        [
            Segment(utterances[number], *time, score)
            for number, time, score in zip(found.tolist(), times, scores, strict=True)
        ],
        [utterances[number] for number in sorted(set(range(len(texts))) - set(found.tolist()))],
        length,
        len(others) * frame_seconds,
    )


def worst_mean(values: np.ndarray, window: int) -> float:
    """The lowest mean of so many neighbours; of all, where there are fewer (Kürzinger et al., 2020, section 2.3).

    >>> worst_mean(np.array([0.0, -1.0, -3.0, 0.0]), 2)
    -2.0
    """
    window = min(window, len(values))
    sums = np.cumsum(np.concatenate([[0.0], values.astype(np.float64)]))
    return float(((sums[window:] - sums[:-window]) / window).min())
