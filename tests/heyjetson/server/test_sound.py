"""Decoding apart: right samples, limits, and processes that die."""

import asyncio
import io
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from heyjetson.server import child_process
from heyjetson.server.audio import uploads
from heyjetson.server.audio.uploads import Clip, Decoders
from heyjetson.server.errors import BusyError, RequestError
from heyjetson.server.settings import Settings
from tests.conftest import ROOT
from tests.heyjetson.server.hostile import sound as noise
from tests.heyjetson.server.hostile import written
from tests.heyjetson.sounds import by_pyav, speechlike


@pytest.fixture(scope="module")
def decoders(tmp_path_factory):
    made = Decoders(Settings(tmp_path_factory.mktemp("none"), audio_seconds=100.0), 16000)
    made.start()
    yield made
    made.close()


def decode(decoders: Decoders, data: bytes) -> Clip:
    return asyncio.run(decoders.decode(io.BytesIO(data), len(data)))


@pytest.mark.parametrize(("kind", "tolerance"), [("WAV", 1e-4), ("FLAC", 1e-4), ("AIFF", 1e-4), ("AU", 1e-4)])
def test_formats_without_loss(decoders, kind, tolerance):
    clip = decode(decoders, written(noise(), format=kind))
    assert (clip.samples.shape, clip.rate, clip.seconds) == ((16000, 1), 16000, 1.0)
    assert np.allclose(clip.mono, noise(), atol=tolerance)


@pytest.mark.parametrize("kind", [{"format": "OGG"}, {"format": "OGG", "subtype": "OPUS"}, {"format": "MP3"}])
def test_formats_with_loss(decoders, kind):
    clip = decode(decoders, written(noise(2), **kind))
    assert clip.seconds == pytest.approx(2, abs=0.1)
    assert clip.mono.std() == pytest.approx(0.1, abs=0.04)


@pytest.mark.parametrize("kind", ["webm libopus", "ipod aac", "adts aac", "ogg flac", "wv wavpack"])
def test_what_browsers_and_phones_send(decoders, kind):
    container, codec = kind.split()
    clip = decode(decoders, by_pyav(speechlike(2, 48000, 2), 48000, container, codec))
    assert clip.samples.shape[1] == 2 and clip.rate == 16000
    assert clip.seconds == pytest.approx(2, abs=0.1) and not clip.missing
    assert clip.mono.std() == pytest.approx(0.1, abs=0.05)


def test_a_cut_file_says_so(decoders):
    clip = decode(decoders, written(noise(3), format="FLAC")[:30000])
    assert 0 < clip.seconds < 3 and clip.seconds + clip.missing == pytest.approx(3, abs=0.01)
    assert "cut short" in clip.notes[0]


def test_channels_and_rates(decoders):
    time = np.arange(44100) / 44100
    stereo = np.stack([np.sin(2 * np.pi * 440 * time), np.zeros(44100)], axis=1)
    clip = decode(decoders, written(stereo, 44100))
    assert (clip.samples.shape, clip.rate) == ((16000, 2), 16000)
    expected = np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert np.allclose(clip.samples[1000:-1000, 0], expected[1000:-1000], atol=1e-3)
    assert np.allclose(clip.samples[:, 1], 0, atol=1e-4)
    assert decode(decoders, written(noise(), 8000)).rate == 8000  # never up


def test_a_wav_from_a_pipe_has_no_length(decoders):
    data = bytearray(written(noise()))
    data[40:44] = b"\xff\xff\xff\xff"
    assert decode(decoders, bytes(data)).seconds == 1.0


def kill_when_asked(monkeypatch) -> None:
    """Let the process that decodes die in the middle of it."""
    real = uploads.json.dumps

    def dumps(task):
        return real({key: value for key, value in task.items() if key != "seconds"})  # which the process needs

    monkeypatch.setattr(uploads.json, "dumps", dumps)


def test_a_process_that_dies_takes_one_request_with_it(decoders, monkeypatch):
    with monkeypatch.context() as broken:
        kill_when_asked(broken)
        with pytest.raises(RequestError, match="breaks the decoder") as error:
            decode(decoders, written(noise()))
        assert error.value.status == 422
    assert decode(decoders, written(noise())).seconds == 1.0


def killed(made: Decoders, number: int) -> RequestError:
    """What is told where every process that decodes ends by a signal."""
    ends = f"import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.kill(os.getpid(), {number})"
    command = [sys.executable, "-S", "-c", ends]
    made._spawn = lambda: subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        with pytest.raises(RequestError) as error:
            decode(made, written(noise()))
    finally:
        made.close()
    return error.value


def test_a_process_that_is_killed_twice_is_not_the_files_fault(tmp_path):
    error = killed(Decoders(Settings(tmp_path), 16000), signal.SIGKILL)
    assert (error.status, error.code) == (503, "decoder_killed")
    assert "was killed twice" in str(error)
    error = killed(Decoders(Settings(tmp_path), 16000), signal.SIGSEGV)
    assert (error.status, error.code) == (422, "broken")


