"""What a decoder says: words with their time and confidence, hypotheses, results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from heyjetson.loudness import Loudness


@dataclass(frozen=True)
class Word:
    """A word that was heard.

    Args:
        text: its characters.
        start: seconds from the beginning of the recording at which it begins to be heard.
        end: seconds at which it has been said, never later than the next word's start.
        confidence: geometric mean of its characters' probabilities, 0 to 1.
    """

    text: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Hypothesis:
    """One reading of an utterance.

    Args:
        text: the transcript.
        words: its words in order.
        score: natural logarithm of its probability, with what language model and hot words add to it; readings of one
            utterance compare by it, utterances do not.
    """

    text: str
    words: list[Word]
    score: float


@dataclass(frozen=True)
class Result:
    """What was said.

    Args:
        text: the transcript.
        words: its words in order.
        seconds: length of the recording.
        final: nothing of it will change.
        alternatives: other readings, the likeliest first.
    """

    text: str
    words: list[Word] = field(default_factory=list)
    seconds: float = 0.0
    final: bool = True
    alternatives: list[Hypothesis] = field(default_factory=list)


class Decoder(Protocol):
    """Turns frames into words, one utterance at a time. The result does not depend on how the frames are cut."""

    def feed(self, log_probs: np.ndarray) -> None:
        """Take the next frames, [T, V + 1], any number of them."""

    def words(self) -> list[Word]:
        """The likeliest words so far; the last ones may still change."""

    def finish(self) -> list[Hypothesis]:
        """End the utterance: its readings, the likeliest first. Only `reset` may follow."""

    def reset(self, offset: float = 0.0, sound: Loudness | None = None) -> None:
        """Begin an utterance.

        Args:
            offset: seconds at which its first frame lies.
            sound: what is heard of the recording, always further than the frames that are fed; where there is none,
                words have the model's own borders.
        """


class SentenceSearch(Decoder, Protocol):
    """A decoder that takes all it hears for one sentence."""

    def ending(self) -> list[Hypothesis]:
        """What `finish` would give; more may follow."""
