"""Performance runs: figures that are known, cancelling, a kill and what is left after it, the page."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from heyjetson.metrics import character_errors
from heyjetson.server.performance.accuracy import score
from heyjetson.server.performance.results import Outcome, Results
from heyjetson.server.settings import Settings
from tests.heyjetson.server.engines_fake import fake_engines, named
from tests.heyjetson.server.running import PATIENCE, served
from tests.heyjetson.server.tones import ERRORS, SPOKEN, WORDS, write_tones

JSON = {"Content-Type": "application/json"}
OVER = ("done", "cancelled", "failed", "interrupted")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    """See `tones.write_tones`."""
    return write_tones(tmp_path_factory.mktemp("data") / "tones")


def begin(address: str, **wanted) -> int:
    answer = httpx.post(f"{address}/v1/performance", json={"dataset": "tones"} | wanted)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def awaited(address: str, run: int, fits=lambda run: run["state"] in OVER) -> dict:
    """A run as soon as something is true of it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = next(one for one in httpx.get(f"{address}/v1/performance").json() if one["id"] == run)
        if fits(found):
            return httpx.get(f"{address}/v1/performance/{run}").json()
        time.sleep(0.02)
    raise AssertionError(found)


@pytest.fixture(scope="module")
def finished(speech_folder, manifest, tmp_path_factory):
    """A server with a run that is done, of the model, its twin and an engine that always writes the same."""
    with fake_engines() as fake:
        engines = (f"twin={speech_folder}", *named(fake, "good", "broken"))
        settings = Settings(speech_folder, data=(manifest,), engines=engines, state=tmp_path_factory.mktemp("state"))
        with served(settings) as address:
            run = begin(address, engines=["model", "twin", "good", "broken"])
            awaited(address, run)
            yield address, run


def test_the_figures_of_a_run(finished):
    address, run = finished
    report = httpx.get(f"{address}/v1/performance/{run}").json()
    assert (report["state"], report["utterances"], report["dataset"]) == ("done", 5, "tones")
    by_name = {one["name"]: one for one in report["engines"]}
    for name in ("model", "twin"):
        one = by_name[name]
        assert (one["done"], one["failed"]) == (5, 0)
        assert one["wer"]["value"] == ERRORS / WORDS
        assert one["wer"]["low"] < one["wer"]["value"] < one["wer"]["high"]
        pairs = [character_errors(truth, said) for said, truth in SPOKEN.items()]
        assert one["cer"]["value"] == pytest.approx(
            sum(pair.count for pair in pairs) / sum(pair.total for pair in pairs)
        )
        assert one["latency"]["p50"] <= one["latency"]["p95"] <= one["latency"]["largest"]
        assert one["real_time_factor"] > 0
        assert [bin["count"] for bin in one["distributions"]["wer"] if bin["count"]] == [2, 2, 1]
        for key in ("cer", "cosine", "latency"):
            assert sum(bin["count"] for bin in one["distributions"][key]) == 5
        assert one["distributions"]["cosine"][-1]["high"] == 1
        assert len(one["distributions"]["points"]) == 5
    pair = next(one for one in report["differences"] if (one["first"], one["second"]) == ("model", "twin"))
    assert pair["wer"] == {"value": 0, "low": 0, "high": 0}
    assert pair["chance"] and (pair["better"], pair["worse"], pair["equal"]) == (0, 0, 5)


def test_an_engine_that_fails_harms_nothing(finished):
    address, run = finished
    report = httpx.get(f"{address}/v1/performance/{run}").json()
    by_name = {one["name"]: one for one in report["engines"]}
    assert by_name["broken"]["failed"] == 5 and "Given up after 5 failures" in by_name["broken"]["message"]
    # It always writes "Ab, ba.", which is compared without case and punctuation.
    truths = list(SPOKEN.values())
    assert by_name["good"]["word_errors"] == sum(score(truth, "ab ba")["word_errors"] for truth in truths)
    page = httpx.get(f"{address}/v1/performance/{run}/utterances", params={"engine": "broken", "shown": "failed"})
    assert page.json()["total"] == 5
    assert "fault of its own" in page.json()["utterances"][0]["results"]["broken"]["error"]


def test_the_worst_come_first(finished):
    address, run = finished
    url = f"{address}/v1/performance/{run}/utterances"
    page = httpx.get(url, params={"limit": 2}).json()
    assert page["total"] == 5
    assert [one["index"] for one in page["utterances"]] == [3, 1]
    worst = page["utterances"][0]["results"]["model"]
    assert (worst["text"], worst["wer"], worst["cer"]) == ("ba ab", 1.0, score("ba", "ba ab")["cer"])
    assert [step["op"] for step in worst["alignment"]] == ["equal", "insert"]

    def indexes(**asked):
        return [one["index"] for one in httpx.get(url, params=asked).json()["utterances"]]

    assert indexes(sort="index", order="ascending", offset=3) == [3, 4]
    assert indexes(sort="seconds", order="ascending")[0] == 4
    assert sorted(indexes(sort="latency")) == [0, 1, 2, 3, 4]
    assert sorted(indexes(shown="right")) == [0, 4] and sorted(indexes(shown="wrong")) == [1, 2, 3]
    assert indexes(search="ab ab") == [2] and indexes(search="%") == []


