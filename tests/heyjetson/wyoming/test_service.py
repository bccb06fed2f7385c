"""Speech to text and wake words, as Wyoming's own client asks for them."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wyoming.asr import Transcribe, Transcript, TranscriptChunk
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncClient
from wyoming.event import Event
from wyoming.info import Describe, Info, SelectProgram
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, Detection

from heyjetson import Engine, OptionError
from heyjetson.languages import DEFAULT
from heyjetson.wyoming.services import Keeping, Services
from heyjetson.wyoming.sound import SoundFormat
from tests.heyjetson import trigger_fake
from tests.heyjetson.wyoming.conftest import running

RATE = trigger_fake.RATE
SPEECH = np.concatenate(
    [trigger_fake.quiet(0.2), trigger_fake.say("ab ba "), trigger_fake.quiet(0.5), trigger_fake.say("aba")]
)
WAKE = np.concatenate([trigger_fake.quiet(0.5), trigger_fake.tone("hey jetson", 0.4), trigger_fake.quiet(0.5)])
DRAWN = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def pcm(samples: np.ndarray, width: int = 2, channels: int = 1) -> bytes:
    whole = np.repeat(samples[:, None], channels, axis=1).ravel()
    if width == 1:
        return (np.round(whole * 127) + 128).astype(np.uint8).tobytes()
    numbers = np.round(whole * (2**31 - 1)).astype("<i4")
    return numbers.view(np.uint8).reshape(-1, 4)[:, 4 - width :].tobytes()


def run(scenario):
    return asyncio.run(asyncio.wait_for(scenario, 120))


async def read(client: AsyncClient, until: str) -> list[Event]:
    """Events up to one of a type; None at the end."""
    found: list[Event] = []
    while not found or found[-1].type != until:
        event = await client.read_event()
        assert event is not None, found
        found.append(event)
    return found


async def spoken(client: AsyncClient, data: bytes, size: int, start: bool = True, **shape) -> None:
    shape = {"rate": RATE, "width": 2, "channels": 1} | shape
    if start:
        await client.write_event(AudioStart(**shape).event())
    for place in range(0, len(data), size):
        await client.write_event(AudioChunk(audio=data[place : place + size], timestamp=place, **shape).event())
    await client.write_event(AudioStop().event())


async def transcribed(
    uri: str, data: bytes, size: int = 2048, request: Transcribe | None = None, **shape
) -> list[Event]:
    async with AsyncClient.from_uri(uri) as client:
        if request:
            await client.write_event(request.event())
        await spoken(client, data, size, **shape)
        return await read(client, "transcript-stop")


def text_of(events: list[Event]) -> str:
    (whole,) = [Transcript.from_event(event) for event in events if Transcript.is_type(event.type)]
    assert "".join(TranscriptChunk.from_event(event).text for event in events if "chunk" in event.type) == whole.text
    return whole.text


@pytest.fixture(scope="module")
def expected(engine) -> str:
    return engine.transcribe(np.frombuffer(pcm(SPEECH), "<i2"), RATE).text


@DRAWN
@given(size=st.integers(301, 40_000).map(lambda samples: 2 * samples))
def test_text_is_that_of_the_whole_however_it_is_cut(service, expected, size):
    events = run(transcribed(service, pcm(SPEECH), size))
    assert text_of(events) == expected == "ab ba aba"
    kinds = [event.type for event in events]
    assert (kinds[0], kinds[-2:]) == ("transcript-start", ["transcript", "transcript-stop"])
    assert Transcript.from_event(events[-2]).language == "en"


@pytest.mark.parametrize("shape", [(16000, 1, 1), (16000, 3, 2), (48000, 2, 1), (22050, 4, 2)])
def test_any_format_of_sound(service, shape):
    rate, width, channels = shape
    samples = np.concatenate(
        [trigger_fake.quiet(0.3, rate), trigger_fake.say("ab", rate), trigger_fake.quiet(0.3, rate)]
    )
    data = pcm(samples, width, channels)
    events = run(transcribed(service, data, 600 * width * channels, rate=rate, width=width, channels=channels))
    assert text_of(events) == "ab"


def test_several_at_once_and_one_after_the_other(service):
    said = ["ab", "b a", "aba b", "bba", "a", "b"]

    async def one(text: str, size: int) -> list[str]:
        data = pcm(trigger_fake.say(text))
        found = []
        async with AsyncClient.from_uri(service) as client:
            for start in (True, False):  # the second time without audio-start
                await client.write_event(Transcribe(language="en-GB", name="tones").event())
                await spoken(client, data, size, start)
                found.append(text_of(await read(client, "transcript-stop")))
        return found

    async def all_of_them() -> list[list[str]]:
        return await asyncio.gather(*(one(text, 2 * (700 + 311 * number)) for number, text in enumerate(said)))

    assert run(all_of_them()) == [[text, text] for text in said]


@DRAWN
@given(size=st.integers(301, 40_000).map(lambda samples: 2 * samples))
def test_wake_words(service, size):
    async def scenario() -> list[Event]:
        async with AsyncClient.from_uri(service) as client:
            await client.write_event(Detect().event())
            await spoken(client, pcm(WAKE), size)
            await client.write_event(Detect(names=["Hey_Jetson"]).event())
            await spoken(client, pcm(WAKE), size)
            await client.write_event(Detect(names=["computer"]).event())
            await spoken(client, pcm(WAKE), size)
            return await read(client, "not-detected")

    first, second, last = run(scenario())
    for event in (first, second):
        found = Detection.from_event(event)
        assert found.name == "hey jetson" and found.timestamp % size == 0  # of the chunk
    assert last.type == "not-detected"


def test_a_detection_comes_while_sound_does_and_has_the_time_of_the_stream(service):
    async def scenario() -> Detection:
        async with AsyncClient.from_uri(service) as client:
            await client.write_event(Detect(names=None).event())
            chunk = AudioChunk(RATE, 2, 1, pcm(WAKE))
            await client.write_event(chunk.event())
            return Detection.from_event((await read(client, "detection"))[-1])

    found = run(scenario())
    assert found.name == "hey jetson" and 500 < found.timestamp < 1000


def test_what_is_offered(service):
    async def scenario() -> tuple[Info, str | None]:
        async with AsyncClient.from_uri(service) as client:
            await client.write_event(SelectProgram("heyjetson").event())
            await client.write_event(Event("of-tomorrow"))
            await client.write_event(Describe().event())
            info = Info.from_event((await read(client, "info"))[-1])
            await client.write_event(Ping("x").event())
            return info, Pong.from_event((await read(client, "pong"))[-1]).text

    info, text = run(scenario())
    (asr,), (wake,) = info.asr, info.wake
    assert text == "x"
    assert (asr.name, asr.installed, asr.supports_transcript_streaming, asr.version) == (
        "heyjetson",
        True,
        True,
        "0.1.0",
    )
    assert [(model.name, model.languages, len(model.version)) for model in asr.models] == [("tones", ["en"], 12)]
    assert [(model.name, model.phrase) for model in wake.models] == [("hey jetson",) * 2, ("computer",) * 2]


def test_silence_and_no_sound_at_all(service):
    assert text_of(run(transcribed(service, pcm(trigger_fake.quiet(1.0))))) == ""
    assert text_of(run(transcribed(service, b""))) == ""


def test_a_model_that_writes_sounds_is_given_words_and_may_change_its_mind(tmp_path, caplog):
    engine = Engine(trigger_fake.make_sounding(tmp_path / "sounds"))
    services = Services(engine, None)
    # "ab" is written with its sounds' letters and is no word; an assistant's request goes on without it.
    request = Transcribe(transcript_names=["AY", "Abbey", "ab"])
    with caplog.at_level("INFO", "heyjetson.wyoming"):
        assert services._hot_words(request) == {"ay": 3.0, "abbey": 3.0}
    assert "1 names were not listened for" in caplog.text
    assert not services.open(None, RATE, 1)._deltas.steady
    with running(services) as uri:
        assert text_of(run(transcribed(uri, pcm(trigger_fake.say("b a ")), 4000, request))) == "bee ay"


def test_names_are_hot_words_and_those_that_cannot_be_written_are_left_out(make_services, caplog):
    services = make_services()
    request = Transcribe(transcript_names=["AB", "Küche", " "], transcript_terms=["ba", "ab", "a" * 61])
    with caplog.at_level("INFO", "heyjetson.wyoming"):
        assert services._hot_words(request) == {"ab": 3.0, "ba": 2.0}
    assert "3 names were not listened for" in caplog.text and "Küche" in caplog.text
    many = Transcribe(
        transcript_names=[
            f"{a}{b}{c}{d}{e}{f}{g}"
            for a in "ab"
            for b in "ab"
            for c in "ab"
            for d in "ab"
            for e in "ab"
            for f in "ab"
            for g in "ab"
        ]
    )
    assert len(services._hot_words(many)) == 100
    with pytest.raises(OptionError, match="must be a list"):
        services._hot_words(Transcribe(transcript_names="ab"))
    with running(services) as uri:
        assert text_of(run(transcribed(uri, pcm(SPEECH), 4000, request))) == "ab ba aba"


def test_a_model_of_whole_recordings_hears_the_end(engine, expected, monkeypatch):
    monkeypatch.setattr(type(engine.bundle), "streams", property(lambda bundle: False))
    services = Services(engine, None, longest=10.0)
    listener = services.open(None, RATE, 1)
    assert isinstance(listener, Keeping) and listener.begin() == []
    monkeypatch.undo()  # the engine transcribes as ever
    for part in np.array_split(np.frombuffer(pcm(SPEECH), "<i2"), 7):
        assert listener.hear(part[:, None], None) == []
    (event,) = listener.finish()
    assert Transcript.from_event(event) == Transcript(expected, language=DEFAULT)
    assert Transcript.from_event(Keeping(services, engine.decoder(), RATE).finish()[0]).text == ""


def test_samples_of_every_width():
    samples = np.array([-1.0, -0.5, 0.0, 0.5, 0.99])
    for width in (1, 2, 3, 4):
        found = SoundFormat(RATE, width, 2).samples(pcm(samples, width, 2))
        assert found.shape == (5, 2)
        scaled = found / 32768 if found.dtype == np.int16 else found
        assert np.allclose(scaled, samples[:, None], atol=0.01)
