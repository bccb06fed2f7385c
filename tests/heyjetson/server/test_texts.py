"""The process that analyses texts: what it is given, what it is not, and what becomes of it when it hangs or dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from heyjetson.server.errors import BusyError, ClientDisconnectedError, DeadlineError, RequestError
from heyjetson.server.sentiment import analyse_process, processes
from heyjetson.server.sentiment.processes import Analysts, Errand
from heyjetson.server.settings import Settings

TEXT = json.dumps({"text": "So good!"}).encode()
HEARD = {
    "text": "so good",
    "words": [{"word": word, "start": 0.0, "end": 1.0, "channel": 0} for word in ("so", "good")],
}


@pytest.fixture(scope="module")
def analysts(tmp_path_factory):
    made = Analysts(Settings(tmp_path_factory.mktemp("none")))
    yield made
    made.close()


def asked(analysts: Analysts, body: bytes = TEXT) -> dict:
    """What a request is answered."""
    return json.loads(asyncio.run(analysts.requested(body)))


def idle(analysts: Analysts) -> subprocess.Popen:
    """The process that waits, which is left where it is."""
    child = analysts._idle.get_nowait()
    analysts._idle.put(child)
    return child


def test_one_process_does_all(analysts):
    assert asked(analysts)["overall"]["label"] == "positive"
    child = idle(analysts)
    with pytest.raises(RequestError, match="one of the two"):
        asked(analysts, b"{}")
    with pytest.raises(RequestError, match=r"words\.0\.start: Field required.*and \d+ more like these"):
        asked(analysts, json.dumps({"words": [{"word": "a"}] * 100}).encode())
    found = json.loads(analysts.heard(HEARD, 3.0, Errand()))
    assert (found["text"], found["timing"]["seconds"], found["overall"]["label"]) == ("so good", 3.0, "positive")
    assert idle(analysts) is child and child.poll() is None


def test_a_process_steps_back_and_is_given_no_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("HEYJETSON_API_KEYS", "secret")
    made = Analysts(Settings(tmp_path))
    asked(made)
    child = idle(made)
    assert b"secret" not in Path(f"/proc/{child.pid}/environ").read_bytes()
    assert os.getpriority(os.PRIO_PROCESS, child.pid) == min(os.nice(0) + analyse_process.NICENESS, 19)
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as another:
        made._give_back(another)  # one is kept
        assert another.poll() is not None
    made.close()
    assert child.poll() is not None


def test_a_process_over_its_deadline_is_killed_and_holds_no_thread(analysts):
    asked(analysts)
    child = idle(analysts)
    child.send_signal(signal.SIGSTOP)
    analysts.workers.seconds = 0.2
    try:
        with pytest.raises(DeadlineError):
            asked(analysts)
    finally:
        analysts.workers.seconds = 60.0
    assert child.wait(30) == -signal.SIGKILL
    assert asked(analysts)["overall"]["label"] == "positive"
    assert analysts.workers.overdue == 0 and analysts.workers.trouble() is None


def test_what_nobody_waits_for_is_not_begun_and_its_process_ended(analysts):
    errand = Errand()
    errand.set()
    with pytest.raises(ClientDisconnectedError):
        analysts.heard(HEARD, 3.0, errand)
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        errand = Errand()
        with errand.done_by(child):
            errand.set()
            assert child.wait(30) == -signal.SIGKILL
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        errand = Errand()
        with errand.done_by(child):
            pass
        errand.set()  # it is another's by now
        assert child.poll() is None
        child.kill()


def test_a_process_that_was_killed_while_idle_is_replaced(analysts):
    asked(analysts)
    idle(analysts).kill()
    idle(analysts).wait()
    assert asked(analysts)["overall"]["label"] == "positive"


@pytest.mark.parametrize("ends", ["import os; os.kill(os.getpid(), 9)", ""])
def test_a_process_that_ends_twice_is_told(tmp_path, ends):
    made = Analysts(Settings(tmp_path))
    begun = []

    def spawn() -> subprocess.Popen:
        begun.append(True)
        command = [sys.executable, "-S", "-c", ends]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    made._spawn = spawn
    with pytest.raises(RequestError, match="was killed twice") as error:
        asked(made)
    assert (error.value.status, error.value.code, len(begun)) == (503, "analyst_killed", 2)

    def none() -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    made._spawn = none
    with pytest.raises(RequestError):
        asked(made)
    made.close()


def test_memory_is_limited():
    """Of the process, before anything is read."""
    code = "import sys, resource; from heyjetson.server.child_process import limit; limit(2**30); x = bytes(2**30)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stderr.endswith("MemoryError\n")


def test_one_too_many_waits_before_it_is_refused(analysts, monkeypatch):
    monkeypatch.setattr(analysts.workers, "limit", 0)
    waited = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            monkeypatch.setattr(analysts.workers, "limit", 1)

    monkeypatch.setattr(processes, "asyncio", SimpleNamespace(sleep=sleep))  # there alone: other threads sleep as well
    with pytest.raises(BusyError):
        asked(analysts)
    assert waited == [processes.PATIENCE]
    assert asked(analysts)["overall"]["label"] == "positive"  # room came while it waited


def test_a_request_is_documented_in_one_piece():
    schema = analyse_process.schema()
    assert "$defs" not in json.dumps(schema) and "$ref" not in json.dumps(schema)
    assert schema["properties"]["words"]["anyOf"][0]["items"]["required"] == ["word", "start", "end"]
