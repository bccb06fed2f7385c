"""Recordings that clips are made of: words, and what is heard around them. All of it lies in memory, at 16 kHz."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from heyjetson.audio import AUDIO, is_recording, resample
from heyjetson.letters import bare, words_of
from heyjetson.wakeword.recordings import LONGEST, TakeError, take, trim, words_apart
from manifests.convert import decode, files, is_silent
from manifests.lines import ManifestError, read_manifest
from manifests.progress import threaded

SAMPLE_RATE = 16000
MARGIN = 0.1  # seconds kept before and after a word
FADE = 0.02  # seconds; a recording's own background would begin and end with a click
SHORTEST = 0.1  # seconds of a background; less is a click
MANY = 10  # takes that tell how long a word usually is
TOO_LONG = 2.2  # times that; who speaks slowly takes twice as long as who speaks fast
WHOLE = 0.75  # times that; of a phrase with a pause within, the strongest part is shorter
FEW = 3  # takes that tell it there
SHOWN = 5  # faults in a message


@dataclass(frozen=True)
class Sound:
    """A word, trimmed.

    Args:
        samples: [S] float32 at 16 kHz, full scale is 1.
        start: first sample of the word.
        end: first sample after it.
        name: file or voice, for messages.
        alone: whether nothing else in the recording stands out about as much.
    """

    samples: np.ndarray
    start: int
    end: int
    name: str
    alone: bool = True


@dataclass(frozen=True)
class Backgrounds(Sequence[np.ndarray]):
    """Recordings without the word.

    Args:
        recordings: each [S] int16 at 16 kHz: an hour takes 115 MB.
        weights: how likely each is drawn, relative to the others.
        names: of the files.
        faults: what was left out and why, a sentence each.
    """

    recordings: list[np.ndarray]
    weights: list[float]
    names: list[str]
    faults: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.recordings)

    def __getitem__(self, index):
        return self.recordings[index]

    @property
    def hours(self) -> float:
        """Of all recordings."""
        return sum(map(len, self.recordings)) / SAMPLE_RATE / 3600


def part_of(name: str) -> str:
    """`train`, `validation` or `test`: by the md5 of a file's name without folders, 7 : 1 : 2.

    >>> part_of("alexa/0.flac") == part_of("0.flac")
    True
    """
    name = os.path.basename(name)
    digest = hashlib.md5(name.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()
    tenth = int(digest, 16) % 10
    return "train" if tenth < 7 else "validation" if tenth == 7 else "test"


def read_words(
    folder: str | os.PathLike[str],
    word: str,
    part: str | None = None,
    longest: float = LONGEST,
    workers: int | None = None,
) -> tuple[list[Sound], list[str]]:
    """Takes of a word from a folder, trimmed to the word.

    Args:
        folder: of the recordings; where it has a folder named as the word, that one.
        word: what is said.
        part: `train`, `validation` or `test`, see `part_of`; all when None.
        longest: seconds of a recording.
        workers: threads; all cores when None.

    Returns:
        sounds: what can be used.
        faults: what was left out (silent, clipped, broken, too long, …) and why, a sentence each.

    Raises:
        ManifestError: there is no folder, no recording in it, or none that can be used.
    """
    where = folder_of(Path(folder), word)
    paths = _recordings(where, part)
    faults: list[str] = []
    sounds: list[Sound] = []
    for read in threaded(partial(_read_word, longest=longest), paths, f"reading {word or where.name}", workers):
        if isinstance(read, Sound):
            sounds.append(read)
        else:
            faults.append(read)
    if word:  # near-misses of one folder may be of any length
        sounds = _usual(sounds if len(word.split()) == 1 else _unbroken(sounds, faults), faults)
    if not sounds:
        raise ManifestError(f"No recording of {word!r} below {where} can be used. {_first(faults)}")
    return sounds, faults


def _unbroken(sounds: list[Sound], faults: list[str]) -> list[Sound]:
    """Takes of a phrase without those that pause within: of "okay … computer" one word alone was found, and would be
    learnt as all of it. Of a recording with two whole takes the stronger one serves."""
    lengths = [sound.end - sound.start for sound in sounds if sound.alone]
    least = WHOLE * float(np.median(lengths)) if len(lengths) >= FEW else np.inf
    kept = []
    for sound in sounds:
        if sound.alone or sound.end - sound.start >= least:
            kept.append(sound)
        else:
            faults.append(
                f"{sound.name}: it holds several words apart, and the strongest, of "
                f"{(sound.end - sound.start) / SAMPLE_RATE:.1f} s, may be a part of the phrase. Cut it to one take "
                "that does not pause within."
            )
    return kept


def _usual(sounds: list[Sound], faults: list[str]) -> list[Sound]:
    """Takes without those that last far longer than the others: noise was taken for a part of the word there."""
    lengths = [sound.end - sound.start for sound in sounds]
    if len(lengths) < MANY:
        return sounds
    usual = float(np.median(lengths))
    for sound, length in zip(sounds, lengths, strict=True):
        if length > TOO_LONG * usual:
            faults.append(
                f"{sound.name}: the word seems to last {length / SAMPLE_RATE:.1f} s, in most others "
                f"{usual / SAMPLE_RATE:.1f} s. Is there noise around it? Cut it to the word."
            )
    return [sound for sound, length in zip(sounds, lengths, strict=True) if length <= TOO_LONG * usual]


def read_backgrounds(
    folders: Sequence[str | os.PathLike[str]] | Mapping[str, float],
    part: str | Sequence[str] | None = None,
    without: Sequence[str] = (),
    workers: int | None = None,
) -> Backgrounds:
    """Recordings to hide words in, from folders and manifests.

    Whether one of a folder's recordings holds a word cannot be known here: give folders that are known not to, or a
    manifest (`.jsonl`), whose transcripts say it. A background in which the word is spoken teaches not to hear it.

    Args:
        folders: paths, or paths with weights: a folder of weight 2 is heard twice as long as one of weight 1. Without
            weights each second of sound is as likely.
        part: `train`, `validation` or `test`, see `part_of`, or several of them; all when None.
        without: words; utterances of manifests that hold one are left out and named.
        workers: threads; all cores when None.

    Raises:
        ManifestError: a folder is missing or empty, nothing of it can be used, or a weight is not positive.
    """
    made = Backgrounds([], [], [])
    for folder in folders:
        weight = float(folders[folder]) if isinstance(folders, Mapping) else None  # type: ignore[index]
        if weight is not None and not weight > 0:
            raise ManifestError(
                f"The weight of {folder} must be above 0, found {weight:g}. Leave it out to not use it."
            )
        source = Path(folder)
        if source.suffix == ".jsonl":
            places = list(_without(source, without, part, made.faults))
        else:
            places = [(path, 0.0, None) for path in _recordings(source, part)]
        faults: list[str] = []
        recordings: list[np.ndarray] = []
        read = threaded(_read_background, places, f"reading {source.name}", workers)
        for (path, *_), found in zip(places, read, strict=True):
            if isinstance(found, str):
                faults.append(found)
            else:
                recordings.append(found)
                made.names.append(str(path))
        made.faults.extend(faults)
        if not recordings:
            raise ManifestError(f"No background in {source} can be used. {_first(faults or made.faults)}")
        made.recordings.extend(recordings)
        # Recordings are drawn until a clip is full: with equal chances each is heard as long as it is.
        chance = 1.0 if weight is None else weight * SAMPLE_RATE / sum(map(len, recordings))
        made.weights.extend([chance] * len(recordings))
    return made


def folder_of(folder: Path, word: str) -> Path:
    """The folder below `folder` that is named as the word, or `folder`."""
    if word and folder.is_dir():
        for below in sorted(path for path in folder.iterdir() if path.is_dir()):
            if bare(below.name) == bare(word):
                return below
    return folder


def _is_of(name: str, part: str | Sequence[str] | None) -> bool:
    return part is None or part_of(name) in ((part,) if isinstance(part, str) else part)


def _recordings(folder: Path, part: str | Sequence[str] | None) -> list[Path]:
    if not folder.is_dir():
        wrong = f"{folder} is no folder" if folder.exists() else f"The folder {folder} does not exist"
        raise ManifestError(f"{wrong}. Correct the path.")
    found = [path for path in files(folder) if is_recording(path)]
    if not found:
        raise ManifestError(
            f"The folder {folder} holds no recordings ({', '.join(AUDIO[:4])}, …). Is it the right one?"
        )
    chosen = [path for path in found if _is_of(path.name, part)]
    if not chosen:
        raise ManifestError(
            f"None of the {len(found)} recordings below {folder} belongs to the part {part!r} (train, validation and "
            "test are told apart by the md5 of the file's name). Add recordings, or train on all there are: "
            "data.split=all."
        )
    return chosen


def spaced(text: str) -> str:
    """The words of a transcript as people write them, in small letters with a space before and after each,
    and without an 's behind them, before which they are said whole.

    >>> spaced("“Hey, Jetson!” It's the computer’s."), spaced("मैं हिन्दी।")
    (' hey jetson it the computer ', ' मैं हिन्दी ')
    """
    return " ".join(["", *(word.removesuffix("'s") for word in words_of(text)), ""])


def says(text: str, word: str) -> bool:
    """Whether a word or a phrase is said in a text, by itself or with an s behind it: what is said then holds it whole.

    >>> says("All computers are off.", "computer"), says("He computes.", "compute"), says("Good!", "go")
    (True, True, False)

    Args:
        text: as people write it.
        word: as it is listened for.
    """
    said, bare = spaced(text), spaced(word).rstrip()
    return f"{bare} " in said or f"{bare}s " in said


Place = tuple[Path, float, float | None]  # a recording, and offset and duration of the segment that is meant


def _without(
    manifest: Path, words: Sequence[str], part: str | Sequence[str] | None, faults: list[str]
) -> Iterator[Place]:
    """Utterances of a manifest in which none of the words is said."""
    for utterance in read_manifest(manifest):
        if not _is_of(utterance.audio.name, part):
            continue
        if word := next((word for word in words if says(utterance.text, word)), None):
            faults.append(f"{manifest}:{utterance.line}: {word!r} is said in it. It cannot be a background.")
        else:
            yield (utterance.audio, *utterance.segment)


def _decode(path: Path, offset: float = 0.0, duration: float | None = None) -> np.ndarray:
    sound = decode(path, offset=offset, duration=duration)
    return resample(sound.samples, sound.rate, SAMPLE_RATE)


def _read_word(path: Path, longest: float) -> Sound | str:
    try:
        return word_in(_decode(path), path.name, longest)
    except (ManifestError, TakeError) as error:
        return str(error) if str(path) in str(error) else f"{path}: {error}"


def word_in(samples: np.ndarray, name: str, longest: float = LONGEST) -> Sound:
    """A recording [S] at 16 kHz, checked, trimmed to the word, and faded in and out.

    Raises:
        heyjetson.wakeword.recordings.TakeError: it cannot be used.
    """
    found = trim(take(samples, SAMPLE_RATE, longest), MARGIN)
    alone = len(words_apart(samples, SAMPLE_RATE)) == 1
    return Sound(faded(found.samples, FADE), found.start, found.end, name, alone)


def faded(samples: np.ndarray, seconds: float) -> np.ndarray:
    """A copy of [S] at 16 kHz that begins and ends softly."""
    samples = samples.copy()
    length = min(round(seconds * SAMPLE_RATE), len(samples) // 2)
    ramp = (np.arange(length, dtype=np.float32) + 0.5) / max(length, 1)
    samples[:length] *= ramp
    samples[len(samples) - length :] *= ramp[::-1]
    return samples


def _read_background(place: Place) -> np.ndarray | str:
    path = place[0]
    try:
        samples = _decode(*place)
    except ManifestError as error:
        return str(error) if str(path) in str(error) else f"{path}: {error}"
    if len(samples) < SHORTEST * SAMPLE_RATE:
        return f"{path} lasts {len(samples) / SAMPLE_RATE:.2f} s: too short for a background."
    if is_silent(samples):
        return f"{path} is silent. Remove it: clips get silence of their own."
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)


def _first(faults: Iterable[str]) -> str:
    faults = list(faults)
    more = f" (and {len(faults) - SHOWN} more)" if len(faults) > SHOWN else ""
    return " ".join(faults[:SHOWN]) + more
