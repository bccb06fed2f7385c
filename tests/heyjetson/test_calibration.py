"""Word times that a bundle corrects: in order, within the sound, alike however it is cut; and quiet behind the end."""

import json
import shutil
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heyjetson import Bundle, BundleError, EndpointRules, Engine
from heyjetson.bundle import write_manifest
from heyjetson.calibration import Calibration, describe
from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.greedy import GreedyDecoder
from heyjetson.decoding.hypothesis import Word
from heyjetson.formats import CAPTION_LEAST, captions, cues
from heyjetson.loudness import Loudness
from tests.heyjetson.test_decode_and_audio import BLANK, LABELS, log_probs
from tests.heyjetson.test_stream import tones

RATE, FRAME = 16000, 0.04
LATE = Calibration(-0.16, -0.06, 0.2, 0.3, -60.0)
EARLY = Calibration(-0.02, 0.15, 0.2, 0.3, -60.0)
FUZZ = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def bursts(*spans: tuple[float, float], seconds: float, background: float = -70.0) -> np.ndarray:
    """Noise that is loud in some spans of seconds."""
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(round(seconds * RATE)).astype(np.float32)
    level = np.full(len(samples), 10 ** (background / 20), np.float32)
    for begin, end in spans:
        level[round(begin * RATE) : round(end * RATE)] = 0.1
    return samples * level


def heard(samples: np.ndarray, ahead: float = np.inf) -> Loudness:
    sound = Loudness(RATE, ahead)
    sound.hear(samples)
    return sound


def in_order(words: list[Word], seconds: float) -> bool:
    times = [time for word in words for time in (word.start, word.end)]
    return times == sorted(times) and all(0 <= time <= seconds + 5e-4 for time in times)


@pytest.mark.parametrize("make", [GreedyDecoder, partial(make_decoder, n_best=2)])
def test_a_word_begins_and_ends_with_its_sound(make):
    sound = heard(bursts((0.5, 0.8), (1.1, 1.5), seconds=2.0))
    path = ["_"] * 50
    path[16], path[19], path[21], path[31], path[38] = "a", "b", " ", "c", "c"  # 0.64, 0.76; 1.24, 1.52: late
    decoder = make(LABELS, BLANK, FRAME, calibration=LATE)
    decoder.reset(0.0, sound)
    decoder.feed(log_probs("".join(path), 0.99))
    first, second = decoder.finish()[0].words
    assert (first.text, second.text) == ("ab", "cc")
    expected = [0.5, 0.8, 1.1, 1.5]
    assert [first.start, first.end, second.start, second.end] == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize(
    ("path", "spans", "expected"),
    [
        ("_" * 16 + "a__ _b____c", [(0.62, 1.0)], [0.48, 0.62]),  # too soft to be heard: not the next word's beginning
        ("_" * 16 + "a" + "_" * 20, [(0.48, 0.5), (0.55, 1.3)], [0.48, 0.58]),  # a plosive's closure is no end
        ("_" * 16 + "a" + "_" * 20, [(0.56, 1.3)], [0.56, 0.66]),  # later than usual, and no end to be heard
    ],
)
def test_a_word_lasts(path, spans, expected):
    decoder = GreedyDecoder(LABELS, BLANK, FRAME, LATE)
    decoder.reset(0.0, heard(bursts(*spans, seconds=len(path) * FRAME)))
    decoder.feed(log_probs(path))
    first = decoder.finish()[0].words[0]
    assert [first.start, first.end] == pytest.approx(expected, abs=0.015)


def test_where_no_pause_lies_between_two_words_they_meet():
    sound = heard(bursts((0.0, 2.0), seconds=2.0))
    decoder = GreedyDecoder(LABELS, BLANK, FRAME, LATE)
    decoder.reset(0.0, sound)
    decoder.feed(log_probs("_" * 16 + "a__b_ ____c___" + "_" * 20))
    first, second = decoder.finish()[0].words
    assert first.start == pytest.approx(0.48)  # the measured shift
    assert first.end == second.start == pytest.approx(0.88)


def test_a_sound_that_begins_and_ends_with_a_word():
    decoder = GreedyDecoder(LABELS, BLANK, FRAME, LATE)
    decoder.reset(0.0, heard(bursts((0.0, 0.5), seconds=0.5)))
    decoder.feed(log_probs("_" * 6 + "a_____b__"))
    (word,) = decoder.finish()[0].words
    assert (word.start, word.end) == (0.0, 0.5)


