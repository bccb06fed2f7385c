"""`GET /metrics`: what Prometheus reads."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from heyjetson.server import prometheus
from heyjetson.server.app_state import AppState, app_state

router = APIRouter(tags=["health"])
KIND = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def read(state: Annotated[AppState, Depends(app_state)]) -> Response:
    """Requests, latency, real-time factor, streams and queue, in Prometheus' text format."""
    waiting = state.files.waiting
    return Response(prometheus.text(waiting, state.files.held - waiting), media_type=KIND)
