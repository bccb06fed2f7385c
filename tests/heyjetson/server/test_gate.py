"""Connections: how many, of whom, and how long one may stay that asks nothing."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import resource
import socket
import subprocess
import sys
from contextlib import ExitStack

import httpx
import pytest
from websockets.sync.client import connect

from heyjetson.server.http import connection_limits, protocols
from heyjetson.server.http.connection_limits import Accepted, Complaints, Gate, Listener
from heyjetson.server.settings import Settings
from tests.conftest import ROOT
from tests.heyjetson.server.running import served


class Line:
    """Connections of clients that only have names, and their other ends."""

    def __init__(self, gate: Gate, stack: ExitStack):
        self.gate, self.stack = gate, stack

    def enter(self, host: str) -> Accepted | None:
        """A connection that was let in."""
        ours, theirs = socket.socketpair()
        self.stack.enter_context(theirs)
        connection = Accepted(ours.family, ours.type, ours.proto, fileno=ours.detach())
        self.stack.enter_context(connection)
        return connection if self.gate.admit(connection, host) else None


@pytest.fixture
def line():
    with ExitStack() as stack:
        yield Line(Gate(8, ("10.0.0.0/24",)), stack)


def is_over(connection: Accepted) -> bool:
    """Whether the event loop would see its end."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False


def test_a_clients_longest_idle_connection_makes_room(line):
    first, second, third = (line.enter("192.0.2.1") for _ in range(3))
    assert is_over(first) and not is_over(second) and not is_over(third)
    assert line.gate.held == 2
    line.gate.busy(second.fileno(), True)
    assert line.enter("192.0.2.1") and is_over(third) and not is_over(second)


def test_a_client_whose_connections_all_work_gets_no_more_and_another_does(line):
    for connection in [line.enter("192.0.2.1") for _ in range(2)]:
        line.gate.busy(connection.fileno(), True)
    assert line.enter("192.0.2.1") is None
    assert line.enter("192.0.2.2")


def test_when_all_are_taken_the_client_with_most_makes_room(line):
    lone = line.enter("192.0.2.1")
    many = [line.enter("10.0.0.7") for _ in range(7)]  # a proxy's are not one client's
    assert line.gate.held == 8
    assert line.enter("192.0.2.2")
    assert is_over(many[0]) and not is_over(lone)
    for connection in [lone, *many[1:]]:
        line.gate.busy(connection.fileno(), True)
    assert line.enter("192.0.2.3")
    assert line.gate.held == 8


def test_a_client_that_comes_again_and_again_is_refused_and_another_is_not(line, monkeypatch):
    """Closing an idle connection for the next one is work, of which a client may not ask without end."""
    now = [100.0]
    monkeypatch.setattr(connection_limits.time, "monotonic", lambda: now[0])
    let_in = [line.enter("192.0.2.1") is not None for _ in range(connection_limits.ROOM + 10)]
    assert let_in == [True] * (connection_limits.ROOM + line.gate.each) + [False] * (10 - line.gate.each)
    assert all(line.enter(f"192.0.2.{number}") for number in range(2, 8))
    now[0] += 2 * connection_limits.ROOM_SECONDS
    assert [line.enter("192.0.2.1") is not None for _ in range(3)] == [True, True, False]
    for _ in range(2 * connection_limits.ROOM):
        assert line.enter("10.0.0.7")  # a proxy has many behind it


def test_few_are_refused_before_the_loop_does_something_else(monkeypatch):
    with Listener() as listener, ExitStack() as stack:
        listener.gate = Gate(2)
        seen = []
        monkeypatch.setattr(listener.gate, "admit", lambda *given: seen.append(given))
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)  # of asyncio; those that wait are more
        listener.setblocking(False)
        for _ in range(2 * connection_limits.ROUND):
            stack.enter_context(socket.create_connection(listener.getsockname(), 10))
        for count in (1, 2, 2):
            with pytest.raises(BlockingIOError):
                listener.accept()
            assert len(seen) == count * connection_limits.ROUND


def test_what_is_closed_counts_no_more(line):
    for _ in range(50):
        line.enter("192.0.2.1").close()
    assert (line.gate.held, line.gate._clients, line.gate._open) == (0, {}, {})


def test_a_network_of_version_6_is_one_client():
    assert connection_limits.address_of("2001:db8::1") == connection_limits.address_of("2001:db8::ffff")
    assert connection_limits.address_of("2001:db8:0:1::1") != connection_limits.address_of("2001:db8::1")
    assert connection_limits.address_of("::ffff:192.0.2.1") == connection_limits.address_of("192.0.2.1")


