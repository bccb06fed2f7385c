"""What a stream costs as it is lived: fed at the pace at which one speaks, by the processor time that is spent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from heyjetson.microphone import CHUNK

Feed = Callable[[np.ndarray], object]


@dataclass(frozen=True)
class Cost:
    """Shares of one core, all threads of this process together.

    Back to back the same steps find the processor's caches full of what they need, which flatters them several times.

    Args:
        live: in real time.
        back_to_back: of the same sound, without waiting.
        waiting: of `live`, what waking up costs where nothing is computed.
    """

    live: float
    back_to_back: float
    waiting: float


def feed_of(stream: Any) -> Feed:
    """What a program does with each piece: feed a `Stream` and ask for its text so far, or feed a `TriggerStream`."""
    if not hasattr(stream, "partial"):
        return stream.feed

    def feed(samples: np.ndarray) -> None:
        stream.feed(samples)
        stream.partial()

    return feed


def pieces_of(
    sound: np.ndarray, rate: int, seconds: float, wanted: Callable[[], int] | None = None
) -> Iterator[np.ndarray]:
    """So many seconds of sound [S], around the end where it is shorter, in 16-bit pieces.

    Args:
        sound: [S], int16 or float within [-1, 1].
        rate: hertz.
        seconds: how much, at least.
        wanted: samples of the next piece, a second at most, as `heyjetson listen` reads a pipe; None: as a microphone
            hands them over.
    """
    if sound.dtype != np.int16:
        sound = (sound.clip(-1, 1) * 32767).astype(np.int16)
    end = round(seconds * rate)
    sound = np.resize(sound, end + rate)

    def pieces() -> Iterator[np.ndarray]:
        begin, size = 0, round(CHUNK * rate)
        while begin < end:
            if wanted:
                size = min(max(wanted(), 1), rate)
            yield sound[begin : begin + size]
            begin += size

    return pieces()


def share(
    feed: Feed,
    sound: np.ndarray,
    rate: int,
    seconds: float,
    paced: bool = True,
    wanted: Callable[[], int] | None = None,
) -> float:
    """Processor time of this process over the sound's length.

    Args:
        feed: takes the next samples, [S] int16.
        sound: [S], int16 or float within [-1, 1].
        rate: hertz.
        seconds: to feed.
        paced: as they are spoken; else one piece behind the other.
        wanted: see `pieces_of`.
    """
    fed, pieces = 0, pieces_of(sound, rate, seconds, wanted)
    due, before = time.perf_counter(), time.process_time()
    for piece in pieces:
        feed(piece)
        fed += len(piece)
        if paced:
            time.sleep(max(due + fed / rate - time.perf_counter(), 0.0))
    return (time.process_time() - before) / (fed / rate)


def cost(feed: Feed, sound: np.ndarray, rate: int, seconds: float = 5.0) -> Cost:
    """What a stream costs: live, and back to back.

    Args:
        feed: of a stream, see `feed_of`.
        sound: [S], int16 or float within [-1, 1].
        rate: hertz.
        seconds: that are listened to; the measurement takes a little more.
    """
    share(feed, sound, rate, min(seconds, 1.0), paced=False)  # warm-up
    back_to_back = share(feed, sound, rate, seconds, paced=False)
    waiting = share(lambda piece: None, sound, rate, min(seconds, 1.0))
    return Cost(share(feed, sound, rate, seconds), back_to_back, waiting)
