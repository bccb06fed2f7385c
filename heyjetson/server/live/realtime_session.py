"""What a client of `WS /v1/realtime` may choose, and what of it holds: OpenAI's transcription session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from heyjetson.audio.rates import HIGHEST_RATE, LOWEST_RATE
from heyjetson.endpoint import FOREVER, EndpointRules
from heyjetson.errors import OptionError
from heyjetson.server.live.options import PHRASE_CHARACTERS, PHRASES, RULES

RATE = 24000  # hertz
LOG_PROBS = "item.input_audio_transcription.logprobs"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Format(_Part):
    type: Literal["audio/pcm"] = "audio/pcm"
    rate: int = Field(default=RATE, ge=LOWEST_RATE, le=HIGHEST_RATE)


class _Transcription(_Part):
    model: str | None = Field(default=None, max_length=200)
    language: str | None = Field(default=None, max_length=100)
    languages: list[str] | None = Field(default=None, max_length=100)
    keywords: list[str] | None = Field(default=None, max_length=PHRASES)
    prompt: str | None = Field(default=None, max_length=8192)
    delay: str | None = Field(default=None, max_length=100)


class _ServerVad(_Part):
    type: Literal["server_vad"] = "server_vad"
    prefix_padding_ms: int = Field(default=300, ge=0, le=10_000)
    silence_duration_ms: int = Field(default=500, ge=40, le=round(RULES["silence"] * 1000))
    threshold: float | None = Field(default=None, ge=0, le=1)
    idle_timeout_ms: int | None = None
    create_response: bool | None = None
    interrupt_response: bool | None = None


class _Noise(_Part):
    type: str | None = Field(default=None, max_length=100)
    strength: float | None = None


class _Input(_Part):
    format: _Format = _Format()
    noise_reduction: _Noise | None = None
    transcription: _Transcription = _Transcription()
    turn_detection: _ServerVad | None = _ServerVad()


class _Audio(_Part):
    input: _Input = _Input()


class _Session(_Part):
    type: Literal["transcription"] = "transcription"
    audio: _Audio = _Audio()
    include: list[Literal["item.input_audio_transcription.logprobs"]] | None = Field(default=None, max_length=4)


@dataclass(frozen=True)
class Choices:
    """A session's choices. Those that change nothing here are not among `effective`: that is how a client is told.

    Args:
        chosen: the session as it was validated.
    """

    chosen: _Session = field(default_factory=_Session)

    def updated(self, session: Any) -> Choices:
        """With a client's changes: fields that it leaves out stay as they are.

        Raises:
            OptionError: a value that cannot work, or a field that there is not.
        """
        if not isinstance(session, Mapping):
            raise OptionError('session must be a table such as {"type": "transcription"}.')
        try:
            return Choices(_Session.model_validate(_merged(self.chosen.model_dump(), session)))
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(["session", *(str(part) for part in fault["loc"])])
            raise OptionError(f"{where[:200]} cannot be used: {fault['msg']}. See docs/serve.md.") from None
        except RecursionError:
            raise OptionError("The session is nested too deeply.") from None

    @property
    def rate(self) -> int:
        """Hertz of what is sent."""
        return self.chosen.audio.input.format.rate

    @property
    def turns(self) -> bool:
        """Whether utterances end by themselves; else the client commits them."""
        return self.chosen.audio.input.turn_detection is not None

    @property
    def transcription(self) -> _Transcription:
        """Model, languages and keywords."""
        return self.chosen.audio.input.transcription

    @property
    def keywords(self) -> list[str]:
        """Words to listen for, of bounded length.

        Raises:
            OptionError: one is too long.
        """
        words = self.transcription.keywords or []
        if long := next((word for word in words if len(word) > PHRASE_CHARACTERS), None):
            raise OptionError(f"A keyword may have {PHRASE_CHARACTERS} characters at most: {long[:20]!r}… is longer.")
        return words

    @property
    def log_probs(self) -> bool:
        """Whether the words' log-probabilities are told."""
        return LOG_PROBS in (self.chosen.include or [])

    def rules(self, streams: bool) -> EndpointRules:
        """When an utterance ends.

        Args:
            streams: the model does; one that hears whole recordings keeps what it has not read, a minute at most.
        """
        vad = self.chosen.audio.input.turn_detection
        if vad is None:
            longest = FOREVER if streams else RULES["longest"]
            return EndpointRules(silence=FOREVER, no_speech=FOREVER, longest=longest)
        usual, silence = EndpointRules(), vad.silence_duration_ms / 1000
        onset = min(vad.prefix_padding_ms / 1000, silence, usual.no_speech)
        # Where nothing is said the model begins anew after so long, and hears the onset again: half of it at most.
        return EndpointRules(silence, no_speech=max(usual.no_speech, 2 * onset), onset=onset)

    def effective(self, model: str, language: str) -> dict[str, Any]:
        """What holds, as a session of OpenAI's says it.

        Args:
            model: that hears, whatever was asked for.
            language: that it writes.
        """
        vad = self.chosen.audio.input.turn_detection
        turns = None
        if vad:
            rules = self.rules(True)
            turns = {
                "type": "server_vad",
                "prefix_padding_ms": round(rules.onset * 1000),
                "silence_duration_ms": vad.silence_duration_ms,
            }
        transcription: dict[str, Any] = {"model": model, "language": language}
        if self.transcription.keywords:
            transcription["keywords"] = self.transcription.keywords
        heard = {
            "format": {"type": "audio/pcm", "rate": self.rate},
            "noise_reduction": None,
            "transcription": transcription,
            "turn_detection": turns,
        }
        session = {"type": "transcription", "object": "realtime.transcription_session", "audio": {"input": heard}}
        return session | {"include": list(self.chosen.include or [])}


def _merged(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """A table with another's values, and so with tables within."""
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        merged[key] = _merged(before, value) if isinstance(before, dict) and isinstance(value, Mapping) else value
    return merged
