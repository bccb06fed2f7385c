"""Where a word lies in a recording, and which recordings cannot be used."""

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from heyjetson.audio import is_clipped
from heyjetson.wakeword.recordings import (
    LONGEST,
    TakeError,
    TakeSplitter,
    faults,
    find_word,
    take,
    trim,
    words_apart,
)
from manifests.acoustics import coloured_noise
from manifests.convert import decode
from manifests.espeak import speak
from tests.conftest import ROOT

RATE = 16000
WAKE_WORDS = ROOT.parent / "shared" / "data" / "wake_words"


def spoken(text: str, voice: str, rate: int = RATE) -> tuple[np.ndarray, int, int]:
    """A word with silence cut off, and where its sound begins and ends: 25 dB below its loudest, as one hears it."""
    samples, found = speak(text, voice)
    samples = soxr.resample(samples, found, rate)
    size = rate // 200
    frames = np.diff(samples)[: (len(samples) - 1) // size * size].reshape(-1, size)
    level = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-12)
    loud = np.flatnonzero(level > np.sort(level)[-20] - 25)
    return samples, int(loud[0]) * size, int(loud[-1] + 1) * size


def hidden(text: str, voice: str, snr: float, seed: int, rate: int = RATE) -> tuple[np.ndarray, int, int]:
    """Three seconds of noise with a word at a drawn place."""
    rng = np.random.default_rng(seed)
    word, start, end = spoken(text, voice, rate)
    at = int(rng.integers(0, 3 * rate - len(word)))
    clip = np.zeros(3 * rate, np.float32)
    clip[at : at + len(word)] = word
    power = float(np.mean(word[start:end] ** 2))
    clip += coloured_noise(rng, len(clip), rng.uniform(0, 2)) * np.float32(np.sqrt(power / 10 ** (snr / 10)))
    return clip, at + start, at + end


@pytest.mark.parametrize(("rate", "snr"), [(16000, 20), (16000, 40), (44100, 40), (8000, 40)])
@pytest.mark.parametrize("text", ["hey jetson", "computer", "jarvis", "snowboy"])
def test_a_word_in_noise_is_found(text, rate, snr):
    for seed, voice in enumerate(("en-us+f2", "en-gb-scotland+m3", "en-us+Alex", "en-us-nyc+steph")):
        clip, start, end = hidden(text, voice, snr, seed, rate)
        found = find_word(clip, rate)
        assert abs(found[0] - start) <= 0.06 * rate and abs(found[1] - end) <= 0.04 * rate, (voice, found, start, end)


def test_the_level_does_not_matter():
    clip, _, _ = hidden("computer", "en-us+f2", 30, 1)
    assert find_word(clip, RATE) == find_word(clip / 30, RATE)


def test_a_click_is_not_taken_for_the_word():
    clip, start, end = hidden("computer", "en-us+f2", 35, 3)
    at = start - 12000 if start > 12000 else end + 12000
    clip[at : at + 60] += np.float32(0.9)
    found = find_word(clip, RATE)
    assert abs(found[0] - start) <= 0.06 * RATE and abs(found[1] - end) <= 0.04 * RATE


def test_a_pause_within_a_phrase_is_bridged():
    first, start, _ = spoken("hey", "en-us+f2")
    second, _, end = spoken("jetson", "en-us+f2")
    pause = np.zeros(int(0.05 * RATE), np.float32)  # beside the 60 ms that espeak-ng ends with
    clip = np.concatenate([np.zeros(RATE, np.float32), first, pause, second, np.zeros(RATE, np.float32)])
    clip += 1e-4 * np.random.default_rng(0).standard_normal(len(clip)).astype(np.float32)
    found = find_word(clip, RATE)
    assert abs(found[0] - RATE - start) <= 0.06 * RATE
    assert abs(found[1] - (RATE + len(first) + len(pause) + end)) <= 0.04 * RATE


@pytest.mark.parametrize("snr", [20, 40])
def test_words_that_stand_apart_are_counted_and_a_knock_is_none(snr):
    clip, start, end = hidden("computer", "en-us+f2", snr, 3)
    other, first, last = hidden("hey jetson", "en-us+f2", snr, 4)
    words = words_apart(np.concatenate([clip, other]), RATE)
    expected = [(start, end), (3 * RATE + first, 3 * RATE + last)]
    assert np.abs(np.array(words) - expected).max() <= 0.06 * RATE
    at = start - 12000 if start > 12000 else end + 12000
    clip[at : at + 60] += np.float32(0.9)
    assert words_apart(clip, RATE) == [find_word(clip, RATE)]


def test_noise_that_begins_after_silence_is_no_part_of_the_word():
    clip, start, end = hidden("computer", "en-us+m3", 25, 5)
    clip = np.pad(clip, RATE) + 1e-5 * np.random.default_rng(0).standard_normal(5 * RATE).astype(np.float32)
    found = find_word(clip, RATE)
    assert abs(found[0] - RATE - start) <= 0.1 * RATE and abs(found[1] - RATE - end) <= 0.06 * RATE


