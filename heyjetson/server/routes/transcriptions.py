"""`POST /v1/audio/transcriptions`: what a recording says, compatible with OpenAI's."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from heyjetson import formats
from heyjetson.decode import Result, Word
from heyjetson.server.errors import GoneError, RequestError, told
from heyjetson.server.growing import Deltas, Growing
from heyjetson.server.options import hot_words_of
from heyjetson.server.platform import Platform, platform
from heyjetson.server.settings import SOUND_SHARE
from heyjetson.server.sound import Clip, read_clip
from heyjetson.server.work import unless_gone

Format = Literal["json", "text", "verbose_json", "srt", "vtt"]
CONTENTS: dict[str, Any] = {
    "application/json": {
        "schema": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
    },
    **{kind: {"schema": {"type": "string"}} for kind in ("text/plain", "text/vtt", "text/event-stream")},
}

NOTES = "X-HeyJetson-Notes"  # header of an answer whose recording is not as it should be

router = APIRouter(prefix="/v1/audio", tags=["speech"])


@router.post(
    "/transcriptions",
    response_class=Response,
    responses={200: {"description": "The transcript, as response_format and stream say.", "content": CONTENTS}},
)
async def transcribe(
    request: Request,
    here: Annotated[Platform, Depends(platform)],
    file: Annotated[UploadFile, File(description="wav, flac, ogg, opus, mp3, aiff, au, sph; with PyAV webm, m4a, …")],
    model: Annotated[str, Form(max_length=200, description="as in /v1/models; `default` or `whisper-1`")] = "default",
    response_format: Annotated[Format, Form()] = "json",
    timestamp_granularities: Annotated[
        list[Literal["word", "segment"]] | None,
        Form(alias="timestamp_granularities[]", max_length=2, description="of verbose_json; both where none is given"),
    ] = None,
    stream: Annotated[bool, Form(description="answer by server-sent events, text as it is understood")] = False,
    hot_words: Annotated[str, Form(max_length=8192, description="`phrase:boost,phrase:boost`")] = "",
    consent: Annotated[bool, Form(description="the recording may be kept for training")] = False,
    language: Annotated[str, Form(max_length=100, description="ignored: a model has its own")] = "",
    prompt: Annotated[str, Form(max_length=8192, description="ignored: hot_words make words likelier")] = "",
    temperature: Annotated[float, Form(ge=0, le=1, description="ignored: nothing is drawn by chance")] = 0.0,
) -> Response:
    """Transcribe a recording of any length up to the server's limit."""
    here.require_model(model)
    words = hot_words_of(hot_words)
    if stream and response_format not in ("json", "text"):
        raise RequestError(422, "A stream has the text alone: choose response_format json or text.", "invalid")
    clip = await read_clip(here, file)
    growing = Growing(here.engine, clip, here.engine.decoder(here.settings.scorer, words))
    keeper = here.keeper if consent else None
    notes = list(clip.notes)

    def kept(result: Result) -> Result:
        if keeper and not growing.gone.is_set() and (told := keeper.try_to_keep(clip, result.text)):
            notes.append(told)  # the client gets its text all the same
        return result

    if stream:
        return await _streamed(request, here, growing, kept, notes)
    work = here.files.run(lambda: kept(growing.final()), more=SOUND_SHARE * clip.seconds, gone=growing.gone)
    result = await unless_gone(request, work)
    more, headers = noted(clip, notes), _header(notes)
    if response_format == "text":
        return PlainTextResponse(result.text + "\n", headers=headers)
    if response_format in ("srt", "vtt"):
        kind = "text/vtt" if response_format == "vtt" else "text/plain"
        return Response(
            formats.subtitles(result, response_format), media_type=f"{kind}; charset=utf-8", headers=headers
        )
    if response_format == "json":
        return JSONResponse({"text": result.text} | more, headers=headers)
    about = {"model": here.model_name, "real_time_factor": round(growing.taken / clip.seconds, 4)}
    about |= verbose(result, clip.seconds, timestamp_granularities or ["word", "segment"])
    return JSONResponse(about | more, headers=headers)


@router.post("/translations", include_in_schema=False)
async def translate() -> None:
    """Models here write what is said."""
    raise RequestError(404, "Nothing is translated here: use /v1/audio/transcriptions.", "no_translation")


