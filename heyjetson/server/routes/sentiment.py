"""Sentiment of a text, of words with times, or of a recording. Everything is done here; no cloud is asked."""

from __future__ import annotations

import threading
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from pydantic import BaseModel, Field

from heyjetson.server.conversation import heard
from heyjetson.server.documented import unchecked
from heyjetson.server.errors import RequestError
from heyjetson.server.platform import Platform, platform
from heyjetson.server.sentiment import analyse, words_of
from heyjetson.server.settings import SOUND_SHARE
from heyjetson.server.sound import read_clip
from heyjetson.server.work import unless_gone

router = APIRouter(prefix="/v1/sentiment", tags=["sentiment"])
Here = Annotated[Platform, Depends(platform)]
WORDS = 50_000
Seconds = Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)]


class SpokenWord(BaseModel):
    """A word with its times, as verbose_json has them."""

    word: Annotated[str, Field(max_length=200)]
    start: Seconds
    end: Seconds
    channel: Annotated[int | None, Field(ge=0, le=7)] = None


class SentimentRequest(BaseModel):
    """What is to be analysed: one of the two."""

    text: Annotated[str | None, Field(max_length=200_000)] = None
    words: Annotated[list[SpokenWord] | None, Field(max_length=50_000)] = None


@router.post("")
async def sentiment(client: Request, here: Here, request: SentimentRequest) -> dict[str, Any]:
    """Sentiment of a text or of words: overall, by sentence, its trend; with times also the pace and who speaks."""
    if (request.text is None) == (request.words is None):
        raise RequestError(422, "Send either text or words: one of the two.", "invalid")
    if request.text is not None:
        words = words_of(request.text)
    else:
        words = []
        for word in request.words or ():
            words += words_of(word.word, word.start, max(word.start, word.end), word.channel)
            if len(words) > WORDS:
                break
    if len(words) > WORDS:
        raise RequestError(422, f"There are more than {WORDS} words in it: send it in parts.", "too_long")
    if not words:
        raise RequestError(422, "There is no word in it: nothing to analyse.", "empty")
    gone = threading.Event()
    return unchecked(await unless_gone(client, here.texts.run(analyse, words, None, gone, gone=gone)))


@router.post("/audio")
async def sentiment_of_audio(
    request: Request,
    here: Here,
    file: Annotated[UploadFile, File()],
    channels: Annotated[Literal["auto", "apart", "together"], Form()] = "auto",
) -> dict[str, Any]:
    """Transcribe a recording, each channel by itself where two hold different sound, and analyse what is said."""
    clip = await read_clip(here, file)
    gone = threading.Event()
    more = SOUND_SHARE * clip.seconds * clip.samples.shape[1]  # each channel may be heard by itself
    work = here.files.run(heard, here.engine, clip, channels, here.settings.scorer, gone, more=more, gone=gone)
    return unchecked(await unless_gone(request, work))
