"""The pages: HTML that a template makes, and a script of its own for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from heyjetson.server.app_state import app_state_of

router = APIRouter(include_in_schema=False)
templates = Jinja2Templates(Path(__file__).parent.parent / "pages")


@dataclass(frozen=True)
class Page:
    """An entry of the navigation.

    Args:
        path: of its address.
        name: of its template and script.
        title: what it is called.
    """

    path: str
    name: str
    title: str


PAGES = (
    Page("/", "transcribe", "Transcribe"),
    Page("/live", "live", "Live"),
    Page("/explore", "explore", "Explore"),
    Page("/performance", "performance", "Performance"),
    Page("/compare", "compare", "Compare"),
    Page("/sentiment", "sentiment", "Sentiment"),
    Page("/about", "about", "About"),
)


def _add(page: Page) -> None:
    @router.get(page.path, name=page.name, response_class=HTMLResponse)
    async def show(request: Request) -> HTMLResponse:
        context = {"page": page, "pages": PAGES, "app_state": app_state_of(request)}
        return templates.TemplateResponse(request, f"{page.name}.html", context)


for _page in PAGES:
    _add(_page)