@given(
    st.text("__ abc", max_size=40),
    st.lists(st.tuples(st.floats(0, 1.6), st.floats(0, 0.5)), max_size=5),
    st.sampled_from([LATE, EARLY]),
    st.sampled_from([FRAME, np.inf]),
    st.sampled_from(["greedy", "beam"]),
)
@settings(max_examples=60, deadline=None)
def test_times_are_in_order_and_within_the_sound(path, spans, calibration, ahead, kind):
    seconds = max(len(path), 1) * FRAME
    samples = bursts(*((begin, begin + length) for begin, length in spans), seconds=seconds)
    decoder = make_decoder(LABELS, BLANK, FRAME, calibration=calibration, n_best=1 if kind == "greedy" else 2)
    decoder.reset(0.0, heard(samples, ahead))
    decoder.feed(log_probs(path).reshape(-1, 5))
    for hypothesis in decoder.finish():
        assert in_order(hypothesis.words, seconds)
        assert hypothesis.text == " ".join(word.text for word in hypothesis.words)


@given(
    st.text("__ abc", min_size=1, max_size=40), st.lists(st.tuples(st.floats(0, 1.6), st.floats(0, 0.5)), max_size=5)
)
@settings(max_examples=60, deadline=None)
def test_no_time_that_was_told_is_taken_back(path, spans):
    """Frame by frame, as a stream gives them."""
    samples = bursts(*((begin, begin + length) for begin, length in spans), seconds=len(path) * FRAME)
    sound, size = Loudness(RATE, FRAME), round(FRAME * RATE)
    decoder = GreedyDecoder(LABELS, BLANK, FRAME, LATE)
    decoder.reset(0.0, sound)
    before: list[Word] = []
    for number, row in enumerate(log_probs(path)):
        sound.hear(samples[number * size : (number + 1) * size])
        decoder.feed(row[None])
        now = decoder.words()
        for old, new in zip(before, now, strict=False):
            assert (new.start, new.end >= old.end) == (old.start, True)
        before = now
    final = decoder.finish()[0].words
    for old, new in zip(before, final, strict=False):
        assert new.start == old.start and new.end >= min(old.end, sound.end)
    whole = GreedyDecoder(LABELS, BLANK, FRAME, LATE)
    whole.reset(0.0, heard(samples, FRAME))
    whole.feed(log_probs(path))
    assert whole.finish()[0].words == final


def test_a_word_that_would_begin_behind_the_end_is_none():
    decoder = GreedyDecoder(LABELS, BLANK, FRAME, LATE)
    decoder.reset(0.0, heard(bursts((0.2, 0.5), seconds=1.0)))
    decoder.feed(log_probs("________a_b_ " + "_" * 12 + "_____c__"))  # c: 1.2 s, said at 1.04
    (hypothesis,) = decoder.finish()
    assert hypothesis.text == "ab"
    assert decoder.words() == hypothesis.words


@given(st.lists(st.integers(0, 5000), max_size=8), st.floats(0, 0.3), st.floats(0, 0.4))
@settings(deadline=None)
def test_levels_do_not_depend_on_the_cuts(cuts, begin, length):
    samples = bursts((0.1, 0.2), seconds=0.3125)
    whole, pieces = heard(samples), Loudness(RATE)
    for piece in np.split(samples, sorted(cuts)):
        pieces.hear(piece)
    assert pieces.end == whole.end == 0.3125
    one, other = (sound.between(begin, begin + length) for sound in (whole, pieces))
    assert one[0] == other[0] and np.array_equal(one[1], other[1])
    assert one[0] >= begin - 1e-6 and one[0] + len(one[1]) * 0.01 <= max(begin + length, one[0]) + 1e-6


def test_an_offset_of_the_samples_is_no_sound():
    samples = 0.1 * bursts((1.0, 1.5), seconds=3.0)
    plain = heard(samples).between(0.0, 3.0)[1]
    apart = heard(samples + np.float32(0.02)).between(0.0, 3.0)[1]
    assert np.ptp(plain) > 30
    np.testing.assert_allclose(apart[10:], plain[10:], atol=1.5)
    later = heard(np.concatenate([np.zeros(10 * RATE, np.float32), samples + np.float32(0.02)]))  # switched on
    np.testing.assert_allclose(later.between(11.0, 11.5)[1], plain[100:150], atol=3.0)


def test_what_is_let_go_of_leaves_the_rest():
    samples = bursts((3.0, 3.5), seconds=8.0)
    sound, all_of_it = heard(samples), heard(samples)
    sound.forget(2.8)
    assert sound.end == all_of_it.end
    assert np.array_equal(sound.between(2.9, 3.6)[1], all_of_it.between(2.9, 3.6)[1])
    assert sound.between(0.0, 3.0)[0] == pytest.approx(2.8)


# Bundles.


