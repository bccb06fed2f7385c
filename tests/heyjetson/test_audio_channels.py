"""One channel of several: a mix that would cancel is not made."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyjetson.audio import channels, choose, read_sound, to_mono
from heyjetson.audio.channels import channel_number
from heyjetson.errors import AudioError
from tests.heyjetson.sounds import by_soundfile, speechlike

RATE = 16000
LEFT = speechlike(1.0, RATE)[:, 0]


@pytest.mark.parametrize("factor", [-1.0, -0.95, -0.8, -1.05])
def test_channels_that_cancel_are_not_mixed(factor):
    stereo = np.stack([LEFT, factor * LEFT], axis=1)
    mono, note = choose(stereo)
    assert note and "channel" in note
    np.testing.assert_array_equal(mono, stereo[:, int(abs(factor) > 1)])
    noisy = stereo + 0.002 * np.random.default_rng(0).standard_normal(stereo.shape).astype(np.float32) + 0.1
    assert choose(noisy)[1]  # a constant offset, which both have, hides nothing


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 8), st.integers(0, 99), st.sampled_from(["noise", "alike", "silent", "delayed", "partly"]))
def test_other_mixes_are_made(channels, seed, kind):
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal((RATE, channels)).astype(np.float32) * 0.1
    sounds = {
        "noise": noise,
        "alike": LEFT[:, None] * generator.uniform(0.1, 1, channels).astype(np.float32),
        "silent": np.concatenate([LEFT[:, None], np.zeros((RATE, channels - 1), np.float32)], axis=1),
        "delayed": np.stack([np.roll(noise[:, 0], 9 * number) for number in range(channels)], axis=1),
        "partly": LEFT[:, None] + 2 * noise,
    }
    mono, note = choose(sounds[kind])
    assert note is None
    np.testing.assert_allclose(mono, sounds[kind].mean(axis=1), atol=1e-6)


def test_channels_by_name_and_number(monkeypatch):
    stereo = np.stack([LEFT, -LEFT], axis=1)
    data = by_soundfile(stereo, RATE, "FLAC")
    np.testing.assert_allclose(read_sound(data, channels="second").samples, -LEFT, atol=1e-4)
    np.testing.assert_array_equal(to_mono(stereo, "2"), -LEFT)
    sound = read_sound(data, channels="mix")
    assert sound.samples.ndim == 1 and sound.channels == 1 and "cancel" in sound.notes[0]
    channels._say.cache_clear()
    said: list[str] = []
    monkeypatch.setattr(channels.LOG, "warning", lambda message, *values: said.append(message % values))
    for _ in range(3):
        to_mono(stereo)
    assert len(said) == 1 and "cancel" in said[0]
    with pytest.raises(AudioError, match="no channel 3"):
        to_mono(stereo, "3")
    for wrong in ("third", "0", "-1", "²"):
        with pytest.raises(AudioError, match="must be mix"):
            channel_number(wrong)