def test_a_run_can_be_taken_away(finished):
    address, run = finished
    answer = httpx.get(f"{address}/v1/performance/{run}.csv")
    assert answer.headers["content-disposition"] == f'attachment; filename="performance-{run}.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 20
    assert (rows[0]["engine"], rows[0]["text"], rows[0]["word_errors"]) == ("model", "ab ba", "0")
    body = httpx.get(f"{address}/v1/performance/{run}.json").json()
    assert body["engines"][0]["wer"]["value"] == ERRORS / WORDS and len(body["results"]) == 20


def test_what_cannot_run_is_refused(finished):
    address, run = finished
    for wanted, status, told in (
        ({"dataset": "other"}, 404, "no data set 'other'"),
        ({"dataset": "tones", "engines": ["nobody"]}, 404, "no engine 'nobody'"),
        ({"dataset": "tones", "engines": []}, 422, "engines"),
        ({"dataset": "tones", "limit": 0}, 422, "limit"),
        ({"dataset": "\ud800"}, 422, "dataset"),
        ([], 422, "does not fit"),
    ):
        answer = httpx.post(f"{address}/v1/performance", content=json.dumps(wanted), headers=JSON)
        assert (answer.status_code, told in answer.json()["error"]["message"]) == (status, True), answer.text
    for path in ("999", "999/utterances", "999.csv", "999.json", f"{run}/utterances?engine=nobody"):
        assert httpx.get(f"{address}/v1/performance/{path}").status_code == 404
    for path in ("x", "-1", "99999999999999999999", f"{run}/utterances?sort=text", f"{run}/utterances?limit=9999"):
        assert httpx.get(f"{address}/v1/performance/{path}").status_code == 422
    assert httpx.delete(f"{address}/v1/performance/999").status_code == 404
    assert httpx.post(f"{address}/v1/performance/999/cancel").status_code == 404
    # Who cancels too late loses nothing.
    answer = httpx.post(f"{address}/v1/performance/{run}/cancel")
    assert (answer.status_code, answer.json()["error"]["message"][:15]) == (409, "The run is over")
    assert httpx.get(f"{address}/v1/performance/{run}").json()["state"] == "done"
    assert httpx.post(f"{address}/v1/performance/999/continue").status_code == 404


def test_a_run_is_cancelled_continued_and_forgotten(speech_folder, manifest, tmp_path, fake):
    settings = Settings(speech_folder, data=(manifest,), engines=named(fake, "some"), state=tmp_path)
    with served(settings) as address:
        run = begin(address, engines=["model", "some"], limit=4)
        awaited(address, run, lambda run: run["progress"]["done"] == 6)  # the model's four and the two answers of some
        waits = begin(address)
        assert httpx.get(f"{address}/v1/performance/{waits}").json()["state"] == "waiting"
        assert httpx.post(f"{address}/v1/performance/{waits}/cancel").json()["state"] == "cancelled"
        assert httpx.post(f"{address}/v1/performance/{run}/continue").status_code == 409
        assert httpx.delete(f"{address}/v1/performance/{run}").status_code == 409
        for _ in range(2):  # the second changes nothing
            answer = httpx.post(f"{address}/v1/performance/{run}/cancel")
            assert answer.json() == {"id": run, "state": "cancelled"}
        left = awaited(address, run)
        assert (left["state"], left["progress"]["done"]) == ("cancelled", 6)
        fake.release.set()
        assert httpx.post(f"{address}/v1/performance/{run}/continue").status_code == 202
        assert awaited(address, run, lambda run: run["state"] == "done")["progress"]["done"] == 8
        assert httpx.delete(f"{address}/v1/performance/{run}").json() == {"id": run, "state": "forgotten"}
        assert httpx.get(f"{address}/v1/performance/{run}").status_code == 404


