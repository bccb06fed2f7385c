"""The live socket: what it answers to clients that behave, and that others harm nobody."""

from __future__ import annotations

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from heyjetson import Bundle, EndpointRules, Engine
from heyjetson.server.http.protocols import SocketProtocol
from heyjetson.server.settings import Settings
from tests.heyjetson import trigger_fake
from tests.heyjetson.server.running import served

RATE = trigger_fake.RATE
SPEECH = np.concatenate(
    [
        trigger_fake.quiet(0.5),
        trigger_fake.say("ab ba"),
        trigger_fake.quiet(1.2),
        trigger_fake.tone("hey jetson", 0.4),
        trigger_fake.quiet(0.5),
        trigger_fake.say("aba b"),
        trigger_fake.quiet(0.1),
    ]
)


def pcm(samples: np.ndarray) -> bytes:
    return np.round(samples * 32767).astype("<i2").tobytes()


@contextmanager
def listening(site: str, query: str = "", **options):
    """A client after its `ready`; the subprotocol is the server's own."""
    with connect(
        f"{site.replace('http', 'ws')}/v1/listen?{query}", **{"subprotocols": ["heyjetson"], **options}
    ) as client:
        client.first = json.loads(client.recv(10))
        yield client


def events(client, until: str) -> list[dict]:
    """What comes, up to an event of a type."""
    found: list[dict] = []
    while not found or found[-1]["type"] != until:
        found.append(json.loads(client.recv(20)))
    return found


def command(client, kind: str, **more) -> None:
    client.send(json.dumps({"type": kind, **more}))


def flushed(client) -> list[dict]:
    command(client, "flush")
    return events(client, "flushed")


def of(found: list[dict], kind: str) -> list[dict]:
    return [event for event in found if event["type"] == kind]


def texts(found: list[dict], kind: str = "final") -> list[str]:
    return [event["text"] for event in of(found, kind)]


def ended(client) -> tuple[dict, int]:
    """The error that comes last, and the code that the socket is closed with."""
    last: dict = {}
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            last = json.loads(client.recv(20))
    return last, closed.value.rcvd.code


def assert_works(site: str) -> None:
    """The next client is heard."""
    with listening(site) as client:
        client.send(pcm(trigger_fake.say("ab")))
        assert texts(flushed(client)) == ["ab"]


def assert_works_soon(site: str) -> None:
    """A place becomes free for the next client."""
    deadline = time.monotonic() + 20
    while True:
        try:
            assert_works(site)
            return
        except InvalidStatus:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture(scope="module")
def expected(speech_folder) -> list[dict]:
    """What the engine itself says."""
    stream = Engine(Bundle(speech_folder)).stream(RATE, rules=EndpointRules())
    results = [*stream.feed(np.frombuffer(pcm(SPEECH), "<i2")), stream.finish()]
    return [
        {"text": result.text, "words": [(word.text, word.start, word.end) for word in result.words]}
        for result in results
    ]


def heard(found: list[dict]) -> list[dict]:
    return [
        {"text": event["text"], "words": [(word["word"], word["start"], word["end"]) for word in event["words"]]}
        for event in of(found, "final")
    ]


def test_a_stream_says_what_it_is(site):
    with listening(site, "rate=48000") as client:
        assert client.first == {
            "type": "ready",
            "model": "tones",
            "rate": 48000,
            "frame_seconds": 0.04,
            "streams": True,
            "trigger": ["hey jetson", "computer"],
        }
        assert client.subprotocol == "heyjetson"


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 30000), min_size=1, max_size=5))
def test_finals_do_not_depend_on_the_pieces(site, expected, sizes):
    sound = pcm(SPEECH)
    with listening(site) as client:
        start = 0
        for number in range(400):
            size = 2 * sizes[number % len(sizes)]
            client.send(sound[start : start + size])
            start += size
        client.send(sound[start:])
        found = flushed(client)
    assert heard(found) == expected
    assert [event["word"] for event in of(found, "trigger")] == ["hey jetson"]


def test_partials_grow_and_come_once(site):
    with listening(site) as client:
        sound = pcm(SPEECH)
        for start in range(0, len(sound), 8000):
            client.send(sound[start : start + 8000])
        found = flushed(client)
    assert "ab" in texts(found, "partial")
    repeated = [
        (before, after)
        for before, after in zip(found, found[1:], strict=False)
        if before["type"] == after["type"] == "partial" and before["text"] == after["text"]
    ]
    assert repeated == []
    assert all(event["latency_ms"] >= 0 for event in of(found, "partial"))
    final = of(found, "final")[0]
    assert (final["start"], final["end"]) == (final["words"][0]["start"], final["words"][-1]["end"])
    assert final["seconds"] > final["end"]


