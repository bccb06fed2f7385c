"""The messages of `WS /v1/realtime`: OpenAI's realtime API, of which this is the part that transcribes.

A client sends `session.update`, `input_audio_buffer.append` (base64 of int16 mono samples at 24 kHz), `.commit` and
`.clear`. With `turn_detection` (server_vad, as a session begins) an utterance is committed where it ends; with null the
client commits. The words come as `conversation.item.input_audio_transcription.delta` while they are spoken, and all of
them as `.completed`.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from heyjetson import languages
from heyjetson.decoding.hypothesis import Word
from heyjetson.deltas import TextDeltas
from heyjetson.errors import AudioError, OptionError
from heyjetson.server.errors import RequestError
from heyjetson.server.live.options import ListenOptions, keywords_of
from heyjetson.server.live.realtime_session import Choices
from heyjetson.server.live.session import Event, LiveSession
from heyjetson.server.models import Models
from heyjetson.server.transcribe.verbose_json import log_probs
from heyjetson.together import Work

APPEND = "input_audio_buffer.append"
KINDS = ("session.update", APPEND, "input_audio_buffer.commit", "input_audio_buffer.clear")
TRANSCRIPTION = "conversation.item.input_audio_transcription"


@dataclass
class _Item:
    """An utterance that is being heard.

    Args:
        deltas: of its text.
        begin: seconds of the session.
        parts: texts that are final.
        words: of them, as the server tells words.
    """

    deltas: TextDeltas
    begin: float
    id: str = field(default_factory=lambda: _id("item"))
    parts: list[str] = field(default_factory=list)
    words: list[dict[str, Any]] = field(default_factory=list)


class Realtime:
    """See `connection.Talk`.

    Args:
        models: of the server.
        query: of the address: `model`.

    Raises:
        RequestError: the model is not here.
    """

    def __init__(self, models: Models, query: Mapping[str, str]):
        models.require_model(query.get("model", models.model_name))
        self.models = models
        self.id = _id("sess")
        self.choices = Choices()
        self.live = self._opened(self.choices)
        self._before = 0.0  # seconds that were heard before the last clear
        self._committed = 0.0  # seconds of the session
        self._item: _Item | None = None
        self._last: str | None = None  # id of the item before

    @property
    def rate(self) -> int:
        """Hertz of the sound."""
        return self.choices.rate

    @property
    def seconds(self) -> float:
        """Of the session's sound."""
        return self._before + self.live.seconds

    def _opened(self, choices: Choices) -> LiveSession:
        engine = self.models.engine
        options = ListenOptions(choices.rate, choices.rules(engine.bundle.streams), self._hot_words(choices))
        return LiveSession(engine, None, self.models.settings.scorer, options)

    def _hot_words(self, choices: Choices) -> dict[str, float] | None:
        spell = partial(self.models.engine.spelled, scorer=self.models.settings.scorer)
        return keywords_of(choices.keywords, spell, None)

    def ready(self) -> list[Event]:
        """See `Talk`, like what follows."""
        return [self._told("session.created", session=self._session())]

    def _session(self) -> dict[str, Any]:
        return {"id": self.id} | self.choices.effective(self.models.model_name, self.models.settings.language)

    @staticmethod
    def item(message: bytes | str) -> bytes | str:
        """The sound of a message that appends some."""
        if isinstance(message, bytes):
            return ""  # events are texts
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            event = json.loads(message)
            if isinstance(event, dict) and event.get("type") == APPEND:
                return base64.b64decode(event["audio"], validate=True)
        return message

    def obey(self, command: str) -> list[Event]:
        """Change the session, commit, or clear.

        Raises:
            OptionError: the message is none of these, or a value cannot work.
            DecoderError: a keyword cannot be written.
            RequestError: the model is not here.
        """
        event = _event(command)
        kind = event.get("type")
        if kind == "session.update":
            return self._update(event.get("session"))
        if kind == "input_audio_buffer.commit":
            return self._commit()
        if kind == "input_audio_buffer.clear":
            return self._clear()
        if kind == APPEND:
            raise AudioError("The field audio must hold the base64 of int16 samples: it was left out.")
        raise OptionError(
            f"There is no event {str(kind)[:60]!r} here, where speech is written: send {', '.join(KINDS)}."
        )

    def _update(self, session: Any) -> list[Event]:
        choices = self.choices.updated(session)
        wanted = choices.transcription
        if wanted.model:
            self.models.require_model(wanted.model)
        languages.require([wanted.language or "", *(wanted.languages or [])], self.models.settings.language)
        if not self.seconds:
            self.live = self._opened(choices)
        else:
            if choices.rate != self.rate:
                raise OptionError("The rate cannot change once sound has come: open another connection.")
            if choices.keywords != self.choices.keywords:
                self.live.change_hot_words(self._hot_words(choices))
            self.live.change_rules(choices.rules(self.models.engine.bundle.streams))
        self.choices = choices
        return [self._told("session.updated", session=self._session())]

    @property
    def missing(self) -> int:
        """See `Talk`."""
        return self.live.missing

    def hearing(self, sound: bytes) -> Work[list[Event]]:
        """Take the next samples; see `Talk`.

        Raises:
            AudioError: half a sample.
            OptionError: too much waits to be committed.
        """
        most = self.models.settings.audio_seconds
        if not self.choices.turns and self.seconds - self._committed + len(sound) / 2 / self.rate > most:
            raise OptionError(f"More than {most:g} s of sound wait to be committed: commit or clear them first.")
        told: list[Event] = []
        begin = self.seconds
        for event in (yield from self.live.hearing(sound)):
            if event["type"] == "final":
                told += self._ended(event)
            elif event["words"]:
                begin = self._before + event["words"][0]["start"]
        if self.live.running:
            told += self._begun(begin)
            told += self._delta(self.live.running)
        return told

    def _begun(self, seconds: float) -> list[Event]:
        """Begin an item, unless one has begun."""
        if self._item:
            return []
        bundle = self.models.engine.bundle
        helped = bundle.scorer_for(self.models.settings.scorer) or self.choices.keywords
        steady = bundle.streams and not helped
        self._item = _Item(TextDeltas(steady), seconds)
        if not self.choices.turns:
            return []
        begin = max(seconds - self.live.rules.onset, self._committed)
        at = round(begin * 1000)
        return [self._told("input_audio_buffer.speech_started", item_id=self._item.id, audio_start_ms=at)]

    def _delta(self, running: str, final: bool = False) -> list[Event]:
        """What the item's text has gained."""
        assert self._item
        text = " ".join(part for part in (*self._item.parts, running) if part)
        delta = self._item.deltas.of(text, final)
        return [self._transcription("delta", delta=delta)] if delta else []

    def _ended(self, event: Event) -> list[Event]:
        """An utterance is final: the item, or a part of one that its client commits."""
        told = self._begun(self._before + event["start"])
        assert self._item
        self._item.parts.append(event["text"])
        self._item.words += event["words"]
        if not self.choices.turns:
            return told
        at = round(min(self._before + event["end"] + self.live.rules.silence, self.seconds) * 1000)
        told.append(self._told("input_audio_buffer.speech_stopped", item_id=self._item.id, audio_end_ms=at))
        return told + self._completed()

    def _commit(self) -> list[Event]:
        if self.seconds <= self._committed:
            raise RequestError(422, "There is no sound to commit: append some.", "input_audio_buffer_commit_empty")
        told: list[Event] = []
        for event in self.live.flush():
            if event["type"] == "final":
                told += self._ended(event)
        if self.seconds > self._committed:  # unless the end of the turn has done it
            told += self._begun(self._committed) if self._item is None and not self.choices.turns else []
            self._item = self._item or _Item(TextDeltas(True), self._committed)
            told += self._completed()
        return told

    def _completed(self) -> list[Event]:
        """Commit the item, and give all that it says."""
        assert self._item
        item, before = self._item, {"previous_item_id": self._last}
        text = " ".join(item.parts)
        message = {
            "id": item.id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        more: dict[str, Any] = {"usage": {"type": "duration", "seconds": round(self.seconds - self._committed, 3)}}
        if self.choices.log_probs:
            words = [Word(word["word"], word["start"], word["end"], word["confidence"]) for word in item.words]
            more["logprobs"] = log_probs(words, labels_of=self.models.engine.labels_of(self.models.settings.scorer))
        told = [
            self._told("input_audio_buffer.committed", item_id=item.id, **before),
            self._told("conversation.item.added", item=message, **before),
            self._told("conversation.item.done", item=message, **before),
            *self._delta("", final=True),
            self._transcription("completed", transcript=text, **more),
        ]
        self._item, self._last, self._committed = None, item.id, self.seconds
        return told

    def _clear(self) -> list[Event]:
        self._before = self.seconds
        self._committed = self._before
        self._item = None
        self.live.reset()
        return [self._told("input_audio_buffer.cleared")]

    def flush(self) -> list[Event]:
        """Commit what there is."""
        return self._commit() if self.seconds > self._committed else []

    def _transcription(self, kind: str, **more: Any) -> Event:
        assert self._item
        return self._told(f"{TRANSCRIPTION}.{kind}", item_id=self._item.id, content_index=0, **more)

    @staticmethod
    def _told(kind: str, **more: Any) -> Event:
        return {"type": kind, "event_id": _id("event")} | more

    @staticmethod
    def fault(status: int, code: str, message: str, item: bytes | str = b"") -> Event:
        """An error, with the id of the event that was at fault."""
        event_id = None
        if isinstance(item, str):
            with suppress(OptionError):
                event_id = _event(item).get("event_id")
        kind = "server_error" if status >= 500 else "invalid_request_error"
        error = {"type": kind, "code": code, "message": message, "param": None}
        return Realtime._told("error", error=error | {"event_id": event_id if isinstance(event_id, str) else None})


def _event(text: str) -> dict[str, Any]:
    """A client's event.

    Raises:
        OptionError: it is none.
    """
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise OptionError('A message must be an event in JSON, such as {"type": "input_audio_buffer.commit"}.')
    return event


def _id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(8)}"
