"""Two stages: a trigger that always listens, and speech that is written down after its word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np

from heyjetson.audio import to_mono
from heyjetson.decoding.hypothesis import Result
from heyjetson.errors import AudioError, OptionError
from heyjetson.stream import Stream
from heyjetson.wakeword.detector import Detection
from heyjetson.wakeword.trigger import TriggerStream

T = TypeVar("T")
HISTORY = 3.0  # seconds of sound that are kept for a word's end to lie in
PIECE = 0.04  # seconds after which it is looked whether a word was detected or an utterance ended


class TwoStageListener:
    """Two streams on one sound: a trigger that always listens, and speech that begins where a word has ended.

    The trigger hears everything, so its time is the sound's; words that it raises while speech is written down are
    part of that speech. Speech gets every sample from `lead` before the event on, whether it came with the event's
    samples or before them. It ends by its endpoint rules, or when nothing is understood for `patience`. Memory is
    bounded.

    Args:
        trigger: waits for the word.
        speech: with endpoint rules, fed at the same sample rate.
        lead: seconds before the event at which speech begins; a word's end lies a little before its event.
        patience: seconds to wait for something to be said.

    Raises:
        OptionError: a value that cannot work.
    """

    def __init__(self, trigger: TriggerStream, speech: Stream, lead: float = 0.1, patience: float = 5.0):
        if not 0 <= lead <= HISTORY / 2:
            raise OptionError(f"The lead must lie between 0 and {HISTORY / 2} s, found {lead}.")
        if not patience > 0:
            raise OptionError(f"The patience must be above 0 seconds, found {patience}.")
        if speech.rules is None or speech.input_rate != trigger.input_rate:
            raise OptionError("Speech after a word needs endpoint rules and the trigger's sample rate.")
        self.trigger, self.speech = trigger, speech
        self.lead, self.patience = lead, patience
        self.rate = trigger.input_rate
        self.word: Detection | None = None  # what woke it
        self._began = 0  # sample that the speech began at
        self._position = 0  # samples heard
        self._past = np.zeros(0, np.float32)  # the last of them
        self._fault: Exception | None = None  # that one of the streams went on after, until it is told
        self._rest: list[Detection | Result] | None = None  # of `finish`, until it is given

    def feed(self, samples: np.ndarray) -> list[Detection | Result]:
        """Take the next samples [S] or [S, channels].

        Returns:
            each word that wakes it, and what was said then; times are those of the sound.

        Raises:
            AudioError: wrong shape, or values that are not numbers; it goes on without these samples.
            StreamError: it is finished, or a graph failed, which the next call says where something was found: it goes
                on without the sound of that step.
        """
        mono = to_mono(samples)
        # In small pieces: a word that follows an utterance is waited for at once, though both came together.
        piece = max(round(PIECE * self.rate), 1)
        found: list[Detection | Result] = []
        start = 0
        while start < len(samples):
            end = start + piece - self._position % piece
            found += self._hear(samples[start:end], mono[start:end])
            start = end
        return self._told(found)

    def _told(self, found: list[Detection | Result]) -> list[Detection | Result]:
        """What was found; where nothing was, a failure is told."""
        if self._fault is None or found:
            return found
        fault, self._fault = self._fault, None
        raise fault

    def _of(self, stream: Callable[[np.ndarray], list[T]], samples: np.ndarray) -> list[T]:
        """What a stream makes of samples; where its graph fails it goes on, and so does the other one."""
        try:
            return stream(samples)
        except AudioError:  # they were refused
            raise
        except Exception as error:  # a runtime's own exceptions share no base class
            self._fault = self._fault or error
            return []

    def _hear(self, samples: np.ndarray, mono: np.ndarray) -> list[Detection | Result]:
        events = self._of(self.trigger.feed, samples)
        self._position += len(mono)
        self._past = np.concatenate([self._past, mono])[-round(HISTORY * self.rate) :]
        if self.word:
            return self._write(mono)
        return self._wake(events[0]) if events else []

    def _wake(self, event: Detection) -> list[Detection | Result]:
        self.word = event
        past = min(max(self._position - round((event.time - self.lead) * self.rate), 0), len(self._past))
        self._began = self._position - past
        self.speech.reset()
        return [event, *self._write(self._past[len(self._past) - past :])]

    def _write(self, mono: np.ndarray) -> list[Detection | Result]:
        said = [result for result in self._of(self.speech.feed, mono) if result.text]
        if said or (self.speech.seconds >= self.patience and not self.speech.partial().text):
            self.word = None
        return [self._timed(result) for result in said]

    def _timed(self, result: Result) -> Result:
        """With the times of the sound."""
        begun = self._began / self.rate
        words = [replace(word, start=word.start + begun, end=word.end + begun) for word in result.words]
        return replace(result, words=words, seconds=result.seconds + begun)

    @property
    def missing(self) -> int:
        """About how many samples must be fed before anything new can be heard."""
        return min(self.trigger.missing, self.speech.missing) if self.word else self.trigger.missing

    def partial(self) -> str:
        """What is understood so far; nothing while it waits for a word."""
        return self.speech.partial().text if self.word else ""

    def finish(self) -> list[Detection | Result]:
        """The sound has ended: what is left. Nothing may follow.

        Raises:
            StreamError: it is finished already, or a graph failed: finish it again for what is left.
        """
        if self._rest is None:
            events = self._last(self.trigger.finish)
            self._rest = self._wake(events[0]) if events and not self.word else []
            if self.word:
                self.word = None
                result = self._last(self.speech.finish)
                self._rest += [self._timed(result)] if result.text else []
        self._told([])
        rest, self._rest = self._rest, None
        return rest

    def _last(self, finish: Callable[[], T]) -> T:
        """What is left of a stream, though its graph fails."""
        try:
            return finish()
        except Exception as error:
            given = finish()  # what it has all the same; of one that was finished before, its error
            self._fault = self._fault or error
            return given
