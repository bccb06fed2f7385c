"""Connected digits from the Free Spoken Digit Dataset: real recordings, strung together with random gaps and levels.

Source: https://github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0; `{digit}_{speaker}_{take}.wav`, 8 kHz.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
from collections.abc import Mapping
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
from manifests.lines import ManifestError, Utterance, write_manifest
from manifests.progress import progress
from manifests.sentences import DIGITS

ARCHIVE = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz"
UNSEEN_SPEAKER = "yweweler"
# Takes no training string is cut from: the public split tests on 0-4; 5 and 6 choose the best weights.
TAKES = {"train": range(7, 50), "validation": range(5, 7), "test_seen": range(0, 5), "test_unseen": range(0, 50)}
_NAME = re.compile(r"(\d)_([a-z]+)_(\d+)\.(?:wav|flac)")
VERSION = 1


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
    """

    train: int = 3000
    validation: int = 120
    test_seen: int = 300
    test_unseen: int = 300
    shortest: int = 2
    longest: int = 6
    seed: int = 1
    sample_rate: int = 16000


def download(folder: Path) -> Path:
    """Fetch the public dataset into `folder`, once."""
    return fetch_archive(ARCHIVE, folder)


def prepare(source: str | None, out: str, options: Mapping[str, Any]) -> dict[str, Path]:
    """`build` with the arguments as conf/data/digits.yaml has them; a null source is the public download."""
    folder = Path(source) if source else download(Path(out).parent / "fsdd-source")
    return build(folder, Path(out), DigitOptions(**options))


def find_recordings(source: Path) -> dict[tuple[str, int], list[tuple[int, Path]]]:
    """Recordings below `source` by (speaker, digit), as sorted (take, path).

    Raises:
        ManifestError: there are none, or the unseen speaker or all others are missing.
    """
    found: dict[tuple[str, int], list[tuple[int, Path]]] = {}
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


def _load(path: Path, sample_rate: int) -> np.ndarray:
    sound = decode(path)
    return resample(sound.samples, sound.rate, sample_rate)


def build(source: Path, out: Path, options: DigitOptions) -> dict[str, Path]:
    """Write `{train,validation,test_seen,test_unseen}.jsonl` and their sound below `out`; reused when finished.

    Args:
        source: folder with the recordings.
        out: folder to write to.
        options: what to make.

    Returns:
        the manifest of each split.

    Raises:
        ManifestError: the source is not the dataset, or `out` was made with other options or from other recordings.
    """
    out = out.absolute()
    recordings = find_recordings(source)
    listing = sorted((path.name, path.stat().st_size) for takes in recordings.values() for _, path in takes)
    described = json.dumps([VERSION, asdict(options), listing], sort_keys=True)
    fingerprint = hashlib.sha256(described.encode()).hexdigest()[:12]
    manifests = {split: out / f"{split}.jsonl" for split in TAKES}
    stamp = out / "corpus.json"
    if stamp.exists():
        if json.loads(stamp.read_text())["fingerprint"] == fingerprint:
            return manifests
        raise ManifestError(
            f"{out} holds digit strings made with other options or from other recordings. Delete it, or give --out "
            "another folder (data.out in train.py)."
        )
    speakers = sorted({speaker for speaker, _ in recordings})
    cache: dict[Path, np.ndarray] = {}

    def render(job: tuple[str, int]) -> Utterance:
        split, index = job
        rng = random.Random(f"{options.seed}/{split}/{index}")
        noise = np.random.default_rng(rng.getrandbits(64))
        unseen = split == "test_unseen"
        speaker = rng.choice([name for name in speakers if (name == UNSEEN_SPEAKER) is unseen])
        pieces, digits = [], []
        for _ in range(rng.randint(options.shortest, options.longest)):
            digit = rng.randrange(10)
            takes = [path for take, path in recordings.get((speaker, digit), []) if take in TAKES[split]]
            if not takes:
                continue
            path = rng.choice(takes)
            if path not in cache:
                cache[path] = _load(path, options.sample_rate)
            level = 10 ** (rng.uniform(-3.0, 3.0) / 20)
            gap = np.zeros(int(rng.uniform(0.02, 0.3) * options.sample_rate), np.float32)
            pieces += [gap, cache[path] * np.float32(level)]
            digits.append(DIGITS[digit])
        pieces.append(np.zeros(int(rng.uniform(0.05, 0.3) * options.sample_rate), np.float32))
        samples = np.concatenate(pieces)
        # A faint floor in the gaps, so that digital silence is not what separates words.
        samples = add_noise(samples, coloured_noise(noise, len(samples), 1.0), 40.0)
        samples *= np.float32(10 ** (rng.uniform(-12.0, -1.0) / 20) / max(float(np.abs(samples).max()), 1e-9))
        path = out / "wavs" / split / f"{index:05d}.wav"
        soundfile.write(path, samples, options.sample_rate, subtype="PCM_16")
        return Utterance(path, len(samples) / options.sample_rate, " ".join(digits), extra={"speaker": speaker})

    jobs = []
    for split in TAKES:
        (out / "wavs" / split).mkdir(parents=True, exist_ok=True)
        jobs += [(split, index) for index in range(getattr(options, split))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        strings = list(progress(pool.map(render, jobs), "stringing digits", len(jobs)))
    for split, manifest in manifests.items():
        write_manifest(manifest, [string for job, string in zip(jobs, strings, strict=True) if job[0] == split])
    temporary = stamp.with_suffix(".part")
    temporary.write_text(json.dumps({"fingerprint": fingerprint, "options": asdict(options)}, indent=1))
    temporary.replace(stamp)
    return manifests
