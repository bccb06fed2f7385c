"""The engines of this server, and one recording through several of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from pydantic import BaseModel, Field

from heyjetson.server.app_state import AppState, app_state
from heyjetson.server.audio.uploads import Clip, noted, read_clip
from heyjetson.server.engines import MODEL
from heyjetson.server.engines.base import Engine, TranscriptionResult
from heyjetson.server.errors import RequestError, public_error
from heyjetson.server.performance import accuracy
from heyjetson.server.workers import unless_disconnected

router = APIRouter(prefix="/v1", tags=["engines"])
LONGEST_REFERENCE = 20_000
Here = Annotated[AppState, Depends(app_state)]


class EngineRecord(BaseModel):
    """An engine: `model` is the served bundle."""

    name: str
    kind: str = Field(description="`model`, `bundle`, `openai` or `azure`")
    local: bool = Field(description="the sound does not leave the device")


class Comparison(BaseModel):
    """What an engine made of the recording, or why it made nothing of it."""

    name: str
    kind: str
    local: bool
    text: str | None = None
    words: list[dict[str, Any]] = []
    confidence: float | None = None
    seconds: float | None = Field(None, description="that it took")
    error: str | None = None
    alignment: list[dict[str, Any]] | None = Field(
        None,
        description="to the reference, or to what the first engine with a text wrote; case and punctuation left out",
    )
    scores: dict[str, Any] | None = None


class Comparisons(BaseModel):
    """One recording through several engines."""

    seconds: float
    against: str | None = Field(description="`reference`, or the engine whose text the others are aligned to")
    engines: list[Comparison]
    missing_seconds: float = Field(0.0, description="of the recording, where it is cut short")
    notes: list[str] = Field([], description="what is not as it should be of the recording, a sentence each")


def chosen_engines(state: AppState, names: Sequence[str]) -> list[Engine]:
    """Engines by their names, each once.

    Raises:
        RequestError: 404, there is none of a name.
    """
    for name in names:
        if name not in state.engines:
            known = ", ".join(state.engines)
            raise RequestError(404, f"There is no engine {name[:60]!r} here. This server has {known}.", "not_found")
    return [state.engines[name] for name in dict.fromkeys(names)]


@router.get("/engines")
async def list_engines(state: Here) -> list[EngineRecord]:
    """The engines of this server."""
    return [EngineRecord(name=one.name, kind=one.kind, local=one.local) for one in state.engines.values()]


@router.post("/compare")
async def compare(
    request: Request,
    state: Here,
    file: Annotated[UploadFile, File(description="the recording")],
    engines: Annotated[
        list[str] | None, Form(description="their names; every engine of this device when none is named")
    ] = None,
    reference: Annotated[
        str, Form(max_length=LONGEST_REFERENCE, description="what was said, to score the engines against")
    ] = "",
) -> Comparisons:
    """Transcribe a recording with several engines at once. One that fails says so in its place."""
    names = [name.strip() for given in engines or [] for name in given.split(",") if name.strip()]
    chosen = chosen_engines(state, names or [name for name, engine in state.engines.items() if engine.local])
    clip = await read_clip(state.decoders, file)
    compared = await unless_disconnected(request, asyncio.gather(*(_compared(engine, clip) for engine in chosen)))
    against = await state.reads.run(_align, compared, " ".join(reference.split()))
    return Comparisons(seconds=round(clip.seconds, 3), against=against, engines=list(compared), **noted(clip))


async def _compared(engine: Engine, clip: Clip) -> Comparison:
    record: dict[str, Any] = {"name": engine.name, "kind": engine.kind, "local": engine.local}
    try:
        heard: TranscriptionResult = await engine.transcribe(clip)
    except Exception as error:
        return Comparison(**record, error=public_error(error)[2])
    return Comparison(
        **record,
        text=heard.text,
        words=heard.words,
        confidence=heard.confidence,
        seconds=round(heard.seconds_taken, 4),
    )


def _align(compared: Sequence[Comparison], reference: str) -> str | None:
    """Align and score all that has a text; returns what it was aligned to."""
    texts = [one for one in compared if one.text is not None]
    first = next((one for one in texts if one.name == MODEL), texts[0] if texts else None)
    if first is None:
        return None
    said = accuracy.plain(reference or first.text or "")
    for one in texts:
        written = accuracy.plain(one.text or "")
        if not accuracy.comparable(said, written):
            continue
        one.alignment = accuracy.align(said, written)
        if reference:
            one.scores = accuracy.score(said, written)
    return "reference" if reference else first.name
