"""The application: one platform, its routes, what stands before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

import heyjetson
from heyjetson.server.errors import add_handlers
from heyjetson.server.platform import Platform
from heyjetson.server.routes import add_routes
from heyjetson.server.settings import Settings

HERE = Path(__file__).parent


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application of a server.

    Args:
        settings: see `Settings`; the models are loaded here, so that what cannot run fails before a socket is open.

    Raises:
        BundleError: a bundle cannot be loaded.
        ProviderError: what shall run it is not on this device.
    """
    platform = Platform.open(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        platform.close()

    app = FastAPI(title="Hey, Jetson!", version=heyjetson.__version__, lifespan=lifespan)
    app.state.platform = platform
    add_handlers(app)
    add_routes(app)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    return app
