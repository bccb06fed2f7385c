"""The server as a process: its socket, its log, its end."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import socket
import ssl
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from heyjetson.errors import OptionError
from heyjetson.server import logs
from heyjetson.server.app import create_app
from heyjetson.server.http.connection_limits import Complaints, Gate, Listener, room
from heyjetson.server.http.protocols import options_with
from heyjetson.server.settings import Settings

KEEP_ALIVE = 15  # seconds
GRACE = 4.0  # seconds after which what does not end is abandoned


class Server(uvicorn.Server):
    """Says where it is once it is, and lets live streams say their last words.

    Args:
        config: of uvicorn.
        address: of the pages.
        seconds: that running work is given at the end.
    """

    def __init__(self, config: uvicorn.Config, address: str, seconds: float):
        super().__init__(config)
        self.address = address
        self.seconds = seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        asyncio.get_running_loop().set_exception_handler(Complaints())
        await super().startup(sockets)
        if self.started:
            print(f"Hey, Jetson! is at {self.address}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing new, end what runs: streams first, then requests, within one time for both."""
        deadline = time.monotonic() + self.seconds
        for server in self.servers:
            server.close()
        app_state = self.config.app.state.app_state  # type: ignore[union-attr]
        await app_state.connections.close(self.seconds, lambda: self.force_exit)
        self.config.timeout_graceful_shutdown = max(math.ceil(deadline - time.monotonic()), 0)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came: end, and soon where it is the second Ctrl-C. Only a process of its own gets signals."""
        first = not self.should_exit
        super().handle_exit(sig, frame)
        if first or self.force_exit:
            abandon = threading.Timer(GRACE if self.force_exit else self.seconds + GRACE, _abandon)
            abandon.daemon = True
            abandon.start()


def _abandon() -> None:
    """End the process whatever a thread still does: Python would wait for it."""
    logging.getLogger("heyjetson.server").warning("What did not end in time was abandoned.")
    os._exit(0)


def bind(host: str, port: int) -> Listener:
    """A socket that does not listen yet: who connects before the models are loaded is refused at once.

    Raises:
        OptionError: the port is taken, or the host is not this machine's.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = Listener(family, kind, protocol)
    except OSError as error:
        raise OptionError(f"--host {host} is no address of this machine ({error.strerror}).") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise OptionError(
            f"Nothing can listen on {host}, port {port} ({error.strerror}): choose another --port, or end what uses it."
        ) from None
    return listener


def configuration(app: FastAPI, settings: Settings, listener: Listener, **options: Any) -> uvicorn.Config:
    """uvicorn as the server runs it: its limits, and the gate of its listener.

    Args:
        app: of `create_app`.
        settings: with `connections` and `proxies`.
        listener: of `bind`.
        options: further ones of uvicorn.
    """
    listener.gate = Gate(room(settings.connections), settings.proxies)
    ours: dict[str, Any] = {
        "access_log": False,
        "server_header": False,
        "proxy_headers": bool(settings.proxies),
        "forwarded_allow_ips": list(settings.proxies),
        "timeout_keep_alive": KEEP_ALIVE,
    }
    return uvicorn.Config(app, **ours | options_with(listener.gate) | options)


def _check_certificate(certificate: Path, key: Path) -> None:
    """Refuse what TLS cannot use.

    Raises:
        OptionError: a file is missing, or the two do not belong together.
    """
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except OSError as error:
        missing = next((path for path in (certificate, key) if not path.is_file()), None)
        wrong = (
            f"there is no file {missing}" if missing else f"they are no PEM certificate and its key ({error.strerror})"
        )
        raise OptionError(
            f"{certificate} and {key} cannot be used for https: {wrong}. docker/certificate.sh makes a pair."
        ) from None


def serve(settings: Settings, host: str, port: int, certificate: Path | None = None, key: Path | None = None) -> int:
    """Serve until SIGINT or SIGTERM.

    Args:
        settings: of the server.
        host: to listen on.
        port: 0 takes a free one.
        certificate: PEM file, for https.
        key: PEM file.

    Returns:
        the exit status.

    Raises:
        OptionError: the address or the certificate cannot be used.
    """
    if certificate and key:
        _check_certificate(certificate, key)
    # A thread that computes in Python, a search say, gives way to live streams ten times as often as by default.
    sys.setswitchinterval(0.0005)
    listener = bind(host, port)
    app = create_app(settings)
    logs.configure(lines=settings.log_lines)
    config = configuration(app, settings, listener, log_config=None, ssl_certfile=certificate, ssl_keyfile=key)
    shown = f"[{host}]" if ":" in host else host
    address = f"{'https' if certificate else 'http'}://{shown}:{listener.getsockname()[1]}"
    server = Server(config, address, settings.shutdown_seconds)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))  # before uvicorn listens to them, and after
    server.run(sockets=[listener])
    return 0 if server.started else 1
