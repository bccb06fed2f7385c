"""What is said does not depend on how it is cut; an utterance ends where the rules say and loses nothing."""

import numpy as np
import pytest
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heyjetson import AudioError, Bundle, EndpointRules, Engine, OptionError, StreamError
from heyjetson.audio import read
from heyjetson.endpoint import Endpointer, EnergyGate
from tests.heyjetson import trigger_fake

FUZZ = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def engine(streaming_bundle):
    return Engine(Bundle(streaming_bundle))


def tones(seconds: float, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Something a random model answers to with changing labels."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = np.repeat(rng.uniform(100, 3000, size=len(time) // (rate // 5) + 1), rate // 5)[: len(time)]
    level = np.repeat(rng.uniform(0, 0.5, size=len(time) // (rate // 5) + 1), rate // 5)[: len(time)]
    return (level * np.sin(2 * np.pi * pitch * time) + 0.01 * rng.standard_normal(len(time))).astype(np.float32)


@FUZZ
@given(cuts=st.lists(st.integers(0, 50000), max_size=12), samples=st.integers(400, 50000), resets=st.booleans())
def test_any_chunking_gives_the_whole_text(engine, cuts, samples, resets):
    clip = tones(samples / 16000)
    whole = engine.transcribe(clip, 16000)
    stream = engine.stream()
    if resets:
        stream.feed(tones(1.3, seed=5))
        stream.reset()
    for piece in np.split(clip, np.sort([cut % samples for cut in cuts])):
        assert stream.feed(piece) == []
        stream.partial()
    assert stream.finish() == whole


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(0, 10**6), sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=5))
def test_real_recordings_in_any_chunking(engine, recordings, number, sizes):
    paths = sorted((recordings / "commands").rglob("*.wav")) + sorted((recordings / "fsdd").rglob("*.flac"))
    clip, rate = read(paths[number % len(paths)])
    whole = engine.transcribe(clip, rate)
    stream = engine.stream(rate)
    for turn, start in enumerate(np.cumsum([0] + sizes * (len(clip) // sum(sizes) + 1))[:-1]):
        stream.feed(clip[start : start + sizes[turn % len(sizes)]])
    assert stream.finish() == whole


def test_the_drawn_model_answers_to_what_it_hears(engine):
    """What the tests above compare is not silence."""
    texts = {engine.transcribe(tones(2.0, seed=seed), 16000).text for seed in range(4)}
    assert len(texts) > 1


def test_the_stream_gives_the_models_own_frames(engine, streaming_model):
    for samples in (399, 400, 1039, 1040, 16000, 31234):
        log_probs = engine.stream_log_probs([tones(samples / 16000)])
        assert len(log_probs) == streaming_model.output_frames(samples / 16000)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
@pytest.mark.parametrize("size", [1, 441, 4096])
def test_resampling_does_not_depend_on_the_chunks(engine, rate, size):
    clip = soxr.resample(tones(1.1), 16000, rate)
    if size == 1:
        clip = clip[: rate // 4]
    whole = engine.transcribe(clip, rate)
    stream = engine.stream(rate)
    for start in range(0, len(clip), size):
        stream.feed(clip[start : start + size])
    assert stream.finish() == whole


def test_formats_of_samples(engine):
    clip = tones(1.0)
    integers = (clip * 32767).astype(np.int16)
    texts = []
    for samples in (integers, integers / np.float64(32768), np.tile((integers / np.float32(32768))[:, None], (1, 8))):
        stream = engine.stream()
        stream.feed(samples)
        texts.append(stream.finish().text)
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers_are_refused_and_the_stream_goes_on(engine, bad):
    clip = tones(1.0)
    stream = engine.stream()
    stream.feed(clip[:5000])
    broken = clip[5000:6000].copy()
    broken[500] = bad
    with pytest.raises(AudioError, match="NaN or infinity"):
        stream.feed(broken)
    stream.feed(clip[5000:])
    assert stream.finish() == engine.transcribe(clip, 16000)


def test_wrong_use_is_named(engine, bundle):
    stream = engine.stream()
    stream.feed(np.zeros(0, np.float32))
    assert stream.finish().text == ""
    with pytest.raises(StreamError, match="reset"):
        stream.feed(np.zeros(10, np.float32))
    with pytest.raises(StreamError, match="reset"):
        stream.finish()
    stream.reset()
    stream.feed(np.zeros(10, np.float32))
    with pytest.raises(AudioError, match="shape"):
        stream.feed(np.zeros((2, 2, 2), np.float32))
    with pytest.raises(AudioError, match="positive"):
        engine.stream(-1)
    with pytest.raises(StreamError, match="whole recordings"):
        Engine(Bundle(bundle)).stream()
    with pytest.raises(OptionError, match="silence"):
        EndpointRules(silence=float("nan"))
    with pytest.raises(OptionError, match="onset"):
        EndpointRules(silence=0.2, onset=0.3)


# Endpoints, with log-probabilities that are known.

BLANK, A, SPACE = 2, 0, 1


def frames(text: str) -> np.ndarray:
    """`a` speech, `_` blank, `-` space, one frame a character."""
    labels = [{"a": A, "-": SPACE, "_": BLANK}[character] for character in text]
    return np.log(np.eye(3, dtype=np.float32)[labels] + 1e-9).reshape(-1, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("__aa_a___", (9, "silence")),
        ("__aa_a-__", (9, "silence")),
        ("_____", (5, "no_speech")),
        ("aa_a" * 2 + "_aa-a", (12, "longest")),  # between two words, not at the next blank
        ("aa_a" * 5, (15, "longest")),  # half as long again without a space
        ("a" * 15 + "_", (16, "longest")),
        ("aa__a__a", None),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_rules(text, expected, size):
    endpointer = Endpointer(EndpointRules(0.3, 0.5, 1.0, 0.1), BLANK, SPACE, 0.1)
    log_probs, found = frames(text), None
    for start in range(0, len(log_probs), size):
        closing = endpointer.feed(log_probs[start : start + size])
        if closing:
            found = (start + closing[0], closing[1])
            break
    assert found == expected


def test_the_gate_opens_for_what_stands_out():
    gate = EnergyGate(10.0, 0.1)
    rng = np.random.default_rng(0)
    quiet, loud = rng.standard_normal((2, 1600)) * [[0.001], [0.1]]
    assert [gate.is_open(x) for x in (quiet, quiet, loud, quiet, loud)] == [False, False, True, False, True]
    assert not EnergyGate(10.0, 0.1).is_open(np.zeros(1600))
    gate = EnergyGate(10.0, 0.1)  # what a converter is off by is neither background nor sound
    assert [gate.is_open(x + 0.2) for x in (quiet, quiet, loud, quiet, loud)] == [False, False, True, False, True]


def test_gate_and_rules_keep_time(engine):
    """With endpoints and gate: times of words are those of the recording, and silence is not computed."""
    rules = EndpointRules(silence=0.4, no_speech=0.4, onset=0.2, gate=10.0)
    stream = engine.stream(rules=rules)
    silence = 0.0005 * np.random.default_rng(1).standard_normal(16000 * 5).astype(np.float32)
    results = stream.feed(np.concatenate([silence, tones(1.0), silence]))
    results.append(stream.finish())
    assert stream.seconds == pytest.approx(11.0)
    for result in results:
        assert [word.start for word in result.words] == sorted(word.start for word in result.words)
        assert all(word.end <= 11.0 for word in result.words)


# Rules on tones that are letters: what is said is known.


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    return Engine(trigger_fake.make_speech(tmp_path_factory.mktemp("letters") / "tones"))


@pytest.fixture(scope="module")
def slow_letters(tmp_path_factory):
    """A model whose steps are 80 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trigger_fake, "FRAMES", 8)
        patch.setattr(trigger_fake, "SHIFT", 8 * trigger_fake.HOP)
        patch.setattr(trigger_fake, "CHUNK", 7 * trigger_fake.HOP + trigger_fake.WINDOW)
        return Engine(trigger_fake.make_speech(tmp_path_factory.mktemp("letters") / "slow"))


def heard(stream, clip: np.ndarray) -> list[tuple[str, float]]:
    """Texts of a clip and when their first words begin."""
    results = [result for start in range(0, len(clip), 640) for result in stream.feed(clip[start : start + 640])]
    results.append(stream.finish())
    return [(result.text, result.words[0].start) for result in results if result.text]


@pytest.mark.parametrize("gate", [None, 10.0])
@pytest.mark.parametrize("silence", [0.8, 0.5, 0.25])
def test_nothing_is_written_twice_where_sound_goes_on_behind_the_words(letters, silence, gate):
    """Music, say, which opens the gate as soon as the utterance has ended."""
    rules = EndpointRules(silence=silence, onset=min(0.3, silence), gate=gate)
    music = 0.3 * np.sin(2 * np.pi * 5000 * np.arange(16000) / 16000).astype(np.float32)
    parts = [trigger_fake.quiet(1.0), trigger_fake.say("ab"), music, trigger_fake.quiet(2.0)]
    assert heard(letters.stream(rules=rules), np.concatenate(parts)) == [("ab", 0.96)]


@pytest.mark.parametrize("seconds", [0.3, 0.32, 0.33, 1.0])
def test_an_onset_as_long_as_the_silence_before_it_comes_to_an_end(letters, seconds):
    rules = EndpointRules(silence=1.0, no_speech=seconds, onset=seconds)
    clip = np.concatenate([trigger_fake.quiet(3.0), trigger_fake.say("ab"), trigger_fake.quiet(2.0)])
    assert heard(letters.stream(rules=rules), clip) == [("ab", 2.96)]


def test_a_word_in_what_is_left_behind_the_gate_has_its_time(slow_letters):
    beep = 0.5 * np.sin(2 * np.pi * trigger_fake.LETTERS["a"] * np.arange(800) / 16000).astype(np.float32)
    for samples in range(97280, 98560, 160):
        clip = np.concatenate([trigger_fake.quiet(1.0), trigger_fake.say("ab"), trigger_fake.quiet(6.0)])[:samples]
        stream = slow_letters.stream(rules=EndpointRules(silence=0.5, gate=10.0))
        (first, _), *rest = heard(stream, np.concatenate([clip, beep]))
        assert first == "ab"
        assert all(text == "a" and abs(start - samples / 16000) < 0.1 for text, start in rest)


def test_what_hot_words_bring_out_is_kept_where_no_frame_is_sure(letters):
    """Letters that are a little less likely than none: they were shown, and must not be taken back in silence."""
    faint = 0.19 * trigger_fake.say("ab")
    clip = np.concatenate([trigger_fake.quiet(0.5), faint, trigger_fake.quiet(4.0)])
    assert heard(letters.stream(rules=EndpointRules()), clip) == []
    for seconds in (0.6, 0.7, 1.0, 2.4):
        stream = letters.stream(rules=EndpointRules(no_speech=seconds), hot_words={"ab": 6.0})
        assert heard(stream, clip) == [("ab", pytest.approx(0.5, abs=0.1))]


@pytest.mark.parametrize("pause", [0.2, 0.3, 0.4])
def test_a_word_that_no_frame_is_sure_of_is_written_once_behind_one_that_is_sure(letters, pause):
    """The silence that ends an utterance begins behind the last word, not behind the last letter that is sure."""
    parts = [trigger_fake.say("b "), trigger_fake.quiet(pause), 0.19 * trigger_fake.say("ab"), trigger_fake.quiet(2.0)]
    stream = letters.stream(rules=EndpointRules(), hot_words={"ab": 6.0})
    assert [text for text, _ in heard(stream, np.concatenate(parts))] == ["b ab"]
