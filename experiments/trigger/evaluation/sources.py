"""What streams are made of: recordings of words, backgrounds without them, noise recorded or generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.errors import ConfigError
from heyjetson.audio import AUDIO, is_recording, load, measure
from heyjetson.errors import AudioError
from heyjetson.wakeword.recordings import take
from manifests import read_manifest
from manifests.acoustics import coloured_noise
from manifests.convert import files
from manifests.trigger.sounds import folder_of, part_of, says

RATE = 16000
PARTS = ("train", "validation", "test", "all")
NOISE_SECONDS = 30  # of a piece of generated noise


@dataclass(frozen=True)
class Recording:
    """A file that a stream is made of.

    Args:
        path: of the file.
        samples: its length at 16 kHz.
        offset: seconds of the file before it, where it is a segment.
        word: that is said in it; None in a background.
        start: sample at which the word starts.
        end: sample at which it is over.
    """

    path: Path
    samples: int
    word: str | None = None
    start: int = 0
    end: int = 0
    offset: float | None = None

    def read(self) -> np.ndarray:
        """Its sound at 16 kHz, peak 1 unless silent [S] float32."""
        duration = None if self.offset is None else self.samples / RATE
        sound = load(self.path, RATE, offset=self.offset or 0.0, duration=duration)[: self.samples]
        sound = np.pad(sound, (0, self.samples - len(sound)))
        return sound / max(float(np.abs(sound).max(initial=0.0)), 1e-9)


def audio_files(folder: Path) -> list[Path]:
    """Recordings anywhere below a folder, by name.

    Raises:
        ConfigError: the folder is missing, or has none.
    """
    if not folder.is_dir():
        raise ConfigError(f"There is no folder {folder}.")
    found = sorted(path for path in files(folder) if is_recording(path))
    if not found:
        raise ConfigError(f"{folder} holds no recordings ({', '.join(AUDIO[:4])}, …), nor do its subfolders.")
    return found


def of_part(paths: Sequence[Path], part: str) -> list[Path]:
    """Those files that fall into a part, by their names.

    Args:
        paths: to choose from.
        part: train, validation, test or all.

    Raises:
        ConfigError: there is no such part.
    """
    if part not in PARTS:
        raise ConfigError(f"data.part={part}: there are {', '.join(PARTS)}.")
    return [path for path in paths if part in ("all", part_of(path.name))]


def positives(folder: Path, words: Sequence[str], part: str) -> tuple[dict[str, list[Recording]], list[str]]:
    """Recordings of words: `folder/WORD/*`, or for one word those of a folder without others in it, as in training.

    Args:
        folder: with a subfolder for each word, or of one word.
        words: which are wanted.
        part: train, validation, test or all.

    Returns:
        the recordings of every word, and of what was left out the reasons.

    Raises:
        ConfigError: a word has no recordings that can be used.
    """
    recordings: dict[str, list[Recording]] = {}
    left_out = []
    others = sorted(path.name for path in folder.glob("*") if path.is_dir())
    for word in words:
        named = folder_of(folder, word)
        if named == folder and (others or len(words) > 1):
            names = ", ".join(others) or "none"
            raise ConfigError(f"{folder} has no folder named {word}, for recordings of it. Its folders: {names}.")
        recordings[word] = []
        paths = audio_files(named)
        chosen = of_part(paths, part)
        if not chosen:
            raise ConfigError(
                f"None of the {len(paths)} recordings in {named} belongs to the part {part}: parts are told apart by "
                "the md5 of a file's name. Add recordings, or take data.part=all if none of them was trained on."
            )
        for path in chosen:
            try:
                found = take(load(path, RATE), RATE)
            except AudioError as error:
                left_out.append(f"{path}: {error}")
                continue
            recordings[word].append(Recording(path, len(found.samples), word, found.start, found.end))
        if not recordings[word]:
            why = " ".join(left_out[:3])
            raise ConfigError(f"None of the {len(chosen)} recordings in {named} can be used. {why}")
    return recordings, left_out


def backgrounds(folders: Sequence[Path], part: str, without: Sequence[str] = ()) -> tuple[list[Recording], list[str]]:
    """Recordings between the words.

    Args:
        folders: to look in, subfolders too; or manifests (.jsonl).
        part: train, validation, test or all.
        without: words that must not occur, as far as there are transcripts beside the recordings.

    Returns:
        the recordings, and of what was left out the reasons.

    Raises:
        ConfigError: nothing is left.
    """
    kept, left_out = [], []
    for folder in folders:
        for path, text, offset, seconds in _places(folder, part):
            if said := [word for word in without if says(text, word)]:
                left_out.append(f"{path}: its transcript has the word {said[0]}")
                continue
            try:
                samples = round((seconds or measure(path).seconds) * RATE)
            except AudioError as error:
                left_out.append(f"{path}: {error}")
                continue
            if samples:
                kept.append(Recording(path, samples, offset=offset))
    if not kept:
        where = ", ".join(map(str, folders)) or "data.backgrounds=[]"
        raise ConfigError(f"There is no background to put between the words: {where} (data.part={part}). Give folders.")
    return kept, left_out


def _places(place: Path, part: str) -> list[tuple[Path, str, float | None, float | None]]:
    """Files of a part below a folder or in a manifest: their paths, texts, and offset and duration of segments."""
    if place.suffix == ".jsonl":
        lines = read_manifest(place)
        chosen = set(of_part([line.audio for line in lines], part))
        return [(line.audio, line.text, line.offset, line.segment[1]) for line in lines if line.audio in chosen]
    texts = transcripts(place)
    return [(path, texts.get(path.stem, ""), None, None) for path in of_part(audio_files(place), part)]


def transcripts(place: Path) -> dict[str, str]:
    """Texts of recordings by file name without ending.

    Args:
        place: a folder, of which metadata.csv (LJSpeech, beside `wavs` as well) and *.trans.txt (LibriSpeech) are read.
    """
    texts: dict[str, str] = {}
    for path in [place / "metadata.csv", place.parent / "metadata.csv", *sorted(place.rglob("*.trans.txt"))]:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
            name, _, text = line.partition("|" if path.suffix == ".csv" else " ")
            texts[name] = text
    return texts


class Noise:
    """Noise without end: recordings in drawn order, or generated where there are none.

    Args:
        folder: of recordings; as in DEMAND only the first channel's files are taken where they are named ch01. None
            generates noise between white and brown, its level moving by several decibels within seconds.
        seed: of the order, or of the noise.
    """

    def __init__(self, folder: Path | None, seed: int) -> None:
        found = audio_files(folder) if folder else []
        self.files = [path for path in found if path.stem == "ch01"] or found
        self.name = str(folder) if folder else "generated, white to brown, slowly modulated"
        self._order = np.random.RandomState(seed)
        self._drawn = np.random.default_rng(seed)
        self._left = np.zeros(0, np.float32)

    def _piece(self) -> np.ndarray:
        if self.files:
            piece = load(self.files[self._order.randint(low=0, high=len(self.files))], RATE)
        else:
            samples = NOISE_SECONDS * RATE
            piece = coloured_noise(self._drawn, samples, self._drawn.uniform(0, 2))
            steps = NOISE_SECONDS // 2 + 1
            level = np.interp(np.arange(samples), np.linspace(0, samples, steps), self._drawn.uniform(-6, 6, steps))
            piece = piece * (10 ** (level / 20)).astype(np.float32)
        return piece / max(float(np.abs(piece).max(initial=0.0)), 1e-9)

    def next(self, samples: int) -> np.ndarray:
        """What comes next, peak 1 over every piece [S] float32."""
        pieces, length = [self._left], len(self._left)
        while length < samples:
            pieces.append(self._piece())
            length += len(pieces[-1])
        joined = np.concatenate(pieces)
        self._left = joined[samples:]
        return joined[:samples]
