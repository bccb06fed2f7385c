"""What goes wrong in a request, as an answer: a status, and a sentence a person understands, in OpenAI's shape."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from heyjetson.errors import AudioError, DecoderError, HeyJetsonError, OptionError, no_room
from heyjetson.server.disk_space import Want, temporary

log = logging.getLogger("heyjetson.server")
FAULTS = 5  # of a body that are told
FAULT = "The server failed on this request. Its log says why."


class PublicError(HeyJetsonError):
    """An error whose message is made for clients, whoever's fault it is."""


class RequestError(PublicError):
    """A request that is refused.

    Args:
        status: of HTTP.
        message: what is wrong and what to do.
        code: one word for programs.
        headers: of the answer.
    """

    def __init__(self, status: int, message: str, code: str, headers: Mapping[str, str] | None = None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = dict(headers or {})


class BusyError(RequestError):
    """The queue is full."""

    def __init__(self, seconds: int = 1):
        super().__init__(
            503, f"The server is busy: try again in {seconds} s.", "busy", {"Retry-After": str(max(seconds, 1))}
        )


class ClientDisconnectedError(Exception):
    """Nobody waits for the result any more."""


class DeadlineError(RequestError):
    """Work was given up because it took too long. OpenAI's clients do not send it again by themselves.

    Args:
        seconds: that it had.
    """

    def __init__(self, seconds: float):
        told = f"The server gave this up after {seconds:.4g} s of work, more than it may take: send less at once, or "
        told += "try again when the server is less busy."
        super().__init__(503, told, "deadline", {"Retry-After": "60", "X-Should-Retry": "false"})


class StuckError(RequestError):
    """All threads are held by work that was given up and does not end.

    Args:
        name: of the threads.
    """

    def __init__(self, name: str):
        told = f"All threads of {name} are held by work that does not end: the operator has to start the server again."
        super().__init__(503, told, "stuck", {"Retry-After": "60"})


class FullError(RequestError):
    """A disk, or what the operator gave of it, is full.

    Args:
        message: what is full and what to do.
    """

    def __init__(self, message: str):
        super().__init__(507, message, "disk_full")


class LeftError(RequestError):
    """The client has left: nobody reads this, but the log has its status."""

    def __init__(self) -> None:
        super().__init__(499, "The client has left.", "gone")


class MisfitError(RequestError):
    """A body that is not as it is documented.

    Args:
        faults: of pydantic, of which the first few are told: where, and what is wrong.
    """

    def __init__(self, faults: Sequence[tuple[str, str]]):
        told = [f"{where}: {what}" if where else what for where, what in faults[:FAULTS]]
        if len(faults) > FAULTS:
            told.append(f"and {len(faults) - FAULTS} more like these")
        super().__init__(422, f"The request does not fit: {'; '.join(told)}. See /docs.", "invalid")


# What the rest of the package raises for what a client sent; anything else of it is the server's own fault.
_CLIENT = (AudioError, DecoderError, OptionError)


def problem(status: int, message: str, code: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An answer in the shape of OpenAI's errors, which its clients read."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body: dict[str, Any] = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return JSONResponse(body, status, dict(headers or {}))


def public_error(error: Exception) -> tuple[int, str, str]:
    """Status, code and message of an error for a client; a fault of the server's own goes to the log instead."""
    if isinstance(error, RequestError):
        return error.status, error.code, str(error)
    if isinstance(error, _CLIENT):
        return 422, type(error).__name__, str(error)
    if isinstance(error, PublicError):
        return 500, type(error).__name__, str(error)
    log.error("The server failed.", exc_info=error)
    return 500, "internal_error", FAULT


_uploads = Want("uploads")


def _not_put_aside(fault: OSError) -> JSONResponse:
    """What a client is told where its upload could not be written to a temporary file."""
    if no_room(fault) is None:
        log.error("Uploads cannot be put aside in %s: %s", temporary(), fault)
        return problem(500, "The server cannot write its temporary files. Its log says why.", "no_temporary_files")
    _uploads.tell(f"Uploads cannot be received, {temporary()} is full: make room, or set TMPDIR to a larger folder.")
    told = FullError(
        "The server's folder for temporary files (TMPDIR) is full, so the upload cannot be received: its operator has "
        "to make room. Try again later."
    )
    return problem(told.status, str(told), told.code)


def add_handlers(app: FastAPI) -> None:
    """Answer errors; what nobody expected is logged and answered 500 without its details."""

    @app.exception_handler(HeyJetsonError)
    async def ours(_: Request, error: HeyJetsonError) -> JSONResponse:
        status, code, message = public_error(error)
        return problem(status, message, code, getattr(error, "headers", None))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = [(".".join(str(part) for part in fault["loc"][1:]), fault["msg"]) for fault in error.errors()]
        misfit = MisfitError(faults)
        return problem(misfit.status, str(misfit), misfit.code)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        if isinstance(fault := error.__cause__, OSError):  # of a form that is put aside while it comes
            return _not_put_aside(fault)
        path = request.scope["path"][:200]
        sentences = {
            404: f"There is nothing at {path}: see /docs for what there is.",
            405: f"{request.method[:20]} is not possible at {path}: see /docs.",
        }
        detail = str(error.detail)
        message = sentences.get(error.status_code, detail) if detail in ("Not Found", "Method Not Allowed") else detail
        return problem(error.status_code, message, "http", error.headers)
