"""What is offered: one speech model and one trigger for all connections, and what one stream of sound makes of them.

A stream blocks, and is not to be used from two threads at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.event import Event
from wyoming.wake import Detect, Detection, NotDetected

from heyjetson import languages
from heyjetson.audio import to_mono
from heyjetson.bundle import name_of
from heyjetson.decoding.hotwords import KEYWORD_BOOST
from heyjetson.decoding.hypothesis import Decoder
from heyjetson.deltas import TextDeltas
from heyjetson.engine import Engine
from heyjetson.errors import AudioError, OptionError
from heyjetson.server.live.options import PHRASE_CHARACTERS, PHRASES
from heyjetson.wakeword.detector import Detection as Detected
from heyjetson.wakeword.trigger import Trigger

LOG = logging.getLogger("heyjetson.wyoming")
NAME = "heyjetson"  # of the programs, as Home Assistant shows them
TERM_BOOST = 2.0  # natural logarithms; names have more
SHOWN = 5  # words that the log names


@dataclass(frozen=True)
class Services:
    """What all connections share.

    Args:
        engine: of speech, or None.
        trigger: of wake words, or None.
        scorer: language model, see `Engine.decoder`.
        language: code of what the speech model writes.
        longest: seconds of one transcription.
        threads: that run the models.
    """

    engine: Engine | None
    trigger: Trigger | None
    scorer: str | None = None
    language: str = languages.DEFAULT
    longest: float = 600.0
    threads: int = 2
    pool: ThreadPoolExecutor = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pool", ThreadPoolExecutor(self.threads, thread_name_prefix="wyoming"))

    def check(self, request: Transcribe | Detect | None) -> None:
        """Refuse what cannot be done, before any sound has come.

        Raises:
            OptionError: another model, language or wake word than those that are here.
        """
        if isinstance(request, Detect):
            self.wake_words(request)
            return
        if self.engine is None:
            raise OptionError("Wake words alone are heard here: send detect before the sound.")
        if request and request.name and request.name != name_of(self.engine.bundle):
            raise OptionError(f"There is no model {str(request.name)[:60]!r} here: {name_of(self.engine.bundle)!r} is.")
        if request and request.language:
            languages.require([str(request.language)], self.language)

    def wake_words(self, request: Detect) -> set[str]:
        """The words that a client wants to be told of.

        Raises:
            OptionError: one is not heard here.
        """
        if self.trigger is None:
            raise OptionError("No wake words are heard here: start `heyjetson wyoming` with --trigger.")
        ours = {_plain(word): word for word in self.trigger.words}
        names = request.names or list(ours)
        strange = names if not isinstance(names, list) else [name for name in names if _plain(str(name)) not in ours]
        if strange:
            raise OptionError(
                f"There is no wake word {str(strange[0])[:60]!r} here: there are {', '.join(ours.values())}."
            )
        return {ours[_plain(name)] for name in names}

    def open(self, request: Transcribe | Detect | None, rate: int, channels: int) -> Listener:
        """A stream of sound; a client that asks for nothing wants text.

        Args:
            request: what the client has asked for, checked.
            rate: hertz.
            channels: of the sound.
        """
        if isinstance(request, Detect):
            assert self.trigger
            return Watching(self.trigger, self.wake_words(request), rate, channels)
        self.check(request)
        assert self.engine
        words = self._hot_words(request) if request else {}
        decoder = self.engine.decoder(self.scorer, words or None)
        if self.engine.bundle.streams:
            helped = words or self.engine.bundle.scorer_for(self.scorer)
            return Transcribing(self, decoder, rate, steady=not helped)
        return Keeping(self, decoder, rate)

    def _hot_words(self, request: Transcribe) -> dict[str, float]:
        """Names and terms that shall be heard: as many as the search can bear, names first, and those that the model
        can write. An assistant sends all that its house has, so one that cannot be used must not end the request."""
        assert self.engine
        found: dict[str, float] = {}
        left_out = []
        wanted = [(name, KEYWORD_BOOST) for name in _strings("transcript_names", request.transcript_names)]
        wanted += [(term, TERM_BOOST) for term in _strings("transcript_terms", request.transcript_terms)]
        for phrase, boost in wanted:
            written = self.engine.spelled(phrase, self.scorer)
            usable = self.engine.can_write(written, self.scorer) and len(written) <= PHRASE_CHARACTERS
            if usable and len(found) < PHRASES:
                found.setdefault(written, boost)
            else:
                left_out.append(phrase[:40])
        if left_out:
            shown = ", ".join(left_out[:SHOWN]) + (", …" if len(left_out) > SHOWN else "")
            LOG.info(
                "%d names were not listened for, they are too long, too many or not writable: %s", len(left_out), shown
            )
        return found


class Listener(Protocol):
    """One stream of sound."""

    def begin(self) -> list[Event]:
        """What is said before the sound."""

    def hear(self, samples: np.ndarray, timestamp: int | None) -> list[Event]:
        """Take the next samples [S, C], of a chunk whose client counts time so (milliseconds)."""

    def finish(self) -> list[Event]:
        """End it."""


class Transcribing:
    """Speech to text as it is spoken.

    Args:
        services: with a model that streams.
        decoder: of this stream alone.
        rate: hertz.
        steady: see `TextDeltas`.
    """

    def __init__(self, services: Services, decoder: Decoder, rate: int, steady: bool):
        from heyjetson.stream import Stream

        engine = services.engine
        assert engine
        self._stream = Stream(engine.bundle, engine.session, decoder, rate)
        self._services = services
        self._deltas = TextDeltas(steady)

    def begin(self) -> list[Event]:
        """See `Listener`, like what follows."""
        return [TranscriptStart(language=self._services.language).event()]

    def hear(self, samples: np.ndarray, timestamp: int | None) -> list[Event]:
        """Feed the stream."""
        _require_room(self._stream.seconds, self._services)
        self._stream.feed(samples)
        return self._gained(self._stream.partial().text, final=False)

    def finish(self) -> list[Event]:
        """The rest of the text, and all of it."""
        text = self._stream.finish().text
        whole = Transcript(text, language=self._services.language).event()
        return [*self._gained(text, final=True), whole, TranscriptStop().event()]

    def _gained(self, text: str, final: bool) -> list[Event]:
        delta = self._deltas.of(text, final)
        return [TranscriptChunk(delta).event()] if delta else []


class Keeping:
    """Speech to text by a model that hears whole recordings: the sound is kept to its end.

    Args:
        services: with such a model.
        decoder: of this recording alone.
        rate: hertz.
    """

    def __init__(self, services: Services, decoder: Decoder, rate: int):
        self._services, self._decoder, self._rate = services, decoder, rate
        self._kept: list[np.ndarray] = []
        self._length = 0

    def begin(self) -> list[Event]:
        """See `Listener`, like what follows."""
        return []

    def hear(self, samples: np.ndarray, timestamp: int | None) -> list[Event]:
        """Keep it, one channel of 16 bits a sample."""
        _require_room(self._length / self._rate, self._services)
        mono = to_mono(samples)
        self._kept.append(np.round(np.clip(mono, -1, 32767 / 32768) * 32768).astype(np.int16))
        self._length += len(mono)
        return []

    def finish(self) -> list[Event]:
        """Transcribe it."""
        assert self._services.engine
        bundle = self._services.engine.bundle
        kept, self._kept = np.concatenate([np.zeros(0, np.int16), *self._kept]), []
        text = ""
        if round(len(kept) * bundle.sample_rate / self._rate) >= bundle.manifest["window"]:
            text = self._services.engine.transcribe(kept, self._rate, self._decoder).text
        return [Transcript(text, language=self._services.language).event()]


class Watching:
    """Wake words.

    Args:
        trigger: shared.
        words: that are told of.
        rate: hertz.
        channels: each is listened to.
    """

    def __init__(self, trigger: Trigger, words: Iterable[str], rate: int, channels: int):
        self._stream = trigger.stream(rate, channels)
        self._words = set(words)
        self._heard = False

    def begin(self) -> list[Event]:
        """See `Listener`, like what follows."""
        return []

    def hear(self, samples: np.ndarray, timestamp: int | None) -> list[Event]:
        """The words that these samples raise."""
        return self._told(self._stream.feed(samples), timestamp)

    def finish(self) -> list[Event]:
        """What the rest raises, or that nothing was heard."""
        told = self._told(self._stream.finish(), None)
        return told if self._heard else [NotDetected().event()]

    def _told(self, detections: list[Detected], timestamp: int | None) -> list[Event]:
        ours = [event for event in detections if event.word in self._words]
        self._heard |= bool(ours)
        return [
            Detection(event.word, round(event.time * 1000) if timestamp is None else timestamp).event()
            for event in ours
        ]


def _require_room(seconds: float, services: Services) -> None:
    if seconds > services.longest:
        raise AudioError(f"What is transcribed at once may last {services.longest:g} s: send audio-stop before.")


def _strings(name: str, given: object) -> list[str]:
    if given is not None and not (isinstance(given, list) and all(isinstance(word, str) for word in given)):
        raise OptionError(f"{name} must be a list of words.")
    return list(given or [])


def _plain(word: str) -> str:
    return " ".join(word.replace("_", " ").lower().split())
