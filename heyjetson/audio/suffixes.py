"""Names of recordings."""

from __future__ import annotations

import os

# What libsndfile reads, then what only FFmpeg does; `docs/formats.md` says who reads what.
AUDIO = (
    *(".wav", ".flac", ".mp3", ".ogg", ".opus", ".oga", ".sph", ".aiff", ".aif", ".aifc", ".au", ".snd"),
    *(".caf", ".w64", ".rf64", ".mp2"),
    *(".m4a", ".m4b", ".mp4", ".aac", ".webm", ".weba", ".mka", ".mkv", ".mov", ".3gp", ".amr", ".wma", ".wv", ".tta"),
)


def is_recording(path: str | os.PathLike[str]) -> bool:
    """Does a file's name end as recordings' do, in capitals or not?

    >>> is_recording("talks/UP.WAV"), is_recording("talks/up.txt")
    (True, False)
    """
    return os.fspath(path).lower().endswith(AUDIO)
