"""One client's live stream: sound in, events out. Blocks, and is not to be used from two threads at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from heyjetson.decoding.hypothesis import Decoder, Hypothesis, Result, Word
from heyjetson.endpoint import EndpointRules
from heyjetson.engine import Engine
from heyjetson.errors import AudioError
from heyjetson.formats import word_records
from heyjetson.loudness import Loudness
from heyjetson.server.live.options import ListenOptions, changed_rules, hot_words_of
from heyjetson.server.live.pseudo_streaming import PseudoStream
from heyjetson.stream import Stream
from heyjetson.together import Work, alone
from heyjetson.wakeword.trigger import Trigger

Event = dict[str, Any]


class ChangingDecoder:
    """A decoder that another one may take the place of, where no word is cut in two by it.

    Args:
        decoder: the first one.
        frame_seconds: seconds a frame.
    """

    def __init__(self, decoder: Decoder, frame_seconds: float):
        self.frame_seconds = frame_seconds
        self._now = decoder
        self._next: Decoder | None = None
        self.reset()

    def change(self, decoder: Decoder) -> None:
        """Use another decoder from the next utterance on, or at once where nothing was said yet."""
        self._next = decoder
        if not self._now.words():
            self.reset(self._offset + self._frames * self.frame_seconds, self._sound)

    def reset(self, offset: float = 0.0, sound: Loudness | None = None) -> None:
        """Begin an utterance; see `Decoder`, like what follows."""
        self._now, self._next = self._next or self._now, None
        self._now.reset(offset, sound)
        self._offset, self._frames, self._sound = offset, 0, sound

    def feed(self, log_probs: np.ndarray) -> None:
        """Take the next frames."""
        self._now.feed(log_probs)
        self._frames += len(log_probs)

    def words(self) -> list[Word]:
        """The likeliest words so far."""
        return self._now.words()

    def finish(self) -> list[Hypothesis]:
        """End the utterance."""
        return self._now.finish()


class LiveSession:
    """What one client said: speech and wake words of one stream of sound.

    Args:
        engine: of speech, shared.
        trigger: shared, or None.
        scorer: language model, see `Engine.decoder`.
        options: what the client asked for.

    Raises:
        OptionError: what it asked for cannot work.
        DecoderError: a hot word cannot be written.
    """

    def __init__(self, engine: Engine, trigger: Trigger | None, scorer: str | None, options: ListenOptions):
        self.engine, self.scorer, self.rules, self.rate = engine, scorer, options.rules, options.rate
        decoder = engine.decoder(scorer, options.hot_words)
        self.decoder = ChangingDecoder(decoder, engine.bundle.frame_seconds)
        self.speech: Stream | PseudoStream
        if engine.bundle.streams:
            self.speech = Stream(engine.bundle, engine.session, self.decoder, options.rate, options.rules)
        else:
            self.speech = PseudoStream(engine, self.decoder, options.rate, options.rules)
        self.trigger = trigger.stream(options.rate) if trigger else None
        self._before = 0.0  # seconds before the last flush
        self._text = ""  # of the last partial

    @property
    def seconds(self) -> float:
        """How much was heard."""
        return self._before + self.speech.seconds

    @property
    def running(self) -> str:
        """What is understood of the running utterance."""
        return self._text

    def hear(self, sound: bytes) -> list[Event]:
        """Take the next samples.

        Args:
            sound: int16, little-endian, mono.

        Returns:
            what is to be told.

        Raises:
            AudioError: half a sample.
        """
        return alone(self.hearing(sound))

    @property
    def missing(self) -> int:
        """Bytes of sound that must come before there is anything to tell."""
        missing = min([self.speech.missing] + ([self.trigger.missing] if self.trigger else []))
        return 2 * missing

    def hearing(self, sound: bytes) -> Work[list[Event]]:
        """As `hear`, for one who runs the steps: see `heyjetson.together`."""
        if len(sound) % 2:
            raise AudioError(
                f"A message of sound must hold whole int16 samples, found {len(sound)} bytes: it was left out."
            )
        samples = np.frombuffer(sound, "<i2").astype(np.int16, copy=False)
        detections = self.trigger.feed(samples) if self.trigger else []
        events: list[Event] = [{"type": "trigger", **asdict(event)} for event in detections]
        speech = self.speech
        ended = (yield from speech.feeding(samples)) if isinstance(speech, Stream) else speech.feed(samples)
        for result in ended:
            events += self._final(result)
        running = self.speech.partial()
        if running.text != self._text:
            self._text = running.text
            events.append({"type": "partial", **self._told(running)})
        return events

    def flush(self) -> list[Event]:
        """End the running utterance; what follows is another one."""
        before = self.seconds
        events = self._final(self.speech.finish())
        self.speech.reset()
        self._before, self._text = before, ""
        return [*events, {"type": "flushed"}]

    def reset(self) -> list[Event]:
        """Forget everything; time begins at 0 again."""
        self.speech.reset()
        if self.trigger:
            self.trigger.reset()
        self._before, self._text = 0.0, ""
        return [{"type": "reset"}]

    def configure(self, command: Event) -> list[Event]:
        """Change hot words and endpoint rules; see `ListenOptions`.

        Raises:
            OptionError: a value that cannot work; nothing is changed.
            DecoderError: a hot word cannot be written.
        """
        rules = changed_rules(self.rules, command.get("endpoint", {}))
        if "hot_words" in command:
            self.change_hot_words(hot_words_of(command["hot_words"]))
        self.change_rules(rules)
        return [{"type": "configured"}]

    def change_hot_words(self, hot_words: Mapping[str, float] | None) -> None:
        """Listen for other words, see `ChangingDecoder`.

        Raises:
            DecoderError: one cannot be written; nothing is changed.
        """
        self.decoder.change(self.engine.decoder(self.scorer, hot_words))

    def change_rules(self, rules: EndpointRules) -> None:
        """End utterances by other rules."""
        self.speech.change_rules(rules)
        self.rules = rules

    def _final(self, result: Result) -> list[Event]:
        self._text = ""
        if not result.text:
            return []
        told = self._told(result)
        return [{"type": "final", **told, "start": told["words"][0]["start"], "end": told["words"][-1]["end"]}]

    def _told(self, result: Result) -> Event:
        words = word_records(result.words, self._before)
        return {"text": result.text, "words": words, "seconds": round(self.seconds, 3)}
