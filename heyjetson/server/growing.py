"""A recording's text as it grows, piece by piece, so that it can be shown early and given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from heyjetson import audio
from heyjetson.decode import Decoder, Result, Word
from heyjetson.engine import Engine, pieces
from heyjetson.errors import AudioError
from heyjetson.server import metrics
from heyjetson.server.sound import Clip

PIECE = 2.0  # seconds that are fed at once


class GoneError(Exception):
    """Nobody waits for the text any more."""


class Growing:
    """Transcribes one recording, in a thread that is not the event loop's.

    Args:
        engine: whose model runs.
        clip: the recording.
        decoder: of this recording alone.

    Attributes:
        gone: set it, and the work ends at the next piece.
        taken: seconds that the model took so far.
    """

    def __init__(self, engine: Engine, clip: Clip, decoder: Decoder):
        self.engine, self.clip, self.decoder = engine, clip, decoder
        self.gone = threading.Event()
        self.taken = 0.0

    def results(self) -> Iterator[Result]:
        """What is understood after each piece; the last one is final, and is what `Engine.transcribe` gives.

        Raises:
            AudioError: there is nothing to transcribe.
            GoneError: see `gone`.
        """
        begun = time.perf_counter()
        work = self._streamed() if self.engine.bundle.streams else self._cut()
        for result in work:
            self.taken += time.perf_counter() - begun
            if result.final:
                metrics.observe_transcription(self.clip.seconds, self.taken)
            yield result
            begun = time.perf_counter()
            if self.gone.is_set() and not result.final:
                raise GoneError

    def final(self) -> Result:
        """The whole."""
        *_, last = self.results()
        return last

    def _mono(self) -> tuple[audio.np.ndarray, int]:
        mono, rate = self.clip.mono, self.engine.bundle.sample_rate
        window = self.engine.bundle.manifest["window"] / rate
        if self.clip.seconds < window:
            raise AudioError(
                f"The recording lasts {self.clip.seconds:.3f} s, less than one frame of {window:.3f} s: there is "
                "nothing to transcribe."
            )
        return mono, rate

    def _streamed(self) -> Iterator[Result]:
        from heyjetson.stream import Stream

        mono, _ = self._mono()
        stream = Stream(self.engine, self.decoder, self.clip.rate)
        size = max(round(PIECE * self.clip.rate), 1)
        for start in range(0, len(mono), size):
            stream.feed(mono[start : start + size])
            yield stream.partial()
        yield stream.finish()

    def _cut(self) -> Iterator[Result]:
        mono, rate = self._mono()
        mono = audio.resample(mono, self.clip.rate, rate)
        seconds = len(mono) / rate
        words: list[Word] = []
        texts: list[str] = []
        for start, piece in pieces(mono, rate, self.engine.bundle.manifest["longest_seconds"]):
            if len(piece) < self.engine.bundle.manifest["window"]:
                continue
            part = self.engine.transcribe(piece, rate, self.decoder)
            shift = start / rate
            words += [replace(word, start=word.start + shift, end=word.end + shift) for word in part.words]
            texts += [part.text] if part.text else []
            yield Result(" ".join(texts), list(words), seconds, False)
        yield Result(" ".join(texts), words, seconds, True)


class Deltas:
    """What a growing text has gained, never to be taken back: words that two results in a row agree on.

    The last word of a result is left out: it may still go on.
    """

    def __init__(self) -> None:
        self._told = 0
        self._before: list[str] = []

    def of(self, result: Result) -> str:
        """The text that can be told now. All that were told, joined, are the final text, unless a language model has
        changed its mind about what was told; `done` has the text that counts."""
        words = [word.text for word in result.words]
        if result.final:
            safe = len(words)
        else:
            agreed = zip(words[self._told : -1], self._before[self._told :], strict=False)
            safe = self._told
            for now, before in agreed:
                if now != before:
                    break
                safe += 1
        self._before = words
        told = " ".join(words[self._told : safe])
        begins = self._told == 0
        self._told = max(safe, self._told)
        return told if begins or not told else f" {told}"
