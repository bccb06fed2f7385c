"""Requests that change runs at the same time, and figures that are not stale."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest

from heyjetson.server.performance.results import Outcome, Results
from heyjetson.server.routes import performance
from heyjetson.server.settings import Settings
from tests.heyjetson.server.engines_fake import named
from tests.heyjetson.server.running import served
from tests.heyjetson.server.tones import write_tones


@pytest.fixture
def busy(speech_folder, tmp_path, fake):
    """A server whose engine `hang` never answers: runs stay where they are."""
    manifest = write_tones(tmp_path / "tones")
    settings = Settings(speech_folder, data=(manifest,), engines=named(fake, "hang"), state=tmp_path)
    with served(settings) as address:
        yield f"{address}/v1/performance"


def together(*requests: tuple[str, str], **options) -> Counter[int]:
    """Statuses of requests that are sent at once."""

    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=60) as client:
            return await asyncio.gather(*(client.request(*request, **options) for request in requests))

    return Counter(answer.status_code for answer in asyncio.run(ask()))


WANTED = {"dataset": "tones", "engines": ["hang"]}


def test_no_more_runs_wait_than_may(busy):
    found = together(*[("POST", busy)] * 12, json=WANTED)
    assert set(found) == {202, 503}
    assert found[202] <= 5  # one that runs, four that wait


def test_a_run_is_continued_and_forgotten_once(busy):
    run = httpx.post(busy, json=WANTED).json()["id"]
    assert httpx.post(f"{busy}/{run}/cancel").status_code == 200
    assert together(*[("POST", f"{busy}/{run}/continue")] * 5) == {202: 1, 409: 4}
    assert httpx.post(f"{busy}/{run}/cancel").status_code == 200
    assert together(*[("DELETE", f"{busy}/{run}")] * 3) == {200: 1, 404: 2}


def test_figures_follow_failures_that_are_tried_again(speech_folder, tmp_path):
    results = Results(tmp_path)
    run = results.create("tones", "m", [("model", "model", "")], [(0, 1.0, "a", None), (1, 1.0, "b", None)])
    good = dict.fromkeys(("taken", "words", "word_errors", "characters", "character_errors", "cosine"), 1.0)
    results.record(run, "model", 0, Outcome("a", None, good))
    results.record(run, "model", 1, Outcome(error="failed"))
    results.finish(run, "done", "", 1.0)
    results.close()
    with served(Settings(speech_folder, state=tmp_path)) as address:
        url = f"{address}/v1/performance/{run}"
        assert httpx.get(url).json()["engines"][0]["wer"]["value"] == 1.0
        ((_, _, _, cached),) = [value for key, value in performance._cache.items() if key[0].startswith(str(tmp_path))]
        assert len(cached[0]["model"]["distributions"]["points"]) == 1
    results = Results(tmp_path)
    results.record(run, "model", 1, Outcome("b", None, good | {"word_errors": 0.0}))
    results.close()
    with served(Settings(speech_folder, state=tmp_path)) as address:
        assert httpx.get(f"{address}/v1/performance/{run}").json()["engines"][0]["wer"]["value"] == 0.5
