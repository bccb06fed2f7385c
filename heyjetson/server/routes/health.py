"""Is the server there, and can it take work?"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from heyjetson.server.app_state import AppState, app_state
from heyjetson.server.errors import BusyError, RequestError

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@router.get("/ready")
async def ready(state: Annotated[AppState, Depends(app_state)]) -> dict[str, str]:
    """The models are loaded, work moves and the queue has room; 503 with the reason where one is not so."""
    if trouble := state.trouble():
        raise RequestError(503, f"The server is stuck. {trouble}", "stuck", {"Retry-After": "60"})
    if state.files.limit is not None and state.files.held >= state.files.limit:
        raise BusyError()
    return {"status": "ready", "model": state.model_name, "provider": state.engine.provider}
