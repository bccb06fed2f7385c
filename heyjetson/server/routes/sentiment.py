"""Sentiment of a text, of words with times, or of a recording. Everything is done here; no cloud is asked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile
from starlette.requests import ClientDisconnect

from heyjetson.server.app_state import AppState, app_state
from heyjetson.server.audio.uploads import Clip, noted, read_clip
from heyjetson.server.errors import LeftError, MisfitError
from heyjetson.server.sentiment.analyse_process import schema
from heyjetson.server.sentiment.conversation import heard
from heyjetson.server.sentiment.processes import Errand
from heyjetson.server.settings import SOUND_SHARE
from heyjetson.server.workers import unless_disconnected

router = APIRouter(prefix="/v1/sentiment", tags=["sentiment"])
Here = Annotated[AppState, Depends(app_state)]
JSON = "application/json"
ANSWER: dict[int | str, dict[str, Any]] = {200: {"content": {JSON: {"schema": {"type": "object"}}}}}
REQUEST = {"requestBody": {"required": True, "content": {JSON: {"schema": schema()}}}}


@router.post("", response_class=Response, responses=ANSWER, openapi_extra=REQUEST)
async def sentiment(request: Request, state: Here) -> Response:
    """Sentiment of a text or of words: overall, by sentence, its trend; with times also the pace and who speaks."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise MisfitError([("", f"send it as JSON, with the header Content-Type: {JSON}")])
    try:
        body = await request.body()
    except ClientDisconnect:
        raise LeftError from None
    return Response(await unless_disconnected(request, state.texts.requested(body)), media_type=JSON)


@router.post("/audio", response_class=Response, responses=ANSWER)
async def sentiment_of_audio(
    request: Request,
    state: Here,
    file: Annotated[UploadFile, File()],
    channels: Annotated[Literal["auto", "apart", "together"], Form()] = "auto",
) -> Response:
    """Transcribe a recording, each channel by itself where two hold different sound, and analyse what is said."""
    clip = await read_clip(state.decoders, file)
    errand = Errand()
    more = SOUND_SHARE * clip.seconds * clip.samples.shape[1]  # each channel may be heard by itself
    work = state.files.run(_of_audio, state, clip, channels, errand, more=more, cancelled=errand)
    return Response(await unless_disconnected(request, work), media_type=JSON)


def _of_audio(state: AppState, clip: Clip, channels: str, errand: Errand) -> bytes:
    found = heard(state.engine, clip, channels, state.settings.scorer, errand)
    return state.texts.heard(found | noted(clip), clip.seconds, errand)