def test_the_wake_word_comes_with_its_time(site):
    with listening(site, "rate=48000") as client:
        rate = 48000
        word = [trigger_fake.quiet(2.0, rate), trigger_fake.tone("computer", 0.5, rate), trigger_fake.quiet(0.2, rate)]
        client.send(pcm(np.concatenate(word)))
        raised = events(client, "trigger")[-1]
    assert raised["word"] == "computer"
    assert 2.0 < raised["time"] < 2.6
    assert 0.5 <= raised["score"] <= 1


def test_after_a_flush_time_goes_on(site):
    with listening(site) as client:
        client.send(pcm(np.concatenate([trigger_fake.say("ab"), trigger_fake.quiet(0.1)])))
        first = of(flushed(client), "final")[0]
        client.send(pcm(np.concatenate([trigger_fake.quiet(0.4), trigger_fake.say("ba")])))
        second = of(flushed(client), "final")[0]
        assert flushed(client) == [{"type": "flushed"}]
    assert (first["text"], second["text"]) == ("ab", "ba")
    assert 0.8 <= second["start"] <= 1.0


def test_reset_forgets_and_begins_at_zero(site):
    with listening(site) as client:
        client.send(pcm(trigger_fake.say("ab")))
        command(client, "reset")
        assert texts(events(client, "reset")) == []
        client.send(pcm(trigger_fake.say("ba")))
        final = of(flushed(client), "final")[0]
    assert final["text"] == "ba"
    assert final["start"] < 0.2


def test_endpoint_rules_can_change_on_the_way(site):
    pair = pcm(np.concatenate([trigger_fake.say("a"), trigger_fake.quiet(0.5), trigger_fake.say("b")]))
    with listening(site) as client:
        client.send(pair)
        assert texts(flushed(client)) == ["ab"]
        command(client, "configure", endpoint={"silence": 0.35})
        events(client, "configured")
        client.send(pair)
        assert texts(flushed(client)) == ["a", "b"]
    with listening(site, "silence=0.35") as client:
        client.send(pair)
        assert texts(flushed(client)) == ["a", "b"]


def test_hot_words_are_of_one_connection_and_of_the_next_utterance(site):
    with listening(site, "hot_words=ab:2,ba") as client:
        client.send(pcm(trigger_fake.say("ab ba")))
        assert texts(flushed(client)) == ["ab ba"]
        command(client, "configure", hot_words={"xyz": 3})
        assert "cannot write" in events(client, "error")[-1]["message"]
        client.send(pcm(trigger_fake.say("ab")))
        events(client, "partial")
        command(client, "configure", hot_words={"b": 3.0})
        client.send(pcm(trigger_fake.say(" ba")))
        assert texts(flushed(client)) == ["ab ba"]
        command(client, "configure", hot_words={})
        events(client, "configured")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("rate=7999", "from 8000 to 192000"),
        ("rate=1e4", "from 8000 to 192000"),
        ("rate=-16000", "from 8000 to 192000"),
        ("rate=" + "9" * 400, "from 8000 to 192000"),
        ("silence=nan", "must be a number"),
        ("silence=0.1", "between 0.3"),
        ("longest=1e9", "between 0.3"),
        ("hot_words=ab:inf", "must be a number"),
        ("hot_words=ab:1000", "between -20 and 20"),
        ("hot_words=Q:1", "cannot write"),
        ("hot_words=" + "a" * 70 + ":1", "60 characters at most"),
        ("model=other", "There is no model"),
    ],
)
def test_a_query_that_cannot_work_is_answered_in_a_sentence(site, query, sentence):
    with listening(site, query) as client:
        assert client.first["type"] == "error"
        assert sentence in client.first["message"]
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(10)
    assert closed.value.rcvd.code == 1008
    assert_works(site)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("hello", "must be a command in JSON"),
        ("", "must be a command in JSON"),
        ("[" * 60000, "must be a command in JSON"),
        ("9" * 60000, "must be a command in JSON"),
        ("x" * 70000, "characters at most"),
        ("[]", "There is no command"),
        ('{"type": "dance"}', "There is no command"),
        ('{"type": ["flush"]}', "There is no command"),
        ('{"type": "configure", "endpoint": {"silence": NaN}}', "must be a number"),
        ('{"type": "configure", "endpoint": {"silence": true}}', "must be a number"),
        ('{"type": "configure", "endpoint": {"speed": 1}}', "no endpoint rule"),
        ('{"type": "configure", "endpoint": 3}', "must be a table"),
        ('{"type": "configure", "hot_words": [1]}', "must be a table"),
        ('{"type": "configure", "hot_words": {"ab": {}}}', "must be a number"),
        (b"\x00\x01\x02", "whole int16 samples"),
    ],
)
def test_a_message_that_cannot_be_used_is_told_and_left_out(site, message, sentence):
    with listening(site) as client:
        client.send(message)
        told = events(client, "error")[-1]
        assert sentence in told["message"]
        assert told["code"]
        client.send(pcm(trigger_fake.say("ab")))
        assert texts(flushed(client)) == ["ab"]


