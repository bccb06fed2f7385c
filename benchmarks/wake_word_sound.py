"""What wake words are compared on: recordings of people in noise and rooms, and speech that holds none of the words."""

from __future__ import annotations

import importlib.util
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.wake_word_systems import CHUNK, RATE
from experiments.trigger.evaluation.sources import Recording, audio_files, backgrounds, of_part, positives
from heyjetson.audio import load, measure
from manifests.rooms import drawn_rooms, read_rooms

BEFORE, AFTER = 1.0, 1.2  # seconds around a recording
SPEECH = ("speechocean/test", "ljspeech", "commands")
CONDITIONS = ("clean", "10 dB", "5 dB", "room")
TONE = -65.0  # decibels of full scale of the quiet room under everything


@dataclass(frozen=True)
class Spoken:
    """A recording of a word, and where the word is in it."""

    word: str
    samples: np.ndarray
    start: int
    end: int


def recordings(data: Path, words: Sequence[str], part: str, most: int | None) -> list[Spoken]:
    """Recordings of the words of a part, `most` of each."""
    found, _ = positives(data / "wake_words", words, part)
    return [Spoken(word, one.read(), one.start, one.end) for word, several in found.items() for one in several[:most]]


def rooms(data: Path) -> list[np.ndarray]:
    """Drawn rooms, or the measured ones where pyroomacoustics is not installed."""
    if importlib.util.find_spec("pyroomacoustics"):
        return drawn_rooms(20, 778)
    return read_rooms(data / "noise" / "rooms")


def noises(data: Path) -> list[np.ndarray]:
    """Recorded noises of the test part, and nothing that was trained on."""
    paths = [path for path in audio_files(data / "noise") if path.parent.name != "rooms"]
    return [load(path, RATE) for path in of_part(paths, "test")]


def clip(said: Spoken, condition: str, noises: Sequence[np.ndarray], rooms: Sequence[np.ndarray], seed: int) -> tuple:
    """A recording in a condition, begun at a drawn offset.

    Returns:
        samples [S] int16, whole chunks, and the seconds at which the word starts and ends.
    """
    rng = np.random.default_rng([seed, CONDITIONS.index(condition)])
    before = round(BEFORE * RATE) + int(rng.integers(CHUNK))
    length = before + len(said.samples) + round(AFTER * RATE)
    samples = np.zeros(-(-length // CHUNK) * CHUNK, np.float32)
    speech = said.samples
    if condition == "room":
        response = rooms[int(rng.integers(len(rooms)))]
        speech = np.convolve(speech, response)[: len(speech) + RATE // 2].astype(np.float32)
    heard = speech[: len(samples) - before]
    word = heard[said.start : said.end]
    heard = heard * np.float32(0.1 / max(float(np.sqrt(np.mean(word**2))), 1e-9))
    samples[before : before + len(heard)] = heard
    samples += np.float32(10 ** (TONE / 20)) * rng.standard_normal(len(samples), dtype=np.float32)
    if condition.endswith("dB"):
        noise = np.resize(noises[int(rng.integers(len(noises)))], len(samples))
        loud = np.sort(noise[: len(noise) // 800 * 800].reshape(-1, 800).var(1))[len(noise) // 1600 :].mean()
        samples += noise * np.float32(0.1 * 10 ** (-float(condition.split()[0]) / 20) / math.sqrt(max(loud, 1e-12)))
    samples *= np.float32(min(1.0, 0.99 / np.abs(samples).max()))
    return (samples * 32767).astype(np.int16), (before + said.start) / RATE, (before + said.end) / RATE


def speech(data: Path, words: Sequence[str], hours: float, more: Sequence[Path] = ()) -> Iterator[np.ndarray]:
    """Speech without the words, each recording once in drawn order, then noise, and some quiet after each.

    Args:
        data: has the folders of `SPEECH`; of all but speechocean, what the md5 of the names puts into the test part.
        words: utterances whose texts hold one of them are left out.
        hours: at most.
        more: folders or manifests of further speech, all of it.

    Yields:
        samples [S] int16.
    """
    rng, left = np.random.default_rng(778), hours * 3600 * RATE
    found = _speech(data, words, more)
    drawn = (found[number].read() * np.float32(0.5 * 10 ** (rng.uniform(-12, 0) / 20)) for number in _order(found, rng))
    for samples in itertools.chain(drawn, noises(data)):
        quiet = np.float32(10 ** (TONE / 20)) * rng.standard_normal(RATE // 4, dtype=np.float32)
        yield (np.concatenate([samples, quiet]).clip(-1, 1) * 32767).astype(np.int16)
        left -= len(samples) + len(quiet)
        if left <= 0:
            return


def _order(found: Sequence[Recording], rng: np.random.Generator) -> list[int]:
    return [int(number) for number in rng.permutation(len(found))]


def _speech(data: Path, words: Sequence[str], more: Sequence[Path]) -> list[Recording]:
    folders = [data / name for name in SPEECH if (data / name).exists()]
    kaldi = [folder for folder in folders if (folder / "wav.scp").exists()]
    found = backgrounds([folder for folder in folders if folder not in kaldi], "test", words)[0]
    if more:
        found += backgrounds(more, "all", words)[0]
    for folder in kaldi:
        lines = (line.split() for line in (folder / "text").read_text().splitlines())
        said = {key: " ".join(rest).lower() for key, *rest in lines}
        for key, path in (line.split(maxsplit=1) for line in (folder / "wav.scp").read_text().splitlines()):
            if not any(word in said.get(key, "") for word in words):
                whole = folder.parent / path
                found.append(Recording(whole, round(measure(whole).seconds * RATE)))
    return found
