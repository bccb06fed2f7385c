"""Debian's nginx with the project's own configuration before a real server, through TLS."""

from __future__ import annotations

import json
import random
import re
import shutil
import socket
import ssl
import string
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import soundfile
from websockets.sync.client import connect

import heyjetson.server
from tests.conftest import ROOT

# The worker reads the test's own folders, which are its user's alone.
MAIN = """
user root;
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    types {{ text/css css; application/javascript js; image/svg+xml svg; }}
    default_type application/octet-stream;
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def free_ports(count: int) -> list[int]:
    """Ports that no connection of another test is given meanwhile: the system draws its own from 32768 on."""
    found: list[int] = []
    for port in random.SystemRandom().sample(range(20000, 32000), 200):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("0.0.0.0", port))
            found.append(port)
        if len(found) == count:
            break
    return found


def trust(certificates: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates / "fullchain.pem"))


@pytest.fixture(scope="module")
def front(site, tmp_path_factory) -> Iterator[tuple[str, str, ssl.SSLContext, Path]]:
    """nginx before the site: its plain and its TLS address, who to trust, and its folder."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not (nginx and shutil.which("openssl")):
        pytest.skip("no nginx and openssl on this machine")
    folder = tmp_path_factory.mktemp("nginx")
    certificates, challenges = folder / "certificates", folder / "challenges" / ".well-known" / "acme-challenge"
    command = [ROOT / "docker" / "certificate.sh", "localhost", "127.0.0.1"]
    subprocess.run(command, env={"PATH": "/usr/bin:/bin", "OUT": str(certificates)}, check=True, capture_output=True)
    challenges.mkdir(parents=True)
    (challenges / "proof").write_text("ours")
    plain, secure = free_ports(2)
    variables = {
        "SERVER_NAME": "localhost",
        "UPSTREAM": site.removeprefix("http://"),
        "CERTIFICATES": certificates,
        "STATIC": Path(heyjetson.server.__file__).parent / "static",
        "CHALLENGES": folder / "challenges",
        "HTTP_PORT": plain,
        "HTTPS_PORT": secure,
    }
    template = (ROOT / "docker" / "nginx" / "site.conf.template").read_text()
    (folder / "site.conf").write_text(string.Template(template).safe_substitute(variables))
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    process = subprocess.Popen([nginx, "-c", folder / "nginx.conf", "-p", folder], stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", secure), 1).close()
                break
            except OSError:
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        yield f"http://localhost:{plain}", f"https://localhost:{secure}", trust(certificates), folder
    finally:
        process.terminate()
        process.wait(20)


def test_plain_requests_are_sent_to_tls_and_certbot_is_answered(front):
    plain, *_ = front
    moved = httpx.get(f"{plain}/live")
    assert (moved.status_code, moved.headers["location"]) == (301, "https://localhost/live")
    assert httpx.get(f"{plain}/.well-known/acme-challenge/proof").text == "ours"


def test_pages_and_files_come_through(front):
    _, secure, trusted, folder = front
    with httpx.Client(base_url=secure, verify=trusted) as client:
        assert client.get("/health/ready").json()["status"] == "ready"
        page = client.get("/")
        assert page.status_code == 200 and "content-security-policy" in page.headers
        sheet = client.get("/static/css/site.css")
        assert sheet.headers["server"].startswith("nginx") and "max-age=3600" in sheet.headers["cache-control"]
        # The charts' library is no file of the project's: the server has it.
        assert client.get("/static/plotly.min.js").status_code == 200
        assert client.get("/static/none.js").status_code == 404
        # Nothing climbs out of the folder.
        assert client.get("/static/..%2f..%2fserver/app.py").status_code in (400, 404)
    assert "[emerg]" not in (folder / "error.log").read_text()


def test_browsers_are_told_to_come_over_tls_and_metrics_stay_here(front):
    _, secure, trusted, folder = front
    with httpx.Client(base_url=secure, verify=trusted) as client:
        for path in ("/", "/static/css/site.css", "/v1/models", "/static/none.js"):
            assert client.get(path).headers["strict-transport-security"] == "max-age=31536000", path
        assert client.get("/metrics").status_code == 200
    (metrics,) = re.findall(r"location = /metrics {(.*?)}", (folder / "site.conf").read_text(), re.DOTALL)
    assert re.findall(r"(?:allow|deny) [^;]+", metrics) == ["allow 127.0.0.1", "allow ::1", "deny all"]


def test_a_body_that_nobody_read_ends_its_connection_behind_nginx_too(front):
    _, secure, trusted, _ = front
    port = int(secure.rpartition(":")[2])
    with httpx.Client(base_url=secure, verify=trusted, timeout=10) as client:
        for _ in range(3):  # nginx sends on a body whose request was answered; the next request is not mixed with it
            assert client.post("/v1/none", content=bytes(2**20)).status_code == 404
            assert client.get("/health/ready").status_code == 200
    head = b"POST /v1/none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", port), 20) as plain,
        trusted.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(head)
        assert b" 404 " in connection.recv(4096)


def test_recordings_and_events_come_through(front, spoken):
    _, secure, trusted, _ = front
    with httpx.Client(base_url=secure, verify=trusted, timeout=30) as client:
        form = {"file": ("ab.wav", spoken.read_bytes())}
        answer = client.post("/v1/audio/transcriptions", files=form, data={"model": "default"})
        assert answer.json()["text"] == "ab ba"
        data = {"model": "default", "stream": "true"}
        with client.stream("POST", "/v1/audio/transcriptions", files=form, data=data) as events:
            lines = [line for line in events.iter_lines() if line.startswith("data: {")]
        assert json.loads(lines[-1].removeprefix("data: "))["text"] == "ab ba"
        large = client.post(
            "/v1/audio/transcriptions", files={"file": ("a.wav", bytes(27 * 2**20))}, data={"model": "default"}
        )
        assert large.status_code == 413


def test_a_live_stream_comes_through(front, spoken):
    _, secure, trusted, _ = front
    samples, rate = soundfile.read(spoken, dtype="int16")
    address = f"{secure.replace('https', 'wss')}/v1/listen?rate={rate}"
    with connect(address, ssl=trusted, subprotocols=["heyjetson"], origin=secure) as listening:
        assert json.loads(listening.recv(20))["type"] == "ready"
        for start in range(0, len(samples), 1600):
            listening.send(samples[start : start + 1600].tobytes())
        listening.send(json.dumps({"type": "flush"}))
        texts = []
        while (message := json.loads(listening.recv(20)))["type"] != "flushed":
            texts += [message["text"]] if message["type"] == "final" else []
    assert " ".join(text for text in texts if text) == "ab ba"