def test_half_a_sample_does_not_shift_what_was_sent_around_it(site):
    with listening(site) as client:
        sound = pcm(trigger_fake.say("ab ba"))
        for start in range(0, len(sound), 640):
            client.send(sound[start : start + 640])
            if start % 6400 == 0:
                client.send(b"\x7f")
        assert texts(flushed(client)) == ["ab ba"]


def test_a_client_that_sends_nothing_but_faults_is_given_up(site):
    with listening(site) as client:
        for _ in range(20):
            client.send("garbage")
        error, code = ended(client)
    assert code == 1008
    assert "closed" in error["message"]
    assert_works(site)


def test_a_message_over_a_mebibyte_ends_the_stream(site):
    with listening(site) as client:
        client.send(bytes(2**20 + 2))
        assert ended(client)[1] == 1009
    assert_works(site)


def test_noise_at_full_scale_is_only_sound(site):
    noise = np.random.default_rng(0).integers(-32768, 32768, 3 * RATE).astype("<i2")
    with listening(site) as client:
        client.send(noise.tobytes())
        client.send(np.full(RATE, -32768, "<i2").tobytes())
        flushed(client)


def test_another_subprotocol_is_not_agreed_to(site):
    with listening(site, subprotocols=None) as client:
        assert client.subprotocol is None
    raw = handshake(site, "Sec-WebSocket-Protocol: chat\r\n")
    assert b" 101 " in raw.recv(4096)
    raw.close()


def handshake(site: str, more: str = "") -> socket.socket:
    """A socket by hand, for what no library would send."""
    host, port = site.removeprefix("http://").split(":")
    raw = socket.create_connection((host, int(port)), timeout=20)
    raw.sendall(
        f"GET /v1/listen HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n".encode()
    )
    return raw


@pytest.mark.parametrize(
    "frame",
    [
        b"\x82\xfe",  # half a head
        b"\x82\xfe\x10\x00" + b"abcd" + bytes(100),  # a part of a message
        b"\x02\x84abcdxxxx",  # the first fragment of a message that does not end
        b"\x82\x04abcd",  # not masked, as a client's must be
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",  # reserved bits
        b"\x81\x82\x00\x00\x00\x00\xff\xfe",  # text that is no UTF-8
        b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffabcd",  # more bytes than there are
    ],
)
def test_broken_frames_harm_nobody(site, frame):
    raw = handshake(site)
    assert b" 101 " in raw.recv(4096)
    raw.sendall(frame)
    raw.close()
    assert_works(site)


def test_one_stream_too_many_is_refused_before_it_is_accepted(speech_folder, tmp_path):
    with served(Settings(speech_folder, streams=1, state=tmp_path)) as site:
        with listening(site):
            with pytest.raises(InvalidStatus) as refused:
                connect(f"{site.replace('http', 'ws')}/v1/listen")
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["Retry-After"] == "5"
            assert b"live streams are in use" in refused.value.response.body
        assert_works_soon(site)


def test_a_silent_client_is_told_and_its_words_are_not_lost(speech_folder, tmp_path):
    with served(Settings(speech_folder, idle_seconds=0.3, state=tmp_path)) as site:
        with listening(site) as client:
            client.send(pcm(trigger_fake.say("ab")))
            found = events(client, "error")
            assert texts(found) == ["ab"]
            assert "Nothing was received for 0.3 s" in found[-1]["message"]
            assert ended(client)[1] == 1008
        raw = handshake(site)
        raw.recv(4096)
        raw.sendall(b"\x82\xfe")
        answer = b""
        while b"\x88" not in answer:  # the opcode of a close frame
            answer += raw.recv(4096)
        raw.close()


