"""`WS /v1/realtime`, as openai-python's own client speaks it."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from typing import Any, get_args

import numpy as np
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from heyjetson import Bundle, Engine
from heyjetson.deltas import TextDeltas
from heyjetson.errors import OptionError
from heyjetson.server.live.realtime_session import Choices
from heyjetson.server.settings import Settings
from tests.heyjetson import trigger_fake
from tests.heyjetson.server.running import served
from tests.heyjetson.server.test_listen import pcm

RATE = 24000
TYPED: Any = TypeAdapter(get_args(RealtimeServerEvent)[0])
TRANSCRIPTION = "conversation.item.input_audio_transcription"
DONE = f"{TRANSCRIPTION}.completed"
WHOLE = {"type": "transcription", "audio": {"input": {"turn_detection": None}}}


def sound(*parts: np.ndarray) -> bytes:
    return pcm(np.concatenate(parts))


def say(text: str) -> np.ndarray:
    return trigger_fake.say(text, RATE)


def quiet(seconds: float) -> np.ndarray:
    return trigger_fake.quiet(seconds, RATE)


@contextmanager
def session(site: str, **update):
    """A connection of OpenAI's client, with its session updated."""
    client = openai.OpenAI(base_url=f"{site}/v1", api_key="none")
    with client, client.realtime.connect(model="gpt-realtime-whisper") as connection:
        created = connection.recv()
        assert (created.type, created.session.type) == ("session.created", "transcription")
        connection.session.update(session={"type": "transcription", **update})
        connection.first = connection.recv()
        yield connection


def append(connection, data: bytes, size: int = 4800) -> None:
    for start in range(0, len(data), size):
        connection.input_audio_buffer.append(audio=base64.b64encode(data[start : start + size]).decode())


def until(connection, *kinds: str) -> list[dict]:
    """Events up to one of a kind, each as the strict models of the client have it."""
    found: list[dict] = []
    while not found or found[-1]["type"] not in kinds:
        raw = connection.recv_bytes()
        TYPED.validate_json(raw, strict=True)
        found.append(json.loads(raw))
    return found


def of(events: list[dict], kind: str) -> list[dict]:
    return [event for event in events if event["type"] == kind]


def joined(events: list[dict]) -> str:
    return "".join(event["delta"] for event in of(events, f"{TRANSCRIPTION}.delta"))


def test_turns_are_detected_and_committed(site):
    with session(site) as connection:
        append(connection, sound(quiet(0.5), say("ab ba"), quiet(1.0), say("b"), quiet(1.0)))
        first, second = until(connection, DONE), until(connection, DONE)
    kinds = [event["type"].removeprefix("input_audio_buffer.") for event in first if "delta" not in event]
    assert kinds == [
        "speech_started", "speech_stopped", "committed", "conversation.item.added", "conversation.item.done", DONE
    ]  # fmt: skip
    assert (first[-1]["transcript"], second[-1]["transcript"]) == ("ab ba", "b")
    assert (joined(first), joined(second)) == ("ab ba", "b")
    # While they are spoken; how many depends on the load, for sound that waits is heard half a second at a time.
    assert len(of(first, f"{TRANSCRIPTION}.delta")) >= 1
    assert first.index(of(first, f"{TRANSCRIPTION}.delta")[0]) == 1
    (started,), (stopped,) = (
        of(first, "input_audio_buffer.speech_started"),
        of(first, "input_audio_buffer.speech_stopped"),
    )
    assert 100 <= started["audio_start_ms"] <= 500  # with the padding of 300 ms
    assert 1900 <= stopped["audio_end_ms"] <= 2100  # with the silence of 500 ms
    ids = {event["item_id"] for event in first if "item_id" in event}
    assert ids == {first[-1]["item_id"]} and second[-1]["item_id"] not in ids
    (committed,) = of(second, "input_audio_buffer.committed")
    assert committed["previous_item_id"] == first[-1]["item_id"]


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(301, 6000).map(lambda half: 2 * half), text=st.sampled_from(["ab ba", "a", "b ab  a"]))
def test_a_client_that_commits_gets_the_text_of_the_whole(site, speech_folder, size, text):
    data = sound(quiet(0.2), say(text), quiet(3.0), say("ab"))
    whole = Engine(Bundle(speech_folder)).transcribe(np.frombuffer(data, "<i2"), RATE)
    with session(site, audio=WHOLE["audio"]) as connection:
        assert connection.first.session.audio.input.turn_detection is None
        append(connection, data, size)
        connection.input_audio_buffer.commit()
        events = until(connection, DONE)
    assert events[-1]["transcript"] == joined(events) == whole.text
    assert not of(events, "input_audio_buffer.speech_started")
    assert events[-1]["usage"] == {"type": "duration", "seconds": round(len(data) / 2 / RATE, 3)}


