"""Clips: reproducible, with words where they are said to be, at the levels that were asked for."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyjetson.wakeword.recordings import find_word
from manifests import ManifestError
from manifests.trigger.clips import ClipOptions, Clips, Pools, loudness
from manifests.trigger.sounds import Backgrounds, Sound

RATE = 16000
STILL = ClipOptions(
    seconds=4.0, positives=(1, 1), negatives=(0, 0), empty=0.0, speech=0.0, rooms=0.0, band=0.0, equalisation=0.0
)


def sound(seconds: float = 0.6, tone: float = 0.2, name: str = "tone") -> Sound:
    """A tone with a tenth of a second of silence on both sides."""
    margin = RATE // 10
    length = int(seconds * RATE)
    samples = np.zeros(length + 2 * margin, np.float32)
    samples[margin : margin + length] = 0.2 * np.sin(np.arange(length) * tone)
    return Sound(samples, margin, margin + length, name)


RNG = np.random.default_rng(0)
BACKGROUNDS = [(3000 * RNG.standard_normal(size)).astype(np.int16) for size in (6400, 3200, 400_000)]


def pools(**changes) -> Pools:
    made = Pools({"one": [sound(), sound(0.8)], "two": [sound(0.5, 0.5)]}, [sound(0.4, 0.9, "near")], BACKGROUNDS)
    return replace(made, **changes)


def test_a_clip_depends_on_the_seed_and_its_number_alone():
    first, second = Clips(pools(), seed=3), Clips(pools(), seed=3)
    there = [first.clip(index) for index in range(6)]
    back = [second.clip(index) for index in reversed(range(6))][::-1]
    for one, other in zip(there, back, strict=True):
        assert np.array_equal(one.samples, other.samples) and one.words == other.words
    other = Clips(pools(), seed=4).clip(0)
    assert not np.array_equal(other.samples, there[0].samples)
    assert len({clip.samples.tobytes() for clip in there}) == 6


@given(st.integers(0, 10_000), st.floats(1.0, 2.0), st.integers(0, 6), st.integers(0, 6))
@settings(max_examples=40, deadline=None)
def test_any_clip_is_whole(seed, seconds, positives, negatives):
    options = ClipOptions(seconds=seconds, positives=(positives, positives), negatives=(0, negatives), empty=0.0)
    clip = Clips(pools(), options, seed).clip(seed)
    assert clip.samples.dtype == np.float32 and len(clip.samples) == round(seconds * RATE)
    assert np.isfinite(clip.samples).all() and np.abs(clip.samples).max() <= 1
    assert len(clip.words) <= positives and {one.word for one in clip.words} <= {"one", "two"}
    assert all(0 <= one.start < one.end <= len(clip.samples) for one in clip.words)
    everything = sorted(clip.words + clip.negatives, key=lambda one: one.start)
    gaps = [after.start - before.end for before, after in zip(everything, everything[1:], strict=False)]
    assert all(gap >= options.margin * RATE for gap in gaps)
    # Takes and their silence come to 0.5 s at least: three of them never fit in a second.
    assert positives <= len(clip.words) + len(clip.left_out)
    assert seconds > 1.1 or positives < 3 or clip.left_out


def test_a_word_longer_than_the_clip_is_left_out_by_name():
    clip = Clips(pools(words={"one": [sound(5.0, name="long.wav")]}), STILL).clip(0)
    assert clip.words == [] and clip.left_out == ["long.wav"]


@pytest.mark.parametrize("rooms", [0.0, 1.0])
def test_a_word_ends_where_the_clip_says(rooms):
    options = replace(STILL, snr=(40.0, 40.0), rooms=rooms, direct=(15.0, 15.0), equalisation=3.0, band=0.5)
    clips = Clips(pools(), options, 1)
    for index in range(20):
        clip = clips.clip(index)
        start, end = find_word(clip.samples, RATE)
        assert abs(start - clip.words[0].start) <= 0.02 * RATE
        assert -0.02 * RATE <= end - clip.words[0].end <= (0.02 if not rooms else 0.45) * RATE


def test_speed_changes_length_and_place_alike():
    clips = Clips(pools(), replace(STILL, speed=0.12, snr=(40.0, 40.0)), 1)
    lengths = [(one.end - one.start) / RATE for index in range(60) for one in clips.clip(index).words]
    assert 0.5 / 1.13 < min(lengths) < 0.48 and 0.85 < max(lengths) < 0.8 / 0.87
    steady = Clips(pools(), replace(STILL, speed=0.0), 1)
    assert {one.end - one.start for index in range(20) for one in steady.clip(index).words} <= {9600, 12800, 8000}


def test_some_words_are_drawn_out():
    clips = Clips(pools(), replace(STILL, speed=0.1, drawn_out=1.0), 1)
    lengths = [(one.end - one.start) / RATE for index in range(60) for one in clips.clip(index).words]
    assert min(lengths) > 0.5 / 0.91 and 0.8 / 0.7 < max(lengths) <= 0.8 / 0.59


@pytest.mark.parametrize("snr", [0.0, 10.0, 20.0])
def test_noise_is_at_the_ratio_that_was_drawn(snr):
    options = replace(STILL, snr=(snr, snr), noise=1.0, level=(-30.0, -30.0), level_spread=0.0)
    clips = Clips(pools(), options, 1)
    for index in range(10):
        clip = clips.clip(index)
        word = clip.words[0]
        rest = np.concatenate([clip.samples[: max(word.start - 2000, 0)], clip.samples[word.end + 2000 :]])
        noise = float(np.mean(rest**2))
        assert 10 * np.log10(10**-3 / noise) == pytest.approx(snr, abs=2.5)  # of a short piece of coloured noise
        loud = 10 * np.log10(float(np.mean(clip.samples[word.start : word.end] ** 2)) - noise)
        assert loud == pytest.approx(-30.0, abs=2.5 if snr else 4.0)


def test_speech_falls_silent_for_a_word_when_people_take_turns():
    background = [(3000 * np.random.default_rng(0).standard_normal(RATE * 20)).astype(np.int16)]
    options = replace(
        STILL, speech=1.0, turns=1.0, turn_level=(0.0, 0.0), speech_snr=(30.0, 30.0), snr=(60.0, 60.0), noise=1.0,
        level=(-30.0, -30.0), level_spread=0.0,
    )  # fmt: skip
    clips = Clips(pools(backgrounds=background), options, 1)
    for index in range(5):
        clip = clips.clip(index)
        word = clip.words[0]
        rest = np.concatenate([clip.samples[: max(word.start - 3000, 0)], clip.samples[word.end + 3000 :]])
        assert loudness(rest) == pytest.approx(10**-1.5, rel=0.1)
        tail = clip.samples[word.end : word.end + 100]
        assert np.sqrt(np.mean(tail**2)) < 0.2 * 10**-1.5


def test_short_backgrounds_fill_a_clip_without_clicks():
    tone = (8000 * np.sin(np.arange(4000) * 0.05)).astype(np.int16)
    clips = Clips(pools(backgrounds=[tone]), replace(STILL, positives=(0, 0), speech=1.0, noise=0.0))
    made = clips._background(np.random.default_rng(0), clips.size)
    assert len(made) == 4 * RATE
    assert np.abs(np.diff(made)).max() < 2 * np.abs(np.diff(tone / 32768)).max()
    power = np.mean(made.reshape(-1, 1600) ** 2, axis=1)
    assert power.min() > 0.3 * power.max()


def test_a_background_of_one_sample_or_of_silence_ends_too():
    for background in (np.ones(1, np.int16), np.zeros(100, np.float32)):
        options = replace(STILL, seconds=1.0, speech=1.0)
        clip = Clips(pools(backgrounds=[background]), options).clip(0)
        assert np.isfinite(clip.samples).all()


def test_speech_goes_through_what_the_words_go_through():
    tone = (8000 * np.sin(np.arange(400_000) * 2 * np.pi * 0.1)).astype(np.int16)  # 1600 Hz
    plain = replace(STILL, positives=(0, 0), speech=1.0, noise=0.0, speed=0.1, speech_channel=0.0)

    def heard(**changes) -> list[np.ndarray]:
        clips = Clips(pools(backgrounds=[tone]), replace(plain, **changes))
        return [clips.clip(number).samples for number in range(12)]

    def pitch(samples: np.ndarray) -> float:
        return float(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * RATE / len(samples))

    assert {round(pitch(one)) for one in heard()} == {1600}
    pitches = [pitch(one) for one in heard(speech_channel=1.0)]
    assert len(set(pitches)) > 5 and 1430 < min(pitches) < 1560 and 1640 < max(pitches) < 1770
    # A telephone's band takes a low tone away, whoever makes it.
    low = (8000 * np.sin(np.arange(400_000) * 2 * np.pi * 0.005)).astype(np.int16)  # 80 Hz
    mixed = {"backgrounds": [(tone // 2 + low // 2).astype(np.int16)]}
    shares = []
    for channel in (0.0, 1.0):
        narrow = replace(plain, speed=0.0, band=1.0, speech_channel=channel)
        spectrum = np.abs(np.fft.rfft(Clips(pools(**mixed), narrow).clip(0).samples))
        shares.append(spectrum[80 * 4] / spectrum[1600 * 4])
    assert shares[0] == pytest.approx(1.0, abs=0.05) and shares[1] < 0.05


def test_backgrounds_are_drawn_by_their_weights():
    low, high = np.full(100_000, 100, np.int16), np.full(100_000, 200, np.int16)
    made = Pools({"one": [sound()]}, (), Backgrounds([low, high], [1.0, 3.0], ["low", "high"]))
    clips = Clips(made, replace(STILL, seconds=1.0))
    rng = np.random.default_rng(0)
    drawn = [clips._background(rng, clips.size)[8000] > 150 / 32768 for _ in range(400)]
    assert 0.68 < np.mean(drawn) < 0.82
    never = Clips(replace(made, weights=[1.0, 0.0]), replace(STILL, seconds=1.0))
    assert not any(never._background(rng, clips.size)[8000] > 150 / 32768 for _ in range(50))


def test_without_backgrounds_and_near_misses_there_is_noise():
    clips = Clips(Pools({"one": [sound()]}), ClipOptions(seconds=2.0))
    assert all(np.abs(clips.clip(index).samples).max() > 0 for index in range(10))


def test_some_clips_hold_nothing_and_near_misses_are_told_apart():
    clips = Clips(pools(), ClipOptions(seconds=3.0, empty=0.5), 1)
    made = [clips.clip(index) for index in range(60)]
    assert 15 < sum(not clip.words and not clip.negatives for clip in made) < 45
    assert {one.word for clip in made for one in clip.negatives} == {"near"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": 0.1}, {"positives": (3, 1)}, {"empty": 1.5}, {"speed": 0.9}, {"snr": (1.0,)},
        {"positives": (-1, 2)}, {"margin": -1.0}, {"rooms": -0.1}, {"drawn_out": 1.5},
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(wrong):
    with pytest.raises(ManifestError, match=next(iter(wrong))):
        ClipOptions(**wrong)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Pools({}), "no word"),
        (lambda: Pools({"one": []}), "no take of 'one'"),
        (lambda: pools(weights=[1.0]), "1 weights for 3 backgrounds"),
        (lambda: Clips(pools(weights=[0.0, 0.0, 0.0])), "not all 0"),
        (lambda: Clips(pools(), sample_rate=8000), "16000 hertz"),
    ],
)
def test_pools_that_cannot_be_are_refused(make, said):
    with pytest.raises(ManifestError, match=said):
        make()


def test_ranges_from_yaml_are_lists():
    assert ClipOptions(snr=[0, 10]) == ClipOptions(snr=(0, 10))