def test_empty_messages_hold_no_stream(speech_folder, tmp_path):
    with (
        served(Settings(speech_folder, idle_seconds=0.3, state=tmp_path)) as site,
        listening(site) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        stop = threading.Event()

        def nothing() -> None:
            with suppress(ConnectionClosed):
                while not stop.wait(0.02):
                    client.send(b"")

        sending = pool.submit(nothing)
        try:
            assert "Nothing was received for 0.3 s" in events(client, "error")[-1]["message"]
            assert ended(client)[1] == 1008
        finally:
            stop.set()
        sending.result()


def test_one_client_has_its_share_of_the_streams(speech_folder, tmp_path):
    options = {"streams": 4, "keys": ("one", "two"), "state": tmp_path}
    mine, other = ({"additional_headers": {"Authorization": f"Bearer {key}"}} for key in options["keys"])
    with served(Settings(speech_folder, **options)) as site, listening(site, **mine), listening(site, **mine):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"{site.replace('http', 'ws')}/v1/listen", **mine)
        assert refused.value.response.status_code == 429
        assert b"You have 2 live streams open" in refused.value.response.body
        with listening(site, **other) as client:  # there is room for others
            client.send(pcm(trigger_fake.say("ab")))
            assert texts(flushed(client)) == ["ab"]


def test_work_of_a_stream_that_takes_too_long_is_told(speech_folder, tmp_path, monkeypatch):
    go_on = threading.Event()

    def hearing(_session, _sound):
        go_on.wait(30)
        yield from ()

    monkeypatch.setattr("heyjetson.server.live.session.LiveSession.hearing", hearing)
    settings = Settings(speech_folder, work_seconds=1.0, workers=2, state=tmp_path)
    with served(settings) as site, listening(site) as client:
        client.send(bytes(32000))
        told, code = ended(client)
        assert (told["code"], code) == ("deadline", 1011)
        go_on.set()


def test_a_client_that_never_reads_is_given_up(speech_folder, tmp_path, monkeypatch):
    """Its answers are made long here, so that they fill what the system keeps for it sooner."""
    monkeypatch.setattr("heyjetson.server.live.connection.SEND_SECONDS", 0.3)
    long = [{"type": "reset", "filler": "x" * 2**18}]
    monkeypatch.setattr("heyjetson.server.live.session.LiveSession.reset", lambda _: [dict(event) for event in long])
    monkeypatch.setattr("heyjetson.server.http.protocols.LINGER", 0.2)
    with served(Settings(speech_folder, streams=1, state=tmp_path), ws=SocketProtocol) as site:
        raw = handshake(site)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reset = b"\x81\x91" + bytes(4) + b'{"type": "reset"}'
        with pytest.raises(ConnectionError):  # cut off
            while True:
                raw.sendall(reset * 1000)
        assert_works_soon(site)
        raw.close()


def test_a_client_that_sends_without_an_end_waits_for_the_others(site):
    """Half a minute of sound at once: it is slowed, and another client is heard in between."""
    with listening(site) as hasty, ThreadPoolExecutor(1) as pool:
        long = pool.submit(lambda: [hasty.send(bytes(2**18)) for _ in range(4)])
        assert_works(site)
        long.result()
        flushed(hasty)


def test_twenty_at_once_hear_their_own(site):
    def one(number: int) -> list[str]:
        said = "ab" * (number % 5 + 1)
        with listening(site) as client:
            sound = pcm(trigger_fake.say(said))
            for start in range(0, len(sound), 1280):
                client.send(sound[start : start + 1280])
            return [said, *texts(flushed(client))]

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(one, range(20)))
    assert all(said == heard for said, heard in found)


def test_a_client_that_goes_in_the_middle_frees_its_place(speech_folder, tmp_path):
    with served(Settings(speech_folder, streams=1, state=tmp_path)) as site:
        for _ in range(5):
            client = connect(f"{site.replace('http', 'ws')}/v1/listen")
            client.send(pcm(SPEECH))
            client.socket.shutdown(socket.SHUT_RDWR)
            assert_works_soon(site)


def test_a_key_is_wanted_before_the_socket_is_accepted(speech_folder, tmp_path):
    with served(Settings(speech_folder, keys=("secret",), state=tmp_path)) as site:
        for offered in (["heyjetson"], ["heyjetson", "heyjetson.key." + b"wrong".hex()], ["heyjetson.key.zz"]):
            with pytest.raises(InvalidStatus) as refused:
                connect(f"{site.replace('http', 'ws')}/v1/listen", subprotocols=offered)
            assert refused.value.response.status_code == 401
        with listening(site, subprotocols=["heyjetson", "heyjetson.key." + b"secret".hex()]) as client:
            assert client.subprotocol == "heyjetson"
