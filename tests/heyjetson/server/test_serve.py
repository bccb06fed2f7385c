"""The command, as a process: it starts, says where it is, and ends what it has begun."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from heyjetson.cli import main, parser
from heyjetson.commands import serve
from tests.conftest import ROOT
from tests.heyjetson.server.running import served

PATIENCE = 60


@contextmanager
def process(*arguments: object):
    """A running server: the process and its address."""
    command = [sys.executable, "-m", "heyjetson", "serve", *map(str, arguments), "--port", "0"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, serve.KEYS: ""}
    ) as server:
        try:
            assert select.select([server.stdout], [], [], PATIENCE)[0]
            line = server.stdout.readline()
            assert (found := re.search(r"https?://\S+", line)), line + server.stderr.read()
            yield server, found[0]
        finally:
            server.kill()


def until_refused(address: str) -> None:
    """Wait until a server listens no more."""
    host, port = address.removeprefix("http://").split(":")
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=PATIENCE).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:  # it was about to
            continue


def test_running_requests_end_and_new_ones_are_refused(speech_folder, spoken, tmp_path):
    data = spoken.read_bytes()
    with process(speech_folder, "--state", tmp_path) as (server, address):
        host, port = address.removeprefix("http://").split(":")
        half = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + data[:1000]
        rest = data[1000:] + b"\r\n--x--\r\n"
        head = (
            f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(half + rest)}\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\nExpect: 100-continue\r\n\r\n"
        )
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            connection.sendall(head.encode())
            assert b"100 Continue" in connection.recv(1000)  # the request has begun
            connection.sendall(half)
            server.send_signal(signal.SIGTERM)
            until_refused(address)
            connection.sendall(rest)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        assert b'{"text":"ab ba"}' in answer
        assert server.wait(PATIENCE) == 0
        log = server.stderr.read()
        assert '"path": "/v1/audio/transcriptions"' in log
        assert "Traceback" not in log


def test_a_second_signal_and_an_idle_server(speech_folder, tmp_path):
    with process(speech_folder, "--state", tmp_path) as (server, address):
        assert httpx.get(f"{address}/health/ready").status_code == 200
        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE) == 0


STUCK = """
import sys, time
from pathlib import Path
from heyjetson.engine import Engine
from heyjetson.server import run
from heyjetson.server.settings import Settings
def endless(*_):
    print("begun", flush=True)
    time.sleep(600)
