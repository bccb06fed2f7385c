"""`GET /docs`: what can be asked, drawn from /openapi.json by a script of ours; it needs no network."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from heyjetson.server.app_state import app_state_of
from heyjetson.server.routes.pages import PAGES, Page, templates

router = APIRouter(include_in_schema=False)


@router.get("/docs", response_class=HTMLResponse)
async def docs(request: Request) -> HTMLResponse:
    """The page."""
    context = {"page": Page("/docs", "docs", "API"), "pages": PAGES, "app_state": app_state_of(request)}
    return templates.TemplateResponse(request, "docs.html", context)
