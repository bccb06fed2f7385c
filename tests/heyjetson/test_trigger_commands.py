"""Trigger bundles on the command line: live, after a word, in files, and with a microphone that is pulled out."""

import io
import itertools
import json
import sys
import types

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from heyjetson import AudioError, Bundle, EndpointRules, Engine, OptionError, Trigger, microphone
from heyjetson.cli import main
from heyjetson.wakeword.detector import Detection
from heyjetson.wakeword.two_stage import TwoStageListener
from tests.heyjetson.tensorrt_fake import make_bundle
from tests.heyjetson.trigger_fake import CHUNK, RATE, SHIFT, make_speech, make_trigger, quiet, say, tone


@pytest.fixture(scope="module")
def wake(tmp_path_factory):
    return make_trigger(tmp_path_factory.mktemp("trigger") / "wake").folder


@pytest.fixture(scope="module")
def asr(tmp_path_factory):
    return make_speech(tmp_path_factory.mktemp("speech") / "asr").folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("clips") / "clips").folder


def as_int16(samples: np.ndarray) -> np.ndarray:
    return (samples * 32767).astype(np.int16)


def pipe(monkeypatch, samples: np.ndarray) -> None:
    monkeypatch.setattr(
        sys, "stdin", types.SimpleNamespace(buffer=io.BufferedReader(io.BytesIO(as_int16(samples).tobytes())))
    )


def said(capsys, *arguments: object, status: int = 0) -> str:
    assert main([str(argument) for argument in arguments]) == status
    return capsys.readouterr().out


class FakeSound(types.ModuleType):
    """sounddevice with a microphone that plays a recording, chunk by chunk, and can be pulled out.

    Args:
        takes: what each connection hears before it falls silent; None is one that cannot be opened.
    """

    class PortAudioError(Exception):
        pass

    def __init__(self, takes):
        super().__init__("sounddevice")
        self.takes, self.calls = list(takes), []
        self._terminate = lambda: self.calls.append("terminate")
        self._initialize = lambda: self.calls.append("initialize")

    def InputStream(self, rate, size, device, channels, dtype, callback):  # noqa: N802
        if not self.takes:
            raise KeyboardInterrupt
        samples = self.takes.pop(0)
        if samples is None:
            raise self.PortAudioError("no such device")
        assert dtype == "int16"
        samples = samples.reshape(len(samples), -1)
        assert samples.shape[1] == channels
        fake = self

        class Source:
            def start(self):
                for start in range(0, len(samples), size):
                    callback(samples[start : start + size], size, None, None)

            def __enter__(self):
                return self

            def __exit__(self, *exception):
                fake.calls.append("close")

        return Source()


@pytest.fixture
def fake_microphone(monkeypatch):
    monkeypatch.setattr(microphone, "VANISHED", 0.05)
    monkeypatch.setattr(microphone, "RETRY", 0.05)

    def made(*takes):
        fake = FakeSound(takes)
        monkeypatch.setitem(sys.modules, "sounddevice", fake)
        return fake

    return made


@pytest.mark.parametrize("name", ["detect", "record", "listen"])
def test_every_command_has_help_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"heyjetson {name} " in capsys.readouterr().out.partition("example")[2]


# The microphone.


def test_a_microphone_that_vanishes_is_waited_for(fake_microphone, caplog):
    first, second = as_int16(tone("computer", 0.4)), as_int16(tone("hey jetson", 0.24))
    fake = fake_microphone(first, None, None, second)
    heard = []
    with pytest.raises(KeyboardInterrupt):
        for chunk in microphone.from_microphone(RATE):
            heard.append(chunk)
    lines = caplog.messages
    assert lines[0] == "the microphone is gone; waiting for it."
    assert lines[1].startswith("the microphone is back; ")
    assert lines[1].endswith(" s of sound were lost.")
    assert len(lines) == 3  # and it is gone again, for good
    sound = np.concatenate(heard)
    np.testing.assert_array_equal(sound[: len(first)], first)
    rest = sound[len(first) :]
    begin = np.flatnonzero(rest)[0] - 1  # a tone begins with 0
    np.testing.assert_array_equal(rest[begin : begin + len(second)], second)
    assert begin / RATE >= 0.2  # silence in the place of what was lost: once VANISHED and three times RETRY
    assert fake.calls.count("close") == 2
    assert fake.calls.count("initialize") == fake.calls.count("terminate") == 4


