"""Uploads that mean harm, or came to it: each is answered with a sentence, and the next request works."""

import asyncio
import json
import socket
import time
from pathlib import Path

import httpx
import pytest

from heyjetson.server.http import body, protocols
from heyjetson.server.http.body import BodyLimits
from heyjetson.server.settings import Settings
from tests.heyjetson.server import hostile
from tests.heyjetson.server.running import served

BROKEN = Path(__file__).parents[4] / "shared" / "data" / "broken"
PATH = "/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def strict(speech_folder, tmp_path_factory):
    """A server that takes little: 1 MiB, 600 s of sound, a second without a byte, 2 s in all."""
    limits = {"upload_bytes": 2**20, "audio_seconds": 600.0, "idle_seconds": 1.0, "upload_seconds": 2.0}
    with served(Settings(speech_folder, state=tmp_path_factory.mktemp("state"), **limits)) as address:
        yield address


def refused(answer: httpx.Response, status: int, words: str) -> None:
    """A sentence, in OpenAI's shape."""
    assert answer.status_code == status, answer.text
    message = answer.json()["error"]["message"]
    assert words in message
    assert message[0].isupper()
    assert message.endswith(".")


def works(site: str, spoken: Path) -> None:
    """The next request is served."""
    answer = httpx.post(site + PATH, files={"file": ("a.wav", spoken.read_bytes())})
    assert answer.json() == {"text": "ab ba"}


@pytest.mark.parametrize("name", hostile.FILES)
def test_hostile_files(strict, spoken, name):
    data, status, words = hostile.FILES[name]
    refused(httpx.post(strict + PATH, files={"file": ("a.wav", data)}), status, words)
    works(strict, spoken)


def test_a_bomb_is_stopped_at_the_longest_recording(strict, spoken):
    data = hostile.bomb(1200)
    assert len(data) < 2**18
    refused(httpx.post(strict + PATH, files={"file": ("a.flac", data)}), 413, "more than 600 s")
    works(strict, spoken)


@pytest.mark.parametrize("name", hostile.ODD)
def test_odd_files_are_heard_as_far_as_they_go_and_it_is_said(strict, name):
    data, seconds, words = hostile.ODD[name]
    files = {"file": ("a.wav", data)}
    answer = httpx.post(strict + PATH, files=files)
    assert answer.status_code == 200 and words in answer.json()["notes"][-1]
    assert answer.headers["X-HeyJetson-Notes"] == " ".join(answer.json()["notes"])
    assert answer.json().get("missing_seconds", 0) == pytest.approx(1.0 - seconds)
    answer = httpx.post(strict + PATH, files=files, data={"response_format": "verbose_json"}).json()
    assert answer["duration"] == seconds and words in answer["notes"][-1]
    for form in ("text", "srt"):
        answer = httpx.post(strict + PATH, files=files, data={"response_format": form})
        assert words in answer.headers["X-HeyJetson-Notes"]
    answer = httpx.post(strict + PATH, files=files, data={"stream": "true"})
    assert words in answer.headers["X-HeyJetson-Notes"] and words in answer.text


@pytest.mark.skipif(not BROKEN.is_dir(), reason="the broken recordings are not here")
def test_flacs_that_libsndfile_refuses(site):
    for path in sorted(BROKEN.glob("*.flac"))[:10]:
        answer = httpx.post(site + PATH, files={"file": (path.name, path.read_bytes())})
        assert answer.status_code == 200 and "checksum is right" in answer.json()["notes"][0]


def test_a_body_that_is_too_large(strict, spoken):
    refused(httpx.post(strict + PATH, files={"file": ("a.wav", bytes(2**20))}), 413, "larger than 1 MiB")
    works(strict, spoken)


def test_what_is_no_form_is_short(site):
    """The event loop reads JSON; a text for Sentiment is read elsewhere."""
    large = json.dumps({"dataset": "a" * 2**20}).encode()
    kind = {"Content-Type": "application/json"}
    answer = httpx.post(f"{site}/v1/performance", content=large, headers=kind)
    refused(answer, 413, "larger than 1 MiB, which only a form")
    chunks = (large[at : at + 2**16] for at in range(0, len(large), 2**16))
    refused(httpx.post(f"{site}/v1/performance", content=chunks, headers=kind), 413, "larger than 1 MiB")
    refused(httpx.post(f"{site}/v1/sentiment", content=large, headers=kind), 422, "one of the two")


def test_a_chunked_body_that_is_too_large(strict, spoken):
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'

    def chunks():
        yield head
        for _ in range(48):
            yield bytes(2**16)

    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    refused(httpx.post(strict + PATH, content=chunks(), headers=kind), 413, "larger than 1 MiB")
    works(strict, spoken)


def raw(site: str, headers: str, *parts: bytes, wait: bool = True) -> str:
    """Speak HTTP by hand; gives the answer, or nothing where the socket is closed at once."""
    host, port = site.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(f"POST {PATH} HTTP/1.1\r\nHost: {host}:{port}\r\n{headers}\r\n\r\n".encode())
        for part in parts:
            connection.sendall(part)
        answer = b""
        while wait and (piece := connection.recv(65536)):
            answer += piece
        return answer.decode()


