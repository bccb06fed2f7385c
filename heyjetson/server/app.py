"""The application: its state, its routes, what stands before them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

import heyjetson
from heyjetson.server.app_state import AppState
from heyjetson.server.errors import add_handlers
from heyjetson.server.http.access import Access
from heyjetson.server.http.body import BodyLimits
from heyjetson.server.http.headers import Surroundings
from heyjetson.server.http.openapi import PROBLEMS, add_keys
from heyjetson.server.routes import add_routes
from heyjetson.server.settings import Settings

HERE = Path(__file__).parent
DECODERS_AFTER = 1.0  # seconds: until then the processor is the first pages'


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application of a server.

    Args:
        settings: see `Settings`; the models are loaded here, so that what cannot run fails before a socket is open.

    Raises:
        BundleError: a bundle cannot be loaded.
        ProviderError: what shall run it is not on this device.
    """
    app_state = AppState.open(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        starting = asyncio.get_running_loop().call_later(DECODERS_AFTER, app_state.decoders.start)
        yield
        starting.cancel()
        await app_state.jobs.close()
        for engine in app_state.engines.values():
            await engine.close()
        app_state.close()

    app = FastAPI(
        title="Hey, Jetson!",
        version=heyjetson.__version__,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own come from a CDN
        redoc_url=None,
        responses=PROBLEMS,
        middleware=[
            Middleware(Surroundings),
            Middleware(Access, settings),
            Middleware(BodyLimits, settings),
            Middleware(GZipMiddleware, minimum_size=1024, compresslevel=5),
        ],
    )
    if settings.keys:
        add_keys(app)
    app.state.app_state = app_state
    add_handlers(app)
    add_routes(app)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    return app
