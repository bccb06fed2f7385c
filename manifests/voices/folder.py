"""Takes that another program made: a folder with a folder for each text, which is named as the text is."""

from __future__ import annotations

import functools
import hashlib
import random
from pathlib import Path

import numpy as np

from heyjetson.audio import is_recording
from heyjetson.letters import bare
from manifests.convert import decode
from manifests.lines import ManifestError
from manifests.voices.base import Engine, Request, voices_of


class Folder(Engine):
    """A voice is a recording: `TEXT/FILE`. What has no folder it cannot say.

    Args:
        path: the folder.
    """

    name = "folder"
    install = "voices=['folder:FOLDER'], with recordings in FOLDER/TEXT/"
    weight = 2.0

    @functools.cached_property
    def version(self) -> str:  # type: ignore[override]
        """Changes with the files: a take that is recorded again has the name of the one before."""
        root = Path(str(self.path))
        kept = [(name, (root / name).stat()) for name in self._recordings]
        described = [(name, found.st_size, found.st_mtime_ns) for name, found in kept]
        return hashlib.sha256(repr(described).encode(errors="surrogatepass")).hexdigest()

    def missing(self) -> str | None:
        if self.path is None:
            return "no folder is given"
        return None if self.path.is_dir() else f"there is no folder {self.path}"

    def voices(self, part: str) -> list[str]:
        return voices_of(self._recordings, part)

    def says(self, text: str) -> bool:
        """Whether there are takes of a text."""
        return any(bare(name.split("/")[0]) == bare(text) for name in self._recordings)

    def draw(self, text: str, part: str, rng: random.Random) -> Request:
        names = self._recordings
        mine = [name for name in names if bare(name.split("/")[0]) == bare(text)]
        # Takes and not voices are shared out here: of each text by itself.
        chosen = voices_of(mine, part) or voices_of(mine, "train")
        if not chosen:
            raise ManifestError(f"There is no folder {text!r} below {self.path}: there are no takes of it.")
        return Request(text, rng.choice(chosen), rng.randint(85, 115) / 100)

    def speak(self, request: Request) -> tuple[np.ndarray, int]:
        sound = decode(Path(str(self.path), request.voice))
        return sound.samples, round(sound.rate * request.speed)

    @functools.cached_property
    def _recordings(self) -> list[str]:
        root = Path(str(self.path))
        return sorted(str(file.relative_to(root)) for file in root.glob("*/*") if is_recording(file))
