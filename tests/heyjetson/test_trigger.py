"""A trigger hears the same words however the sound comes, loses no time and keeps no more than it needs."""

import json
import tracemalloc

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from heyjetson import AudioError, Bundle, BundleError, Engine, OptionError, StreamError, Trigger, TriggerRules
from heyjetson.bundle import write_manifest
from tests.heyjetson.trigger_fake import CHUNK, RATE, SHIFT, WINDOW, make_trigger, quiet, tone

FRAME = SHIFT / RATE


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_trigger(tmp_path_factory.mktemp("trigger") / "wake")


@pytest.fixture(scope="module")
def trigger(bundle):
    return Trigger(bundle)


def scene(rate: int = RATE) -> np.ndarray:
    """Words that end at 1.3, 2.6 and 5.3 s."""
    parts = [
        quiet(1.0, rate),
        tone("hey jetson", 0.3, rate),
        quiet(1.0, rate, 1),
        tone("computer", 0.3, rate),
        quiet(2.4, rate, 2),
        tone("hey jetson", 0.3, rate),
        quiet(1.0, rate, 3),
    ]
    return np.concatenate(parts)


def fed(stream, samples, sizes) -> list:
    """Events of a stream fed in pieces of these sizes, again and again."""
    found, start, turn = [], 0, 0
    while start < len(samples):
        found += stream.feed(samples[start : start + sizes[turn % len(sizes)]])
        start, turn = start + sizes[turn % len(sizes)], turn + 1
    return found + stream.finish()


def test_words_are_raised_where_they_are_said(trigger):
    found = trigger.detect(scene(), RATE)
    assert [event.word for event in found] == ["hey jetson", "computer", "hey jetson"]
    for event, begin in zip(found, (1.0, 2.3, 5.0), strict=True):
        assert begin < event.time <= begin + 0.3
        assert event.score >= 0.5


def test_scores_are_the_graphs_own(trigger):
    """Worked out with numpy from the whole recording."""
    clip = scene()
    time = np.arange(WINDOW) / RATE
    frames = np.lib.stride_tricks.sliding_window_view(clip, WINDOW)[::160].astype(np.float64)
    steps = len(frames) // 4
    now = []
    for pitch in (6000, 5000):
        waves = np.stack([np.sin(2 * np.pi * pitch * time), np.cos(2 * np.pi * pitch * time)], axis=1)
        now.append(np.linalg.norm(frames @ waves * 2 / WINDOW, axis=1)[: steps * 4].reshape(steps, 4).mean(axis=1))
    expected = np.zeros((steps, 2))
    past = np.zeros(2)
    for step in range(steps):
        past = past / 2 + np.array([now[0][step], now[1][step]])
        expected[step] = np.clip(past, 0, 1)
    given = trigger.scores(clip, RATE)
    assert len(given) - steps in (0, 1)  # what is left may be the beginning of one more
    np.testing.assert_allclose(given[:steps], expected, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(100, 20000), min_size=1, max_size=6), resets=st.booleans())
def test_any_chunking_gives_the_same_events(trigger, sizes, resets):
    stream = trigger.stream()
    if resets:
        stream.feed(tone("hey jetson", 0.3))
        stream.reset()
    clip = scene()
    whole = trigger.stream()
    assert fed(stream, clip, sizes) == whole.feed(clip) + whole.finish()
    assert stream.seconds == pytest.approx(len(clip) / RATE)
    assert stream.level == whole.level


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [RATE, 48000])
def test_a_word_at_the_very_end_is_raised_by_a_stream_that_ends_too(trigger, rate, channels):
    """The smoothed score goes on to climb a little behind the word's end."""
    clip = np.concatenate([quiet(0.48, rate), tone("hey jetson", 0.1, rate, 0.55)])
    (event,) = trigger.detect(clip, rate)
    assert event.time > len(clip) / rate
    sound = clip if channels == 1 else np.stack([clip] * 2, axis=1)
    stream = trigger.stream(rate, channels)
    assert stream.feed(sound) == []
    assert stream.finish() == [event]
    assert stream.seconds == len(clip) / rate


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
@pytest.mark.parametrize("size", [1, 441, 5000])
def test_any_rate_in_any_chunking(trigger, rate, size):
    clip = np.concatenate([quiet(0.1, 48000), tone("hey jetson", 0.2, 48000), quiet(0.1, 48000)])
    clip = soxr.resample(clip, 48000, rate)
    whole = trigger.stream(rate)
    expected = whole.feed(clip) + whole.finish()
    assert fed(trigger.stream(rate), clip, [size]) == expected
    if rate > 16000:
        native = trigger.detect(soxr.resample(clip, rate, RATE), RATE)
        assert [event.word for event in expected] == [event.word for event in native] == ["hey jetson"]
        assert expected[0].time == pytest.approx(native[0].time, abs=FRAME)


