"""The parts behind the live socket: inbox, sessions, models that hear whole recordings, the server's end."""

from __future__ import annotations

import asyncio
import json
import threading

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from heyjetson import Bundle, EndpointRules, Engine, OptionError, StreamError
from heyjetson.decoding.hypothesis import Result, Word
from heyjetson.server.app import create_app
from heyjetson.server.live.inbox import WAITING_BYTES, Ending, Inbox
from heyjetson.server.live.options import ListenOptions, changed_rules, hot_words_of
from heyjetson.server.live.pseudo_streaming import PseudoStream
from heyjetson.server.live.realtime_session import Choices
from heyjetson.server.live.session import ChangingDecoder, LiveSession
from heyjetson.server.run import Server, bind, configuration
from heyjetson.server.settings import Settings
from tests.heyjetson import trigger_fake
from tests.heyjetson.server.test_listen import pcm

RATE = trigger_fake.RATE
COMMITTED = {"audio": {"input": {"turn_detection": None}}}


@pytest.fixture(scope="module")
def engine(speech_folder) -> Engine:
    return Engine(Bundle(speech_folder))


def test_sound_that_waits_is_joined_up_to_a_step():
    async def scenario() -> list:
        inbox = Inbox(step=8)
        for item in (b"aabb", b"cc", b"ddeeff", "flush", b"g", b"hh", Ending(1012)):
            inbox.put(item)
        return [(await inbox.take())[0] for _ in range(6)]

    assert asyncio.run(scenario()) == [b"aabbccdd", b"eeff", "flush", b"g", b"hh", Ending(1012)]


