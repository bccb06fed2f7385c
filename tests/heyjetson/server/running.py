"""A real server on loopback, and a real browser before it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from httpx._config import DEFAULT_TIMEOUT_CONFIG

from heyjetson.server.app import create_app
from heyjetson.server.run import bind, configuration
from heyjetson.server.settings import Settings

PATIENCE = 60.0  # seconds a page may take on a busy machine
# One object is the default of httpx's functions and clients; its 5 s are too few where a request starts processes.
DEFAULT_TIMEOUT_CONFIG.connect = DEFAULT_TIMEOUT_CONFIG.read = DEFAULT_TIMEOUT_CONFIG.write = PATIENCE


@contextmanager
def served(settings: Settings, **options: Any) -> Iterator[str]:
    """Run a server in a thread; gives its address without a slash at the end.

    Args:
        settings: of the server.
        options: of uvicorn.
    """
    listener = bind("127.0.0.1", 0)
    config = configuration(create_app(settings), settings, listener, **{"log_level": "warning", **options})
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + PATIENCE
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("The server did not start.")
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()


@contextmanager
def browsing(downloads: Path, microphone: Path | None = None) -> Iterator[Any]:
    """A headless Chromium; skips the test where there is none.

    Args:
        downloads: where files go.
        microphone: a wav that its microphone plays, over and over; silence when None.
    """
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no chromium and chromedriver on this machine")
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = shutil.which("chromium")
    chosen = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,1000"]
    chosen += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # WebGL without a graphics card
    chosen += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    if microphone:
        chosen.append(f"--use-file-for-fake-audio-capture={microphone}")
    for argument in chosen:
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(PATIENCE)
    try:
        yield driver
    finally:
        driver.quit()


def complaints(driver: Any) -> list[str]:
    """What the browser's console has to complain about: errors of scripts, and what the security policy stopped."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
