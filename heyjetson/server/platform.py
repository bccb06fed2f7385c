"""What all requests share: the loaded models, the threads, the data sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.requests import HTTPConnection

from heyjetson.bundle import Bundle
from heyjetson.engine import Engine
from heyjetson.server.errors import RequestError
from heyjetson.server.settings import Settings
from heyjetson.server.work import Workers
from heyjetson.trigger import Trigger

ANY_MODEL = ("default", "whisper-1")  # what clients send that have to name one


@dataclass
class Platform:
    """The running server, as `request.app.state.platform`.

    Args:
        settings: the operator's choices.
        engine: the speech model.
        trigger: the trigger model, or None.
        files: work on whole recordings: bounded, refuses when full.
        live: work of live streams, a few milliseconds each: never refused, its number is bounded by the streams.
    """

    settings: Settings
    engine: Engine
    trigger: Trigger | None
    files: Workers
    live: Workers

    @classmethod
    def open(cls, settings: Settings) -> Platform:
        """Load what the settings name.

        Raises:
            BundleError: a bundle cannot be loaded.
            ProviderError: what shall run it is not on this device.
        """
        engine = Engine(Bundle(settings.bundle), settings.threads, settings.provider)
        if settings.scorer:
            engine.decoder(settings.scorer)  # opened before the first request needs it
        trigger = Trigger(Bundle(settings.trigger), settings.threads, settings.provider) if settings.trigger else None
        return cls(
            settings,
            engine,
            trigger,
            Workers(settings.workers, settings.queue, "files"),
            Workers(max(settings.workers, 2), None, "live"),
        )

    @property
    def model_name(self) -> str:
        """What the speech model is called: its folder's name."""
        return self.engine.bundle.folder.resolve().name

    def require_model(self, name: str) -> None:
        """Refuse the name of a model that is not loaded.

        Raises:
            RequestError: 404.
        """
        if name not in (self.model_name, *ANY_MODEL):
            raise RequestError(
                404, f"There is no model {name!r} here. This server has {self.model_name!r}.", "model_not_found"
            )

    def close(self) -> None:
        """Let running work end."""
        self.files.close()
        self.live.close()


def platform_of(connection: HTTPConnection) -> Platform:
    """The platform of a request or a socket."""
    return connection.app.state.platform


def platform(request: Request) -> Any:
    """As a dependency of a route: `here: Annotated[Platform, Depends(platform)]`."""
    return platform_of(request)
