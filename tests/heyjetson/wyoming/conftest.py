"""A running service for the tones of `trigger_fake`, over TCP and over a Unix socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from heyjetson import Bundle, Engine, Trigger
from heyjetson.wyoming.server import Address, Server
from heyjetson.wyoming.services import Services
from tests.heyjetson import trigger_fake


@contextmanager
def running(services: Services, uri: str = "tcp://127.0.0.1:0", **limits) -> Iterator[str]:
    """Run a server in a thread; gives its address."""
    address = Address.of(uri)
    listener = address.listener()
    started = threading.Event()
    lines: list[str] = []
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Task]] = []

    async def serve() -> None:
        loops.append((asyncio.get_running_loop(), asyncio.current_task()))
        await Server(services, **limits).run(listener, address, lambda line: (lines.append(line), started.set()))

    def run() -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(60)
    try:
        yield lines[0].rsplit(" ", 1)[1]
    finally:
        loop, task = loops[0]
        loop.call_soon_threadsafe(task.cancel)
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def engine(tmp_path_factory) -> Engine:
    """Hears the letters a and b as they are spoken."""
    return Engine(trigger_fake.make_speech(tmp_path_factory.mktemp("wyoming") / "tones"))


@pytest.fixture(scope="session")
def trigger(tmp_path_factory) -> Trigger:
    """Hears `hey jetson` and `computer`."""
    return Trigger(trigger_fake.make_trigger(tmp_path_factory.mktemp("wyoming") / "wake"))


@pytest.fixture(scope="session")
def make_services(engine, trigger):
    """Services of both models."""

    def made(**options) -> Services:
        return Services(engine, trigger, **options)

    return made


@pytest.fixture(scope="package", params=["tcp", "unix"])
def service(request, make_services, tmp_path_factory) -> Iterator[str]:
    """A running service: its address."""
    path: Path = tmp_path_factory.mktemp("socket") / "s"
    with running(make_services(), "tcp://127.0.0.1:0" if request.param == "tcp" else f"unix://{path}") as uri:
        yield uri


@pytest.fixture(scope="session")
def bundle_of_tones(engine) -> Bundle:
    """The bundle of the engine."""
    return engine.bundle