@pytest.mark.parametrize("takes", [(None,), (np.zeros(0, np.int16),)])
def test_a_microphone_that_was_never_there_is_an_error(fake_microphone, takes):
    fake = fake_microphone(*takes)
    with pytest.raises(AudioError, match="cannot be opened|gives no sound"):
        next(microphone.from_microphone(RATE))
    assert "terminate" not in fake.calls


def test_several_channels(fake_microphone):
    sound = np.arange(6000, dtype=np.int16).reshape(-1, 2)
    fake_microphone(sound)
    chunks = microphone.from_microphone(RATE, channels=2)
    np.testing.assert_array_equal(np.concatenate([next(chunks) for _ in range(3)]), sound)
    assert next(chunks).shape[1] == 2
    piped = microphone.from_pipe(io.BufferedReader(io.BytesIO(sound.tobytes()), 700), RATE, 2)
    np.testing.assert_array_equal(np.concatenate(list(piped)), sound)


@given(st.lists(st.integers(1, 300), max_size=20), st.lists(st.integers(0, 200), min_size=1), st.sampled_from([1, 3]))
def test_what_is_wanted_of_a_pipe_comes_at_once(writes, wishes, channels):
    """However it was written, nothing is lost, and no chunk but the last is smaller than what was wanted."""
    sound = np.arange(sum(writes), dtype="<i2")[: sum(writes) // channels * channels].reshape(-1, channels)
    data, sizes = iter(sound.tobytes()), iter(writes)

    class Pipe:
        def read1(self, size):
            return bytes(itertools.islice(data, min(size, next(sizes, 7))))

    asked = []

    def wanted():
        asked.append(wishes[len(asked) % len(wishes)])
        return asked[-1]

    chunks = list(microphone.from_pipe(Pipe(), RATE, channels, wanted))
    heard = [chunk.reshape(-1, channels) for chunk in chunks]
    np.testing.assert_array_equal(np.concatenate([np.zeros((0, channels), "<i2"), *heard]), sound)
    few = round(microphone.CHUNK * RATE) // 8
    assert all(len(chunk) == max(wish, few) for chunk, wish in zip(heard[:-1], asked, strict=False))


def test_what_came_before_an_interruption_is_heard():
    class Pipe:
        def __init__(self):
            self.pieces = [b"\1\0" * 100, b"\2\0" * 50]

        def read1(self, size):
            if not self.pieces:
                raise KeyboardInterrupt
            return self.pieces.pop(0)

    chunks = microphone.from_pipe(Pipe(), RATE, wanted=lambda: 2560)
    assert next(chunks).tolist() == [1] * 100 + [2] * 50
    with pytest.raises(KeyboardInterrupt):
        next(chunks)


def test_a_recorder_that_ends_is_started_again(tmp_path, monkeypatch, caplog):
    """`rec` that gives a little sound each time and fails then."""
    monkeypatch.setattr(microphone, "RETRY", 0.02)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    recorder = tmp_path / "rec"
    recorder.write_text("#!/bin/sh\nprintf 'abcdabcd'\necho unplugged >&2\nexit 1\n")
    recorder.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    chunks = microphone.from_microphone(RATE)
    heard = [next(chunks) for _ in range(5)]
    assert [bool(chunk.any()) for chunk in heard] == [True, False, True, False, True]
    chunks.close()
    assert caplog.text.count("the microphone is back") == 2
    recorder.write_text("#!/bin/sh\necho no card >&2\nexit 1\n")
    with pytest.raises(AudioError, match=r"rec ended \(no card\)"):
        next(microphone.from_microphone(RATE))


def test_a_recorder_that_says_much_does_not_stand_still(tmp_path, monkeypatch, caplog):
    """`arecord` says a line each time that it loses sound, and never ends: more of them than a pipe holds."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    recorder = tmp_path / "arecord"
    program = """
import signal, sys
signal.alarm(20)  # where it stands still
for _ in range(200):
    sys.stdout.buffer.write(bytes(2560))
    sys.stdout.flush()
    print("overrun!!! (at least 12 ms long)" * 40, file=sys.stderr, flush=True)
"""
    recorder.write_text(f"#!{sys.executable}{program}")
    recorder.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    heard = 0
    with pytest.raises(AudioError, match=r"arecord ended \(overrun"):
        for chunk in microphone.from_recorder(RATE, "why"):
            heard += len(chunk)
    assert heard == 200 * 1280
    assert all(message.startswith("arecord: overrun!!! ") for message in caplog.messages)


def test_sound_that_is_lost_before_it_comes_is_told(fake_microphone, monkeypatch, caplog):
    status = types.SimpleNamespace(input_overflow=True)
    fake = fake_microphone(as_int16(quiet(0.2)))
    opened = fake.InputStream

    def stream(*arguments, callback, **more):
        return opened(*arguments, callback=lambda data, size, when, _: callback(data, size, when, status), **more)

    monkeypatch.setattr(fake, "InputStream", stream)
    next(microphone.from_microphone(RATE))
    assert caplog.messages == ["sound was lost before it came here, how much is not known: this device is too slow."]


# listen.


def test_listening_for_words(wake, fake_microphone, monkeypatch, capsys):
    sound = np.concatenate([quiet(1.0), tone("hey jetson", 0.3), quiet(1.0), tone("computer", 0.3), quiet(0.5)])
    expected = Trigger(Bundle(wake)).detect(as_int16(sound), RATE)
    assert len(expected) == 2
    lines = [f"{event.time:.2f}\t{event.word}\t{event.score:.2f}" for event in expected]
    pipe(monkeypatch, sound)
    assert said(capsys, "listen", wake, "--stdin").splitlines() == lines
    fake_microphone(as_int16(sound))
    assert said(capsys, "listen", wake).splitlines() == lines
    pipe(monkeypatch, sound)
    out = said(capsys, "listen", wake, "--stdin", "--threshold", "0.9", "--format", "json")
    assert [json.loads(line)["word"] for line in out.splitlines()] == ["hey jetson", "computer"]
    assert json.loads(out.splitlines()[0])["score"] >= 0.9


def test_listening_on_several_channels(wake, monkeypatch, capsys):
    word = np.concatenate([quiet(0.5), tone("computer", 0.3), quiet(0.5)])
    sound = np.stack([quiet(1.3, seed=1), quiet(1.3, seed=2), word], axis=1)
    pipe(monkeypatch, sound)
    assert "computer" in said(capsys, "listen", wake, "--stdin", "--channels", "3")
    pipe(monkeypatch, sound)
    assert said(capsys, "listen", wake, "--stdin", "--channels", "3", "--mix", "mean") == ""


# After the word.

RULES = EndpointRules(silence=0.4, longest=20.0, onset=0.3)
SCENE = [  # what is said at once after a word, what is said to nobody, and the next word
    *(quiet(1.0), tone("hey jetson", 0.1, level=0.9), say("ab a"), quiet(1.5), say("bb"), quiet(0.5)),
    *(tone("computer", 0.2), quiet(0.6), say("ba"), quiet(1.5), say("a")),
]
FOLLOWS = ["hey jetson", "ab a", "computer", "ba"]


@pytest.fixture(scope="module")
def scene():
    return np.concatenate(SCENE)


@pytest.fixture(scope="module")
def loaded(wake, asr):
    return Trigger(Bundle(wake)), Engine(Bundle(asr))


def listened(loaded, rate: int = RATE, **options) -> TwoStageListener:
    trigger, engine = loaded
    return TwoStageListener(trigger.stream(rate), engine.stream(rate, rules=RULES), **options)


def heard(events) -> list[str]:
    return [event.word if isinstance(event, Detection) else event.text for event in events]


def test_listen_then_through_a_pipe(wake, asr, scene, monkeypatch, capsys):
    """By the option's old name, too."""
    pipe(monkeypatch, scene)
    assert main(["listen", str(wake), "--then", str(asr), "--stdin", "--silence", "0.4"]) == 0
    found = capsys.readouterr()
    assert "--then is now called --transcribe-with" in found.err
    lines = found.out.splitlines()
    assert [line.split("\t")[1] if "\t" in line else line for line in lines] == FOLLOWS


def test_listen_then_through_a_microphone_with_times(wake, asr, scene, fake_microphone, tmp_path, capsys):
    """A recording, played into a microphone: JSON has the times of the recording."""
    soundfile.write(tmp_path / "scene.wav", scene, RATE)
    samples, _ = soundfile.read(tmp_path / "scene.wav", dtype="int16")
    fake_microphone(samples)
    out = said(capsys, "listen", wake, "--transcribe-with", asr, "--silence", "0.4", "--format", "json")
    records = [json.loads(line) for line in out.splitlines()]
    assert [record.get("text", record.get("word")) for record in records] == FOLLOWS
    starts = np.cumsum([0, *map(len, SCENE)]) / RATE
    assert records[1]["words"][0]["start"] == pytest.approx(starts[2], abs=0.08)
    assert records[3]["words"][0]["start"] == pytest.approx(starts[8], abs=0.08)
    for event, result in zip(records[::2], records[1::2], strict=True):
        assert event["time"] < result["words"][-1]["end"] < result["seconds"] < len(scene) / RATE


@pytest.mark.parametrize(("size", "rate"), [(160, 16000), (640, 16000), (1763, 44100), (7777, 22050), (10**9, 16000)])
def test_the_switch_loses_no_sound_however_it_is_cut(loaded, scene, size, rate):
    """Even where a word and all that follows it come at once."""
    sound = as_int16(soxr.resample(scene, RATE, rate))
    awake = listened(loaded, rate)
    found = []
    for start in range(0, len(sound), size):
        found += awake.feed(sound[start : start + size])
    assert heard(found + awake.finish()) == FOLLOWS
    assert len(awake._past) <= 3 * rate


@settings(max_examples=20, deadline=None)
@given(gap=st.integers(0, 1500), before=st.integers(0, 2000))
def test_the_first_letter_is_kept_wherever_the_word_ends(loaded, gap, before):
    """The word's event comes when the letter after it has begun, at any place of a frame."""
    awake = listened(loaded)
    clip = np.concatenate(
        [np.zeros(8000 + before), tone("hey jetson", 0.1, level=0.9), np.zeros(gap), say("ba"), quiet(1.0)]
    )
    assert heard(awake.feed(clip)) == ["hey jetson", "ba"]


def test_what_follows_the_word_until_the_sound_ends(loaded):
    """No endpoint comes: the end of the sound ends the utterance. A word at the very end is raised, too."""
    awake = listened(loaded)
    assert heard(awake.feed(np.concatenate([tone("hey jetson", 0.1, level=0.9), say("ab")]))) == ["hey jetson"]
    assert awake.partial() == "ab"
    assert heard(awake.finish()) == ["ab"]
    awake = listened(loaded)
    clip = np.concatenate([quiet(0.1), tone("computer", 0.4)])
    (event,) = loaded[0].detect(clip, RATE)
    needed = round(event.time / 0.04 - 1) * SHIFT + CHUNK
    assert awake.feed(clip[: needed - 10]) == []
    assert heard(awake.finish()) == ["computer"]


def test_it_does_not_wait_for_ever(loaded):
    """Where nothing is said, it waits for the word again."""
    awake = listened(loaded, patience=1.0)
    assert heard(awake.feed(np.concatenate([tone("computer", 0.2), quiet(0.7)]))) == ["computer"]
    assert awake.word is not None
    assert awake.feed(np.concatenate([quiet(0.7), say("ab"), quiet(1.0)])) == []
    assert awake.word is None
    clip = np.concatenate([tone("computer", 0.2), quiet(0.7), say("ab"), quiet(1.0)])
    assert heard(awake.feed(clip)) == ["computer", "ab"]


def test_a_word_within_what_is_said_is_part_of_it(loaded):
    awake = listened(loaded)
    clip = np.concatenate([tone("computer", 0.2), say("ab"), tone("hey jetson", 0.2), say("b"), quiet(1.0)])
    assert heard(awake.feed(clip)) == ["computer", "abb"]


@pytest.mark.slow
def test_an_exported_model_after_the_word(wake, streaming_bundle):
    """It hears what a stream of its own hears that is fed from the word on."""
    time = np.arange(2 * RATE) / RATE
    following = 0.3 * np.sin(2 * np.pi * (500 + 400 * np.sin(9 * time)) * time)
    clip = np.concatenate([quiet(0.3), tone("hey jetson", 0.1, level=0.9), following])
    engine = Engine(Bundle(streaming_bundle))
    rules = EndpointRules(silence=60.0, longest=60.0)
    awake = TwoStageListener(Trigger(Bundle(wake)).stream(), engine.stream(rules=rules), lead=0.05)
    event, result = awake.feed(clip) + awake.finish()
    alone = engine.stream(rules=rules)
    alone.feed(clip[round((event.time - 0.05) * RATE) :].astype(np.float32))
    assert result.text == alone.finish().text != ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["listen", "{asr}", "--transcribe-with", "{wake}", "--stdin"],
            "--transcribe-with needs a trigger bundle first",
        ),
        (["listen", "{wake}", "--transcribe-with", "{wake}", "--stdin"], "is a trigger"),
        (["listen", "{wake}", "--transcribe-with", "{bundle}", "--stdin"], "hears whole recordings"),
        (["listen", "{wake}", "--transcribe-with", "{asr}", "--stdin", "--lead", "9"], "lead must lie between"),
        (["listen", "{wake}", "--transcribe-with", "{asr}", "--stdin", "--patience", "0"], "patience must be above 0"),
        (["listen", "{wake}", "--stdin", "--threshold", "2"], "Thresholds must be above 0"),
        (["listen", "{wake}", "--stdin", "--threshold", "0.5", "--false-alarms", "1"], "exclude each other"),
        (["listen", "{wake}", "--stdin", "--channels", "0"], "at least one channel"),
        (["listen", "{wake}", "--stdin", "--silence", "2", "--lm"], "--silence, --lm: no speech is written down"),
        (["wyoming", "{wake}", "--lm"], "--lm: no speech is written down"),
        (["listen", "{wake}", "--stdin", "--threads", "0"], "--threads must be at least 1"),
        (["detect", "{wake}", "none.wav", "--false-alarms", "1"], "without a calibration of 'computer'"),
        (["detect", "{bundle}", "none.wav"], "is not a trigger but transcribes"),
        (["transcribe", "{wake}", "none.wav"], "heyjetson detect"),
    ],
)
def test_wrong_use_is_a_sentence(arguments, message, wake, asr, bundle, monkeypatch, capsys):
    pipe(monkeypatch, quiet(0.1))
    places = {"wake": wake, "asr": asr, "bundle": bundle}
    assert main([argument.format(**places) for argument in arguments]) == 1
    assert message in capsys.readouterr().err