def test_a_session_changes_while_it_hears(site):
    turns = {"type": "server_vad", "silence_duration_ms": 200}
    with session(site) as connection:
        append(connection, sound(quiet(0.5), say("ab")))
        connection.session.update(session={"type": "transcription", "audio": {"input": {"turn_detection": turns}}})
        updated = until(connection, "session.updated", "error")[-1]
        assert updated["session"]["audio"]["input"]["turn_detection"] == turns | {"prefix_padding_ms": 200}
        append(connection, sound(quiet(0.4)))
        assert until(connection, DONE)[-1]["transcript"] == "ab"


def test_a_long_padding_does_not_hear_the_same_silence_again(site):
    turns = {"type": "server_vad", "silence_duration_ms": 3000, "prefix_padding_ms": 10_000}
    with session(site, audio={"input": {"turn_detection": turns}}) as connection:
        assert connection.first.session.audio.input.turn_detection.prefix_padding_ms == 2400
        append(connection, sound(quiet(6.0), say("ab"), quiet(4.0)))
        assert until(connection, DONE)[-1]["transcript"] == "ab"


def test_what_is_cleared_is_forgotten(site):
    with session(site, audio=WHOLE["audio"]) as connection:
        append(connection, sound(say("ab")))
        connection.input_audio_buffer.clear()
        assert until(connection, "input_audio_buffer.cleared")
        connection.input_audio_buffer.commit()
        error = until(connection, "error")[-1]["error"]
        assert (error["code"], error["type"]) == ("input_audio_buffer_commit_empty", "invalid_request_error")
        append(connection, sound(say("b")))
        connection.input_audio_buffer.commit()
        assert until(connection, DONE)[-1]["transcript"] == "b"


def test_a_session_says_what_holds(site):
    update = {
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "noise_reduction": {"type": "near_field"},
                "transcription": {
                    "model": "gpt-4o-mini-transcribe",
                    "language": "en",
                    "keywords": ["AB"],
                    "prompt": "x",
                },
                "turn_detection": {"type": "server_vad", "silence_duration_ms": 400, "prefix_padding_ms": 600},
            }
        },
        "include": ["item.input_audio_transcription.logprobs"],
    }
    with session(site, **update) as connection:
        holds = connection.first.session.to_dict()
        assert holds["audio"]["input"] == {
            "format": {"type": "audio/pcm", "rate": 24000},
            "noise_reduction": None,
            "transcription": {"model": "tones", "language": "en", "keywords": ["AB"]},
            "turn_detection": {"type": "server_vad", "prefix_padding_ms": 400, "silence_duration_ms": 400},
        }
        append(connection, sound(say("ab ba"), quiet(0.6)))
        completed = until(connection, DONE)[-1]
        assert [token["token"] for token in completed["logprobs"]] == ["ab", " ba"]
        connection.session.update(session=WHOLE)  # in the middle, and only this
        changed = until(connection, "session.updated")[-1]["session"]
        assert changed["audio"]["input"]["turn_detection"] is None and changed["include"] == update["include"]
        append(connection, sound(say("a"), quiet(1.0), say("b")))
        connection.input_audio_buffer.commit()
        assert until(connection, DONE)[-1]["transcript"] == "a b"  # one item, and a pause that parts two words


