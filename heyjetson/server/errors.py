"""What goes wrong in a request, as an answer: a status, and a sentence a person understands, in OpenAI's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from heyjetson.errors import AudioError, DecoderError, HeyJetsonError, OptionError, ScorerError


class RequestError(HeyJetsonError):
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


# Statuses of what the rest of the package raises in a request; anything else of it is the server's own fault.
_CLIENT = {AudioError: 422, DecoderError: 422, OptionError: 422, ScorerError: 422}


def problem(status: int, message: str, code: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An answer in the shape of OpenAI's errors, which its clients read."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    body: dict[str, Any] = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return JSONResponse(body, status, dict(headers or {}))


def status_of(error: HeyJetsonError) -> tuple[int, str]:
    """Status and code of an error of this package."""
    if isinstance(error, RequestError):
        return error.status, error.code
    for kind, status in _CLIENT.items():
        if isinstance(error, kind):
            return status, kind.__name__
    return 500, type(error).__name__


def add_handlers(app: FastAPI) -> None:
    """Answer errors; what nobody expected is logged and answered 500 without its details."""

    @app.exception_handler(HeyJetsonError)
    async def ours(_: Request, error: HeyJetsonError) -> JSONResponse:
        status, code = status_of(error)
        return problem(status, str(error), code, getattr(error, "headers", None))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        faults = [f"{'.'.join(str(part) for part in fault['loc'][1:])}: {fault['msg']}" for fault in error.errors()]
        return problem(422, "The request does not fit: " + "; ".join(faults) + ". See /docs.", "invalid")

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        told = {
            404: f"There is nothing at {request.url.path[:200]}: see /docs for what there is.",
            405: f"{request.method[:20]} is not possible at {request.url.path[:200]}: see /docs.",
        }
        detail = str(error.detail)
        message = told.get(error.status_code, detail) if detail in ("Not Found", "Method Not Allowed") else detail
        return problem(error.status_code, message, "http", error.headers)
