"""Any server that transcribes as OpenAI's does, this project's own among them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from heyjetson.errors import OptionError
from heyjetson.server.engines.base import EngineError, TranscriptionResult, mean_confidence
from heyjetson.server.engines.remote import SECONDS, RemoteEngine, key_of

LOOPBACK = ("localhost", "::1")
DEFAULT_MODEL = "gpt-transcribe"


class OpenAIEngine(RemoteEngine):
    """POST {base}/audio/transcriptions.

    Args:
        name: what clients call it.
        base: address that ends in /v1, mostly.
        model: as the server calls it.
        key: or None.
        seconds: see `RemoteEngine`.
    """

    kind = "openai"

    def __init__(self, name: str, base: str, model: str, key: str | None = None, seconds: float = SECONDS):
        host = urlsplit(base).hostname or ""
        local = host in LOOPBACK or host.startswith("127.")
        super().__init__(name, f"{base.rstrip('/')}/audio/transcriptions", local, seconds)
        self.identity = f"{self.identity} {model}"
        self.model = model
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._verbose = True  # until the server says that it cannot

    @classmethod
    def of(cls, name: str, what: str) -> OpenAIEngine:
        """The engine of a definition `https://host/v1#model`; its key is in HEYJETSON_ENGINE_<NAME>_KEY.

        Raises:
            OptionError: the address cannot be used.
        """
        base, _, model = what.partition("#")
        form = f"Write it as {name}=openai:https://host/v1#model"
        try:
            address = urlsplit(base)
            port_is_good = address.port is None or address.port > 0
        except ValueError:
            raise OptionError(f"The address of the engine {name!r} cannot be understood. {form}.") from None
        if address.scheme not in ("http", "https") or not address.hostname or not port_is_good:
            raise OptionError(f"The engine {name!r} needs an address of http or https. {form}.")
        variable = f"HEYJETSON_ENGINE_{name.upper().replace('-', '_')}_KEY"
        if "@" in address.netloc or address.query:
            raise OptionError(
                f"The address of {name!r} holds a password or a query: put the key in {variable}. {form}."
            )
        return cls(name, base, model or DEFAULT_MODEL, key_of(variable))

    async def ask(self, sound: bytes) -> Any:
        """See `RemoteEngine.ask`. Servers that know no `verbose_json` are asked for `json`."""
        if self._verbose:
            try:
                form = {"response_format": "verbose_json", "timestamp_granularities[]": "word"}
                return await self._send(sound, form)
            except EngineError as error:
                if error.status not in (400, 422):
                    raise
            answer = await self._send(sound, {"response_format": "json"})
            self._verbose = False
            return answer
        return await self._send(sound, {"response_format": "json"})

    async def _send(self, sound: bytes, form: dict[str, str]) -> Any:
        files = {"file": ("audio.wav", sound, "audio/wav")}
        return await self.post(data={"model": self.model, **form}, files=files, headers=self._headers)

    def read(self, answer: Any, taken: float) -> TranscriptionResult:
        """See `RemoteEngine.read`."""
        words = [
            {
                "word": str(word["word"]),
                "start": _number(word.get("start")),
                "end": _number(word.get("end")),
                "confidence": _share(word),
            }
            for word in answer.get("words") or []
        ]
        if not isinstance(answer["text"], str):
            raise TypeError
        return TranscriptionResult(answer["text"].strip(), taken, words, mean_confidence(words))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _share(word: dict[str, Any]) -> float | None:
    value = _number(word.get("confidence", word.get("probability")))
    return value if value is not None and 0 <= value <= 1 else None
