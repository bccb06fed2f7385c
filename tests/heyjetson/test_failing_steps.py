"""A step that fails loses its sound, never the time: words and events behind it come when they were said."""

import numpy as np
import pytest

from heyjetson import Bundle, EndpointRules, Engine, StreamError, Trigger
from heyjetson.frames import FrameStream
from heyjetson.together import Together
from heyjetson.wakeword.two_stage import TwoStageListener
from tests.heyjetson.test_together import listening, with_batch
from tests.heyjetson.trigger_fake import make_speech, make_trigger, quiet, say, tone

RULES = EndpointRules(silence=0.4, no_speech=1.0, longest=5.0, onset=0.2)


@pytest.fixture(scope="module")
def asr(tmp_path_factory) -> Engine:
    return Engine(make_speech(tmp_path_factory.mktemp("failing") / "asr"), provider="cpu")


@pytest.fixture(scope="module")
def wake(tmp_path_factory) -> Trigger:
    return Trigger(make_trigger(tmp_path_factory.mktemp("failing") / "wake"), provider="cpu")


def failing(frames: FrameStream, monkeypatch, which: int, raises: bool = False) -> None:
    """Let a step of a stream fail: its numbers are none, or what runs it raises."""
    calls, steps = [], frames.steps
    name = "run" if raises else "sound"
    good = getattr(steps, name)

    def spoilt(*given):
        calls.append(0)
        if len(calls) != which:
            return good(*given)
        if raises:
            raise RuntimeError("CUDA error: out of memory")
        return False

    monkeypatch.setattr(steps, name, spoilt)


def fed(stream, clip, size=5000):
    """What a stream gives, and how often it told of a failure."""
    found, told = [], 0
    for start in range(0, len(clip), size):
        try:
            found += stream.feed(clip[start : start + size])
        except (StreamError, RuntimeError):
            told += 1
    try:
        rest = stream.finish()
    except (StreamError, RuntimeError):
        told, rest = told + 1, stream.finish()
    return found + (rest if isinstance(rest, list) else [rest]), told


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("samples", [16000, 16400, 12345])
def test_as_many_frames_come(streaming_bundle, monkeypatch, samples, raises):
    """Step by step, whichever fails, by a model that looks ahead."""
    engine = Engine(Bundle(streaming_bundle), provider="cpu")
    assert engine.bundle.manifest["lookahead_frames"]
    clip = 0.1 * np.random.default_rng(0).standard_normal(samples).astype(np.float32)

    def counts(which: int) -> list[int]:
        frames = FrameStream(engine.bundle, engine.session)
        failing(frames, monkeypatch, which, raises)
        frames.push(clip)
        given = []
        while (step := frames.step()) is not None:
            given.append(len(step))
        return [*given, sum(map(len, frames.finish()))]

    whole = counts(0)
    for which in range(1, len(whole)):
        assert counts(which) == whole


@pytest.mark.parametrize("raises", [False, True])
@pytest.mark.parametrize("rules", [None, RULES])
def test_words_lie_where_they_were_said(asr, monkeypatch, rules, raises):
    clip = np.concatenate([say("a"), quiet(1.0), say("ab"), quiet(0.8), say("b"), quiet(0.8)])
    expected, _ = fed(asr.stream(rules=rules), clip)
    stream = asr.stream(rules=rules)
    failing(stream._frames, monkeypatch, 12, raises)  # in the first pause
    found, told = fed(stream, clip)
    assert told == 1
    words, others = (
        [(word.text, word.start) for one in results for word in one.words] for results in (found, expected)
    )
    assert words == others and len(words) > 2


def test_what_was_understood_is_given_though_the_last_step_fails(asr, monkeypatch):
    stream, clip = asr.stream(), np.concatenate([say("ab"), quiet(0.05)])
    whole = asr.stream()
    whole.feed(clip)
    stream.feed(clip)
    failing(stream._frames, monkeypatch, 1)
    with pytest.raises(StreamError, match="not numbers"):
        stream.finish()
    assert stream.finish().text == whole.finish().text == "ab"


def test_a_batch_that_fails_loses_no_time(wake, monkeypatch):
    session = with_batch(wake.bundle)
    together, run, calls = Together(wake.bundle, session), session.run, []

    class Failing:
        def run(self, *given):
            calls.append(0)
            if len(calls) == 2:
                raise RuntimeError("CUDA error: out of memory")
            return run(*given)

    together.session = Failing()
    streams = [FrameStream(wake.bundle, session) for _ in range(2)]
    sound = [np.full(4 * streams[0].chunk, 0.1, np.float32)]
    heard = together.run([listening(stream, sound) for stream in streams])
    assert [len(frames) for frames in heard] == [len(calls)] * 2
    for stream, frames in zip(streams, heard, strict=True):
        assert all(len(step) == 1 for step in frames) and not frames[1].any()
        with pytest.raises(RuntimeError, match="CUDA"):
            stream.tell()
        stream.tell()  # once


@pytest.mark.parametrize("size", [700, 5000, 10**6])
@pytest.mark.parametrize("where", ["trigger", "speech"])
def test_two_stages_stay_together(wake, asr, monkeypatch, where, size):
    clip = np.concatenate(
        [quiet(0.5), tone("hey jetson", 0.2), say("ab a"), quiet(1.0), tone("computer", 0.2), say("ba"), quiet(1.0)]
    )

    def listener() -> TwoStageListener:
        return TwoStageListener(wake.stream(), asr.stream(rules=RULES))

    def said(found):
        return [
            (event.word, event.time) if hasattr(event, "score") else [(word.text, word.start) for word in event.words]
            for event in found
        ]

    expected, _ = fed(listener(), clip, size)
    both = listener()
    if where == "trigger":  # before its first word
        failing(both.trigger._frames[0], monkeypatch, 3)
    else:  # in the quiet behind the first words
        failing(both.speech._frames, monkeypatch, 25)
    found, told = fed(both, clip, size)
    assert told == 1 and len(expected) == 4
    assert said(found) == said(expected)