Engine.transcribe = Engine.results = endless
run.GRACE = 0.1
bundle, state, seconds = sys.argv[1:]
sys.exit(run.serve(Settings(Path(bundle), state=Path(state), shutdown_seconds=float(seconds)), "127.0.0.1", 0))
"""


@pytest.mark.parametrize(("seconds", "signals"), [(0, [signal.SIGTERM]), (600, [signal.SIGINT, signal.SIGINT])])
def test_work_without_an_end_is_abandoned(speech_folder, spoken, tmp_path, seconds, signals):
    command = [sys.executable, "-c", STUCK, str(speech_folder), str(tmp_path), str(seconds)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as server, ThreadPoolExecutor(1) as pool:
        try:
            address = re.search(r"http://\S+", server.stdout.readline())[0]
            files = {"file": ("a.wav", spoken.read_bytes())}
            pool.submit(httpx.post, f"{address}/v1/audio/transcriptions", files=files, timeout=PATIENCE)
            assert server.stdout.readline() == "begun\n"
            for number in signals:
                server.send_signal(number)
                if number is signal.SIGINT:
                    until_refused(address)  # the one before was heard
            assert server.wait(PATIENCE) == 0
            assert "was abandoned" in server.stderr.read()
        finally:
            server.kill()


def test_https(speech_folder, tmp_path):
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    paths = {"-keyout": tmp_path / "key.pem", "-out": tmp_path / "cert.pem"}
    command = [*made, *(str(part) for pair in paths.items() for part in pair)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no openssl")
    options = ("--certificate", paths["-out"], "--private-key", paths["-keyout"], "--state", tmp_path)
    with process(speech_folder, *options) as (_, address):
        assert address.startswith("https://")
        assert httpx.get(f"{address}/health/live", verify=False).json() == {"status": "live"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-minutes", "0"], "--max-minutes must be above 0"),
        (["--workers", "0"], "--workers must be at least 1"),
        (["--max-memory-mib", "100"], "--max-memory-mib must be at least 512"),
        (["--port", "99999"], "--port must be at most 65535"),
        (["--certificate", "a.pem"], "belong together"),
        (["--certificate", "a.pem", "--private-key", "b.pem"], "cannot be used for https"),
        (["--key-file", "none.txt"], "cannot be read"),
        (["--proxy", "*"], "--proxy * is no address"),
        (["--connections", "1"], "--connections must be at least 16"),
        (["--host", "203.0.113.9"], "Nothing can listen on 203.0.113.9"),
        (["--trigger", "none"], "none"),
    ],
)
def test_wrong_use_is_a_sentence(arguments, message, speech_folder, capsys):
    assert main(["serve", str(speech_folder), "--port", "0", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_port_that_is_taken(speech_folder, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", str(speech_folder), "--port", str(taken.getsockname()[1])]) == 1
    assert "choose another --port" in capsys.readouterr().err


def test_what_is_not_installed_is_named(speech_folder, capsys, monkeypatch):
    monkeypatch.setattr(serve, "NEEDED", ("fastapi", "no_such_package"))
    assert main(["serve", str(speech_folder)]) == 1
    assert 'needs no_such_package: pip install "heyjetson[server]"' in capsys.readouterr().err


def test_an_open_server_is_warned_of(speech_folder, capsys, monkeypatch):
    given = []
    monkeypatch.setattr("heyjetson.server.run.serve", lambda settings, *_: given.append(settings) or 0)
    monkeypatch.delenv(serve.KEYS, raising=False)
    assert main(["serve", str(speech_folder), "--host", "0.0.0.0"]) == 0
    assert "everybody who reaches 0.0.0.0" in capsys.readouterr().err
    monkeypatch.setenv(serve.KEYS, "one,two")
    assert main(["serve", str(speech_folder), "--host", "0.0.0.0", "--proxy", "10.0.0.1"]) == 0
    assert capsys.readouterr().err == ""
    assert (given[1].keys, given[1].proxies, given[1].hosts) == (("one", "two"), ("10.0.0.1",), ())
    assert {"localhost", "127.0.0.1", socket.gethostname().lower()} <= set(given[0].hosts)  # DNS rebinding
    assert given[0].addresses and not given[1].addresses


def test_an_open_server_of_this_machine_answers_to_its_own_names(speech_folder, monkeypatch):
    given = []
    monkeypatch.setattr("heyjetson.server.run.serve", lambda settings, *_: given.append(settings) or 0)
    monkeypatch.delenv(serve.KEYS, raising=False)
    assert main(["serve", str(speech_folder)]) == 0
    assert main(["serve", str(speech_folder), "--host-name", "Jetson.local"]) == 0
    assert set(given[0].hosts) == {"localhost", "127.0.0.1", "::1"}
    assert set(given[1].hosts) == {"jetson.local", "localhost", "127.0.0.1", "::1"}
    assert not given[0].addresses
    assert (given[0].proxies, given[0].connections) == ((), 1024)


def test_a_server_for_others_without_keys_answers_to_no_other_name(speech_folder, tmp_path, monkeypatch):
    monkeypatch.delenv(serve.KEYS, raising=False)
    command = ["serve", str(speech_folder), "--host", "0.0.0.0", "--state", str(tmp_path)]
    with served(serve.settings_of(parser().parse_args(command))) as address:
        port = address.rpartition(":")[2]
        names = {"127.0.0.1": 200, "localhost": 200, socket.gethostname(): 200, "evil.example": 400}
        for name, status in names.items():
            answer = httpx.get(f"http://127.0.0.1:{port}/v1/models", headers={"Host": f"{name}:{port}"})
            assert answer.status_code == status
        assert "start it with --host-name" in answer.json()["error"]["message"]


def test_keys_of_a_file(tmp_path, capsys):
    file = tmp_path / "keys"
    file.write_text("# ours\n\n first \nsecond\n")
    file.chmod(0o600)
    assert serve.keys_of(file, "third") == ("first", "second", "third")
    assert capsys.readouterr().err == ""
    file.chmod(0o644)
    assert serve.keys_of(file, "") == ("first", "second")
    assert f"chmod 600 {file}" in capsys.readouterr().err
