"""Takes of a word and of what sounds like it, spoken by espeak-ng in many voices, and kept below a folder."""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import os
import random
import re
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soxr

from manifests.espeak import speak
from manifests.lines import ManifestError
from manifests.progress import progress
from manifests.synthetic import VOICES
from manifests.trigger.sounding import check_speakable, near_misses, phonemes
from manifests.trigger.sounds import MARGIN, SAMPLE_RATE, Sound

ACCENTS = (
    "en-us", "en-us-nyc", "en", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029",
)  # fmt: skip
SHARD = 100  # takes one fresh process speaks: espeak-ng's state carries over, so shards are fixed, not by core
SILENCE = 1e-3  # peak
DEPTH = 30.0  # decibels below the loudest at which a word begins and ends
VERSION = 1  # raised when the same options would give other sound


@dataclass(frozen=True)
class SpokenOptions:
    """How words are spoken.

    Args:
        takes: of each word; each voice speaks once before one speaks again.
        near_misses: takes of near-misses for each word.
        texts: different near-misses for each word.
        part: whose voices: `train`, `validation` or `test`; no variant is in two.
        slowest: words per minute.
        fastest: words per minute.
        accents: espeak-ng's names.
        seed: of everything drawn.
    """

    takes: int = 400
    near_misses: int = 400
    texts: int = 120
    part: str = "train"
    slowest: int = 110
    fastest: int = 210
    accents: tuple[str, ...] = ACCENTS
    seed: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "accents", tuple(self.accents))
        if self.part not in VOICES:
            raise ManifestError(f"part must be one of {', '.join(VOICES)}, found {self.part!r}.")
        if self.takes < 1 or self.near_misses < 0 or self.texts < 1 or not self.accents:
            raise ManifestError("There must be one take, one text and one accent at least.")
        if not 80 <= self.slowest <= self.fastest <= 450:
            raise ManifestError(f"Speech rates must lie in 80 to 450, found {self.slowest} to {self.fastest}.")


def spoken_word(
    word: str, folder: str | os.PathLike[str], options: SpokenOptions | None = None, workers: int | None = None
) -> list[Sound]:
    """Takes of a word.

    Args:
        word: a word or a phrase in Latin letters, as it is written or as it sounds.
        folder: where the sound is kept; what lies there already is read.
        options: how many, and how.
        workers: processes; all cores when None. The sound does not depend on it.

    Raises:
        ManifestError: no voice can speak the word, or the folder cannot be written to.
        ValueError: espeak-ng has no such accent.
    """
    options = options or SpokenOptions()
    check_speakable(word)
    return _spoken([word], options.takes, Path(folder), options, word, workers)


def spoken_near_misses(
    words: Sequence[str],
    folder: str | os.PathLike[str],
    options: SpokenOptions | None = None,
    workers: int | None = None,
) -> list[Sound]:
    """Takes of texts that sound like one of the words and are none of them; see `spoken_word`."""
    options = options or SpokenOptions()
    for word in words:
        check_speakable(word)
    if not options.near_misses:
        return []
    texts = near_misses(words, options.texts * len(words), options.seed)
    return _spoken(texts, options.near_misses * len(words), Path(folder), options, f"not {' '.join(words)}", workers)


