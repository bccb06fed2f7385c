"""Pictures of a recording, as numbers: of an utterance of a data set, or of a file."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Request, UploadFile

from heyjetson.server.app_state import AppState, app_state
from heyjetson.server.audio.datasets import Dataset
from heyjetson.server.audio.uploads import read_clip
from heyjetson.server.explore.views import LONGEST_SECONDS, views
from heyjetson.server.http.openapi import unchecked
from heyjetson.server.performance.accuracy import align, score
from heyjetson.server.routes.dataset import Chosen
from heyjetson.server.settings import SOUND_SHARE
from heyjetson.server.workers import unless_disconnected

router = APIRouter(prefix="/v1", tags=["views"])
Here = Annotated[AppState, Depends(app_state)]


@router.post("/views")
async def views_of_file(request: Request, state: Here, file: Annotated[UploadFile, File()]) -> dict[str, Any]:
    """Waveform, features, log-probabilities and prediction of a recording; its first minute."""
    clip = await read_clip(state.decoders, file)
    work = state.files.run(views, state.engine, clip, state.settings.scorer, more=SOUND_SHARE * LONGEST_SECONDS)
    return unchecked(await unless_disconnected(request, work))


@router.get("/dataset/{name}/{index}/views")
async def views_of_utterance(request: Request, state: Here, dataset: Chosen, index: int) -> dict[str, Any]:
    """The same of an utterance of a data set, with its truth, aligned to the prediction where all was looked at."""
    dataset.get(index)
    work = state.files.run(_utterance, state, dataset, index, more=SOUND_SHARE * LONGEST_SECONDS)
    return unchecked(await unless_disconnected(request, work))


def _utterance(state: AppState, dataset: Dataset, index: int) -> dict[str, Any]:
    text = dataset.get(index).text
    seen = views(state.engine, dataset.load(index), state.settings.scorer)
    prediction = seen["prediction"]["text"]
    judged = {} if seen["cut"] else {"alignment": align(text, prediction), "score": score(text, prediction)}
    return {**seen, "text": text} | judged
