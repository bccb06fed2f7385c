"""The course of what was said: how fast, by whom how much, and how long nobody speaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from heyjetson.server.sentiment.timed_word import TimedWord

STEP = 0.05  # seconds in which somebody speaks or not
POINTS = 300  # of the line of words a minute at most


def timing(words: Sequence[TimedWord], sentences: Sequence[dict[str, Any]], seconds: float | None) -> dict[str, Any]:
    """When what was said was said.

    Args:
        words: with times, in order.
        sentences: of them, with start, end, channel, words and compound.
        seconds: that the recording lasts; to the end of the last word where None.

    Returns:
        seconds; words_per_minute, pauses included, and `pace`, its course; silence (share of the time in which nobody
        speaks), overlap (in which two do), and for each channel its speech in seconds, share of all speech, words,
        words a minute of its speech, and compound. A speaker speaks from the first to the last word of a sentence.
    """
    longest = max([seconds or 0.0, *(part["end"] for part in sentences)])
    channels = sorted({part["channel"] for part in sentences}, key=lambda channel: -1 if channel is None else channel)
    speaking = np.zeros((len(channels), int(np.ceil(longest / STEP)) + 1), bool)
    for part in sentences:
        row = speaking[channels.index(part["channel"])]
        row[int(part["start"] / STEP) : max(round(part["end"] / STEP), int(part["start"] / STEP) + 1)] = True
    count = max(round(longest / STEP), 1)
    spoken = speaking.sum(axis=1) * STEP
    at_once = speaking[:, :count].sum(axis=0)
    return {
        "seconds": round(longest, 3),
        "words_per_minute": round(60 * len(words) / max(longest, STEP), 1),
        "pace": _pace([((word.start or 0.0) + (word.end or 0.0)) / 2 for word in words], longest),
        "silence": round(float((at_once == 0).mean()), 4),
        "overlap": round(float((at_once > 1).mean()), 4),
        "channels": [
            _channel(channel, time, spoken.sum(), [part for part in sentences if part["channel"] == channel])
            for channel, time in zip(channels, spoken, strict=True)
        ],
    }


def _channel(channel: int | None, time: float, all_time: float, sentences: list[dict[str, Any]]) -> dict[str, Any]:
    words = sum(part["words"] for part in sentences)
    return {
        "channel": channel,
        "speech": round(float(time), 2),
        "share": round(float(time / max(all_time, STEP)), 4),
        "words": words,
        "words_per_minute": round(float(60 * words / max(time, STEP)), 1),
        "compound": round(sum(part["compound"] * part["words"] for part in sentences) / words, 4),
    }


def _pace(times: list[float], seconds: float) -> list[dict[str, float]]:
    """Words a minute over time, each point of a window around it that lies within the recording."""
    window = min(max(seconds / 6, 5.0), 30.0)
    step = max(window / 4, seconds / POINTS)
    moments = np.arange(step / 2, max(seconds, step), step)
    low, high = np.maximum(moments - window / 2, 0), np.minimum(moments + window / 2, max(seconds, step))
    ordered = np.sort(times)
    counts = np.searchsorted(ordered, high) - np.searchsorted(ordered, low)
    return [
        {"time": round(float(moment), 2), "words_per_minute": round(float(count * 60 / width), 1)}
        for moment, count, width in zip(moments, counts, high - low, strict=True)
    ]