MULTIPART = "Content-Type: multipart/form-data; boundary=x\r\n"
BEGUN = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF'


def test_a_length_that_lies(strict, spoken, monkeypatch):
    monkeypatch.setattr(body, "DRAINED_SECONDS", 0.3)
    answer = raw(strict, f"{MULTIPART}Content-Length: 99999999999", BEGUN)
    assert " 413 " in answer
    assert "larger than 1 MiB" in answer
    works(strict, spoken)


def test_an_upload_that_halts(strict, spoken):
    answer = raw(strict, f"{MULTIPART}Content-Length: 5000", BEGUN)
    assert " 408 " in answer
    assert "came to a halt" in answer
    works(strict, spoken)


def test_an_upload_that_drips(strict, spoken):
    host, port = strict.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: {host}:{port}\r\n{MULTIPART}Content-Length: 5000\r\n\r\n"
        connection.sendall(head.encode() + BEGUN)
        connection.settimeout(0.2)
        answer = b""
        deadline = time.monotonic() + 30
        while b"\r\n\r\n" not in answer and time.monotonic() < deadline:
            connection.sendall(b"a")
            try:
                answer += connection.recv(65536)
            except TimeoutError:
                continue
    assert b" 408 " in answer
    works(strict, spoken)


def test_an_upload_that_is_left(strict, spoken):
    raw(strict, f"{MULTIPART}Content-Length: 5000", BEGUN, wait=False)
    works(strict, spoken)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a" * 3000 + ".wav", "a\0b.wav", "http://a/b.wav"])
def test_the_name_of_a_file_means_nothing(strict, spoken, name):
    answer = httpx.post(strict + PATH, files={"file": (name, spoken.read_bytes())})
    assert answer.json() == {"text": "ab ba"}


def test_forms_that_are_none(strict, spoken):
    for content, kind in ((b"{}", "application/json"), (b"no form", "multipart/form-data"), (b"--", "text/plain")):
        answer = httpx.post(strict + PATH, content=content, headers={"Content-Type": kind})
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["error"]["message"]
    many = httpx.post(strict + PATH, data={f"field{i}": "a" for i in range(1100)}, files={"file": b"a"})
    assert many.status_code == 400
    assert "Too many fields" in many.json()["error"]["message"]
    long = httpx.post(strict + PATH, data={"prompt": "a" * 2**21}, files={"file": b"a"})
    assert long.status_code == 413
    works(strict, spoken)


def test_a_fault_of_ours_is_told_apart_and_harms_nothing(strict, spoken, monkeypatch, caplog):
    monkeypatch.setattr("heyjetson.server.audio.uploads.Decoders.decode", lambda *_: 1 / 0)
    answer = httpx.post(strict + PATH, files={"file": ("a.wav", b"secret")})
    monkeypatch.undo()
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in answer.json()["error"]["message"]
    assert "ZeroDivisionError" in caplog.text
    assert "ZeroDivisionError" not in json.dumps(answer.json())
    works(strict, spoken)


def test_bodies_together_are_bounded(tmp_path):
    """Of two that fit each by itself, the second is refused; when the first is done there is room again."""
    settings = Settings(tmp_path, workers=1, queue=0, upload_bytes=1000)
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        if (await receive())["type"] == "http.disconnect":
            return
        await go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    limits = BodyLimits(app, settings)

    async def ask() -> int:
        messages = iter([{"type": "http.request", "body": bytes(800), "more_body": False}])
        sent = []

        async def receive():
            return next(messages, {"type": "http.disconnect"})

        async def send(message):
            sent.append(message)

        await limits({"type": "http", "path": "/", "headers": []}, receive, send)
        return sent[0]["status"]

    async def work() -> list[int]:
        first = asyncio.create_task(ask())
        while not limits.held:
            await asyncio.sleep(0)
        found = [await ask()]
        go_on.set()
        return [*found, await first, await ask()]

    assert asyncio.run(work()) == [503, 200, 200]
    assert limits.held == 0


def test_a_head_that_does_not_end_is_cut(speech_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(protocols, "HEAD_SECONDS", 0.2)
    with served(Settings(speech_folder, state=tmp_path), timeout_keep_alive=1) as site:
        host, port = site.removeprefix("http://").split(":")
        asked = f"GET /health/live HTTP/1.1\r\nHost: {host}\r\n".encode()
        for begun in (b"", asked, asked + b"\r\n" + asked):
            with socket.create_connection((host, int(port)), timeout=30) as connection:
                connection.sendall(begun)
                try:
                    while connection.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
        assert httpx.get(f"{site}/health/live").status_code == 200


def test_an_answer_that_nobody_reads_is_cut(speech_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(protocols, "UNREAD_SECONDS", 0.2)
    with served(Settings(speech_folder, state=tmp_path)) as site:
        host, port = site.removeprefix("http://").split(":")
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(30)
            connection.connect((host, int(port)))
            asked = f"GET /static/plotly.min.js HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode()
            with pytest.raises(ConnectionError):
                while True:  # until it is cut
                    connection.sendall(asked)
