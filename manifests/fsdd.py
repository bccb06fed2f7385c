"""Connected digits from the Free Spoken Digit Dataset: real recordings, strung together with random gaps and levels.

Source: https://github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0; `{digit}_{speaker}_{take}.wav`, 8 kHz.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from heyjetson.audio import resample
from manifests.acoustics import add_noise, coloured_noise
from manifests.convert import decode
from manifests.download import fetch_archive
from manifests.lines import ManifestError, Utterance, require_sizes, write_manifest
from manifests.progress import progress
from manifests.sentences import DIGITS
from manifests.whole import whole_file

ARCHIVE = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz"
UNSEEN_SPEAKER = "yweweler"
# Takes no training string is cut from: the public split tests on 0-4; 5 and 6 choose the best weights.
TAKES = {"train": range(7, 50), "validation": range(5, 7), "test_seen": range(0, 5), "test_unseen": range(0, 50)}
_NAME = re.compile(r"(\d)_([a-z]+)_(\d+)\.(?:wav|flac)")
VERSION = 1
STAMP = "corpus.json"
Recordings = dict[tuple[str, int], list[tuple[int, Path]]]  # of (speaker, digit): takes and where they lie
Words = Mapping[tuple[str, int], Sequence[Path | np.ndarray]]  # of (speaker, digit): recordings, or sound [S]


@dataclass(frozen=True)
class DigitOptions:
    """What defines the strings, sample for sample.

    Args:
        train: strings to train on.
        validation: strings to choose the best weights by (speakers of the training set).
        test_seen: strings of the training speakers, from takes kept apart.
        test_unseen: strings of the speaker never trained on.
        shortest: fewest digits in a string.
        longest: most digits in a string.
        seed: of everything random.
        sample_rate: hertz.
        held_out: a speaker who is validation instead of being trained on; stands in for one never heard.
    """

    train: int = 3000
    validation: int = 120
    test_seen: int = 300
    test_unseen: int = 300
    shortest: int = 2
    longest: int = 6
    seed: int = 1
    sample_rate: int = 16000
    held_out: str | None = None

    def __post_init__(self) -> None:
        counts = {"train": self.train, "validation": self.validation}
        require_sizes(self.sample_rate, **counts, test_seen=self.test_seen, test_unseen=self.test_unseen)


def download(folder: Path) -> Path:
    """Fetch the public dataset into `folder`, once."""
    return fetch_archive(ARCHIVE, folder)


def prepare(source: str | None, out: str, options: Mapping[str, Any]) -> dict[str, Path]:
    """`build` with the arguments as conf/data/digits.yaml has them; a null source is the public download."""
    folder = Path(source) if source else download(Path(out).parent / "fsdd-source")
    return build(folder, Path(out), DigitOptions(**options))


def find_recordings(source: Path) -> Recordings:
    """Recordings below `source` by (speaker, digit), as sorted (take, path).

    Raises:
        ManifestError: there are none, or the unseen speaker or all others are missing.
    """
    found: Recordings = {}
    for path in sorted(source.rglob("*_*_*.*")):
        if match := _NAME.fullmatch(path.name):
            digit, speaker, take = match.groups()
            found.setdefault((speaker, int(digit)), []).append((int(take), path))
    speakers = {speaker for speaker, _ in found}
    if UNSEEN_SPEAKER not in speakers or len(speakers) < 2:
        raise ManifestError(
            f"{source} does not hold the Free Spoken Digit Dataset: expected files like 7_{UNSEEN_SPEAKER}_12.wav and "
            "at least one other speaker. Give the folder with the recordings as --source (data.source in train.py)."
        )
    return found


@dataclass(frozen=True)
class Part:
    """Strings of a split that are made of the same words.

    Args:
        split: whose manifest they are in.
        count: of the strings.
        words: that they are strung of.
        speakers: of whom one says each string.
        weights: of the speakers; None where all are alike.
        name: of the folder of their sound, and of what is drawn; the split's where there is no other part.
    """

    split: str
    count: int
    words: Words
    speakers: Sequence[str]
    weights: Sequence[float] | None = None
    name: str = ""

    @property
    def folder(self) -> str:
        """Name of the part."""
        return self.name or self.split

    def draw_speaker(self, rng: random.Random) -> str:
        """Whose string it is."""
        return rng.choices(self.speakers, self.weights)[0] if self.weights else rng.choice(self.speakers)


def recorded_parts(recordings: Recordings, options: DigitOptions) -> list[Part]:
    """The splits of the dataset.

    Raises:
        ManifestError: `options.held_out` is no speaker to learn from, or the only one.
    """
    held_out = options.held_out
    learnt = {speaker for speaker, _ in recordings} - {UNSEEN_SPEAKER}
    if held_out is not None and (held_out not in learnt or len(learnt) < 2):
        raise ManifestError(
            f"{held_out!r} cannot be held out: the speakers to learn from are {', '.join(sorted(learnt))}. Correct "
            "--held-out (data.options.held_out in train.py)."
        )
    speakers = sorted({speaker for speaker, _ in recordings} - {held_out})
    parts = []
    for split, takes in TAKES.items():
        who = [name for name in speakers if (name == UNSEEN_SPEAKER) is (split == "test_unseen")]
        if held_out and split == "validation":
            who, takes = [held_out], range(50)
        words = {key: [path for take, path in found if take in takes] for key, found in recordings.items()}
        parts.append(Part(split, getattr(options, split), words, who))
    return parts


def write_strings(out: Path, parts: Sequence[Part], options: DigitOptions) -> None:
    """Write the sound of all strings and the manifest of each split below `out`."""
    cache: dict[Path, np.ndarray] = {}

    def sound(word: Path | np.ndarray) -> np.ndarray:
        if not isinstance(word, Path):
            return word
        if word not in cache:
            heard = decode(word)
            cache[word] = resample(heard.samples, heard.rate, options.sample_rate)
        return cache[word]

    def render(job: tuple[Part, int]) -> Utterance:
        part, index = job
        rng = random.Random(f"{options.seed}/{part.folder}/{index}")
        noise = np.random.default_rng(rng.getrandbits(64))
        speaker = part.draw_speaker(rng)
        pieces, digits = [], []
        for _ in range(rng.randint(options.shortest, options.longest)):
            digit = rng.randrange(10)
            takes = part.words.get((speaker, digit), ())
            if not len(takes):
                continue
            word = sound(rng.choice(takes))
            level = 10 ** (rng.uniform(-3.0, 3.0) / 20)
            gap = np.zeros(int(rng.uniform(0.02, 0.3) * options.sample_rate), np.float32)
            pieces += [gap, word * np.float32(level)]
            digits.append(DIGITS[digit])
        pieces.append(np.zeros(int(rng.uniform(0.05, 0.3) * options.sample_rate), np.float32))
        samples = np.concatenate(pieces)
        # A faint floor in the gaps, so that digital silence is not what separates words.
        samples = add_noise(samples, coloured_noise(noise, len(samples), 1.0), 40.0)
        samples *= np.float32(10 ** (rng.uniform(-12.0, -1.0) / 20) / max(float(np.abs(samples).max()), 1e-9))
        path = out / "wavs" / part.folder / f"{index:05d}.wav"
        soundfile.write(path, samples, options.sample_rate, subtype="PCM_16")
        return Utterance(path, len(samples) / options.sample_rate, " ".join(digits), extra={"speaker": speaker})

    jobs = []
    for part in parts:
        (out / "wavs" / part.folder).mkdir(parents=True, exist_ok=True)
        jobs += [(part, index) for index in range(part.count)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        strings = list(progress(pool.map(render, jobs), "stringing digits", len(jobs)))
    for split in {part.split for part in parts}:
        here = [string for (part, _), string in zip(jobs, strings, strict=True) if part.split == split]
        write_manifest(out / f"{split}.jsonl", here)


def made_before(out: Path, described: str, what: str) -> str | None:
    """The stamp of a corpus that is to be made below `out`; None where it lies there finished.

    Args:
        out: folder of the corpus.
        described: all that defines it.
        what: it holds, for the message.

    Raises:
        ManifestError: `out` holds another corpus.
    """
    fingerprint = hashlib.sha256(described.encode()).hexdigest()[:12]
    stamp = out / STAMP
    if not stamp.exists():
        return fingerprint
    if json.loads(stamp.read_text())["fingerprint"] == fingerprint:
        return None
    raise ManifestError(
        f"{out} holds {what} made with other options or from other recordings. Delete it, or give --out another folder "
        "(data.out in train.py)."
    )


def build(source: Path, out: Path, options: DigitOptions) -> dict[str, Path]:
    """Write `{train,validation,test_seen,test_unseen}.jsonl` and their sound below `out`; reused when finished.

    Args:
        source: folder with the recordings.
        out: folder to write to.
        options: what to make.

    Returns:
        the manifest of each split.

    Raises:
        ManifestError: the source is not the dataset, `held_out` is no speaker to learn from, or `out` was made with
            other options or from other recordings.
    """
    out = out.absolute()
    recordings = find_recordings(source)
    # An option that came later and is not used leaves what was made before as it is.
    defining = {name: value for name, value in asdict(options).items() if (name, value) != ("held_out", None)}
    parts = recorded_parts(recordings, options)
    described = json.dumps([VERSION, defining, listing(recordings)], sort_keys=True)
    if fingerprint := made_before(out, described, "digit strings"):
        write_strings(out, parts, options)
        finish(out, fingerprint, options)
    return {split: out / f"{split}.jsonl" for split in TAKES}


def listing(recordings: Recordings) -> list[tuple[str, int]]:
    """Names and sizes of all recordings: others are another dataset."""
    return sorted((path.name, path.stat().st_size) for takes in recordings.values() for _, path in takes)


def finish(out: Path, fingerprint: str, options: DigitOptions) -> None:
    """Write the stamp that says that a corpus is whole, and what it was made with."""
    with whole_file(out / STAMP) as part:
        part.write_text(json.dumps({"fingerprint": fingerprint, "options": asdict(options)}, indent=1))
