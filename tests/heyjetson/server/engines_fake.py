"""Servers like OpenAI's and Azure's that answer well, badly or not at all, by the first part of the address."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import soundfile

KEY = "s3cret"


class Fake:
    """What the server was asked and how it shall answer.

    Args:
        address: of the server.

    Attributes:
        requests: path, headers and body of each.
        release: what `hang` waits for.
        answered: how many `some` answers before it waits, too.
    """

    def __init__(self, address: str):
        self.address = address
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.release = threading.Event()
        self.answered = 2

    def sounds(self) -> list[tuple[int, int]]:
        """Frames and rate of each wav file that came."""
        found = []
        for _, _, body in self.requests:
            samples, rate = soundfile.read(io.BytesIO(body[body.index(b"RIFF") :]))
            found.append((len(samples), rate))
        return found


def named(fake: Fake, *how: str) -> tuple[str, ...]:
    """Definitions of engines that are called as they answer."""
    return tuple(f"{name}=openai:{fake.address}/{name}/v1" for name in how)


@contextmanager
def fake_engines() -> Iterator[Fake]:
    """Run the server on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fake.requests.append((self.path, dict(self.headers), body))
            how = self.path.split("/")[1]
            waits = how == "hang" or (how == "some" and len(fake.requests) > fake.answered)
            if waits and not fake.release.wait(60):
                return
            getattr(self, f"_{how}", self._good)(body)

        def _answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _good(self, body: bytes) -> None:
            word = {"word": "Ab", "start": 0.1, "end": 0.4, "confidence": 0.5}
            self._answer(200, json.dumps({"text": " Ab, ba. ", "words": [word]}).encode())

        def _plain(self, body: bytes) -> None:
            if b"verbose_json" in body:
                self._answer(400, b'{"error": {"message": "unsupported response_format"}}')
            else:
                self._answer(200, b'{"text": "ab ba"}')

        def _broken(self, body: bytes) -> None:
            self._answer(500, f"key {KEY} at {fake.address}".encode())

        def _refusing(self, body: bytes) -> None:
            self._answer(401, f'{{"error": {{"message": "Incorrect API key: {KEY}"}}}}'.encode())

        def _garbage(self, body: bytes) -> None:
            self._answer(200, b"<html>hello</html>")

        def _other(self, body: bytes) -> None:
            self._answer(200, b'[{"text": 7}]')

        def _half(self, body: bytes) -> None:
            self._answer(200, b'{"text": "half of a pair: \\ud800"}')

        def _infinite(self, body: bytes) -> None:
            self._answer(200, b'{"text": "a", "words": [{"word": "a", "start": Infinity, "end": 1e999}]}')

        def _moved(self, body: bytes) -> None:
            self._answer(307, b"", Location=f"{fake.address}/good/v1/audio/transcriptions")

        def _endless(self, body: bytes) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * 2**20)
            except OSError:
                pass

        def _azure(self, body: bytes) -> None:
            word = {"Word": "ab", "Offset": 1000000, "Duration": 3000000, "Confidence": 0.8}
            best = {"Confidence": 0.9, "Lexical": "ab ba", "ITN": "AB 8", "Display": "AB, 8.", "Words": [word]}
            self._answer(200, json.dumps({"RecognitionStatus": "Success", "NBest": [best]}).encode())

        def _silence(self, body: bytes) -> None:
            self._answer(200, b'{"RecognitionStatus": "NoMatch", "Offset": 0, "Duration": 0}')

        def _noise(self, body: bytes) -> None:
            self._answer(200, b'{"RecognitionStatus": "BabbleTimeout"}')

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that have left
    fake = Fake(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.release.set()
        server.shutdown()
        server.server_close()
