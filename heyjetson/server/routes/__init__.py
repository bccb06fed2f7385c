"""The routes, one module for each thing that can be asked: a `router` each."""

from __future__ import annotations

from importlib import import_module

from fastapi import FastAPI

MODULES = (
    "pages",
    "health",
    "listen",
    "realtime",
    "dataset",
    "views",
    "charts",
    "sentiment",
    "about",
    "performance",
    "engines",
    "transcriptions",
    "models",
    "metrics",
    "docs",
)


def add_routes(app: FastAPI) -> None:
    """Add every module's router."""
    for name in MODULES:
        app.include_router(import_module(f"heyjetson.server.routes.{name}").router)
