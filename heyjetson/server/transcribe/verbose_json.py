"""A result as OpenAI's clients read it in full: verbose_json with every field of theirs, and log-probabilities."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from heyjetson import formats
from heyjetson.decoding.hypothesis import Result, Word

UNSURE = 1e-4  # the least that a word's confidence counts as: it is told in so many digits
FRAME = 0.01  # seconds of `seek`


def verbose(
    result: Result,
    seconds: float,
    granularities: Sequence[str],
    language: str,
    labels: Sequence[str],
    labels_of: Callable[[str], int] = len,
) -> dict[str, Any]:
    """A result as verbose_json has it.

    Args:
        result: the transcript.
        seconds: of the recording.
        granularities: `word` and `segment`, which are wanted.
        language: name of what the model writes.
        labels: of the model; `tokens` are their indices.
        labels_of: a word, how many the model writes it with.
    """
    written: dict[str, Any] = {
        "task": "transcribe",
        "language": language,
        "duration": round(seconds, 3),
        "text": result.text,
        "usage": {"type": "duration", "seconds": round(seconds, 3)},
    }
    if "word" in granularities:
        written["words"] = formats.word_records(result.words)
    if "segment" in granularities:
        index = {label: number for number, label in enumerate(labels)}
        lines = enumerate(formats.captions(result.words))
        written["segments"] = [_segment(number, line, index, labels_of) for number, line in lines]
    return written


def _segment(number: int, line: list[Word], index: dict[str, int], labels_of: Callable[[str], int]) -> dict[str, Any]:
    """A line of words with what Whisper says of its own.

    `no_speech_prob` is how likely none of the words was said, by their confidences: there is no other estimate of it.
    """
    text = " ".join(word.text for word in line)
    total = sum(log_prob(word, labels_of) for word in line)
    nothing = math.prod(1 - word.confidence for word in line)
    return {
        "id": number,
        "seek": round(line[0].start / FRAME),
        "start": round(line[0].start, 3),
        "end": round(line[-1].end, 3),
        "text": text,
        "tokens": [index[character] for character in text if character in index],
        "temperature": 0.0,
        "avg_logprob": round(total / sum(labels_of(word.text) for word in line), 4),
        "compression_ratio": round(len(text.encode()) / len(zlib.compress(text.encode())), 4),
        "no_speech_prob": round(nothing, 4),
        "confidence": _mean(line),
    }


def log_prob(word: Word, labels_of: Callable[[str], int]) -> float:
    """Natural logarithm of a word's probability: of all its characters', or sounds'."""
    return labels_of(word.text) * math.log(max(word.confidence, UNSURE))


def log_probs(words: Sequence[Word], first: bool = True, labels_of: Callable[[str], int] = len) -> list[dict[str, Any]]:
    """Words as tokens with their log-probabilities: joined, they are the text.

    Args:
        words: in order.
        first: nothing comes before them.
        labels_of: a word, how many labels the model writes it with.
    """
    tokens = [word.text if first and not number else f" {word.text}" for number, word in enumerate(words)]
    return [
        {"token": token, "bytes": list(token.encode()), "logprob": round(log_prob(word, labels_of), 4)}
        for token, word in zip(tokens, words, strict=True)
    ]


def _mean(words: list[Word]) -> float:
    """Geometric mean of the words' confidence."""
    return round(math.exp(sum(math.log(max(word.confidence, UNSURE)) for word in words) / len(words)), 4)