def _spoken(
    texts: list[str], count: int, folder: Path, options: SpokenOptions, title: str, workers: int | None
) -> list[Sound]:
    described = json.dumps([VERSION, texts, count, asdict(options), VOICES[options.part]], sort_keys=True)
    fingerprint = hashlib.sha256(described.encode()).hexdigest()[:12]
    readable = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60]
    path = folder / f"{readable}-{fingerprint}.npz"
    if (kept := _read(path)) is not None:
        return kept
    for accent in options.accents:
        phonemes(texts[0], accent)  # refuses an accent that is not there before processes are started for it
    _make(folder)
    jobs = [(texts, first, min(first + SHARD, count), options) for first in range(0, count, SHARD)]
    sounds: list[Sound] = []
    # Spawned, not forked: the caller may hold threads. One shard a process: see SHARD.
    with multiprocessing.get_context("spawn").Pool(
        min(workers or os.cpu_count() or 1, len(jobs)), maxtasksperchild=1
    ) as pool:
        for shard in progress(pool.imap(_speak_shard, jobs, chunksize=1), f"speaking {title}", len(jobs)):
            sounds += shard
    if len(sounds) < count / 2:
        raise ManifestError(
            f"No voice can speak {texts[0]!r}: of {count} takes {count - len(sounds)} are silent. Write the word as it "
            "sounds, or give recordings."
        )
    _write(path, sounds)
    return sounds


def _speak_shard(job: tuple[list[str], int, int, SpokenOptions]) -> list[Sound]:
    texts, first, last, options = job
    voices = [f"{accent}+{variant}" for accent, variant in itertools.product(options.accents, VOICES[options.part])]
    random.Random(f"{options.seed}/voices").shuffle(voices)
    found = []
    for number in range(first, last):
        rng = random.Random(f"{options.seed}/{options.part}/{number}")
        text, voice = texts[number % len(texts)], voices[number % len(voices)]
        samples, rate = speak(
            text + rng.choice(("", "", "!", "?")),  # what is asked or called has another melody
            voice,
            rate=rng.randint(options.slowest, options.fastest),
            pitch=rng.randint(15, 85),
            pitch_range=rng.randint(20, 80),
            word_gap=rng.choice((0, 0, 0, 1, 3, 6)),
        )
        if len(samples) and float(np.abs(samples).max()) >= SILENCE:
            found.append(_trimmed(soxr.resample(samples, rate, SAMPLE_RATE), f"{text} ({voice})"))
    return found


def _trimmed(samples: np.ndarray, name: str) -> Sound:
    """Clean speech, cut `MARGIN` before its first sound and after its last."""
    hop = SAMPLE_RATE // 200
    sharpened = np.diff(samples, prepend=np.float32(0))  # so that a final s counts as a vowel does
    frames = sharpened[: len(samples) // hop * hop].reshape(-1, hop)
    power = np.einsum("ij,ij->i", frames, frames)
    loudest = np.sort(power)[-min(20, len(power))]
    loud = np.flatnonzero(power >= loudest * 10 ** (-DEPTH / 10))
    first, last, margin = int(loud[0]) * hop, int(loud[-1] + 1) * hop, round(MARGIN * SAMPLE_RATE)
    kept = _integers(np.pad(samples, margin)[first : last + 2 * margin])  # as it will be read from the file
    return Sound(_floats(kept), margin, margin + last - first, name)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ManifestError(f"The folder {folder} cannot be made ({error.strerror}). Give another one.") from None


def _write(path: Path, sounds: list[Sound]) -> None:
    """One file for all takes; it has its name only when it is whole."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as out:
            np.savez(
                out,
                samples=np.concatenate([_integers(sound.samples) for sound in sounds]),
                lengths=np.array([len(sound.samples) for sound in sounds]),
                words=np.array([(sound.start, sound.end) for sound in sounds]),
                names=np.array([sound.name for sound in sounds]),
            )
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ManifestError(f"{path} cannot be written ({error.strerror or error}). Give another folder.") from None


def _read(path: Path) -> list[Sound] | None:
    try:
        with np.load(path, allow_pickle=False) as kept:
            samples = _floats(kept["samples"])
            ends = np.cumsum(kept["lengths"])
            pieces = np.split(samples, ends[:-1])
            return [
                Sound(piece, int(start), int(end), str(name))
                for piece, (start, end), name in zip(pieces, kept["words"], kept["names"], strict=True)
            ]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):  # not there, or damaged: spoken anew
        return None


def _integers(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)


def _floats(samples: np.ndarray) -> np.ndarray:
    return samples.astype(np.float32) / np.float32(32768)
