"""Bundles whose words are tones, so that what a server answers is known; no torch."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from heyjetson.server.settings import Settings
from tests.heyjetson import trigger_fake
from tests.heyjetson.server.engines_fake import fake_engines
from tests.heyjetson.server.running import browsing, complaints, served


@pytest.fixture(scope="session", autouse=True)
def _nothing_in_advance() -> Iterator[None]:
    """No processes that decode where nothing is sent, and the certificates of all authorities are read once: httpx
    does it for each client, which takes 40 ms of each `httpx.get`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("heyjetson.server.app.DECODERS_AFTER", 3600.0)  # they start with the first upload, if one comes
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield


@pytest.fixture(scope="session")
def speech_folder(tmp_path_factory) -> Path:
    """A speech bundle that streams and hears the letters a and b; see `trigger_fake.say`."""
    return trigger_fake.make_speech(tmp_path_factory.mktemp("bundles") / "tones").folder


@pytest.fixture(scope="session")
def trigger_folder(tmp_path_factory) -> Path:
    """A trigger bundle that hears `hey jetson` and `computer`; see `trigger_fake.tone`."""
    return trigger_fake.make_trigger(tmp_path_factory.mktemp("bundles") / "wake").folder


@pytest.fixture(scope="session")
def spoken(tmp_path_factory) -> Path:
    """A recording of `ab ba`, silence around it."""
    path = tmp_path_factory.mktemp("spoken") / "ab ba.wav"
    quiet = trigger_fake.quiet(1.0)
    soundfile.write(path, np.concatenate([quiet, trigger_fake.say("ab ba"), quiet]), trigger_fake.RATE)
    return path


@pytest.fixture(scope="session")
def site(speech_folder, trigger_folder, tmp_path_factory):
    """A running server with both bundles: its address."""
    settings = Settings(speech_folder, trigger_folder, state=tmp_path_factory.mktemp("state"))
    with served(settings) as address:
        yield address


@pytest.fixture
def fake():
    """Servers like OpenAI's and Azure's; see `engines_fake.Fake`."""
    with fake_engines() as fake:
        yield fake


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Where the browser's files go."""
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="session")
def listening_browser(folder):
    """A browser with a microphone, see `pages.write_microphone`; it takes seconds to start, so there is one."""
    from tests.heyjetson.server.pages import write_microphone

    with browsing(folder, write_microphone(folder)) as browser:
        yield browser


@pytest.fixture
def driver(listening_browser):
    """The browser, left on an empty page with nothing to complain."""
    yield listening_browser
    listening_browser.get("about:blank")
    complaints(listening_browser)
