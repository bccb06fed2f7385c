"""`GET /v1/models`: which models this server has, in OpenAI's shape."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from heyjetson.bundle import name_of
from heyjetson.engine import Engine
from heyjetson.server.app_state import AppState, app_state
from heyjetson.server.errors import RequestError
from heyjetson.server.models import is_any
from heyjetson.wakeword.trigger import Trigger

router = APIRouter(prefix="/v1/models", tags=["models"])
Here = Annotated[AppState, Depends(app_state)]


class Model(BaseModel):
    """A model."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "heyjetson"
    kind: str
    sample_rate: int
    streams: bool
    provider: str
    labels: list[str] | None = None
    words: list[str] | None = None


class Models(BaseModel):
    """All of them."""

    object: str = "list"
    data: list[Model]


def _described(model: Engine | Trigger) -> Model:
    bundle = model.bundle
    about: dict[str, Any] = {"words" if bundle.is_trigger else "labels": bundle.labels}
    return Model(
        id=name_of(bundle),
        created=int((bundle.folder / "manifest.json").stat().st_mtime),
        kind=bundle.manifest["kind"],
        sample_rate=bundle.sample_rate,
        streams=bundle.is_trigger or bundle.streams,
        provider=model.provider,
        **about,
    )


@router.get("", response_model_exclude_none=True)
async def models(state: Here) -> Models:
    """Models that are loaded; speech first."""
    return Models(data=[_described(model) for model in (state.engine, state.trigger) if model])


@router.get("/{name}", response_model_exclude_none=True)
async def model(state: Here, name: str) -> Model:
    """One of them."""
    found = {each.id: each for each in (await models(state)).data}
    if name not in found and is_any(name):
        return _described(state.engine)
    if name not in found:
        raise RequestError(404, f"There is no model {name!r} here: see /v1/models.", "model_not_found")
    return found[name]
