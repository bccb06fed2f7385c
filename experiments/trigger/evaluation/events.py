"""Which events are hits, which are false alarms: every event counts once, every word counts once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

TOLERANCE = 1.0  # seconds after the end of a word within which its event must come
FRAME = 512 / 16000  # seconds of a frame of the public benchmark's


@dataclass(frozen=True)
class Label:
    """A word in a stream.

    Args:
        word: which.
        start: seconds of the stream from which on its event counts.
        end: seconds of the stream until which it does, tolerance aside: the word is over.
        source: file it was read from.
        over: seconds of the stream at which the word is over where that is not `end`.
    """

    word: str
    start: float
    end: float
    source: str = ""
    over: float | None = None


@dataclass(frozen=True)
class Judged:
    """What became of the events of one word.

    Args:
        words: how often the word was said.
        hits: index of the label of every hit, in `labels` [H].
        hit_times: of the event that counts for it, seconds [H].
        false_times: of the false alarms, seconds [F].
        mistaken: for every false alarm the index of the label of another word it came at, -1 for none [F].
    """

    words: int
    hits: np.ndarray
    hit_times: np.ndarray
    false_times: np.ndarray
    mistaken: np.ndarray


class Judge(Protocol):
    """Decides what became of the events of a word: `judge` or `judge_frames`."""

    def __call__(self, times: np.ndarray, word: str, labels: Sequence[Label]) -> Judged: ...


def _label_of(times: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Index of the interval each time lies in, the later one where two overlap, -1 for none; starts ascend."""
    if len(starts) == 0:
        return np.full(len(times), -1)
    found = np.searchsorted(starts, times, side="right") - 1
    return np.where((found >= 0) & (times <= ends[np.maximum(found, 0)]), found, -1)


def _of(word: str, labels: Sequence[Label], own: bool) -> np.ndarray:
    """Indices of the labels of a word, or of all other words, by start."""
    chosen = [index for index, label in enumerate(labels) if (label.word == word) is own]
    return np.array(sorted(chosen, key=lambda index: labels[index].start), dtype=int)


def judge(times: np.ndarray, word: str, labels: Sequence[Label], tolerance: float = TOLERANCE) -> Judged:
    """Match events with the words that were said.

    An event between the start of a word of its kind and `tolerance` after its end is a hit, and further ones there
    count no more. Every other event is a false alarm, those at a word of another kind too.

    Args:
        times: of the events of this word, seconds, ascending [E].
        word: which.
        labels: of the whole stream.
        tolerance: seconds.

    >>> said = [Label("alexa", 1.0, 1.6), Label("jarvis", 5.0, 5.5)]
    >>> judged = judge(np.array([1.7, 2.5, 5.6, 9.0]), "alexa", said)
    >>> judged.hit_times.tolist(), judged.false_times.tolist(), judged.mistaken.tolist()
    ([1.7], [5.6, 9.0], [1, -1])
    """
    times = np.asarray(times, dtype=float)
    starts = np.array([label.start for label in labels])
    ends = np.array([label.end for label in labels]) + tolerance
    own, others = _of(word, labels, True), _of(word, labels, False)
    found = _label_of(times, starts[own], ends[own])
    hits, first = np.unique(found[found >= 0], return_index=True)
    false = times[found < 0]
    mistaken = _label_of(false, starts[others], ends[others])
    at_other = np.where(mistaken >= 0, others[mistaken] if len(others) else -1, -1)
    return Judged(len(own), own[hits], times[found >= 0][first], false, at_other)


def judge_frames(times: np.ndarray, word: str, labels: Sequence[Label]) -> Judged:
    """Count as the public benchmark does: every event in a frame of a label is one more hit, so a word may count twice.

    Args:
        times: of the events of this word, seconds, ascending [E].
        word: which.
        labels: of the stream; their ends have the benchmark's tolerance in them.
    """
    times = np.asarray(times, dtype=float)
    own, others = _of(word, labels, True), _of(word, labels, False)
    first = np.array([np.floor(label.start / FRAME) for label in labels])
    last = np.array([np.ceil(label.end / FRAME) for label in labels])
    frames = np.floor(times / FRAME)
    found = _label_of(frames, first[own], last[own])
    hit = found >= 0
    mistaken = _label_of(frames[~hit], first[others], last[others])
    at_other = np.where(mistaken >= 0, others[mistaken] if len(others) else -1, -1)
    return Judged(len(own), own[found[hit]], times[hit], times[~hit], at_other)


def latencies(judged: Judged, labels: Sequence[Label]) -> np.ndarray:
    """Seconds from the end of each word that was heard to its event; below 0 where the event came first [H]."""
    said = [labels[index] for index in judged.hits]
    return judged.hit_times - np.array([label.end if label.over is None else label.over for label in said])