@pytest.mark.parametrize("size", [SHIFT, 1280, 160, 7])
def test_an_event_is_raised_by_the_feed_that_completes_its_frame(trigger, size):
    """Nothing waits: the frame of an event ends with the samples that raise it, or began with the chunk before."""
    clip = scene()[: 2 * RATE]
    (event,) = trigger.detect(clip, RATE)
    needed = round(event.time / FRAME - 1) * SHIFT + CHUNK
    stream = trigger.stream()
    for start in range(0, len(clip), size):
        found = stream.feed(clip[start : start + size])
        if found:
            break
    assert found == [event]
    assert start < needed <= start + size
    assert needed / RATE - event.time <= 0.02


def test_integers_and_floats_are_alike(trigger):
    integers = (scene() * 32767).astype(np.int16)
    assert trigger.detect(integers, RATE) == trigger.detect(integers / np.float64(32768), RATE)
    assert trigger.detect(integers, RATE) == trigger.detect(np.stack([integers] * 2, axis=1), RATE)


def test_channels(trigger):
    """A word in one of four channels: the best is not diluted, the mean is."""
    clip = scene()[: 2 * RATE]
    rng = np.random.default_rng(0)
    sound = (0.003 * rng.standard_normal((len(clip), 4))).astype(np.float32)
    sound[:, 2] = clip
    (alone,) = trigger.detect(clip, RATE)
    (best,) = fed(trigger.stream(channels=4), sound, [777])
    assert best.word == alone.word
    assert best.time == pytest.approx(alone.time, abs=FRAME)
    assert fed(trigger.stream(channels=4, mix="mean"), sound, [777]) == []
    np.testing.assert_array_equal(
        fed(trigger.stream(channels=4, mix="mean"), np.repeat(clip[:, None], 4, axis=1), [777]),
        fed(trigger.stream(), clip, [777]),
    )
    stereo = soxr.resample(sound[:, 1:3], RATE, 44100)
    (resampled,) = fed(trigger.stream(44100, channels=2), stereo, [1000])
    assert resampled.time == pytest.approx(alone.time, abs=FRAME)


def test_streams_are_independent(trigger):
    clip = scene()
    alone = fed(trigger.stream(), clip, [1000])
    first, second = trigger.stream(), trigger.stream()
    found = []
    for start in range(0, len(clip), 1000):
        found += first.feed(clip[start : start + 1000])
        second.feed(clip[::-1][start : start + 1000])
    assert found + first.finish() == alone


def test_silence_is_time_like_any_other(trigger):
    """Minutes of digital silence: the word after it is raised at its time, and the level is the silence's."""
    stream = trigger.stream()
    assert stream.feed(np.zeros(120 * RATE, np.int16)) == []
    assert stream.level == -75.0
    (event,) = stream.feed(np.concatenate([tone("computer", 0.3), quiet(0.5)]))
    assert 120.0 < event.time <= 120.3
    assert stream.seconds == pytest.approx(120.8)


def test_the_ambient_level_follows_the_place(trigger):
    stream = trigger.stream()
    stream.feed(0.01 * np.random.default_rng(0).standard_normal(5 * RATE))
    assert stream.level == pytest.approx(-40, abs=1)
    stream.feed(tone("computer", 1.0))
    assert stream.level == pytest.approx(-40, abs=1.5)
    stream.feed(quiet(1.0))
    assert stream.level == pytest.approx(-50.5, abs=1)


def test_memory_is_flat(trigger):
    stream = trigger.stream(48000, channels=2)
    chunk = np.zeros((4800, 2), np.int16)
    for _ in range(20):
        stream.feed(chunk)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(300):
        stream.feed(chunk)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 100_000
    stream.feed(np.zeros((60 * 48000, 2), np.int16))  # nor is it kept where much is fed at once
    assert all(len(frames._buffer) < 11 * RATE for frames in stream._frames)