def test_a_full_inbox_lets_nothing_in_until_something_is_taken():
    async def scenario() -> None:
        inbox = Inbox(step=WAITING_BYTES)
        inbox.put(bytes(WAITING_BYTES))
        waiting = asyncio.ensure_future(inbox.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        await inbox.take()
        await asyncio.wait_for(waiting, 5)
        assert len(inbox) == 0

    asyncio.run(scenario())


def test_another_decoder_waits_for_the_end_of_what_is_being_said():
    class Fake:
        def __init__(self, name):
            self.name, self.offset, self.said = name, None, []

        def reset(self, offset=0.0, sound=None):
            self.offset, self.said = offset, []

        def feed(self, log_probs):
            self.said = [Word(self.name, 0, 1, 1.0)] if log_probs.any() else self.said

        def words(self):
            return self.said

        def finish(self):
            return []

    decoder = ChangingDecoder(Fake("first"), 0.04)
    decoder.feed(np.zeros((5, 3)))
    decoder.change(Fake("second"))  # nothing was said: at once, where the utterance is
    decoder.feed(np.ones((1, 3)))
    assert decoder.words()[0].text == "second"
    assert decoder._now.offset == pytest.approx(0.2)
    decoder.change(Fake("third"))
    decoder.feed(np.ones((1, 3)))
    assert decoder.words()[0].text == "second"
    decoder.reset(3.0)
    decoder.feed(np.ones((1, 3)))
    assert decoder.words()[0].text == "third"


def test_a_stream_changes_its_rules(engine):
    stream = engine.stream(RATE, rules=EndpointRules(silence=2.0, gate=10.0))
    stream.feed(np.concatenate([trigger_fake.say("ab"), trigger_fake.quiet(0.5)]))
    stream.change_rules(EndpointRules(silence=0.2, onset=0.1))
    assert [result.text for result in stream.feed(trigger_fake.quiet(0.2))] == ["ab"]
    assert (stream.rules.onset, stream.rules.gate) == (0.1, 10.0)
    longer = engine.stream(RATE, rules=EndpointRules(onset=0.0))
    longer.change_rules(EndpointRules(silence=1.2, onset=1.0))
    longer.feed(np.concatenate([trigger_fake.say("ab"), trigger_fake.quiet(1.3)]))
    # As much of the past is kept as the new rules want.
    assert longer._begun == pytest.approx(0.36 + 1.2 - 1.0, abs=0.08)
    with pytest.raises(StreamError, match="without endpoint rules"):
        engine.stream(RATE).change_rules(EndpointRules())


def test_what_may_be_asked_for():
    assert ListenOptions.of_query({}) == ListenOptions()
    options = ListenOptions.of_query({"rate": "44100", "silence": "1.5", "hot_words": "ab:2"})
    assert (options.rate, options.rules.silence, options.hot_words) == (44100, 1.5, {"ab": 2.0})
    assert hot_words_of("") is None
    assert changed_rules(EndpointRules(), {"longest": 5}).longest == 5
    with pytest.raises(OptionError, match="100 hot words"):
        hot_words_of({str(number): 1 for number in range(101)})


class Whole:
    """An engine whose text is how long the loud part is, in tenths of a second."""

    def __init__(self, engine: Engine):
        self.bundle = engine.bundle
        self.calls: list[float] = []

    def transcribe(self, samples, rate, decoder):
        seconds = len(samples) / rate
        self.calls.append(seconds)
        loud = np.flatnonzero(np.abs(samples) > 0.1)
        words = [Word("x", loud[0] / rate, loud[-1] / rate, 1.0)] if len(loud) else []
        return Result(f"{len(loud)}", words, seconds)


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("size", [160, 4000, 10**6])
def test_whole_utterances_are_cut_by_loudness(engine, rate, size):
    heard = Whole(engine)
    stream = PseudoStream(heard, None, rate, EndpointRules())
    time = np.arange(rate) / rate
    loud = 0.3 * np.sin(2 * np.pi * 300 * time).astype(np.float32)
    quiet = [trigger_fake.quiet(seconds, rate) for seconds in (1.0, 1.5, 1.0)]
    sound = np.concatenate([quiet[0], loud, quiet[1], loud, loud, quiet[2]])
    results = []
    for start in range(0, len(sound), size):
        results += stream.feed(sound[start : start + size])
    assert len(results) == 2
    assert results[0].words[0].start == pytest.approx(1.0, abs=0.03)
    assert results[0].words[0].end == pytest.approx(2.0, abs=0.03)
    assert results[1].words[0].start == pytest.approx(3.5, abs=0.03)
    assert stream.finish().text == ""
    assert sum(heard.calls) < 6 * len(sound) / rate  # readings lie further and further apart


def test_a_whole_utterance_is_no_longer_than_it_may_be(engine):
    heard = Whole(engine)
    stream = PseudoStream(heard, None, RATE, EndpointRules(longest=2.0))
    loud = np.sin(np.arange(5 * RATE) * 0.1).astype(np.float32)
    assert len(stream.feed(loud)) == 2
    assert max(heard.calls) <= 2.1
    assert stream.finish().words[0].start == pytest.approx(4.0, abs=0.05)


def test_a_quiet_word_is_heard_where_nothing_comes_before_it(engine):
    """As clients send it that look for speech themselves, by a microphone that is far away: -53 dB of full scale."""
    heard = Whole(engine)
    stream = PseudoStream(heard, None, RATE, EndpointRules())
    word = 0.003 * np.sin(np.arange(RATE // 2) * 0.1).astype(np.float32)
    for _ in range(2):
        assert stream.feed(word) == []
        stream.finish()
        assert heard.calls.pop() == len(word) / RATE
        stream.reset()
    for _ in range(100):
        stream.feed(word)
    assert len(stream._blocks) == 100  # two seconds


@pytest.mark.parametrize("level", [0.5, 0.001])
def test_where_no_silence_ends_it_an_utterance_is_all_that_is_heard(engine, level):
    """As a client commits it: a word that does not stand out from what came before it is one, too."""
    heard = Whole(engine)
    stream = PseudoStream(heard, None, RATE, Choices().updated(COMMITTED).rules(False))
    sound = np.concatenate([level * np.sin(np.arange(RATE // 5) * 0.1), np.zeros(RATE)])
    for start in range(0, len(sound), 800):
        assert stream.feed(sound[start : start + 800]) == []
    stream.finish()
    assert heard.calls[-1] == len(sound) / RATE


class Reader:
    """An engine that reads two words a second, for whose first syllable alone it writes the same."""

    def __init__(self, engine: Engine):
        self.bundle = engine.bundle

    def transcribe(self, samples, rate, decoder):
        begins = np.arange(np.ceil(samples[0] / 0.01 * 2), len(samples) / rate * 2 + samples[0] / 0.01 * 2)
        words = [
            Word(f"w{int(begin)}", begin / 2 - samples[0] / 0.01, begin / 2 + 0.4 - samples[0] / 0.01, 1.0)
            for begin in begins
        ]
        return Result(" ".join(word.text for word in words), words, len(samples) / rate)


@pytest.mark.parametrize("size", [160, 4000, 10**6])
def test_a_whole_utterance_is_cut_between_words(engine, size):
    """Samples say at which second they were taken, so that the reader knows the words of any stretch."""
    sound = (np.arange(7 * RATE, dtype=np.float32) / RATE) * 0.01
    stream = PseudoStream(Reader(engine), None, RATE, EndpointRules(longest=2.2))
    stream._gate.is_open = lambda _: True
    results = []
    for start in range(0, len(sound), size):
        results += stream.feed(sound[start : start + size])
    results.append(stream.finish())
    words = [word for result in results for word in result.words]
    assert [word.text for word in words] == [f"w{number}" for number in range(14)]
    assert [word.start for word in words] == pytest.approx([number / 2 for number in range(14)], abs=0.03)
    assert len(results) > 2
    assert " ".join(result.text for result in results) == " ".join(word.text for word in words)


def test_a_session_works_on_a_model_of_whole_recordings(engine, monkeypatch):
    monkeypatch.setattr(type(engine.bundle), "streams", property(lambda _: False))
    monkeypatch.setattr(Engine, "transcribe", Whole(engine).transcribe.__func__)
    monkeypatch.setattr(Engine, "calls", [], raising=False)
    session = LiveSession(engine, None, None, ListenOptions())
    loud = pcm(0.3 * np.sin(np.arange(RATE) * 0.2))
    events = session.hear(loud) + session.configure({"endpoint": {"silence": 0.5}}) + session.flush()
    assert [event["type"] for event in events] == ["partial", "configured", "final", "flushed"]
    assert session.seconds == 1.0


def test_the_end_of_the_server_gives_the_last_words(speech_folder, tmp_path):
    listener = bind("127.0.0.1", 0)
    settings = Settings(speech_folder, state=tmp_path)
    config = configuration(create_app(settings), settings, listener, log_level="warning")
    server = Server(config, "", 20)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    with connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/v1/listen") as client:
        client.send(pcm(trigger_fake.say("ab")))
        while json.loads(client.recv(20)).get("text") != "ab":
            pass
        server.should_exit = True
        found = []
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                found.append(json.loads(client.recv(20)))
    thread.join(30)
    listener.close()
    assert [event["type"] for event in found] == ["final", "flushed", "error"]
    assert found[0]["text"] == "ab"
    assert closed.value.rcvd.code == 1012
