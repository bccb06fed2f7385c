"""`WS /v1/realtime`: transcription sessions as OpenAI's realtime clients open them; see `live.realtime_messages`."""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from heyjetson.server.live.realtime_messages import Realtime
from heyjetson.server.routes.listen import serve_stream

PROTOCOL = "realtime"

router = APIRouter()


@router.websocket("/v1/realtime")
async def realtime(websocket: WebSocket) -> None:
    """Hear one client until it goes."""
    await serve_stream(websocket, Realtime, PROTOCOL)
