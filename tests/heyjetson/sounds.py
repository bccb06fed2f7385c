"""Files of every kind, made on the spot by soundfile and PyAV."""

from __future__ import annotations

import io
from collections.abc import Mapping

import av
import numpy as np
import soundfile


def speechlike(seconds: float, rate: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Tones that come and go over noise, [S, C] float32, on 16-bit steps; channels differ."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    tones = [
        0.3 * np.sin(2 * np.pi * (170 + 60 * number) * time) * (0.55 + 0.45 * np.sin(2 * np.pi * 3 * time + number))
        for number in range(channels)
    ]
    sound = np.stack(tones, axis=1) + 0.005 * generator.standard_normal((len(time), channels))
    return (np.rint(sound * 32767) / 32768).astype(np.float32)


def by_soundfile(samples: np.ndarray, rate: int, kind: str, subtype: str | None = None) -> bytes:
    """A file's bytes; kind and subtype as soundfile takes them."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def by_pyav(
    samples: np.ndarray, rate: int, container: str, codec: str, written: Mapping[str, str] | None = None, **more: object
) -> bytes:
    """A file's bytes; container, codec and how it is written as FFmpeg takes them, more is of the codec."""
    file = io.BytesIO()
    layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
    with av.open(file, "w", format=container, options=dict(written or {})) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        for name, value in more.items():
            setattr(stream, name, value)
        for start in range(0, len(samples), 4800):
            block = np.ascontiguousarray(samples[start : start + 4800].T)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate = rate
            frame.pts = start
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def uncounted_mp3(samples: np.ndarray, rate: int) -> bytes:
    """An MP3 of variable bit rate that does not say how long it is, as written into a pipe."""
    plain = {"write_xing": "0", "id3v2_version": "0"}
    variable = {"flags": "+qscale", "global_quality": str(6 * 118)}
    return by_pyav(samples, rate, "mp3", "libmp3lame", plain, options=variable)


def unknown_flac(samples: np.ndarray, rate: int) -> bytes:
    """A flac that does not say how long it is, as written into a pipe."""
    data = bytearray(by_soundfile(samples, rate, "FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    data[26:42] = bytes(16)
    return bytes(data)
