"""A model that hears whole recordings, as if it streamed: what is being said is kept and read again as it grows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import soxr

from heyjetson.audio import to_mono
from heyjetson.decoding.hypothesis import Decoder, Result
from heyjetson.endpoint import FOREVER, EndpointRules, EnergyGate
from heyjetson.engine import Engine

BLOCK = 0.02  # seconds that are loud or not
OVER = 10.0  # decibels over the background that are speech
QUIET = -50.0  # decibels of full scale: the background before it is known
KEPT = 2.0  # seconds of the beginning that are kept though nothing stood out: what the background is, is not known
FIRST, GROWTH = 0.6, 0.4  # an utterance is read again when it is so many seconds longer, and by so large a share


class PseudoStream:
    """The verbs of `heyjetson.Stream` on a bundle of whole recordings.

    An utterance begins and ends by loudness, or where no silence ends it with its first sample and by `finish`; one
    that reaches `longest` ends before its last word. Each of its seconds is read a few times, since the readings lie
    further apart the longer it gets; memory is bounded by `longest`.

    Args:
        engine: whose model runs.
        decoder: of this stream alone.
        sample_rate: hertz of what will be fed.
        rules: when an utterance ends.
    """

    def __init__(self, engine: Engine, decoder: Decoder, sample_rate: int, rules: EndpointRules):
        self.engine, self.decoder, self.rules = engine, decoder, rules
        self.rate, self.input_rate = engine.bundle.sample_rate, sample_rate
        self._block = round(BLOCK * self.rate)
        self._window = engine.bundle.manifest["window"]
        self.reset()

    def reset(self) -> None:
        """Forget everything that was fed."""
        other = self.input_rate != self.rate
        self._resampler = soxr.ResampleStream(self.input_rate, self.rate, 1, "float32") if other else None
        self._gate = EnergyGate(OVER, BLOCK)
        self._gate.background = QUIET
        self._rest = np.zeros(0, np.float32)
        self._fed = self._position = 0
        self._unsure = True  # nothing has stood out yet
        self._begin([])

    def _begin(self, kept: list[np.ndarray]) -> None:
        """Begin an utterance with the blocks before it."""
        self._blocks = kept
        self._spoken = False
        self._quiet = 0
        self._read = 0  # blocks that the last reading had
        self._reading = Result("", final=False)

    @property
    def seconds(self) -> float:
        """How much has been fed."""
        return self._fed / self.input_rate

    @property
    def missing(self) -> int:
        """Samples that must be fed before anything new can be understood: a block."""
        return round(BLOCK * self.input_rate)

    def change_rules(self, rules: EndpointRules) -> None:
        """End utterances by other rules from now on."""
        self.rules = rules

    def feed(self, samples: np.ndarray) -> list[Result]:
        """Take the next samples; returns the utterances that ended."""
        mono = to_mono(samples)
        self._fed += len(mono)
        ended = self._push(self._resampler.resample_chunk(mono) if self._resampler else mono)
        grown = len(self._blocks) - self._read
        if self._spoken and grown * BLOCK >= max(FIRST, GROWTH * self._read * BLOCK):
            self._reading = self._transcribed(final=False)
            self._read = len(self._blocks)
        return ended

    def _push(self, mono: np.ndarray) -> list[Result]:
        ended: list[Result] = []
        self._rest = np.concatenate([self._rest, mono])
        whole = len(self._rest) // self._block
        blocks = self._rest[: whole * self._block].reshape(whole, self._block)
        self._rest = self._rest[whole * self._block :]
        onset = max(round(self.rules.onset / BLOCK), 1)
        for block in blocks:
            loud = self._gate.is_open(block)
            self._blocks.append(block)
            self._position += 1
            self._spoken |= loud or self.rules.silence >= FOREVER
            self._quiet = 0 if loud else self._quiet + 1
            self._unsure &= not self._spoken
            if not self._spoken:
                kept = round(min(KEPT, self.rules.longest / 2) / BLOCK) if self._unsure else 0
                self._blocks = self._blocks[-max(onset, kept) :]
            elif self._quiet * BLOCK >= self.rules.silence:
                ended.append(self._transcribed(final=True))
                self._begin(self._blocks[-onset:] if self._quiet >= onset else [])
            elif len(self._blocks) * BLOCK >= self.rules.longest:
                ended.append(self._cut())
        return ended

    def _cut(self) -> Result:
        """End an utterance in the middle of speech: its last word, which may go on, begins the next one."""
        result, begun = self._transcribed(final=True), self._position - len(self._blocks)
        *_, before, last = [None, None, *result.words]
        kept = round((before.end + last.start) / 2 / BLOCK) - begun if before and last else 0
        if kept < len(self._blocks) // 2:  # so long a word is none
            self._begin([])
            return result
        quiet = self._quiet
        self._begin(self._blocks[kept:])
        self._spoken, self._quiet = True, quiet
        words = result.words[:-1]
        return replace(result, text=" ".join(word.text for word in words), words=words, alternatives=[])

    def _transcribed(self, final: bool) -> Result:
        samples = np.concatenate([*self._blocks, self._rest]) if self._blocks else self._rest
        if not self._spoken or len(samples) < self._window:
            return Result("", seconds=self.seconds, final=final)
        begun = (self._position - len(self._blocks)) * BLOCK
        result = self.engine.transcribe(samples, self.rate, self.decoder)
        words = [replace(word, start=word.start + begun, end=word.end + begun) for word in result.words]
        return replace(result, words=words, seconds=self.seconds, final=final)

    def partial(self) -> Result:
        """What the last reading of the running utterance understood."""
        return self._reading

    def finish(self) -> Result:
        """End the stream and return the running utterance. Only `reset` may follow."""
        if self._resampler:
            self._rest = np.concatenate(
                [self._rest, self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)]
            )
        self._spoken |= self._unsure
        return self._transcribed(final=True)