def calibrated(folder, out, calibration):
    """A copy of a bundle with other corrections, or a record that stands for them."""
    shutil.copytree(folder, out)
    manifest = json.loads((out / "manifest.json").read_text())
    record = calibration.record() if isinstance(calibration, Calibration) else calibration
    kept = {key: value for key, value in manifest.items() if key not in ("format", "files")}
    write_manifest(out, {**kept, "calibration": record})
    return out


@pytest.fixture(scope="module")
def engines(bundle, streaming_bundle, tmp_path_factory):
    """Calibrated engines of whole recordings and of streams, each with that of the raw bundle."""
    folder = tmp_path_factory.mktemp("calibrated")
    pairs = {"whole": (bundle, EARLY), "stream": (streaming_bundle, LATE)}
    return {
        name: (Engine(Bundle(calibrated(path, folder / name, calibration))), Engine(Bundle(path)))
        for name, (path, calibration) in pairs.items()
    }


@FUZZ
@given(
    cuts=st.lists(st.integers(0, 40000), max_size=8),
    samples=st.integers(400, 40000),
    silence=st.sampled_from([None, 0.2, 0.8]),
)
def test_a_calibrated_stream_is_the_whole(engines, cuts, samples, silence):
    """Text and times, with utterances that end by themselves and without."""
    engine, clip = engines["stream"][0], tones(samples / RATE)
    rules = None if silence is None else EndpointRules(silence=silence, onset=min(silence, 0.3), longest=1.0)
    given = []
    for pieces in ([clip], np.split(clip, np.sort([cut % samples for cut in cuts]))):
        stream = engine.stream(rules=rules)
        results = [result for piece in pieces for result in stream.feed(piece)]
        results.append(stream.finish())
        given.append([(result.text, result.words) for result in results])
        assert all(in_order(result.words, stream.seconds) for result in results)
    assert given[0] == given[1]
    if rules is None:
        whole = engine.transcribe(clip, RATE)
        assert given[0] == [(whole.text, whole.words)]


@pytest.mark.parametrize("kind", ["whole", "stream"])
def test_the_end_gives_what_added_quiet_gives(engines, kind):
    engine, raw = engines[kind]
    calibration = engine.bundle.calibration
    texts = set()
    for seed in range(6):
        clip = tones(1.5, seed=seed)
        quiet = calibration.silence(RATE)
        assert len(quiet) == 4800 and 20 * np.log10(np.std(quiet)) == pytest.approx(-60, abs=0.5)
        result, padded = engine.transcribe(clip, RATE), raw.transcribe(np.concatenate([clip, quiet]), RATE)
        assert padded.text.split()[: len(result.words)] == result.text.split()  # but for words behind the end
        assert in_order(result.words, 1.5)
        assert result.seconds == 1.5
        texts.add(result.text)
    assert len(texts) > 1


def test_a_stream_of_nothing_stays_empty(engines):
    stream = engines["stream"][0].stream()
    stream.feed(np.zeros(100, np.float32))
    assert stream.finish().words == []


def test_a_bundle_says_what_its_times_are(engines):
    engine, raw = engines["stream"]
    assert raw.bundle.calibration is None
    assert describe(None).startswith("raw")
    assert "-160 and -60 ms" in describe(engine.bundle.calibration)
    assert "0.3 s of quiet" in describe(engine.bundle.calibration)
    assert "by +0 and +118 ms" in describe(Calibration(-0.0001, 0.118, 0.1))


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({**LATE.record(), "version": 2}, "version 2, this heyjetson reads up to 1: upgrade heyjetson"),
        ({**LATE.record(), "start": 5.0}, "calibration.start must lie between -2 and 2, found 5.0"),
        ({"version": 1}, "calibration.start"),
        ("late", "must be a table with a version"),
    ],
)
def test_a_bad_calibration_is_named(streaming_bundle, tmp_path, record, sentence):
    folder = calibrated(streaming_bundle, tmp_path / "bad", record)
    with pytest.raises(BundleError, match=sentence):
        Bundle(folder)


# Subtitles.


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 2), st.integers(1, 30)), min_size=1, max_size=30))
def test_captions_can_be_read_and_do_not_overlap(drawn):
    words, now = [], 0.0
    for gap, length, characters in drawn:
        words.append(Word("a" * characters, now + gap, now + gap + length, 1.0))
        now += gap + length
    shown = cues(words)
    assert " ".join(text for _, _, text in shown).split() == [word.text for word in words]
    assert all(end - begin >= CAPTION_LEAST - 1e-9 for begin, end, _ in shown)
    assert all(end <= after for (_, end, _), (after, _, _) in zip(shown, shown[1:], strict=False))
    assert {begin for begin, _, _ in shown} <= {line[0].start for line in captions(words)}
