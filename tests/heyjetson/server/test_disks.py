"""Disks that get full: what is kept, the results of runs, uploads and the log, each with a bound that is told."""

from __future__ import annotations

import errno
import json
import logging
import os
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from heyjetson.cli import main
from heyjetson.errors import OptionError
from heyjetson.server import disk_quota, logs
from heyjetson.server.audio.uploads import Clip
from heyjetson.server.errors import FullError
from heyjetson.server.performance.results import Outcome, Results
from heyjetson.server.settings import Settings
from heyjetson.server.transcribe.recording_store import RecordingStore
from tests.heyjetson.server.running import served
from tests.heyjetson.server.test_performance import awaited, begin
from tests.heyjetson.server.tones import write_tones

SECOND = Clip(np.zeros((16000, 1), np.float32), 16000)
PATH = "/v1/audio/transcriptions"


def test_what_is_kept_has_a_bound(tmp_path, caplog):
    keeper = RecordingStore(tmp_path, 70_000, 0)
    assert keeper.try_to_keep(SECOND, "one") is None
    assert keeper.try_to_keep(SECOND, "two") is None
    for _ in range(2):
        told = keeper.try_to_keep(SECOND, "three")
        assert told.startswith(
            "The recording was not kept. The recordings that are kept take 0 MiB, as much as they may."
        )
    assert len(list(tmp_path.glob("*.wav"))) == 2
    assert len((tmp_path / "manifest.jsonl").read_text().splitlines()) == 2
    assert caplog.text.count("as much as they may") == 1  # once, however many come
    assert RecordingStore(tmp_path, 70_000, 0).try_to_keep(SECOND, "four")  # what is there counts after a restart


def test_room_is_left_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_quota, "room_of", lambda _: 50_000)
    assert "The disk of the recordings is nearly full" in RecordingStore(tmp_path / "a", 10**9, 20_000).try_to_keep(
        SECOND, "one"
    )
    assert RecordingStore(tmp_path / "b", 10**9, 10_000).try_to_keep(SECOND, "one") is None


def test_a_recording_that_was_not_kept_is_told_to_its_sender(speech_folder, spoken, tmp_path):
    settings = Settings(speech_folder, keep=tmp_path / "kept", keep_bytes=1000, state=tmp_path)
    with served(settings) as site:
        for form in (
            {"consent": "true"},
            {"consent": "true", "stream": "true"},
            {"consent": "true", "response_format": "srt"},
        ):
            with spoken.open("rb") as file:
                answer = httpx.post(site + PATH, files={"file": file}, data=form)
            assert answer.status_code == 200
            assert "ab ba" in answer.text
            assert "was not kept" in answer.text + answer.headers.get("X-HeyJetson-Notes", "")
        assert 'heyjetson_disk_full_total{what="recordings"}' in httpx.get(f"{site}/metrics").text
    assert list((tmp_path / "kept").glob("*.wav")) == []


def test_results_have_a_bound(tmp_path):
    results = Results(tmp_path, most=200_000)
    run = results.create("tones", "model", [("model", "model", "1")], [(0, 1.0, "a", None)])
    with pytest.raises(FullError, match="as much as they may"):
        for number in range(1000):
            results.record(run, "model", number, Outcome("a" * 5000))
    with pytest.raises(FullError, match="--max-results-mib"):
        results.create("tones", "model", [], [])
    results.forget(run)
    assert results.create("tones", "model", [("model", "model", "1")], [])  # there is room again
    results.close()


def test_a_run_ends_with_a_sentence_where_the_disk_is_nearly_full(speech_folder, tmp_path, monkeypatch):
    manifest = write_tones(tmp_path / "tones")
    settings = Settings(speech_folder, data=(manifest,), state=tmp_path / "state", free_bytes=1000)
    rooms = iter([2000, 2000])  # to begin it, and for its first utterance
    monkeypatch.setattr(disk_quota, "room_of", lambda _: next(rooms, 10))
    with served(settings) as address:
        run = awaited(address, begin(address))
        assert run["state"] == "failed"
        assert "The disk of the results is nearly full" in run["message"]
        assert run["progress"]["done"] == 1
        refused = httpx.post(f"{address}/v1/performance", json={"dataset": "tones"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (507, "disk_full")


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EDQUOT, 507), (errno.EROFS, 500)])
def test_a_full_folder_for_temporary_files_names_its_cause(site, spoken, monkeypatch, caplog, number, status):
    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as disk:
        disk.setattr("starlette.datastructures.UploadFile.write", fails)
        answer = httpx.post(site + PATH, files={"file": ("a.wav", spoken.read_bytes())})
    assert answer.status_code == status
    assert "temporary files" in answer.json()["error"]["message"]
    if status == 500:
        assert "Read-only" in caplog.text
    assert httpx.post(site + PATH, files={"file": ("a.wav", spoken.read_bytes())}).json() == {"text": "ab ba"}


def test_a_second_server_on_one_state_refuses_to_start(speech_folder, tmp_path, capsys):
    first = Results(tmp_path)
    first.lock()
    assert main(["serve", str(speech_folder), "--state", str(tmp_path), "--port", "0"]) == 1
    assert "Another server keeps its results in" in capsys.readouterr().err
    first.close()
    second = Results(tmp_path)
    second.lock()
    second.close()


def test_a_state_that_cannot_be_written_keeps_nobody_from_being_served(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    (tmp_path / "file").touch()
    Results(tmp_path / "file").lock()
    assert "cannot be kept" in caplog.text


def test_a_flood_fills_no_log_and_hides_no_fault():
    now = SimpleNamespace(seconds=0.0)
    bound = logs.Bound(10, lambda: now.seconds)
    news, fault = (logging.makeLogRecord({"levelno": level}) for level in (logging.INFO, logging.ERROR))
    assert sum(bound.filter(news) for _ in range(1000)) == 10
    assert bound.filter(fault)
    now.seconds = 61.0
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logs.LOG.addHandler(handler)
    try:
        assert bound.filter(news)
    finally:
        logs.LOG.removeHandler(handler)
    assert said == ["990 lines of the log were left out: more than 10 came in a minute."]
    assert sum(bound.filter(news) for _ in range(20)) == 9


def test_a_place_that_cannot_be_written_is_told_at_the_start(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match="choose another --keep"):
        RecordingStore(Path(tmp_path / "file"), 1, 0)


def test_limits_are_told(site):
    limits = httpx.get(f"{site}/v1/about").json()["limits"]
    told = {"streams": 64, "streams_per_client": 32, "work_seconds": 60.0, "results_bytes": 2**30}
    assert limits | told == limits, json.dumps(limits)
