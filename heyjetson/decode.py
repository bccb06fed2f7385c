"""From log-probabilities to text, with the time and the confidence of each word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Word:
    """A word that was heard.

    Args:
        text: its characters.
        start: seconds from the beginning of the recording.
        end: seconds.
        confidence: geometric mean of its characters' probabilities, 0 to 1.
    """

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Result:
    """What was said.

    Args:
        text: the transcript.
        words: its words in order.
        seconds: length of the recording.
    """

    text: str
    words: list[Word] = field(default_factory=list)
    seconds: float = 0.0


def greedy(
    log_probs: np.ndarray, labels: Sequence[str], blank_id: int, frame_seconds: float, offset: float = 0.0
) -> list[Word]:
    """Best path: the likeliest label of each frame, repeats and blanks removed (Graves et al., 2006).

    Args:
        log_probs: [T, V + 1].
        labels: V characters.
        blank_id: column of the blank.
        frame_seconds: seconds between rows.
        offset: seconds of the first row.

    Returns:
        words in order.
    """
    if len(log_probs) == 0:
        return []
    best = log_probs.argmax(axis=1)
    changes = np.flatnonzero(np.diff(best, prepend=-1))
    ends = np.append(changes[1:], len(best))
    words: list[Word] = []
    letters: list[tuple[str, int, int, float]] = []

    def close() -> None:
        if letters:
            text = "".join(letter[0] for letter in letters)
            start = offset + letters[0][1] * frame_seconds
            end = offset + letters[-1][2] * frame_seconds
            confidence = math.exp(sum(letter[3] for letter in letters) / len(letters))
            words.append(Word(text, round(start, 3), round(end, 3), round(min(confidence, 1.0), 4)))
            letters.clear()

    for start, end in zip(changes.tolist(), ends.tolist(), strict=True):
        label = int(best[start])
        if label == blank_id:
            continue
        if labels[label] == " ":
            close()
            continue
        letters.append((labels[label], start, end, float(log_probs[start:end, label].max())))
    close()
    return words
