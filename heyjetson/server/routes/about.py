"""What runs here."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from heyjetson.server.about.facts import about
from heyjetson.server.app_state import AppState, app_state
from heyjetson.server.http.openapi import unchecked

router = APIRouter(prefix="/v1/about", tags=["about"])


@router.get("")
def described(state: Annotated[AppState, Depends(app_state)]) -> dict[str, Any]:
    """The model card, figures, the graph's layers, versions, what really runs the graph, and the server's limits."""
    return unchecked(about(state))