def test_a_word_at_the_very_end_of_a_recording(trigger):
    clip = np.concatenate([quiet(0.5), tone("hey jetson", 0.16)])
    stream = trigger.stream(rules=TriggerRules(threshold=0.9))
    assert stream.feed(clip) + stream.finish() == []
    rules = TriggerRules(threshold=0.5, smoothing=0.2)
    assert len(trigger.detect(clip, RATE, rules)) == 1


def test_thresholds(bundle):
    def thresholds(**rules):
        return TriggerRules(**rules).thresholds(bundle).tolist()

    assert thresholds() == [0.6, 0.5]  # half an hour's alarm as calibrated; the other word was not
    assert thresholds(threshold=0.7) == [0.7, 0.7]
    assert thresholds(threshold={"computer": 0.9}) == [0.6, 0.9]
    assert thresholds(threshold={"computer": 0.9}, false_alarms_per_hour=3) == [0.4, 0.9]
    with pytest.raises(OptionError, match="does not hear 'alexa'"):
        thresholds(threshold={"alexa": 0.9})
    with pytest.raises(OptionError, match="without a calibration of 'computer'"):
        thresholds(false_alarms_per_hour=3)
    with pytest.raises(OptionError, match=r"calibrated for 0\.5 false alarms an hour of 'hey jetson' or more"):
        thresholds(threshold={"computer": 0.9}, false_alarms_per_hour=0.1)
    with pytest.raises(OptionError, match="exclude each other"):
        TriggerRules(threshold=0.5, false_alarms_per_hour=1)
    with pytest.raises(OptionError, match="above 0"):
        TriggerRules(false_alarms_per_hour=0)
    with pytest.warns(FutureWarning, match="now called debounce"):
        assert TriggerRules(refractory=0.5) == TriggerRules(debounce=0.5)


def test_a_calibration_without_the_usual_rate(tmp_path):
    table = [
        {"false_alarms_per_hour": 4.0, "threshold": 0.5, "miss_rate": 0.1},
        {"false_alarms_per_hour": 1.0, "threshold": 0.9, "miss_rate": 0.3},
    ]
    rules = {"smoothing": 0.12, "refractory": 1.0, "calibration": {"computer": table}}
    assert TriggerRules().thresholds(make_trigger(tmp_path / "wake", trigger=rules)).tolist() == [0.5, 0.9]


def test_wrong_use_is_named(trigger):
    stream = trigger.stream()
    with pytest.raises(AudioError, match=r"must be \[S\], found shape \(5, 2\)"):
        stream.feed(np.zeros((5, 2)))
    with pytest.raises(AudioError, match=r"must be \[S, 2\]"):
        trigger.stream(channels=2).feed(np.zeros(5))
    with pytest.raises(AudioError, match="at least one channel"):
        trigger.stream(channels=0)
    with pytest.raises(AudioError, match="rate must be positive"):
        trigger.stream(0)
    with pytest.raises(OptionError, match="not by 'worst'"):
        trigger.stream(mix="worst")
    assert stream.feed(np.zeros(0)) == []
    assert stream.finish() == []
    with pytest.raises(StreamError, match="reset"):
        stream.feed(np.zeros(5))
    with pytest.raises(StreamError, match="reset"):
        stream.finish()
    assert trigger.detect(np.zeros(0, np.float32), RATE) == []
    assert trigger.scores(np.zeros(10), RATE).shape == (0, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_numbers_are_refused_and_the_stream_goes_on(trigger, bad):
    clip, stream = scene(), trigger.stream()
    found = stream.feed(clip[:5000])
    broken = clip[5000:6000].copy()
    broken[500] = bad
    with pytest.raises(AudioError, match="NaN or infinity"):
        stream.feed(broken)
    assert found + stream.feed(clip[5000:]) + stream.finish() == fed(trigger.stream(), clip, [1000])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [RATE, 22050])
