"""What all requests share: the loaded models, the threads, the data sets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from starlette.requests import HTTPConnection

from heyjetson.bundle import Bundle
from heyjetson.engine import Engine
from heyjetson.server.audio.datasets import open_datasets
from heyjetson.server.audio.uploads import Decoders
from heyjetson.server.engines import open_engines
from heyjetson.server.live.connection import Connections
from heyjetson.server.models import Models
from heyjetson.server.performance.jobs import Jobs
from heyjetson.server.sentiment.processes import Analysts
from heyjetson.server.settings import Settings
from heyjetson.server.transcribe.recording_store import RecordingStore
from heyjetson.server.workers import Workers
from heyjetson.wakeword.trigger import Trigger


@dataclass
class AppState(Models):
    """The running server, as `request.app.state.app_state`: the models, and what works with them.

    Args:
        decoders: of uploads, see `uploads.read_clip`.
        connections: the live streams that are open.
        jobs: performance runs; their results are locked, so that no second server writes there.
        texts: processes that analyse texts, which no recording has to wait for.
        reads: of data sets and of results: bounded, too.
        recording_store: of the recordings of users who agree, or None.
    """

    decoders: Decoders = field(kw_only=True)
    connections: Connections = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        settings = self.settings
        self.texts = Analysts(settings)
        self.reads = Workers(2, 64, "reads", settings.work_seconds)
        self.jobs = Jobs(self)
        keep = settings.keep
        self.recording_store = RecordingStore(keep, settings.keep_bytes, settings.free_bytes) if keep else None

    @classmethod
    def open(cls, settings: Settings) -> AppState:
        """Load what the settings name.

        Raises:
            BundleError: a bundle cannot be loaded.
            ProviderError: what shall run it is not on this device.
            DatasetError: a manifest cannot be served.
            OptionError: a further engine cannot be used, or another server has the folder of the results.
        """
        datasets = open_datasets(settings.data)
        engine = Engine(Bundle(settings.bundle), settings.threads, settings.provider)
        if engine.bundle.scorer_for(settings.scorer):
            engine.decoder(settings.scorer)  # opened before the first request needs it
        trigger = Trigger(Bundle(settings.trigger), settings.threads, settings.provider) if settings.trigger else None
        seconds = settings.work_seconds
        files = Workers(settings.workers, settings.queue, "files", seconds)
        state = cls(
            settings,
            engine,
            trigger,
            files,
            Workers(max(settings.workers, 2), None, "live", seconds),
            datasets,
            open_engines(settings, engine, files),
            decoders=Decoders(settings, max(engine.bundle.sample_rate, trigger.bundle.sample_rate if trigger else 0)),
            connections=Connections(settings.streams, settings.share),
        )
        state.jobs.results.lock()
        return state

    def trouble(self) -> str | None:
        """Why this server cannot be counted on, as a sentence; None where all is well."""
        pools = (self.files, self.texts.workers, self.live, self.reads, self.decoders.workers, *self.jobs.workers)
        return next((told for told in (pool.trouble() for pool in pools) if told), None)

    def close(self) -> None:
        """Let running work end."""
        self.decoders.close()
        for workers in (self.files, self.texts, self.live, self.reads):
            workers.close()


def app_state_of(connection: HTTPConnection) -> AppState:
    """What a request or a socket shares with all others."""
    return connection.app.state.app_state


async def app_state(request: Request) -> Any:
    """As a dependency of a route: `here: Annotated[AppState, Depends(app_state)]`.

    It is async since FastAPI gives others a thread.
    """
    return app_state_of(request)
