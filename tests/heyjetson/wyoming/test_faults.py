"""Clients that do what cannot be answered: each is told why, and harms nobody."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import SelectProgram
from wyoming.wake import Detect

from heyjetson.cli import main
from heyjetson.errors import OptionError
from heyjetson.wyoming import wire
from heyjetson.wyoming.server import Address, Server
from heyjetson.wyoming.services import Services, Transcribing
from tests.heyjetson import trigger_fake
from tests.heyjetson.wyoming.conftest import running
from tests.heyjetson.wyoming.test_service import pcm, read, run, spoken, text_of, transcribed

RATE = trigger_fake.RATE


def line(**fields) -> bytes:
    return json.dumps(fields).encode() + b"\n"


async def connection(uri: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = uri.removeprefix("tcp://").split(":")
    return await asyncio.open_connection(host, int(port))


async def last_words(reader: asyncio.StreamReader) -> dict:
    """What a connection says before it ends."""
    said = await reader.read()
    start, _, rest = said.partition(b"\n")
    head = json.loads(start)
    return head | {"data": json.loads(rest[: head.get("data_length", 0)])}


@pytest.fixture(scope="module")
def tcp(make_services):
    with running(make_services(longest=3.0)) as uri:
        yield uri


@pytest.fixture(autouse=True)
def _next_client_is_heard(tcp):
    yield
    assert text_of(run(transcribed(tcp, pcm(trigger_fake.say("ab"))))) == "ab"


@pytest.mark.parametrize(
    "sent, told",
    [
        (b"GET / HTTP/1.1\r\n\r\n", "is a line of JSON"),
        (b"[]\n", "is a line of JSON"),
        (b"{}\n", "is a line of JSON"),
        (b"\xff\xfe\n", "is a line of JSON"),
        (b"[" * 60_000 + b"\n", "is a line of JSON"),
        (b"x" * 200_000, "64 KiB at most"),
        (line(type=7), "is a line of JSON"),
        (line(type="describe", data=[1]), "is a line of JSON"),
        (line(type="describe", data_length="9"), "is a line of JSON"),
        (line(type="describe", data_length=2) + b"no", "is a line of JSON"),
        (line(type="describe", data_length=1.5), "1 MiB each at most"),
        (line(type="audio-chunk", payload_length=2**40), "1 MiB each at most, found 1099511627776"),
        (line(type="audio-chunk"), "lacks a field"),
        (line(type="select-program"), "lacks a field"),
        (line(type="audio-start", data={"rate": "x", "width": 2, "channels": 1}), "The rate of the sound"),
        (line(type="audio-start", data={"rate": 16000, "width": 9, "channels": 1}), "The width of the sound"),
        (line(type="audio-start", data={"rate": 16000, "width": 2, "channels": 10**9}), "The channels of the sound"),
        (line(type="audio-start", data={"rate": True, "width": 2, "channels": 1}), "The rate of the sound"),
    ],
)
def test_what_is_no_event_is_told(tcp, sent, told):
    async def scenario() -> dict:
        reader, writer = await connection(tcp)
        writer.write(sent)
        await writer.drain()
        found = await last_words(reader)
        writer.close()
        return found

    found = run(scenario())
    assert found["type"] == "error" and told in found["data"]["text"]


@pytest.mark.parametrize(
    "events, told",
    [
        ([Transcribe(name="mine")], "There is no model 'mine' here: 'tones' is."),
        ([Transcribe(language="de")], "writes english (en), not de"),
        ([Transcribe(transcript_names="x"), AudioStart(RATE, 2, 1)], "must be a list of words"),
        ([Detect(names=["alexa"])], "There is no wake word 'alexa' here: there are hey jetson, computer."),
        ([Detect(names="alexa")], "There is no wake word 'a'"),
        ([SelectProgram("other")], "There is no program 'other'"),
        ([AudioStart(RATE, 2, 1), AudioChunk(RATE, 4, 1, b"1234")], "format of the sound cannot change"),
        ([AudioStart(RATE, 2, 2), AudioChunk(RATE, 2, 2, b"12")], "whole samples of 2 x 2 bytes, found 2"),
        ([AudioChunk(RATE, 2, 1, bytes(2 * RATE))] * 5, "may last 3 s"),
    ],
)
def test_what_cannot_be_done_is_told(tcp, events, told):
    async def scenario() -> str:
        async with AsyncClient.from_uri(tcp) as client:
            for event in events:
                await client.write_event(event.event())
            said = Error.from_event((await read(client, "error"))[-1])
            assert await client.read_event() is None
            return said.text

    assert told in run(scenario())


def test_clients_that_leave_in_the_middle(tcp):
    async def scenario() -> None:
        for sent in (b"", b'{"type', line(type="audio-chunk", payload_length=100) + b"12", line(type="describe")):
            _, writer = await connection(tcp)
            writer.write(sent)
            writer.close()
        async with AsyncClient.from_uri(tcp) as client:
            await client.write_event(AudioStart(RATE, 2, 1).event())
            await client.write_event(AudioChunk(RATE, 2, 1, pcm(trigger_fake.say("ab"))).event())

    run(scenario())


def test_the_idle_make_room_and_those_who_speak_do_not(make_services, monkeypatch):
    async def scenario(uri: str) -> list[str]:
        said: list[str] = []
        clients = [AsyncClient.from_uri(uri) for _ in range(4)]
        for client in clients[:3]:
            await client.connect()
            await client.write_event(AudioStart(RATE, 2, 1).event())
            if client is not clients[0]:
                await read(client, "transcript-start")
        await read(clients[0], "transcript-start")
        await clients[0].write_event(AudioStop().event())  # it waits now, and is the only one
        said.append(text_of(await read(clients[0], "transcript-stop")))
        await clients[3].connect()
        await clients[3].write_event(AudioStart(RATE, 2, 1).event())
        await read(clients[3], "transcript-start")
        assert await clients[0].read_event() is None
        async with AsyncClient.from_uri(uri) as late:  # all three speak
            said.append(Error.from_event((await read(late, "error"))[-1]).text)
        for client in clients[1:]:
            await spoken(client, pcm(trigger_fake.say("b")), 4000, start=False)
            said.append(text_of(await read(client, "transcript-stop")))
            await client.disconnect()
        return said

    with running(make_services(), connections=3) as uri:
        assert run(scenario(uri)) == ["", "All 3 connections are in use: try again in a moment.", "b", "b", "b"]


def test_deadlines(make_services, monkeypatch):
    monkeypatch.setattr(wire, "EVENT_SECONDS", 0.1)

    async def scenario(uri: str, sent: bytes) -> str:
        reader, writer = await connection(uri)
        writer.write(sent)
        found = await last_words(reader)
        writer.close()
        return found["data"]["text"]

    with running(make_services(), idle_seconds=0.2) as uri:
        assert "Nothing came for 0.2 s" in run(scenario(uri, b'{"type":'))
        assert "did not come within 0.1 s" in run(scenario(uri, line(type="audio-chunk", payload_length=10)))


def test_a_client_that_reads_nothing_is_given_up(make_services, monkeypatch):
    monkeypatch.setattr(wire, "SEND_SECONDS", 0.1)

    async def scenario(uri: str) -> None:
        _, writer = await connection(uri)
        try:
            while True:
                writer.write(line(type="ping", data={"text": "x" * 50_000}) * 20)
                await asyncio.wait_for(writer.drain(), 60)
        except OSError:
            pass

    with running(make_services()) as uri:
        run(scenario(uri))


def test_a_fault_of_our_own_is_not_told(make_services, monkeypatch, caplog):
    def fails(*_):
        raise RuntimeError("/home/secret")

    monkeypatch.setattr(Services, "open", fails)

    async def scenario(uri: str) -> str:
        async with AsyncClient.from_uri(uri) as client:
            await client.write_event(AudioStart(RATE, 2, 1).event())
            return Error.from_event((await read(client, "error"))[-1]).text

    with running(make_services()) as uri:
        assert run(scenario(uri)) == "The server failed on this. Its log says why."
    assert "/home/secret" in caplog.text
    monkeypatch.undo()


def test_addresses(tmp_path):
    for wrong in ("http://x", "tcp://", "unix://relative/path", "tcp://h:99999", "tcp://h:1/path", "stdio://"):
        with pytest.raises(OptionError, match="cannot be used"):
            Address.of(wrong)
    assert str(Address.of("tcp://[::1]:5")) == "tcp://[::1]:5"
    with pytest.raises(OptionError, match="no address of this machine"):
        Address.of("tcp://256.1.1.1.invalid:1").listener()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OptionError, match="choose another --uri"):
            Address.of(f"tcp://127.0.0.1:{taken.getsockname()[1]}").listener()
    with Address.of("tcp://localhost:0").listener() as listener:
        assert listener.proto == socket.IPPROTO_TCP  # else no event is sent before the one before it was acknowledged
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OptionError, match="no socket"):
        Address.of(f"unix://{tmp_path}/file").listener()
    path = tmp_path / "s"
    first = Address.of(f"unix://{path}").listener()
    first.listen()
    with pytest.raises(OptionError, match="Another program listens"):
        Address.of(f"unix://{path}").listener()
    first.close()  # as one that was killed
    Address.of(f"unix://{path}").listener().close()


def test_the_command(engine, trigger, tmp_path, capsys):
    speech, wake = str(engine.bundle.folder), str(trigger.bundle.folder)
    for arguments, told in {
        (speech, "--uri", "http://x"): "--uri http://x cannot be used",
        (speech, "--trigger", speech): "that of --trigger a trigger",
        (wake, "--trigger", wake): "that of --trigger a trigger",
        (speech, "--workers", "0"): "--workers must be at least 1",
        (speech, "--idle-seconds", "0"): "--idle-seconds must be above 0",
        (speech, "--language", "German"): "by its code",
    }.items():
        assert main(["wyoming", *arguments]) == 1
        assert told in capsys.readouterr().err
    path = tmp_path / "s"
    command = [sys.executable, "-m", "heyjetson", "wyoming", wake, "--uri", f"unix://{path}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        said: list[str] = []
        reading = threading.Thread(target=lambda: said.append(process.stdout.readline()))
        reading.start()
        reading.join(120)
        assert said == [f"Hey, Jetson! is at unix://{path}\n"]

        async def scenario() -> Event:
            async with AsyncClient.from_uri(f"unix://{path}") as client:
                await client.write_event(Transcribe().event())
                return (await read(client, "error"))[-1]

        assert "Wake words alone are heard here" in Error.from_event(run(scenario())).text
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert not path.exists()


def test_the_extra_is_enough():
    """`heyjetson[wyoming]` brings nothing of the server."""
    absent = ["fastapi", "starlette", "uvicorn", "prometheus_client", "pydantic", "zeroconf"]
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import heyjetson.wyoming.server"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_end_of_the_server_gives_the_last_words(make_services, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    finish, close = Transcribing.finish, Server._close

    def held(self):
        begun.set()
        assert go_on.wait(60)
        return finish(self)

    async def closing(self, *arguments):
        go_on.set()
        await close(self, *arguments)

    monkeypatch.setattr(Transcribing, "finish", held)
    monkeypatch.setattr(Server, "_close", closing)
    with ThreadPoolExecutor(1) as threads:
        with running(make_services()) as uri:
            said = threads.submit(run, transcribed(uri, pcm(trigger_fake.say("ab"))))
            assert begun.wait(60)
        assert text_of(said.result(60)) == "ab"
    monkeypatch.undo()