@pytest.mark.parametrize(
    "change, told",
    [
        ({"type": "realtime"}, "session.type cannot be used"),
        ({"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}, "turn_detection.type cannot be used"),
        ({"audio": {"input": {"format": {"type": "audio/pcmu"}}}}, "format.type cannot be used"),
        ({"audio": {"input": {"transcription": {"model": "mine-9"}}}}, "There is no model 'mine-9' here"),
        ({"audio": {"input": {"transcription": {"language": "de"}}}}, "writes english"),
        ({"audio": {"input": {"transcription": {"keywords": ["xyz"]}}}}, "cannot write"),
        ({"audio": {"input": {"transcription": {"keywords": ["a" * 61]}}}}, "60 characters at most"),
        ({"audio": {"input": {"transcription": None}}}, "transcription cannot be used"),
        ({"voice": "alloy"}, "session.voice cannot be used"),
    ],
)
def test_what_cannot_be_chosen_is_refused(site, change, told):
    with session(site) as connection:
        connection.send({"type": "session.update", "event_id": "mine", "session": {"type": "transcription", **change}})
        (event,) = until(connection, "error")
        assert told in event["error"]["message"] and event["error"]["event_id"] == "mine"


def test_choices_are_merged():
    choices = Choices().updated({"audio": {"input": {"turn_detection": {"silence_duration_ms": 900}}}})
    choices = choices.updated({"audio": {"input": {"format": {"rate": 16000}}}})
    assert (choices.rules(True).silence, choices.rate) == (0.9, 16000)
    assert choices.updated(WHOLE).rules(False).longest == 60
    with pytest.raises(OptionError, match="must be a table"):
        choices.updated([])


def test_messages_that_are_no_events_harm_nobody(site):
    address = f"{site.replace('http', 'ws')}/v1/realtime"
    with connect(address, subprotocols=["realtime", "openai-insecure-api-key.none"]) as client:
        assert client.subprotocol == "realtime"
        client.recv(60)
        messages = ["", "[1]", "{", b"\0\0", '{"type": "response.create"}', '{"type": "input_audio_buffer.append"}']
        messages += ['{"type": "input_audio_buffer.append", "audio": "?"}', '{"type": "session.update"}', "[" * 10000]
        for message in messages:
            client.send(message)
            event = json.loads(client.recv(60))
            assert event["type"] == "error" and event["error"]["message"].endswith((".", "}."))
        client.send(json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(b"\0\0\0").decode()}))
        assert "whole int16 samples" in json.loads(client.recv(60))["error"]["message"]
        with pytest.raises(ConnectionClosed):
            for _ in range(20):
                client.send("no event")
                last = json.loads(client.recv(60))
        assert last["error"]["message"].endswith("the stream was closed.")
    with session(site) as connection:
        append(connection, sound(say("ab"), quiet(1.0)))
        assert until(connection, DONE)[-1]["transcript"] == "ab"


def test_sound_that_is_not_committed_is_bounded_and_keys_are_asked_for(speech_folder, tmp_path):
    with served(Settings(speech_folder, state=tmp_path, keys=("secret",), audio_seconds=2.0, streams=1)) as site:
        with pytest.raises(InvalidStatus), session(site):
            pass
        protocols = ["realtime", "openai-insecure-api-key.secret"]
        with connect(f"{site.replace('http', 'ws')}/v1/realtime", subprotocols=protocols) as client:
            client.recv(60)
            client.send(json.dumps({"type": "session.update", "session": WHOLE}))
            audio = base64.b64encode(sound(quiet(2.1))).decode()
            client.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            while (event := json.loads(client.recv(60)))["type"] != "error":
                pass
            assert "More than 2 s of sound wait" in event["error"]["message"]
            with pytest.raises(InvalidStatus, match="503"), connect(client_address(site), subprotocols=protocols):
                pass


def client_address(site: str) -> str:
    return f"{site.replace('http', 'ws')}/v1/realtime"


def test_deltas_of_a_text_that_changes():
    deltas = TextDeltas(steady=False)
    given = [deltas.of(text) for text in ("a", "a b", "a b", "a c", "a c d", "x", "a c d e")]
    assert given == ["", "", "", "a", "", "", ""]
    assert deltas.of("a c d e", final=True) == " c d e"
    assert TextDeltas(steady=True).of("a") == "a"
