"""What every engine does, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from heyjetson.server.audio.uploads import Clip
from heyjetson.server.errors import PublicError


class EngineError(PublicError):
    """An engine has no transcript for a recording. The message says why, without an address or a key.

    Args:
        message: for people.
        retry: seconds after which another try may help, or None: it would not.
        status: of HTTP that the engine answered, or None.
    """

    def __init__(self, message: str, retry: float | None = None, status: int | None = None):
        super().__init__(message)
        self.retry = retry
        self.status = status


@dataclass(frozen=True)
class TranscriptionResult:
    """A transcript.

    Args:
        text: what was heard, in plain words where the engine gives them so.
        seconds_taken: that it took.
        words: {"word", "start", "end", "confidence"} each, where the engine gives them; unknown values are None.
        confidence: of all of it, 0 to 1, or None.
    """

    text: str
    seconds_taken: float
    words: list[dict[str, Any]] = field(default_factory=list)
    confidence: float | None = None


class Engine(Protocol):
    """Something that transcribes.

    Args:
        name: what clients call it.
        kind: `model`, `bundle`, `openai` or `azure`.
        local: the sound does not leave this device.
        identity: other for another model; says nothing else.
    """

    name: str
    kind: str
    local: bool
    identity: str

    async def transcribe(self, clip: Clip) -> TranscriptionResult:
        """What was said in a recording.

        Raises:
            BusyError: too much waits.
            HeyJetsonError: any other failure.
        """
        ...

    async def close(self) -> None:
        """End its connections."""
        ...


def mean_confidence(words: list[dict[str, Any]]) -> float | None:
    """Mean of the words' confidences, or None without any."""
    known = [word["confidence"] for word in words if word.get("confidence") is not None]
    return sum(known) / len(known) if known else None