def test_time_goes_on_after_a_step_that_failed(trigger, channels, rate, monkeypatch):
    clip = np.stack([scene(rate)] * channels, axis=1)
    stream = trigger.stream(rate, channels)
    whole, given = stream.feed(clip), 0
    whole += stream.finish()
    stream.reset()
    steps = stream._frames[0].steps
    good, calls = steps.sound, []
    monkeypatch.setattr(steps, "sound", lambda: good() and not calls.append(0) and len(calls) != 3)
    found = []
    for start in range(0, len(clip), 5000):  # several steps at once
        try:
            found += stream.feed(clip[start : start + 5000])
        except StreamError:
            given += 1
    found += stream.finish()
    assert given == 1 and whole
    assert [(event.word, event.time) for event in found] == [(event.word, event.time) for event in whole]


# The bundle.


def test_a_bundle_of_the_other_kind_is_refused_by_name(bundle, tmp_path):
    from tests.heyjetson.tensorrt_fake import make_bundle

    with pytest.raises(BundleError, match="heyjetson listen` or `heyjetson detect"):
        Engine(bundle)
    with pytest.raises(BundleError, match="is not a trigger but transcribes"):
        Trigger(make_bundle(tmp_path / "speech", "ctc_stream"))


CALIBRATION = {"false_alarms_per_hour": 0.5, "threshold": 0.6, "miss_rate": 0.04}
VERIFIER = {"labels": ["a", "b"], "words": {"hey jetson": "a", "computer": "ab"}, "weight": 1.0, "tolerance": 1.0}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trigger": None}, "key 'trigger' is missing"),
        ({"labels": []}, "labels must be texts"),
        ({"labels": ["a", "a"]}, "labels must be words, each once"),
        ({"labels": ["a", " "]}, "labels must be words, each once"),
        ({"lookahead_frames": None}, "key 'lookahead_frames' is missing"),
        ({"trigger": {"smoothing": 0.1}}, "trigger.debounce must lie between"),
        ({"trigger": {"smoothing": True, "refractory": 1}}, "trigger.smoothing must lie between"),
        ({"trigger": {"smoothing": 0, "refractory": 1, "calibration": []}}, "a list for each word"),
        ({"trigger": {"smoothing": 0, "refractory": 1, "calibration": {"alexa": []}}}, "'alexa', which is none"),
        *(
            (
                {"trigger": {"smoothing": 0, "refractory": 1, "calibration": {"computer": [CALIBRATION | change]}}},
                "trigger.calibration of 'computer' must give",
            )
            for change in ({"threshold": 0}, {"threshold": 1.5}, {"miss_rate": 2}, {"false_alarms_per_hour": None})
        ),
        *(
            ({"trigger": {"smoothing": 0, "refractory": 1, "verifier": VERIFIER | change}}, "trigger.verifier: " + told)
            for change, told in (
                ({"words": {"computer": "ab"}}, "'hey jetson'"),
                ({"words": {"hey jetson": "a", "computer": "x"}}, "the sounds of 'computer'"),
                ({"labels": 3}, ""),
                ({"weight": "1"}, "the weight must"),
                ({"tolerance": None}, "the tolerance must"),
            )
        ),
    ],
)
def test_a_bad_manifest_is_refused(bundle, tmp_path, changes, message):
    make_trigger(tmp_path / "wake")
    path = tmp_path / "wake" / "manifest.json"
    manifest = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in manifest.items() if value is not None}))
    with pytest.raises(BundleError, match=message):
        Bundle(tmp_path / "wake")


def test_words_and_outputs_must_fit(tmp_path):
    with pytest.raises(BundleError, match=r"do not fit each other \(scores\)"):
        Trigger(make_trigger(tmp_path / "wake", labels=["hey jetson"], trigger={"smoothing": 0, "refractory": 1}))
    with pytest.raises(BundleError, match=r"do not fit each other \(scores\)"):  # the graph writes no sounds
        Trigger(make_trigger(tmp_path / "checked", trigger={"smoothing": 0, "refractory": 1, "verifier": VERIFIER}))


def test_an_unknown_kind_asks_for_a_newer_heyjetson(tmp_path):
    make_trigger(tmp_path / "wake")
    record = json.loads((tmp_path / "wake" / "manifest.json").read_text())
    write_manifest(tmp_path / "wake", record | {"kind": "diarize"})
    with pytest.raises(BundleError, match="kind 'diarize'.*Upgrade heyjetson"):
        Bundle(tmp_path / "wake")
