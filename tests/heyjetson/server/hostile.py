"""Files that nobody should have to decode."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile

RATE = 16000


def sound(seconds: float = 1.0) -> np.ndarray:
    """Noise."""
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


def written(samples: np.ndarray, rate: int = RATE, **kind: str) -> bytes:
    """A file's bytes; `format` and `subtype` as soundfile takes them."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **{"format": "WAV", **kind})
    return file.getvalue()


def changed(place: int, form: str, value: int) -> bytes:
    """A wav with another value in its header."""
    data = bytearray(written(sound()))
    struct.pack_into(form, data, place, value)
    return bytes(data)


def bomb(seconds: int) -> bytes:
    """Silence as flac: a few bytes a second."""
    file = io.BytesIO()
    minute = np.zeros(60 * RATE, np.int16)
    with soundfile.SoundFile(file, "w", RATE, 1, "PCM_16", format="FLAC") as flac:
        for _ in range(seconds // 60):
            flac.write(minute)
    return file.getvalue()


def not_finite() -> np.ndarray:
    """Sound with a hole."""
    samples = sound()
    samples[100] = np.nan
    return samples


def spoiled(data: bytes) -> bytes:
    """A file with its middle overwritten."""
    middle = len(data) // 2
    return data[:middle] + b"\xff" * 200 + data[middle + 200 :]


# name: bytes, status, words of the answer
FILES: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 422, "is empty"),
    "one byte": (b"R", 415, "send wav, flac"),
    "text": (b"hello, this is no sound at all " * 20, 415, "send wav, flac"),
    "UTF-16 text": ("hello, this is no sound".encode("utf-16") * 20, 415, "send wav, flac"),
    "webm": (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01" + bytes(500), 415, "send wav, flac"),
    "m4a": (b"\0\0\0\x20ftypM4A " + bytes(500), 415, "send wav, flac"),
    "zeros": (bytes(5000), 415, "send wav, flac"),
    "header alone": (written(sound())[:44], 422, "holds no samples"),
    "truncated header": (written(sound())[:20], 422, "cannot be decoded"),
    "no samples": (written(sound(0)), 422, "holds no samples"),
    "no channels": (changed(22, "<H", 0), 422, "cannot be decoded"),
    "65 channels": (changed(22, "<H", 65), 422, "65 channels"),
    "65535 channels": (changed(22, "<H", 65535), 422, "cannot be decoded"),
    "rate of 0": (changed(24, "<I", 0), 422, "cannot be decoded"),
    "rate of 1 Hz": (changed(24, "<I", 1), 422, "sample rate of 1 Hz"),
    "rate of 10 MHz": (changed(24, "<I", 10_000_000), 422, "sample rate of 10000000 Hz"),
    "NaN": (written(not_finite(), subtype="FLOAT"), 422, "not numbers"),
    "spoiled flac": (spoiled(written(sound(3), format="FLAC")), 422, "checksum"),
    "truncated ogg": (written(sound(3), format="OGG")[:3000], 422, "The file"),
}

# name: bytes, seconds that are there, words of the note
ODD: dict[str, tuple[bytes, float, str]] = {
    "truncated wav": (written(sound())[:16044], 0.5, "cut short: 0.50 s are there of 1.00 s"),
    "lying length": (changed(40, "<I", 0x70000000), 1.0, "says 1879048192 bytes"),
    "killed recorder": (changed(40, "<I", 0), 1.0, "says 0 bytes"),
    "opposite channels": (written(np.stack([sound(), -sound()], axis=1)), 1.0, "cancel each other"),
}
