"""The server: where it listens, how many it takes, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from heyjetson.errors import OptionError
from heyjetson.wyoming import discovery
from heyjetson.wyoming.connection import Connection
from heyjetson.wyoming.services import NAME, Services
from heyjetson.wyoming.wire import LINE_BYTES, Wire

PORT = 10300
GRACE = 10.0  # seconds that last words may take at the end
BACKLOG = 64  # connections that wait to be accepted


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Args:
        host: name or address, or None.
        port: of it.
        path: of a Unix socket, or None.
    """

    host: str | None = None
    port: int = PORT
    path: str | None = None

    @classmethod
    def of(cls, uri: str) -> Address:
        """Read `tcp://host:port` or `unix:///path`.

        Raises:
            OptionError: it is neither.

        >>> Address.of("tcp://0.0.0.0"), Address.of("unix:///run/heyjetson.sock").path
        (Address(host='0.0.0.0', port=10300, path=None), '/run/heyjetson.sock')
        """
        try:
            parts = urlsplit(uri)
            if parts.scheme == "unix" and parts.path and not parts.netloc:
                return cls(path=parts.path)
            if parts.scheme == "tcp" and parts.hostname and parts.path in ("", "/"):
                return cls(parts.hostname, PORT if parts.port is None else parts.port)
        except ValueError:
            pass
        raise OptionError(
            f"--uri {uri} cannot be used: write it as tcp://0.0.0.0:{PORT} or unix:///run/heyjetson.sock."
        )

    def listener(self) -> socket.socket:
        """A socket that is bound to it.

        Raises:
            OptionError: the port or the path is taken, or the host is not this machine's.
        """
        family, protocol = socket.AF_UNIX, 0
        place: object = self.path
        if self.path is None:
            try:
                flags = socket.AI_PASSIVE
                found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM, flags=flags)
            except OSError as error:
                raise OptionError(f"{self.host} is no address of this machine ({error.strerror}).") from None
            # With its protocol: else asyncio takes it for none of TCP, and each event waits for the ACK of the last.
            family, protocol, place = found[0][0], found[0][2], found[0][4]
        else:
            _remove_stale(self.path)
        listener = socket.socket(family, socket.SOCK_STREAM, protocol)
        try:
            if family != socket.AF_UNIX:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)  # type: ignore[arg-type]
        except OSError as error:
            listener.close()
            raise OptionError(f"Nothing can listen on {self} ({error.strerror}): choose another --uri.") from None
        return listener

    def __str__(self) -> str:
        host = f"[{self.host}]" if self.host and ":" in self.host else self.host
        return f"unix://{self.path}" if self.path is not None else f"tcp://{host}:{self.port}"


def _remove_stale(path: str) -> None:
    """Remove what a server that was killed has left.

    Raises:
        OptionError: it is in use, or no socket.
    """
    try:
        kind = os.stat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(kind):
        raise OptionError(f"{path} is there already and no socket: choose another --uri.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            os.unlink(path)
            return
    raise OptionError(f"Another program listens on {path}: choose another --uri, or end it.")


class Server:
    """Takes connections, bounded in number: one more takes the place of the one that is idle the longest.

    Args:
        services: what is offered.
        connections: at once.
        idle_seconds: without an event before a connection is ended.
    """

    def __init__(self, services: Services, connections: int = 64, idle_seconds: float = 300.0):
        self.services, self.limit, self.idle_seconds = services, connections, idle_seconds
        self._open: dict[Connection, asyncio.Task[None]] = {}

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self.services, Wire(reader, writer, self.idle_seconds))
        task = asyncio.current_task()
        assert task
        try:
            if len(self._open) >= self.limit and not self._make_room():
                await connection.refuse(f"All {self.limit} connections are in use: try again in a moment.", "busy")
                return
            self._open[connection] = task
            await connection.run()
        except asyncio.CancelledError:  # it had to make room, or the server ends
            pass
        finally:
            self._open.pop(connection, None)
            writer.close()

    def _make_room(self) -> bool:
        """End the connection that is idle the longest; False where none is."""
        longest = min((one for one in self._open if one.idle), key=lambda one: one.since, default=None)
        if longest:
            self._open.pop(longest).cancel()
        return longest is not None

    async def run(self, listener: socket.socket, address: Address, started: Callable[[str], None] = print) -> None:
        """Serve until SIGINT or SIGTERM, or until the task is cancelled.

        Args:
            listener: of the address.
            address: where it is.
            started: takes a line for people.
        """
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, RuntimeError, ValueError):  # not the main thread
                loop.add_signal_handler(number, stopped.set)
        begin = asyncio.start_server if address.path is None else asyncio.start_unix_server
        server = await begin(self._connected, sock=listener, limit=LINE_BYTES, backlog=BACKLOG)  # type: ignore[operator]
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close, server, address)
            port = listener.getsockname()[1] if address.path is None else 0
            if address.host and not _loopback(address.host) and discovery.available():
                await stack.enter_async_context(
                    discovery.announced(address.host, port, f"{NAME}-{socket.gethostname()}")
                )
            started(f"Hey, Jetson! is at {Address(address.host, port, address.path)}")
            await stopped.wait()

    async def _close(self, server: asyncio.AbstractServer, address: Address) -> None:
        """Take nothing new, give the last words that are being computed, and end all else."""
        server.close()
        for connection, task in list(self._open.items()):
            if not connection.finishing:
                task.cancel()
        if self._open:
            await asyncio.wait(self._open.values(), timeout=GRACE)
        for task in self._open.values():
            task.cancel()
        self.services.pool.shutdown(wait=False, cancel_futures=True)
        if address.path is not None:
            with suppress(OSError):
                os.unlink(address.path)


def _loopback(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"
