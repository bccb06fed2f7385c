"""Rooms that are measured or simulated, and noise and silence in clips."""

import numpy as np
import pytest
import soundfile

from manifests import ManifestError
from manifests.rooms import drawn_rooms, from_direct, read_rooms
from manifests.trigger.clips import ClipOptions, Clips, Pools
from manifests.trigger.sounds import Sound

RATE = 16000


def word() -> Sound:
    samples = 0.3 * np.random.default_rng(1).standard_normal(8000).astype(np.float32)
    return Sound(samples, 800, 7200, "word")


def test_a_response_begins_with_its_direct_sound(tmp_path):
    late = np.zeros(4000, np.float32)
    late[1000], late[1400] = -0.2, 0.1
    response = from_direct(late)
    assert np.abs(response).argmax() == 16 and response[16] == -1 and response[416] == 0.5
    passed = np.zeros(4000, np.float32)
    passed[1000], passed[1400] = 0.15, -0.2  # two walls' echoes that arrive together are louder
    response = from_direct(passed)
    assert response[16] == pytest.approx(0.75) and response[416] == -1 and len(response) == 3016
    response = from_direct(late)
    soundfile.write(tmp_path / "room.wav", late, RATE, subtype="FLOAT")
    (read,) = read_rooms(tmp_path)
    assert np.allclose(read, response)
    with pytest.raises(ManifestError, match="silent"):
        from_direct(np.zeros(100, np.float32))
    with pytest.raises(ManifestError, match="no impulse responses"):
        read_rooms(tmp_path / "nowhere")


def test_drawn_rooms_differ_and_come_again():
    pytest.importorskip("pyroomacoustics")
    rooms, again, other = drawn_rooms(3, 1), drawn_rooms(3, 1), drawn_rooms(3, 2)
    for one, two in zip(rooms, again, strict=True):
        assert np.array_equal(one, two)
        # Neither the 40 samples of delay nor the echo of the high-pass before the direct sound are left.
        assert (np.abs(one) >= 0.1).argmax() <= 16 and np.abs(one).max() == pytest.approx(1.0)
    assert len({room[:400].tobytes() for room in rooms + other}) == 6


def test_clips_have_recorded_noise_rooms_and_silence():
    tone = (8000 * np.sin(np.arange(5 * RATE) * 2 * np.pi * 1000 / RATE)).astype(np.int16)
    plain = {"seconds": 2.0, "noise": 1.0, "empty": 1.0, "snr": (10, 10)}
    pools = Pools({"a": [word()]}, noises=[tone], responses=[np.eye(1, 800, 16, dtype=np.float32)[0]])
    noisy = Clips(pools, ClipOptions(**plain, real_noise=1.0)).clip(0).samples
    spectrum = np.abs(np.fft.rfft(noisy))
    assert spectrum.argmax() == 2000 and spectrum[2000] ** 2 > 0.9 * (spectrum**2).sum()
    silent = [Clips(pools, ClipOptions(**plain, digital=1.0)).clip(number).samples for number in range(12)]
    assert sum(not one.any() for one in silent) >= 2 and any((one == 0).any() and one.any() for one in silent)
    heard = Clips(pools, ClipOptions(seconds=3.0, rooms=1.0, empty=0.0, positives=(1, 1), digital=0.0))
    assert all(len(heard.clip(number).words) == 1 for number in range(4))