def test_a_process_that_cannot_be_started_is_not_the_files_fault(tmp_path, monkeypatch):
    made = Decoders(Settings(tmp_path), 16000)

    def spawn() -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(made, "_spawn", spawn)
    with pytest.raises(RequestError) as error:
        decode(made, written(noise()))
    assert error.value.status == 503
    made.close()


def test_a_process_that_was_killed_while_idle_is_replaced(decoders):
    for _ in range(uploads.PROCESSES + 1):
        decode(decoders, written(noise()))  # there is one that is idle
        idle = [decoders._idle.get() for _ in range(decoders._idle.qsize())]
        for child in idle:
            child.kill()
            child.wait()
            decoders._idle.put(child)
        assert decode(decoders, written(noise())).seconds == 1.0


def test_others_go_on_while_one_dies(decoders, monkeypatch):
    results: list[object] = []

    def work(data: bytes) -> None:
        try:
            results.append(decode(decoders, data).seconds)
        except RequestError as error:
            results.append(error.status)

    threads = [threading.Thread(target=work, args=(data,)) for data in [written(noise()), b"fLaC" + bytes(50)] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == [1.0] * 4 + [422] * 4


def test_a_process_that_hangs_is_ended(tmp_path):
    made = Decoders(Settings(tmp_path, decode_seconds=1), 16000)
    data = written(noise())
    try:
        with pytest.raises(RequestError, match="too long to decode") as error:
            asyncio.run(made.decode(io.BytesIO(data), len(data) + 1))  # it waits for a byte that never comes
        assert error.value.status == 422
        made.settings = Settings(tmp_path)
        assert decode(made, data).seconds == 1.0
    finally:
        made.close()


def test_processor_time_is_limited():
    endless = "from heyjetson.server.audio.decode_process import allow_seconds\nallow_seconds(0)\nwhile True: pass"
    assert subprocess.run([sys.executable, "-c", endless], cwd=ROOT).returncode == -signal.SIGXCPU


def test_memory_is_limited(decoders, monkeypatch):
    with pytest.raises(RequestError, match="takes too much memory") as error:
        asyncio.run(decoders.decode(io.BytesIO(b""), 10**13))
    assert error.value.status == 413
    with monkeypatch.context() as small:
        small.setattr(uploads, "SHARE", 2**14)
        with pytest.raises(RequestError, match="too much memory: make it mono") as error:
            decode(decoders, written(noise(3)))
    assert error.value.status == 413
    assert decode(decoders, written(noise())).seconds == 1.0


def test_clips_that_live_are_counted(tmp_path):
    made = Decoders(Settings(tmp_path, decode_bytes=512 * 2**20), 16000)
    try:
        clip = decode(made, written(noise()))
        made.settings = Settings(tmp_path, decode_bytes=2 * clip.samples.nbytes - 2)
        with pytest.raises(BusyError):
            decode(made, written(noise()))
        del clip
        made.settings = Settings(tmp_path, decode_bytes=512 * 2**20)
        assert decode(made, written(noise())).seconds == 1.0
    finally:
        made.close()


def test_keys_are_not_given_to_the_processes(decoders, monkeypatch):
    monkeypatch.setenv("HEYJETSON_API_KEYS", "secret")
    child = decoders._spawn()
    try:
        assert b"secret" not in Path(f"/proc/{child.pid}/environ").read_bytes()
    finally:
        child_process.end(child)


def test_a_burst_is_refused_once_what_was_before_it_has_grown(tmp_path):
    size = noise().nbytes
    made = Decoders(Settings(tmp_path, decode_bytes=512 * 2**20, queue=16), 16000)
    data = written(noise())

    async def burst() -> list[object]:
        given = (made.decode(io.BytesIO(data), len(data)) for _ in range(10))
        return await asyncio.gather(*given, return_exceptions=True)

    try:
        decode(made, data)  # the processes have their limits from before
        made.start()
        made.settings = Settings(tmp_path, decode_bytes=8 * size)
        found = asyncio.run(burst())
        clips = [clip for clip in found if isinstance(clip, Clip)]
        assert 5 <= len(clips) <= 6  # more than half, and as many as there are processes
        assert {type(other) for other in found if not isinstance(other, Clip)} == {BusyError}
    finally:
        made.close()


def test_a_process_that_used_up_its_time_is_not_asked_again(tmp_path, monkeypatch):
    made = Decoders(Settings(tmp_path), 16000)
    begun = []
    ends = "import os, resource, signal; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "

    def spawn() -> subprocess.Popen:
        begun.append(True)
        command = [sys.executable, "-c", f"{ends}os.kill(os.getpid(), signal.SIGXCPU)"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    monkeypatch.setattr(made, "_spawn", spawn)
    try:
        with pytest.raises(RequestError, match="takes too long to decode"):
            decode(made, written(noise()))
        assert len(begun) == 1
    finally:
        made.close()
