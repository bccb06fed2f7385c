"""Azure Speech, by its REST interface for short recordings."""

from __future__ import annotations

import re
from typing import Any

from heyjetson.errors import OptionError
from heyjetson.server.audio.uploads import Clip
from heyjetson.server.engines.base import EngineError, TranscriptionResult
from heyjetson.server.engines.remote import SECONDS, RemoteEngine, key_of

KEY = "AZURE_SPEECH_KEY"
LONGEST = 60.0  # seconds; the interface takes no more
TICKS = 1e7  # a second
_REGION = re.compile(r"[a-z0-9]{2,40}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_PATH = "/speech/recognition/conversation/cognitiveservices/v1"


class AzureEngine(RemoteEngine):
    """POST of a wav file; the text is that of the best reading, as it is spoken (`Lexical`: no digits, no punctuation).

    Args:
        name: what clients call it.
        region: of the resource, `westeurope`.
        key: of the resource.
        language: that is spoken.
        base: of another host, or None for Azure's of the region.
        seconds: see `RemoteEngine`.
    """

    kind = "azure"

    def __init__(
        self,
        name: str,
        region: str,
        key: str,
        language: str = "en-US",
        base: str | None = None,
        seconds: float = SECONDS,
    ):
        super().__init__(name, (base or f"https://{region}.stt.speech.microsoft.com") + _PATH, False, seconds)
        self.identity = f"{self.identity} {language}"
        self._query = {"language": language, "format": "detailed", "profanity": "raw", "wordLevelTimestamps": "true"}
        self._headers = {
            "Ocp-Apim-Subscription-Key": key,
            "Content-Type": "audio/wav; codecs=audio/pcm; samplerate=16000",
            "Accept": "application/json",
        }

    @classmethod
    def of(cls, name: str, what: str) -> AzureEngine:
        """The engine of a definition `region` or `region#language`; its key is in AZURE_SPEECH_KEY.

        Raises:
            OptionError: no such region or language can be, or there is no key.
        """
        region, _, language = what.partition("#")
        if not _REGION.fullmatch(region) or not _LANGUAGE.fullmatch(language or "en-US"):
            raise OptionError(f"The engine {name!r} needs a region of Azure: write {name}=azure:westeurope#en-US.")
        key = key_of(KEY)
        if not key:
            raise OptionError(f"The engine {name!r} is Azure Speech: put its key in the variable {KEY}.")
        return cls(name, region, key, language or "en-US")

    async def transcribe(self, clip: Clip) -> TranscriptionResult:
        """See `Engine.transcribe`."""
        if clip.seconds > LONGEST:
            raise EngineError(
                f"Azure takes recordings of up to {LONGEST:.0f} s here, this one has {clip.seconds:.0f} s."
            )
        return await super().transcribe(clip)

    async def ask(self, sound: bytes) -> Any:
        """See `RemoteEngine.ask`."""
        return await self.post(content=sound, params=self._query, headers=self._headers)

    def read(self, answer: Any, taken: float) -> TranscriptionResult:
        """See `RemoteEngine.read`."""
        status = answer["RecognitionStatus"]
        if status in ("NoMatch", "InitialSilenceTimeout"):  # it heard no speech
            return TranscriptionResult("", taken)
        if status != "Success":
            raise EngineError("Azure could not recognise anything: it hears noise only, or had a fault of its own.")
        best = answer["NBest"][0]
        words = [
            {
                "word": str(word["Word"]),
                "start": word["Offset"] / TICKS,
                "end": (word["Offset"] + word["Duration"]) / TICKS,
                "confidence": word.get("Confidence"),
            }
            for word in best.get("Words") or []
        ]
        return TranscriptionResult(str(best["Lexical"]), taken, words, float(best["Confidence"]))
