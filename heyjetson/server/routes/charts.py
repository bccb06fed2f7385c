"""plotly.js for the pages' charts, out of the Python package plotly, which is not imported for it."""

from __future__ import annotations

import gzip
import importlib.util
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from heyjetson.server.errors import RequestError

router = APIRouter(include_in_schema=False)
HEADERS = {"Cache-Control": "public, max-age=86400", "Vary": "Accept-Encoding"}


@cache
def _script() -> Path | None:
    package = importlib.util.find_spec("plotly")
    folders = package.submodule_search_locations if package else None
    paths = [Path(folder) / "package_data" / "plotly.min.js" for folder in folders or ()]
    return next((path for path in paths if path.is_file()), None)


@cache
def _compressed(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), 6)


@router.get("/static/plotly.min.js")
def plotly(request: Request) -> Response:
    """The script, a third as large for who can unpack it."""
    path = _script()
    if path is None:
        raise RequestError(
            404, "The package plotly is not installed here: `pip install heyjetson[server]`.", "no_charts"
        )
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return FileResponse(path, media_type="text/javascript", headers=HEADERS)
    return Response(_compressed(path), headers={**HEADERS, "Content-Encoding": "gzip"}, media_type="text/javascript")