def noted(clip: Clip, notes: Sequence[str]) -> dict[str, Any]:
    """What an answer says of a recording that is not as it should be, or was not kept: nothing where all is well."""
    more: dict[str, Any] = {"missing_seconds": round(clip.missing, 3)} if clip.missing else {}
    return more | ({"notes": list(notes)} if notes else {})


def _header(notes: Sequence[str]) -> dict[str, str]:
    return {NOTES: " ".join(notes).encode("ascii", "replace").decode()} if notes else {}


def verbose(result: Result, seconds: float, granularities: list[Any]) -> dict[str, Any]:
    """A result as verbose_json has it.

    Args:
        result: the transcript.
        seconds: of the recording.
        granularities: `word` and `segment`, which are wanted.
    """
    written: dict[str, Any] = {
        "task": "transcribe",
        "language": "english",
        "duration": round(seconds, 3),
        "text": result.text,
    }
    if "word" in granularities:
        written["words"] = formats.word_records(result.words)
    if "segment" in granularities:
        written["segments"] = [
            {
                "id": number,
                "start": round(line[0].start, 3),
                "end": round(line[-1].end, 3),
                "text": " ".join(word.text for word in line),
                "confidence": _mean(line),
            }
            for number, line in enumerate(formats.captions(result.words))
        ]
    return written


def _mean(words: list[Word]) -> float:
    """Geometric mean of the words' confidence."""
    logarithms = [math.log(max(word.confidence, 1e-4)) for word in words]
    return round(math.exp(sum(logarithms) / len(logarithms)), 4)


Item = dict[str, Any] | Exception | None  # an event, what went wrong, or the end


async def _streamed(
    request: Request,
    here: Platform,
    growing: Growing,
    kept: Callable[[Result], Result],
    notes: Sequence[str],
) -> Response:
    """Server-sent events; what is wrong with the recording is still an answer of its own.

    Args:
        request: of the client.
        here: the platform.
        growing: the work.
        kept: keeps the recording where that was agreed to, and may add a note.
        notes: of the recording.

    Raises:
        BusyError: the queue is full.
        AudioError: there is nothing to transcribe.
        DeadlineError: it took too long.
    """
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[Item] = asyncio.Queue()
    begun: asyncio.Future[None] = loop.create_future()
    headers = _header(notes)

    def begin(error: Exception | None) -> None:
        if not begun.done():
            begun.set_exception(error) if error else begun.set_result(None)
        elif error:
            waiting.put_nowait(error)

    def work() -> None:
        deltas = Deltas()
        try:
            for result in growing.results():
                loop.call_soon_threadsafe(begin, None)
                if delta := deltas.of(result):
                    tell({"type": "transcript.text.delta", "delta": delta})
                if result.final:
                    kept(result)
                    tell({"type": "transcript.text.done", "text": result.text} | noted(growing.clip, notes))
        except GoneError:
            pass
        except Exception as error:
            loop.call_soon_threadsafe(begin, error)
        finally:
            tell(None)

    def tell(item: Item) -> None:
        loop.call_soon_threadsafe(waiting.put_nowait, item)

    def given_up(future: Future[None]) -> None:
        """The work was taken out of its thread's hands."""
        error = None if future.cancelled() else future.exception()
        if isinstance(error, RequestError):
            loop.call_soon_threadsafe(begin, error)
            tell(None)

    gone = growing.gone  # alone: what is sent must not keep the recording
    future = here.files.submit(work, more=SOUND_SHARE * growing.clip.seconds, gone=gone)
    future.add_done_callback(given_up)
    try:
        await unless_gone(request, begun)
    except BaseException:
        gone.set()
        future.cancel()
        raise

    async def events() -> AsyncIterator[str]:
        try:
            while (item := await waiting.get()) is not None:
                yield f"data: {json.dumps(_event(item), ensure_ascii=False)}\n\n"
        finally:
            gone.set()

    return StreamingResponse(events(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"} | headers)


def _event(item: dict[str, Any] | Exception) -> dict[str, Any]:
    if isinstance(item, dict):
        return item
    status, code, message = told(item)
    return {"error": {"message": message, "type": "server_error" if status >= 500 else "invalid", "code": code}}