def test_a_take_knows_its_word_and_is_trimmed_around_it():
    clip, start, end = hidden("computer", "en-us+f2", 40, 2)
    whole = take(clip, RATE)
    short = trim(whole, margin=0.1)
    assert np.array_equal(short.samples[short.start : short.end], whole.samples[whole.start : whole.end])
    assert len(short.samples) <= short.end - short.start + 2 * 0.1 * RATE
    assert trim(short, margin=5.0).samples is not None and len(trim(short, 5.0).samples) == len(short.samples)
    assert not faults(clip, RATE)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda word: np.zeros(RATE, np.float32), "silent"),
        (lambda word: 1e-5 * word, "silent"),
        (lambda word: np.zeros(0, np.float32), "too short"),
        (lambda word: word[:1000], "too short"),
        (lambda word: np.tile(word, 20), "lasts"),
        (lambda word: np.clip(6 * word, -1, 1), "clipped"),
        (lambda word: 0.4 * np.clip(6 * word, -1, 1), "clipped"),
        (lambda word: np.where(np.arange(len(word)) == 5000, np.nan, word), "not numbers"),
        (lambda word: np.stack([word, word]), "mix the channels"),
        (lambda word: 0.1 * np.random.default_rng(1).standard_normal(3 * RATE), "stands out"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_the_reason(made, said):
    word, _, _ = spoken("computer", "en-us+f2")
    samples = made(word / np.abs(word).max()).astype(np.float32)
    found = faults(samples, RATE)
    assert found and said in " ".join(found)
    with pytest.raises(TakeError, match=said):
        take(samples, RATE)


def test_a_knock_is_too_short_for_a_word():
    clip = 1e-3 * np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    clip[RATE : RATE + 1900] += 0.3 * np.sin(np.arange(1900) * 0.5).astype(np.float32)
    assert "too short for a word" in faults(clip, RATE)[0]


def test_a_low_tone_at_half_scale_is_not_clipped():
    tone = np.round(0.2 * np.sin(np.arange(RATE) * 0.01) * 32768) / 32768
    assert not is_clipped(tone)


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1, width=32), max_size=4000), st.sampled_from([8000, 16000, 48000]))
def test_any_samples_give_a_range_or_a_reason(samples, rate):
    samples = np.array(samples, np.float32)
    try:
        start, end = find_word(samples, rate)
    except TakeError:
        return
    assert 0 <= start < end <= len(samples)


def test_two_words_become_two_takes_however_the_sound_is_cut():
    rng = np.random.default_rng(0)
    words = [spoken(text, "en-us+f2")[0] for text in ("computer", "hey jetson")]
    gap = np.zeros(RATE, np.float32)
    sound = np.concatenate([gap, words[0], gap, gap, words[1], gap])
    sound = ((sound + 1e-3 * rng.standard_normal(len(sound))) * 32767).clip(-32768, 32767).astype(np.int16)
    splitter = TakeSplitter(RATE)
    whole = splitter.feed(sound) + splitter.finish()
    assert len(whole) == 2
    assert all(len(word) < len(got) < len(word) + 1.5 * RATE for word, got in zip(words, whole, strict=True))
    for size in (1, 77, 1280, 30000):
        splitter = TakeSplitter(RATE)
        pieces = range(0, len(sound), size) if size > 1 else range(0, 4000)
        got = [one for at in pieces for one in splitter.feed(sound[at : at + size])]
        if size > 1:
            got += splitter.finish()
            assert len(got) == 2 and all(np.array_equal(one, other) for one, other in zip(got, whole, strict=True))


def test_sound_that_never_pauses_is_cut_and_silence_is_not_kept():
    rng = np.random.default_rng(0)
    splitter = TakeSplitter(RATE, longest=2.0)
    assert splitter.feed(1e-3 * rng.standard_normal(60 * RATE)) == [] and splitter.finish() == []
    assert len(splitter._frames) <= 25
    tone = 0.3 * np.sin(np.arange(9 * RATE) * 0.3)
    got = splitter.feed(tone)
    assert got and max(map(len, got)) <= 2 * RATE


@pytest.mark.parametrize("rate", [0, 4000, 7999, 192001])
def test_the_rates_are_those_of_live_sources(rate):
    said = rf"The rate must be a whole number of hertz from 8000 to 192000, found {rate}\."
    assert len(faults(np.zeros(2 * RATE, np.float32), rate)) == 1
    for call in (take, find_word, words_apart):
        with pytest.raises(TakeError, match=said):
            call(np.zeros(2 * RATE, np.float32), rate)
    with pytest.raises(TakeError, match=said):
        TakeSplitter(rate)


@pytest.mark.parametrize("wrong", [{"rate": 100}, {"rate": RATE, "silence": 0.0}, {"rate": RATE, "silence": 20.0}])
def test_a_splitter_that_cannot_work_is_refused(wrong):
    with pytest.raises(TakeError, match="must"):
        TakeSplitter(**wrong)


@pytest.mark.skipif(not WAKE_WORDS.is_dir(), reason="../shared/data/wake_words is not here")
def test_real_takes_hold_a_word_of_a_usual_length():
    lengths = []
    for word in ("alexa", "computer", "jarvis", "snowboy"):
        for path in sorted((WAKE_WORDS / word).iterdir())[:40]:
            sound = decode(path)
            found = take(sound.samples, sound.rate, LONGEST)
            assert len(words_apart(sound.samples, sound.rate)) == 1
            lengths.append((found.end - found.start) / sound.rate)
    assert 0.55 < float(np.median(lengths)) < 0.85
    assert np.mean(np.array(lengths) > 1.3) < 0.03
