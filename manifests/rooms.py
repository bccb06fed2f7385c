"""Impulse responses of rooms: measured ones from a folder, and drawn ones by pyroomacoustics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr

from heyjetson.audio import is_recording
from manifests.lines import ManifestError

SAMPLE_RATE = 16000
LONGEST = 0.8  # seconds that are kept
ONSET = 0.1  # of the highest peak: there the direct sound begins (ISO 3382-1, 20 dB below it)
EARLY = 0.001  # seconds before that belong to it
INSTALL = "pip install pyroomacoustics"


def read_rooms(folder: str | Path) -> list[np.ndarray]:
    """Responses [K] float32 at 16 kHz of a folder's recordings, the direct sound first and of amplitude 1.

    Raises:
        ManifestError: there is no folder, or no recording in it.
    """
    paths = sorted(path for path in Path(folder).rglob("*") if is_recording(path))
    if not paths:
        raise ManifestError(f"There are no impulse responses in the folder {folder}. Correct the path.")
    found = []
    for path in paths:
        try:
            samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise ManifestError(f"{path} cannot be read ({error.error_string.rstrip('.')}). Remove it.") from None
        found.append(from_direct(soxr.resample(samples[:, 0], rate, SAMPLE_RATE)))
    return found


def from_direct(response: np.ndarray) -> np.ndarray:
    """A response that begins with its direct sound, its highest peak scaled to 1: nothing is delayed, no level changes.

    The highest peak need not be the direct sound: reflections that arrive together may pass it.

    Raises:
        ManifestError: it is silent.
    """
    heights = np.abs(response)
    peak = float(heights.max(initial=0.0))
    if not peak > 0:
        raise ManifestError("An impulse response is silent: remove it from the folder of rooms.")
    begin = max(int((heights >= ONSET * peak).argmax()) - round(EARLY * SAMPLE_RATE), 0)
    return (response[begin : begin + round(LONGEST * SAMPLE_RATE)] / peak).astype(np.float32)


def drawn_rooms(count: int, seed: int) -> list[np.ndarray]:
    """Responses of drawn rooms with drawn places, by the image method; the same for the same seed.

    Raises:
        ManifestError: pyroomacoustics is not installed.
    """
    try:
        import pyroomacoustics as pra
    except ImportError:
        raise ManifestError(f"Rooms are drawn by pyroomacoustics, which is not installed: {INSTALL}") from None
    pra.random.seed(seed)  # it has a generator of its own; no other seed reaches it
    rng = np.random.default_rng([seed, 7])
    found: list[np.ndarray] = []
    while len(found) < count:
        size = rng.uniform([2.5, 2.5, 2.3], [8.0, 8.0, 3.5])
        try:
            absorption, order = pra.inverse_sabine(rng.uniform(0.15, 0.7), size)
        except ValueError:  # so large a room cannot be so dry
            continue
        room = pra.ShoeBox(size, fs=SAMPLE_RATE, materials=pra.Material(absorption), max_order=min(order, 20))
        room.add_source(rng.uniform([0.3, 0.3, 1.0], size - 0.3))
        room.add_microphone(rng.uniform([0.3, 0.3, 0.5], size - 0.3))
        room.compute_rir()
        found.append(from_direct(np.asarray(room.rir[0][0])))  # 40 samples late, and with an echo before
    return found
