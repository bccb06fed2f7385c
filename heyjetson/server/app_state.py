"""What all requests share: the loaded models, the threads, the data sets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from starlette.requests import HTTPConnection

from heyjetson.bundle import Bundle, name_of
from heyjetson.engine import Engine
from heyjetson.server.audio.datasets import Dataset, open_datasets
from heyjetson.server.audio.uploads import Decoders
from heyjetson.server.engines import open_engines
from heyjetson.server.engines.base import Engine as EngineLike
from heyjetson.server.errors import RequestError
from heyjetson.server.live.connection import Connections
from heyjetson.server.performance.jobs import Jobs
from heyjetson.server.settings import Settings
from heyjetson.server.texts import Analysts
from heyjetson.server.transcribe.recording_store import Keeper
from heyjetson.server.workers import Workers
from heyjetson.wakeword.trigger import Trigger

OPENAI = re.compile(r"(whisper|gpt|chatgpt)-[\w.:-]+", re.ASCII)  # its models of today, and of later


@dataclass
class Platform:
    """The running server, as `request.app.state.platform`.

    Args:
        settings: the operator's choices.
        engine: the speech model.
        trigger: the trigger model, or None.
        files: work on whole recordings: bounded, refuses when full.
        live: work of live streams, a few milliseconds each: never refused, its number is bounded by the streams.
        decoders: of uploads, see `sound.read_clip`.
        datasets: what there is to look at, by name.
        connections: the live streams that are open.
        engines: what can be compared, by name; the served model is `model`.
        jobs: performance runs; their results are locked, so that no second server writes there.
        texts: processes that analyse texts, which no recording has to wait for.
        reads: of data sets and of results: bounded, too.
        keeper: of the recordings of users who agree, or None.
    """

    settings: Settings
    engine: Engine
    trigger: Trigger | None
    files: Workers
    live: Workers
    decoders: Decoders
    datasets: dict[str, Dataset] = field(default_factory=dict)
    connections: Connections = field(default_factory=lambda: Connections(0, 0))
    engines: dict[str, EngineLike] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings = self.settings
        self.texts = Analysts(settings)
        self.reads = Workers(2, 64, "reads", settings.work_seconds)
        self.jobs = Jobs(self)
        keep = settings.keep
        self.keeper = Keeper(keep, settings.keep_bytes, settings.free_bytes) if keep else None

    @classmethod
    def open(cls, settings: Settings) -> Platform:
        """Load what the settings name.

        Raises:
            BundleError: a bundle cannot be loaded.
            ProviderError: what shall run it is not on this device.
            DatasetError: a manifest cannot be served.
            OptionError: a further engine cannot be used, or another server has the folder of the results.
        """
        datasets = open_datasets(settings.data)
        engine = Engine(Bundle(settings.bundle), settings.threads, settings.provider)
        if settings.scorer:
            engine.decoder(settings.scorer)  # opened before the first request needs it
        trigger = Trigger(Bundle(settings.trigger), settings.threads, settings.provider) if settings.trigger else None
        seconds = settings.work_seconds
        files = Workers(settings.workers, settings.queue, "files", seconds)
        here = cls(
            settings,
            engine,
            trigger,
            files,
            Workers(max(settings.workers, 2), None, "live", seconds),
            Decoders(settings, max(engine.bundle.sample_rate, trigger.bundle.sample_rate if trigger else 0)),
            datasets,
            connections=Connections(settings.streams, settings.share),
            engines=open_engines(settings, engine, files),
        )
        here.jobs.results.lock()
        return here

    def trouble(self) -> str | None:
        """Why this server cannot be counted on, as a sentence; None where all is well."""
        pools = (self.files, self.texts.workers, self.live, self.reads, self.decoders.workers, *self.jobs.workers)
        return next((told for told in (pool.trouble() for pool in pools) if told), None)

    @property
    def model_name(self) -> str:
        """What the speech model is called."""
        return name_of(self.engine.bundle)

    def require_model(self, name: str) -> None:
        """Refuse the name of a model that is not loaded.

        Raises:
            RequestError: 404.
        """
        wrong = f"There is no model {name!r} here"
        if self.trigger and name == name_of(self.trigger.bundle):
            wrong = f"{name!r} is a trigger: it raises words on /v1/listen and writes no text"
        elif name == self.model_name or is_any(name):
            return
        asked = f"{wrong}. Ask for {self.model_name!r}, or for 'default'."
        raise RequestError(404, asked, "model_not_found")

    def close(self) -> None:
        """Let running work end."""
        self.decoders.close()
        for workers in (self.files, self.texts, self.live, self.reads):
            workers.close()


def is_any(name: str) -> bool:
    """Whether a model's name means the speech model whatever it is called: clients have to name one.

    >>> is_any("default"), is_any("gpt-transcribe"), is_any("whisper-1"), is_any("mine")
    (True, True, True, False)
    """
    return name == "default" or bool(OPENAI.fullmatch(name))


def platform_of(connection: HTTPConnection) -> Platform:
    """The platform of a request or a socket."""
    return connection.app.state.platform


async def platform(request: Request) -> Any:
    """As a dependency of a route: `here: Annotated[Platform, Depends(platform)]`.

    It is async since FastAPI gives others a thread.
    """
    return platform_of(request)
