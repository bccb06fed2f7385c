"""What engines on other servers share: one connection pool each, limits on everything, errors without addresses."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging
import os
import time
import wave
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from heyjetson.audio import resample
from heyjetson.errors import OptionError
from heyjetson.server.audio.uploads import Clip
from heyjetson.server.engines.base import EngineError, TranscriptionResult
from heyjetson.server.errors import BusyError

if TYPE_CHECKING:
    import httpx

RATE = 16000  # hertz of what is sent
SECONDS = 60.0  # that an answer may take, and half of the recording's length on top
AT_ONCE = 4
WAITING = 16
ANSWER_BYTES = 4 * 2**20
LONGEST_RETRY = 30.0

_REFUSALS = {
    400: "does not understand the request",
    401: "refuses the key",
    403: "refuses the key",
    404: "does not know the model, or has no transcription at this address",
    408: "took too long to receive the recording",
    413: "finds the recording too long",
    415: "does not read wav files",
    422: "cannot use the recording",
    429: "takes no more requests at the moment",
    503: "is busy",
}


def key_of(variable: str) -> str | None:
    """A key of the environment.

    Raises:
        OptionError: it cannot be sent.
    """
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise OptionError(f"The key in {variable} holds characters that no key has. Copy it again.")
    return key or None


def wav(clip: Clip) -> bytes:
    """A recording as a file that everyone reads: wav, mono, 16 kHz, 16 bit."""
    mono = resample(clip.mono, clip.rate, RATE)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((np.clip(mono, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


class RemoteEngine:
    """An engine behind HTTP. No redirect is followed; nothing of its address or key is told to anyone.

    Args:
        name: what clients call it.
        url: of what transcribes.
        local: it is on this device.
        seconds: that an answer may take, and half of the recording's length on top.
    """

    kind = "remote"

    def __init__(self, name: str, url: str, local: bool, seconds: float = SECONDS):
        self.name, self.url, self.local, self.seconds = name, url, local, seconds
        self.identity = hashlib.sha256(f"{self.kind} {url}".encode()).hexdigest()
        self._client: httpx.AsyncClient | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._held = 0
        for library in ("httpx", "httpcore"):  # they log addresses
            logging.getLogger(library).setLevel(logging.WARNING)

    async def transcribe(self, clip: Clip) -> TranscriptionResult:
        """See `Engine.transcribe`."""
        if self._held >= AT_ONCE + WAITING:
            raise BusyError()
        self._held += 1
        try:
            async with self._slots:
                patience = self.seconds + clip.seconds / 2
                try:
                    return await asyncio.wait_for(self._transcribe(clip), patience)
                except asyncio.TimeoutError:
                    raise EngineError(f"The engine did not answer within {patience:.0f} s.", retry=1) from None
        finally:
            self._held -= 1

    async def _transcribe(self, clip: Clip) -> TranscriptionResult:
        sound = await asyncio.to_thread(wav, clip)
        began = time.perf_counter()
        answer = await self.ask(sound)
        taken = time.perf_counter() - began
        try:
            heard = self.read(answer, taken)
            json.dumps(asdict(heard), ensure_ascii=False, allow_nan=False).encode()  # nobody could be sent the rest
            return heard
        except (KeyError, IndexError, TypeError, ValueError, OverflowError, AttributeError):
            raise EngineError("The engine answered something that is not a transcript.") from None

    async def ask(self, sound: bytes) -> Any:
        """Send a wav file; returns the JSON of the answer.

        Raises:
            EngineError: there is none.
        """
        raise NotImplementedError

    def read(self, answer: Any, taken: float) -> TranscriptionResult:
        """What an answer says."""
        raise NotImplementedError

    def _connections(self) -> httpx.AsyncClient:
        if self._client is None:
            import httpx

            # A proxy of the environment is for other hosts. Redirects: a key must not follow them.
            limits = httpx.Limits(max_connections=AT_ONCE)
            self._client = httpx.AsyncClient(
                headers={"Accept-Encoding": "identity"},  # what is packed could unpack to any size
                follow_redirects=False,
                trust_env=not self.local,
                limits=limits,
                timeout=httpx.Timeout(None, connect=10),
            )
        return self._client

    async def post(self, **request: Any) -> Any:
        """POST to the engine's address; returns the JSON of the answer.

        Args:
            request: of httpx.

        Raises:
            EngineError: no connection, no success, no JSON, or too much of it.
        """
        import httpx

        try:
            async with self._connections().stream("POST", self.url, **request) as response:
                if response.status_code != 200:
                    raise _refusal(response.status_code, response.headers.get("Retry-After", ""))
                body = bytearray()
                async for piece in response.aiter_raw():
                    body += piece
                    if len(body) > ANSWER_BYTES:
                        raise EngineError(f"The engine's answer is longer than {ANSWER_BYTES >> 20} MiB.")
        except httpx.ConnectTimeout:
            raise EngineError("The engine cannot be reached: no connection within 10 s.", retry=2) from None
        except httpx.ConnectError:
            raise EngineError("The engine cannot be reached. Is it running, and is its address right?", 0.5) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError):  # their texts may hold the address
            raise EngineError("The connection to the engine broke.", retry=1) from None
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise EngineError("The engine answered something that is not JSON.") from None

    async def close(self) -> None:
        """End the connections."""
        client, self._client = self._client, None
        if client:
            await client.aclose()


def _refusal(status: int, retry_after: str) -> EngineError:
    if 300 <= status < 400:
        return EngineError("The engine sends requests elsewhere, which is not followed: correct its address.")
    reason = _REFUSALS.get(status, "has a fault of its own" if status >= 500 else "refuses the request")
    again = None
    if status in (408, 429) or status >= 500:
        again = min(float(retry_after), LONGEST_RETRY) if retry_after.isdecimal() else 1.0
    return EngineError(f"The engine {reason} (status {status}).", again, status)
