"""Work that takes too long: a sentence for who sent it, room for the others, and the truth for supervisors."""

from __future__ import annotations

import json
import threading
import time

import httpx
import pytest

from heyjetson.engine import Engine
from heyjetson.server.sentiment.processes import Analysts
from heyjetson.server.settings import Settings
from tests.heyjetson.server.running import PATIENCE, served


@pytest.fixture
def stuck(monkeypatch):
    """Work that hears nothing and ends when it is let."""
    go_on = threading.Event()
    yield lambda *_, **__: go_on.wait(PATIENCE)
    go_on.set()


@pytest.fixture
def site(speech_folder, tmp_path):
    """A server that gives a piece of work a second, and has one thread for it."""
    with served(Settings(speech_folder, workers=1, work_seconds=1.0, state=tmp_path)) as address:
        yield address


def test_work_that_does_not_end_holds_nobody_up(site, spoken, stuck, monkeypatch):
    monkeypatch.setattr(Analysts, "_analyse", stuck)
    answer = httpx.post(f"{site}/v1/sentiment", json={"text": "so good"}, timeout=PATIENCE)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], answer.headers["X-Should-Retry"]) == (503, "deadline", "false")
    assert error["message"].startswith("The server gave this up after 1 s of work")
    ready = httpx.get(f"{site}/health/ready")
    assert ready.status_code == 503
    assert "threads of texts are held by work that is over its deadline" in ready.json()["error"]["message"]
    assert httpx.get(f"{site}/health/live").status_code == 200
    monkeypatch.setattr(Analysts, "_analyse", lambda *_: b"{}")  # another thread has taken its place
    assert httpx.post(f"{site}/v1/sentiment", json={"text": "so good"}, timeout=PATIENCE).status_code == 200
    with spoken.open("rb") as file:
        answer = httpx.post(f"{site}/v1/audio/transcriptions", files={"file": file}, timeout=PATIENCE)
    assert answer.json() == {"text": "ab ba"}
    metrics = httpx.get(f"{site}/metrics").text
    assert 'heyjetson_threads_overdue{pool="texts"} 1.0' in metrics
    assert 'heyjetson_deadlines_total{pool="texts"}' in metrics


def test_a_server_is_ready_again_when_its_work_has_ended(speech_folder, tmp_path, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(Analysts, "_analyse", lambda *_: go_on.wait(PATIENCE))
    with served(Settings(speech_folder, workers=1, work_seconds=0.1, state=tmp_path)) as site:
        assert httpx.post(f"{site}/v1/sentiment", json={"text": "so good"}, timeout=PATIENCE).status_code == 503
        assert httpx.get(f"{site}/health/ready").status_code == 503
        go_on.set()
        deadline = time.monotonic() + PATIENCE
        while httpx.get(f"{site}/health/ready").status_code != 200:
            assert time.monotonic() < deadline


@pytest.mark.parametrize("stream", ["false", "true"])
def test_a_transcription_has_its_own_length_on_top(site, spoken, stuck, monkeypatch, stream):
    monkeypatch.setattr(Engine, "results", stuck)
    monkeypatch.setattr("heyjetson.server.routes.transcriptions.SOUND_SHARE", 0.1)
    with spoken.open("rb") as file:
        answer = httpx.post(
            f"{site}/v1/audio/transcriptions", files={"file": file}, data={"stream": stream}, timeout=PATIENCE
        )
    assert answer.status_code == 503
    assert "after 1.3 s of work" in answer.json()["error"]["message"]  # 1 s, and a tenth of 3


def test_a_stream_of_text_that_stops_growing_ends_with_a_sentence(site, spoken, stuck, monkeypatch):
    real = Engine.results

    def stops(self, *given):
        yield next(iter(real(self, *given)))
        stuck()

    monkeypatch.setattr(Engine, "results", stops)
    monkeypatch.setattr("heyjetson.server.routes.transcriptions.SOUND_SHARE", 0.0)
    with spoken.open("rb") as file:
        form = {"files": {"file": file}, "data": {"stream": "true"}, "timeout": PATIENCE}
        lines = httpx.post(f"{site}/v1/audio/transcriptions", **form).text.split("\n\n")
    last = json.loads([line for line in lines if line][-1].removeprefix("data: "))
    assert last["error"]["code"] == "deadline"


def test_results_that_take_too_long_to_read_are_told(site, stuck, monkeypatch):
    monkeypatch.setattr("heyjetson.server.performance.results.Results.runs", stuck)
    answer = httpx.get(f"{site}/v1/performance", timeout=PATIENCE)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "deadline")
    assert httpx.get(f"{site}/health/ready").status_code == 200  # there are two threads for them