def test_only_a_few_runs_wait(speech_folder, manifest, tmp_path, fake):
    settings = Settings(speech_folder, data=(manifest,), engines=named(fake, "hang"), state=tmp_path)
    with served(settings) as address:
        awaited(address, begin(address, engines=["hang"]), lambda run: run["state"] == "running")
        for _ in range(4):
            begin(address)
        answer = httpx.post(f"{address}/v1/performance", json={"dataset": "tones"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
        # Whoever asks is answered while a run goes on.
        assert httpx.get(f"{address}/v1/engines").status_code == 200


SERVER = """
import sys
from pathlib import Path
from heyjetson.server.settings import Settings
from tests.heyjetson.server.running import served
bundle, manifest, state, engine = sys.argv[1:]
with served(Settings(Path(bundle), data=(Path(manifest),), engines=(engine,), state=Path(state))) as address:
    print(address, flush=True)
    sys.stdin.read()
"""


def test_a_run_that_was_killed_goes_on_where_it_was(speech_folder, manifest, tmp_path, fake):
    (engine,) = named(fake, "some")
    command = [sys.executable, "-c", SERVER, str(speech_folder), str(manifest), str(tmp_path), engine]
    root = Path(__file__).resolve().parents[3]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
    try:
        assert child.stdout
        address = child.stdout.readline().strip()
        run = begin(address, engines=["model", "some"])
        awaited(address, run, lambda run: run["progress"]["done"] == 7 and len(fake.requests) == 3)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        for pipe in (child.stdin, child.stdout):
            pipe.close()
    settings = Settings(speech_folder, data=(manifest,), engines=(engine,), state=tmp_path)
    with served(settings) as address:
        left = httpx.get(f"{address}/v1/performance/{run}").json()
        assert (left["state"], left["progress"]["done"]) == ("interrupted", 7)
        fake.release.set()
        assert httpx.post(f"{address}/v1/performance/{run}/continue").status_code == 202
        report = awaited(address, run, lambda run: run["state"] == "done")
        assert report["engines"][0]["wer"]["value"] == ERRORS / WORDS
        assert len(fake.requests) == 3 + 3  # two of the five had been answered


def test_a_run_whose_ground_changed_is_not_continued(speech_folder, manifest, tmp_path, fake):
    with served(Settings(speech_folder, data=(manifest,), engines=named(fake, "hang"), state=tmp_path)) as address:
        run = begin(address, engines=["hang"])
        awaited(address, run, lambda run: run["state"] == "running")
    changed = tmp_path / "tones.jsonl"
    changed.write_text(manifest.read_text().replace('"ab ba"', '"other"'))
    noisy = tmp_path / "noisy" / "tones.jsonl"
    noisy.parent.mkdir()
    noisy.write_text(manifest.read_text())  # its paths are relative to it: other recordings of the same texts
    with fake_engines() as elsewhere:
        for data, engines, told in (
            ((), named(fake, "hang"), "no data set 'tones' any more"),
            ((changed,), named(fake, "hang"), "data set 'tones' is not what it was"),
            ((noisy,), named(fake, "hang"), "data set 'tones' is not what it was"),
            ((manifest,), named(elsewhere, "hang"), "engine 'hang' is not what it was"),
            ((manifest,), (), "engine 'hang' is not what it was"),
        ):
            with served(Settings(speech_folder, data=data, engines=engines, state=tmp_path)) as address:
                (left,) = httpx.get(f"{address}/v1/performance").json()
                assert (left["state"], left["playable"]) == ("interrupted", data == (manifest,))
                answer = httpx.post(f"{address}/v1/performance/{run}/continue")
                assert (answer.status_code, told in answer.json()["error"]["message"]) == (409, True), answer.text


def test_a_recording_that_is_missing_fails_alone(speech_folder, manifest, tmp_path):
    lines = manifest.read_text().splitlines()
    lines[1] = lines[1].replace("1.wav", "gone.wav")
    broken = manifest.with_name("broken.jsonl")
    broken.write_text("\n".join(lines))
    with served(Settings(speech_folder, data=(broken,), state=tmp_path)) as address:
        report = awaited(address, begin(address, dataset="broken"))
        assert (report["state"], report["engines"][0]["failed"]) == ("done", 1)
        page = httpx.get(f"{address}/v1/performance/{report['id']}/utterances", params={"shown": "failed"}).json()
        error = page["utterances"][0]["results"]["model"]["error"]
        assert "is missing" in error and str(tmp_path.parent) not in error


def test_texts_that_a_spreadsheet_would_compute_are_quoted(speech_folder, manifest, tmp_path):
    results = Results(tmp_path)
    run = results.create("tones", "m", [("model", "model", "")], [(0, 1.0, "=1+1", None)])
    results.record(run, "model", 0, Outcome("@sum", None, {"taken": 0.1, **score("a", "b")}))
    results.finish(run, "done", "", 1.0)
    results.close()
    with served(Settings(speech_folder, data=(manifest,), state=tmp_path)) as address:
        text = httpx.get(f"{address}/v1/performance/{run}.csv").text
    assert ",'=1+1,model,'@sum," in text
