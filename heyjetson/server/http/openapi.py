"""What the OpenAPI document says beyond the routes: how an answer that refuses looks, and where the key goes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel


class ProblemDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class Problem(BaseModel):
    """An answer that refuses, in the shape of OpenAI's."""

    error: ProblemDetail


MEANINGS = {
    400: "The request cannot be read, or is for another host.",
    401: "A key is wanted.",
    403: "A page of another site may not ask.",
    404: "There is no such thing.",
    408: "The upload is too slow.",
    413: "The upload or the recording is too large.",
    415: "The file is in no format that is read here.",
    422: "What was sent cannot be used.",
    429: "Too many requests: try again after Retry-After.",
    503: "Busy: try again after Retry-After.",
}
# Named once as a model and else by what FastAPI calls it: it builds a validator for each model of each route.
_SHOWN: dict[str, Any] = {"application/json": {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, **({"model": Problem} if status == 422 else {"content": _SHOWN})}
    for status, meaning in MEANINGS.items()
}


def unchecked(body: dict[str, Any]) -> Any:
    """An answer of numbers and texts as it is: FastAPI would check half a megabyte of them again, which takes long."""
    return JSONResponse(body)


def add_keys(app: FastAPI) -> None:
    """Say in the document that a key is wanted."""
    written = app.openapi

    def openapi() -> dict[str, Any]:
        document = written()
        document.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            if path.startswith("/v1/") or path == "/metrics":
                for operation in operations.values():
                    operation["security"] = [{"key": []}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