def test_speech_after_a_word_needs_rules(loaded):
    trigger, engine = loaded
    for stream in (engine.stream(), engine.stream(8000, rules=RULES)):
        with pytest.raises(OptionError, match="endpoint rules and the trigger's sample rate"):
            TwoStageListener(trigger.stream(), stream)


# detect, info, bench, doctor.


def test_detecting_in_files(wake, tmp_path, monkeypatch, capsys):
    sound = np.concatenate([quiet(0.5), tone("computer", 0.3), quiet(0.5)])
    soundfile.write(tmp_path / "a.wav", sound, RATE)
    soundfile.write(tmp_path / "b.flac", np.stack([sound, sound], axis=1), RATE)
    soundfile.write(tmp_path / "c.wav", quiet(0.5), RATE)
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    lines = [line.split("\t") for line in said(capsys, "detect", wake, tmp_path, status=1).splitlines()]
    assert [(line[0], line[2]) for line in lines] == [
        (str(tmp_path / name), "computer") for name in ("a.wav", "b.flac")
    ]
    assert main(["detect", str(wake), str(tmp_path), "--format", "json"]) == 1
    output = capsys.readouterr()
    assert "broken.wav cannot be decoded" in output.err
    assert "1 of 4 files could not be searched" in output.err
    records = [json.loads(line) for line in output.out.splitlines()]
    assert [len(record["detections"]) for record in records] == [1, 1, 0]
    assert records[0]["seconds"] == pytest.approx(1.3)
    assert f"{records[0]['detections'][0]['time']:.2f}" == lines[0][1]
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO((tmp_path / "a.wav").read_bytes())))
    assert said(capsys, "detect", wake, "-").split("\t")[2] == "computer"


def test_info_bench_and_doctor(wake, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "250")
    shown = said(capsys, "info", wake)
    assert "hey jetson, computer" in shown
    assert "threshold 0.600" in shown
    figures = json.loads(said(capsys, "bench", wake, "--repeat", "2", "--live", "0.2", "--json"))
    assert 0 < figures["real-time factor, 3 s"] < 1
    assert figures["the same, back to back"] > 0 and 0 < figures["% of one core, in real time"] < 100
    assert "loads, runs on cpu" in said(capsys, "doctor", wake)
    measured = make_trigger(tmp_path / "measured", measured={"fp32": {"miss_rate": 0.04}}).folder
    assert "miss_rate 0.04" in said(capsys, "info", measured)
