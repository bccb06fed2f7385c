"""`POST /v1/audio/transcriptions`: what a recording says, compatible with OpenAI's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Request, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from heyjetson import formats, languages
from heyjetson.decoding.hypothesis import Result
from heyjetson.server.app_state import AppState, app_state
from heyjetson.server.audio.uploads import noted, read_clip
from heyjetson.server.errors import ClientDisconnectedError, RequestError, public_error
from heyjetson.server.settings import SOUND_SHARE
from heyjetson.server.transcribe.form import Asked, asked
from heyjetson.server.transcribe.transcription_job import Deltas, TranscriptionJob, joined
from heyjetson.server.transcribe.verbose_json import log_probs, verbose
from heyjetson.server.workers import unless_disconnected

CONTENTS: dict[str, Any] = {
    "application/json": {
        "schema": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
    },
    **{kind: {"schema": {"type": "string"}} for kind in ("text/plain", "text/vtt", "text/event-stream")},
}

NOTES = "X-HeyJetson-Notes"  # header of an answer whose recording is not as it should be, or whose request
MODEL = "X-HeyJetson-Model"  # that wrote the answer

router = APIRouter(prefix="/v1/audio", tags=["speech"])


@router.post(
    "/transcriptions",
    response_class=Response,
    responses={200: {"description": "The transcript, as response_format and stream say.", "content": CONTENTS}},
)
async def transcribe(
    request: Request,
    state: Annotated[AppState, Depends(app_state)],
    file: Annotated[UploadFile, File(description="wav, flac, ogg, opus, mp3, aiff, au, sph; with PyAV webm, m4a, …")],
    wanted: Annotated[Asked, Depends(asked)],
) -> Response:
    """Transcribe a recording of any length up to the server's limit. What is asked for and not done, notes say."""
    clip = await read_clip(state.decoders, file)
    job = TranscriptionJob(state.engine, clip, state.engine.decoder(state.settings.scorer, wanted.hot_words))
    recording_store = state.recording_store if wanted.consent else None
    notes = [*clip.notes, *wanted.notes]

    def kept(result: Result) -> Result:
        if recording_store and not job.cancelled.is_set() and (told := recording_store.try_to_keep(clip, result.text)):
            notes.append(told)  # the client gets its text all the same
        return result

    if wanted.stream:
        return await _streamed(request, state, job, kept, notes, wanted.log_probs)
    work = state.files.run(lambda: kept(job.final()), more=SOUND_SHARE * clip.seconds, cancelled=job.cancelled)
    result = await unless_disconnected(request, work)
    more, headers = noted(clip, notes), _headers(state, notes)
    labels_of = state.engine.labels_of(state.settings.scorer)
    if wanted.response_format == "text":
        return PlainTextResponse(result.text + "\n", headers=headers)
    if wanted.response_format in ("srt", "vtt"):
        kind = "text/vtt" if wanted.response_format == "vtt" else "text/plain"
        return Response(
            formats.subtitles(result, wanted.response_format),
            media_type=f"{kind}; charset=utf-8",
            headers=headers,
        )
    if wanted.response_format == "json":
        if wanted.log_probs:
            more["logprobs"] = log_probs(result.words, labels_of=labels_of)
        return JSONResponse({"text": result.text} | more, headers=headers)
    about = {"model": state.model_name, "real_time_factor": round(job.taken / clip.seconds, 4)}
    bundle, language = state.engine.bundle, languages.name(state.settings.language)
    labels = [] if bundle.writes_sounds else bundle.labels  # its labels are no letters, though they look like some
    about |= verbose(result, clip.seconds, wanted.granularities, language, labels, labels_of)
    return JSONResponse(about | more, headers=headers)


@router.post("/translations", include_in_schema=False)
async def translate() -> None:
    """Models here write what is said."""
    raise RequestError(404, "Nothing is translated here: use /v1/audio/transcriptions.", "no_translation")


def _headers(state: AppState, notes: Sequence[str]) -> dict[str, str]:
    """Which model it was, whatever it was asked for as, and the notes."""
    named = {MODEL: state.model_name.encode("ascii", "replace").decode()}
    return named | ({NOTES: " ".join(notes).encode("ascii", "replace").decode()} if notes else {})


Item = dict[str, Any] | Exception | None  # an event, what went wrong, or the end


async def _streamed(
    request: Request,
    state: AppState,
    job: TranscriptionJob,
    kept: Callable[[Result], Result],
    notes: Sequence[str],
    with_log_probs: bool,
) -> Response:
    """Server-sent events; what is wrong with the recording is still an answer of its own.

    Args:
        request: of the client.
        state: the app's state.
        job: the work.
        kept: keeps the recording where that was agreed to, and may add a note.
        notes: of the recording, and of what was asked for.
        with_log_probs: tell the words' log-probabilities.

    Raises:
        BusyError: the queue is full.
        AudioError: there is nothing to transcribe.
        DeadlineError: it took too long.
    """
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[Item] = asyncio.Queue()
    begun: asyncio.Future[None] = loop.create_future()
    headers = _headers(state, notes)

    def begin(error: Exception | None) -> None:
        if not begun.done():
            begun.set_exception(error) if error else begun.set_result(None)
        elif error:
            waiting.put_nowait(error)

    labels_of = state.engine.labels_of(state.settings.scorer)

    def work() -> None:
        deltas = Deltas()
        try:
            for result in job.results():
                loop.call_soon_threadsafe(begin, None)
                first = deltas.told == 0
                if words := deltas.words(result):
                    more = {"logprobs": log_probs(words, first, labels_of)} if with_log_probs else {}
                    tell({"type": "transcript.text.delta", "delta": joined(words, first)} | more)
                if result.final:
                    kept(result)
                    more = {"logprobs": log_probs(result.words, labels_of=labels_of)} if with_log_probs else {}
                    tell({"type": "transcript.text.done", "text": result.text} | more | noted(job.clip, notes))
        except ClientDisconnectedError:
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

    cancelled = job.cancelled  # alone: what is sent must not keep the recording
    future = state.files.submit(work, more=SOUND_SHARE * job.clip.seconds, cancelled=cancelled)
    future.add_done_callback(given_up)
    try:
        await unless_disconnected(request, begun)
    except BaseException:
        cancelled.set()
        future.cancel()
        raise

    async def events() -> AsyncIterator[str]:
        try:
            while (item := await waiting.get()) is not None:
                yield f"data: {json.dumps(_event(item), ensure_ascii=False)}\n\n"
        finally:
            cancelled.set()

    return StreamingResponse(events(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"} | headers)


def _event(item: dict[str, Any] | Exception) -> dict[str, Any]:
    if isinstance(item, dict):
        return item
    status, code, message = public_error(item)
    return {"error": {"message": message, "type": "server_error" if status >= 500 else "invalid", "code": code}}