def test_idle_sockets_shut_nobody_out(speech_folder, tmp_path):
    """As many as the server may have, and four times more, from other addresses of this machine."""
    settings = Settings(speech_folder, connections=32, state=tmp_path)
    with served(settings) as address, ExitStack() as stack:
        host, port = address.removeprefix("http://").split(":")
        for number in range(128):
            source = (f"127.0.0.{2 + number % 16}", 0)
            stack.enter_context(socket.create_connection((host, int(port)), 30, source))
        with httpx.Client(base_url=address, timeout=10) as client:
            for _ in range(3):
                assert client.get("/health/ready").status_code == 200


def test_the_server_lives_on_with_few_files_and_little_log(speech_folder, tmp_path):
    """Idle sockets beyond the limit of files: raised as far as it may be, and the log stays short."""
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 300))\n"
        "from heyjetson.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, "serve", str(speech_folder), "--port", "0", "--state", str(tmp_path)]
    with (tmp_path / "log").open("w") as log, ExitStack() as stack:
        server = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True))
        stack.callback(server.kill)
        address = server.stdout.readline().split()[-1]
        host, port = address.removeprefix("http://").split(":")
        for number in range(400):
            stack.enter_context(socket.create_connection((host, int(port)), 30, (f"127.0.0.{2 + number % 40}", 0)))
        assert httpx.get(f"{address}/health/live", timeout=10).status_code == 200
    text = (tmp_path / "log").read_text()
    assert "leaves room for 44 connections, not 1024" in text
    assert len(text.splitlines()) < 20


def test_the_limit_of_files_is_raised(monkeypatch):
    given = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: given.append(limits))
    assert connection_limits.room(2000) == 2000
    assert given == [(2000 + connection_limits.RESERVE, 4096)]
    assert connection_limits.room(8000) == 4096 - connection_limits.RESERVE


def test_a_failure_to_accept_is_said_once_a_minute(caplog, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(connection_limits.time, "monotonic", lambda: now[0])
    context = {"message": "socket.accept() out of system resource", "exception": OSError(errno.EMFILE, "Too many")}
    loop, complaints = asyncio.new_event_loop(), Complaints()
    try:
        with caplog.at_level(logging.ERROR):
            for _ in range(1000):
                complaints(loop, context)
            assert len(caplog.records) == 1 and "once a minute" in caplog.text
            now[0] += 61
            complaints(loop, context)
            complaints(loop, {"message": "another"})
        assert [record.name for record in caplog.records] == ["heyjetson.server"] * 2 + ["asyncio"]
    finally:
        loop.close()


def test_a_failure_to_accept_ends_the_round(monkeypatch):
    """asyncio asks as often as its backlog, and logs each failure."""
    with Listener() as listener:
        listener.gate = Gate(8)

        def exhausted(self):
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(Listener, "_accept", exhausted)
        with pytest.raises(OSError, match="Too many"):
            listener.accept()
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("drips", [False, True])
def test_an_answer_before_its_body_was_read_ends_the_connection(site, monkeypatch, drips):
    """A byte that drips ends uvicorn's own timer."""
    monkeypatch.setattr(protocols, "LEFT_SECONDS", 0.2)
    host, port = site.removeprefix("http://").split(":")
    head = f"POST /v1/none HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 100000\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(head.encode())
        assert b" 404 " in connection.recv(4096).splitlines()[0] + b" "
        if drips:
            connection.sendall(b"x")
        try:
            while connection.recv(4096):
                pass
        except ConnectionResetError:
            pass  # what drips is left unread


def test_a_body_that_comes_after_its_answer_keeps_the_connection(site):
    host, port = site.removeprefix("http://").split(":")
    head = f"POST /v1/none HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 4\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        for _ in range(2):
            connection.sendall(head.encode())
            answer = b""
            while not answer.endswith(b"}}"):
                answer += connection.recv(65536)
            assert b" 404 " in answer
            connection.sendall(b"body")


def test_a_live_stream_outlasts_the_limits_of_requests(speech_folder, tmp_path, monkeypatch):
    for name in ("HEAD_SECONDS", "LEFT_SECONDS"):
        monkeypatch.setattr(protocols, name, 0.1)
    with served(Settings(speech_folder, connections=16, state=tmp_path)) as address, ExitStack() as stack:
        host, port = address.removeprefix("http://").split(":")
        with connect(f"ws://{host}:{port}/v1/listen?rate=16000") as stream:
            assert json.loads(stream.recv(10))["type"] == "ready"
            others = [
                stack.enter_context(socket.create_connection((host, int(port)), 10, (f"127.0.0.{2 + number}", 0)))
                for number in range(32)
            ]
            assert others[-1].recv(1) == b""  # cut for its head, and so would the stream have been
            stream.send('{"type": "flush"}')
            while json.loads(stream.recv(10))["type"] != "flushed":
                pass
