"""`WS /v1/listen`: speech as it is spoken, and wake words, over one socket.

A client connects with `?rate=16000` (and `silence`, `no_speech`, `longest`, `hot_words` where it wants them) and sends
int16 little-endian mono samples as binary messages, of any length up to 1 MiB. Text messages are commands:
`{"type": "flush"}` ends the running utterance, `{"type": "reset"}` forgets it, `{"type": "configure", "hot_words":
{"jetson": 3.0}, "endpoint": {"silence": 0.8}}` changes what follows. The server answers in JSON: `ready`, `partial`
(only where the text changed), `final`, `trigger`, `flushed`, `reset`, `configured` and `error`.
"""

from __future__ import annotations

from fastapi import APIRouter, WebSocket

from heyjetson.server import prometheus
from heyjetson.server.app_state import app_state_of
from heyjetson.server.errors import RequestError, problem
from heyjetson.server.http.access import client_of
from heyjetson.server.live.connection import Connection, Talk
from heyjetson.server.live.listen_messages import Listening

PROTOCOL = "heyjetson"
RETRY = 5  # seconds after which a refused client may come again

router = APIRouter()


@router.websocket("/v1/listen")
async def listen(websocket: WebSocket) -> None:
    """Hear one client until it goes."""
    await serve_stream(websocket, Listening, PROTOCOL)


async def serve_stream(websocket: WebSocket, kind: type[Talk], protocol: str) -> None:
    """Accept a socket, unless too many are open, and serve its stream.

    Args:
        websocket: not accepted yet.
        kind: of stream.
        protocol: that is agreed on where the client names it.
    """
    state = app_state_of(websocket)
    client = client_of(websocket, state.settings)
    retry = {"Retry-After": str(RETRY)}
    refusal = None
    if state.connections.full:
        told = f"All {state.connections.limit} live streams are in use: try again in {RETRY} s."
        refusal = RequestError(503, told, "busy", retry)
    elif state.connections.has_all(client):
        told = f"You have {state.connections.share} live streams open, as many as one client may have: close one first."
        refusal = RequestError(429, told, "too_many_streams", retry)
    if refusal:
        prometheus.REFUSED.labels(refusal.code).inc()
        await websocket.send_denial_response(problem(refusal.status, str(refusal), refusal.code, refusal.headers))
        return
    connection = Connection(websocket, state, client, kind)
    with state.connections.added(connection):
        await websocket.accept(protocol if protocol in websocket.scope["subprotocols"] else None)
        await connection.run()
