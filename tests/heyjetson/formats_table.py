"""The table of docs/formats.md, from files made on the spot: `python -m tests.heyjetson.formats_table`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest import mock

import av
import numpy as np
import soundfile

from heyjetson.audio import program, pyav, read_sound
from heyjetson.errors import AudioError
from tests.heyjetson.sounds import by_pyav, by_soundfile, speechlike, uncounted_mp3, unknown_flac

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
BEGIN, END = "<!-- the table: python -m tests.heyjetson.formats_table -->\n", "<!-- end of the table -->\n"
RATE, SECONDS = 16000, 2.0
SOUND = speechlike(SECONDS, RATE)
SOUND[: RATE // 2] = 0  # a length guessed from one end is wrong

Maker = Callable[[], bytes]


def _sf(kind: str, subtype: str | None = None) -> Maker:
    return lambda: by_soundfile(SOUND, RATE, kind, subtype)


def _av(container: str, codec: str, rate: int = RATE, **more: object) -> Maker:
    sound = SOUND[:: RATE // rate]
    return lambda: by_pyav(sound, rate, container, codec, **more)  # type: ignore[arg-type]


SIZES = "the size that its header says"
FRAMES = "how many samples its header says"
TRACK = "the length that the container says"
PAGES = "pages, and the one that ends it"
NOTHING = "nothing: it does not say how long it is"

ROWS: list[tuple[str, str, str, Maker]] = [
    ("wav", "16-bit", SIZES, _sf("WAV", "PCM_16")),
    ("wav", "8-, 24-, 32-bit, float, µ-law, A-law, ADPCM", SIZES, _sf("WAV", "PCM_24")),
    ("RF64", "16-bit", SIZES, _sf("RF64", "PCM_16")),
    ("W64", "16-bit", SIZES, _sf("W64", "PCM_16")),
    ("AIFF", "16-bit", SIZES, _sf("AIFF", "PCM_16")),
    ("AU", "16-bit", SIZES, _sf("AU", "PCM_16")),
    ("CAF", "16-bit", SIZES, _sf("CAF", "PCM_16")),
    ("NIST SPHERE", "16-bit", SIZES, _sf("NIST", "PCM_16")),
    ("FLAC", "FLAC", FRAMES, _sf("FLAC")),
    ("FLAC", "FLAC of unknown length", NOTHING, lambda: unknown_flac(SOUND, RATE)),
    ("FLACs, joined", "FLAC", FRAMES, lambda: _sf("FLAC")() * 2),
    ("Ogg", "Vorbis", PAGES, _sf("OGG", "VORBIS")),
    ("Ogg, chained", "Vorbis", PAGES, lambda: _sf("OGG", "VORBIS")() * 2),
    ("Ogg", "Opus", PAGES, _sf("OGG", "OPUS")),
    ("Ogg, chained", "Opus", PAGES, lambda: _sf("OGG", "OPUS")() * 2),
    ("Ogg", "FLAC", PAGES, _av("ogg", "flac")),
    ("MP3", "MP3 that counts its frames", "its frames", _av("mp3", "libmp3lame")),
    ("MP3s, joined", "MP3 that counts its frames", "its frames", lambda: _av("mp3", "libmp3lame")() * 2),
    ("MP3", "MP3 of variable bit rate without a count", NOTHING, lambda: uncounted_mp3(SOUND[::-1], RATE)),
    ("MP2", "MP2", NOTHING, _av("mp2", "mp2")),
    ("m4a, mp4, mov, 3gp", "AAC", TRACK, _av("ipod", "aac")),
    ("m4a, mov", "ALAC", TRACK, _av("ipod", "alac")),
    ("3gp", "AMR", TRACK, _av("3gp", "libopencore_amrnb", 8000)),
    ("AMR", "AMR", NOTHING, _av("amr", "libopencore_amrnb", 8000)),
    ("AAC", "AAC", NOTHING, _av("adts", "aac")),
    ("WebM", "Opus", TRACK, _av("webm", "libopus", 8000)),
    ("Matroska (mka, mkv)", "FLAC", TRACK, _av("matroska", "flac")),
    ("Windows Media", "WMA", TRACK, _av("asf", "wmav2", bit_rate=48000)),
    ("WavPack", "WavPack", TRACK, _av("wv", "wavpack")),
    ("True Audio", "TTA", TRACK, _av("tta", "tta")),
]


def table() -> str:
    """Who reads each kind, with PyAV and without, and how far its length is off."""
    lines = [
        "| container | codec | read by | without PyAV and ffmpeg | checked against | length is right to |",
        "|---|---|---|---|---|---|",
    ]
    for container, codec, checked, make in ROWS:
        data = make()
        sound = read_sound(data)
        assert not sound.missing, (container, codec)
        expected = SECONDS * (2 if "," in container and container.split(", ")[1] in ("joined", "chained") else 1)
        off = abs(sound.seconds - expected)
        bound = "the sample" if off < 0.5 / sound.rate else f"{next(at for at in (0.02, 0.1, 0.2) if off < at):g} s"
        lines.append(
            f"| {container} | {codec} | {_named(sound.reader)} | {_alone(data, expected)} | {checked} | {bound} |"
        )
    return "\n".join(lines) + "\n"


def _named(reader: str) -> str:
    return {"wav": "heyjetson itself"}.get(reader, reader)


def _alone(data: bytes, expected: float) -> str:
    with (
        mock.patch.object(pyav, "is_installed", lambda: False),
        mock.patch.object(program, "is_installed", lambda: False),
    ):
        try:
            sound = read_sound(data)
        except AudioError as error:
            assert "heyjetson[formats]" in str(error)
            return "refused"
    assert abs(sound.seconds - expected) < 0.2
    return _named(sound.reader)


def versions() -> str:
    """What is installed here."""
    libraries = ", ".join(
        f"{name} {'.'.join(map(str, number))}" for name, number in sorted(av.library_versions.items())
    )
    parts = (f"soundfile {soundfile.__version__}", f"libsndfile {soundfile.__libsndfile_version__}")
    return f"{', '.join(parts)}, PyAV {av.__version__} ({libraries}), numpy {np.__version__}"


def page() -> str:
    """docs/formats.md with today's table."""
    text = PAGE.read_text("utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}{table()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(versions())
