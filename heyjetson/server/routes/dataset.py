"""The operator's data sets: which there are, their utterances, their sound."""

from __future__ import annotations

import io
import re
from typing import Annotated

import soundfile
from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel

from heyjetson.server.app_state import AppState, app_state
from heyjetson.server.audio.datasets import Dataset, Utterance
from heyjetson.server.errors import RequestError

router = APIRouter(prefix="/v1/dataset", tags=["data sets"])
LARGEST_PAGE = 200
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


class DatasetRecord(BaseModel):
    """A data set."""

    name: str
    utterances: int
    seconds: float


class UtteranceRecord(BaseModel):
    """An utterance of a data set."""

    index: int
    text: str
    seconds: float
    speaker: str | None = None


class PageOfUtterances(BaseModel):
    """Some of the utterances that were asked for."""

    total: int
    utterances: list[UtteranceRecord]


def _record(utterance: Utterance) -> UtteranceRecord:
    return UtteranceRecord(
        index=utterance.index,
        text=utterance.text,
        seconds=round(utterance.seconds, 3),
        speaker=utterance.speaker,
    )


def chosen(state: AppState, name: str) -> Dataset:
    """The data set of a name.

    Raises:
        RequestError: 404, there is none of this name.
    """
    if name in state.datasets:
        return state.datasets[name]
    known = ", ".join(state.datasets) or "none: start the server with --data manifest.jsonl"
    raise RequestError(404, f"There is no data set {name[:60]!r}. This server has {known}.", "not_found")


async def _named(state: Annotated[AppState, Depends(app_state)], name: str) -> Dataset:
    """The data set that a path names."""
    return chosen(state, name)


Chosen = Annotated[Dataset, Depends(_named)]


@router.get("")
async def list_datasets(state: Annotated[AppState, Depends(app_state)]) -> list[DatasetRecord]:
    """The data sets of this server."""
    return [
        DatasetRecord(name=name, utterances=len(dataset), seconds=round(dataset.seconds, 1))
        for name, dataset in state.datasets.items()
    ]


@router.get("/{name}")
async def list_utterances(
    state: Annotated[AppState, Depends(app_state)],
    dataset: Chosen,
    offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
    search: Annotated[str, Query(max_length=200, description="words that text or speaker must hold")] = "",
) -> PageOfUtterances:
    """Utterances of a data set, a page at a time."""
    found = await state.reads.run(dataset.search, search)
    page = found[offset : offset + limit]
    return PageOfUtterances(total=len(found), utterances=[_record(utterance) for utterance in page])


@router.get("/{name}/{index}")
async def one_utterance(dataset: Chosen, index: int) -> UtteranceRecord:
    """One utterance."""
    return _record(dataset.get(index))


@router.get(
    "/{name}/{index}/audio",
    response_class=Response,
    responses={200: {"content": {"audio/wav": {}}}, 206: {"content": {"audio/wav": {}}}},
)
async def audio(
    state: Annotated[AppState, Depends(app_state)],
    dataset: Chosen,
    index: int,
    range_: Annotated[str, Header(alias="range", max_length=200)] = "",
) -> Response:
    """The utterance's sound as wav; a range of its bytes where one is asked for."""
    return ranged(await state.reads.run(_wav, dataset, index), range_, "audio/wav")


def _wav(dataset: Dataset, index: int) -> bytes:
    clip = dataset.load(index)
    file = io.BytesIO()
    soundfile.write(file, clip.samples, clip.rate, "PCM_16", format="WAV")
    return file.getvalue()


def ranged(body: bytes, wanted: str, media_type: str) -> Response:
    """Answer with a body, or with the one range of it that the header asks for (RFC 9110, 14.2).

    Args:
        body: all of it.
        wanted: the header Range; one that is not understood, or has several ranges, is ignored.
        media_type: of the body.

    Raises:
        RequestError: 416, the range lies beyond the body.
    """
    headers = {"Accept-Ranges": "bytes"}
    match = _RANGE.fullmatch(wanted.strip())
    if not match or match[0] == "bytes=-":
        return Response(body, media_type=media_type, headers=headers)
    size = len(body)
    if match[1]:
        first, last = int(match[1]), min(int(match[2] or size), size - 1)
        if match[2] and int(match[2]) < first:
            return Response(body, media_type=media_type, headers=headers)
    else:
        first, last = max(size - int(match[2]), 0), size - 1
    if first > last:
        headers["Content-Range"] = f"bytes */{size}"
        raise RequestError(416, f"The recording has {size} bytes: ask for a range of these.", "range", headers)
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    return Response(body[first : last + 1], 206, headers, media_type)
