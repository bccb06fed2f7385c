"""A recording's text as it grows, piece by piece, so that it can be shown early and given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from heyjetson.decoding.hypothesis import Decoder, Result, Word
from heyjetson.engine import Engine, last
from heyjetson.server import prometheus
from heyjetson.server.audio.uploads import Clip
from heyjetson.server.errors import ClientDisconnectedError


class TranscriptionJob:
    """Transcribes one recording, in a thread that is not the event loop's.

    Args:
        engine: whose model runs.
        clip: the recording.
        decoder: of this recording alone.
        cancelled: set it, and the work ends at the next piece.

    Attributes:
        taken: seconds that the model took so far.
    """

    def __init__(self, engine: Engine, clip: Clip, decoder: Decoder, cancelled: threading.Event | None = None):
        self.engine, self.clip, self.decoder = engine, clip, decoder
        self.cancelled = cancelled or threading.Event()
        self.taken = 0.0

    def results(self, partials: bool = True) -> Iterator[Result]:
        """What is understood after each piece, see `Engine.results`.

        Raises:
            AudioError: there is nothing to transcribe.
            ClientDisconnectedError: see `cancelled`.
        """
        begun = time.perf_counter()
        for result in self.engine.results(self.clip.samples, self.clip.rate, self.decoder, partials):
            self.taken += time.perf_counter() - begun
            if result.final:
                prometheus.observe_transcription(self.clip.seconds, self.taken)
            yield result
            begun = time.perf_counter()
            if self.cancelled.is_set() and not result.final:
                raise ClientDisconnectedError

    def final(self) -> Result:
        """The whole, as `Engine.transcribe` gives it."""
        return last(self.results(partials=False))


class Deltas:
    """What a growing text has gained, never to be taken back: words that two results in a row agree on.

    The last word of a result is left out: it may still go on.
    """

    def __init__(self) -> None:
        self.told = 0  # words
        self._before: list[str] = []

    def words(self, result: Result) -> list[Word]:
        """The words that can be told now. All that were told are the final text, unless a language model has changed
        its mind about what was told; `done` has the text that counts."""
        words = [word.text for word in result.words]
        if result.final:
            safe = len(words)
        else:
            agreed = zip(words[self.told : -1], self._before[self.told :], strict=False)
            safe = self.told
            for now, before in agreed:
                if now != before:
                    break
                safe += 1
        self._before = words
        told = result.words[self.told : safe]
        self.told = max(safe, self.told)
        return told


def joined(words: Sequence[Word], first: bool) -> str:
    """Words as a piece of text that others follow, and come before where they are not the first."""
    text = " ".join(word.text for word in words)
    return text if first or not text else f" {text}"
