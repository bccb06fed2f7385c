"""The default corpus: AN4-like sentences by espeak-ng, with noise and rooms; test voices are never trained on."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from manifests.acoustics import add_noise, add_room, coloured_noise, room
from manifests.espeak import speak
from manifests.lines import ManifestError, Utterance, require_sizes, write_manifest
from manifests.progress import progress
from manifests.sentences import AN4, RARE_WORDS, draw_sentence

ACCENTS = ("en-us", "en-us", "en-us", "en-us", "en-us-nyc", "en-gb-x-rp", "en-gb-scotland")
# A voice is one of espeak-ng's variants: its own formants, pitch and breath. No variant is in two splits. Left out are
# those that no person sounds like: whispers, croaks, robots and the early Klatt synthesisers.
VOICES = {
    "train": (
        "Alex Alicia Andrea Andy Annie Denis Diogo Gene Henrique Hugo Jacky Lee Marco Mario Michael Mike Nguyen Reed "
        "RicishayMax Storm adam anika announcer antonio aunty belinda benjamin boris caleb david ed edward f1 f2 f5 "
        "fast gustave ian john kaukovalta linda m1 m2 m4 m5 m6 m8 marcelo max michel miguel norbert pablo paul pedro "
        "quincy robert sandro shelby steph steph2 travis zac"
    ).split(),
    "validation": "f4 m3 grandpa edward2 victor".split(),
    "test": "f3 m7 grandma rob steph3 mike2".split(),
}
SHARD = 250  # utterances one fresh process speaks: espeak-ng's state carries over, so shards are fixed, not by core
VERSION = 3  # raised when the same options would give other sound


@dataclass(frozen=True)
class SyntheticOptions:
    """What defines the corpus, sound for sound.

    Args:
        train: utterances to train on.
        validation: utterances to choose the best weights by.
        test: utterances to report on.
        seed: of everything random.
        sample_rate: hertz.
        snr_low: noisiest clip, decibels.
        snr_high: cleanest clip, decibels.
        room_probability: share of clips heard in a room.
    """

    train: int = 3000
    validation: int = 150
    test: int = 300
    seed: int = 1
    sample_rate: int = 16000
    snr_low: float = 15.0
    snr_high: float = 40.0
    room_probability: float = 0.4

    def __post_init__(self) -> None:
        require_sizes(self.sample_rate, train=self.train, validation=self.validation, test=self.test)

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change whenever the corpus would."""
        described = json.dumps([VERSION, asdict(self), ACCENTS, VOICES], sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()[:12]


def render(options: SyntheticOptions, split: str, index: int) -> tuple[np.ndarray, str, str]:
    """Speak utterance `index` of a split.

    Returns:
        samples: [S] float32 at `options.sample_rate`.
        transcript: what is said.
        voice: accent and variant.
    """
    rng = random.Random(f"{options.seed}/{split}/{index}")
    noise_rng = np.random.default_rng(rng.getrandbits(64))
    transcript, spoken = draw_sentence(rng, RARE_WORDS if split == "train" else AN4)
    voice = f"{rng.choice(ACCENTS)}+{rng.choice(VOICES[split])}"
    spelled = any(word.isupper() for word in spoken.split())
    samples, rate = speak(
        spoken,
        voice,
        rate=rng.randint(125, 180),
        pitch=rng.randint(25, 75),
        pitch_range=rng.randint(30, 70),
        word_gap=rng.randint(5, 20) if spelled else rng.randint(0, 6),  # nobody rushes through letters
    )
    samples = soxr.resample(samples, rate, options.sample_rate)
    pause = [np.zeros(int(rng.uniform(0.05, 0.3) * options.sample_rate), np.float32) for _ in range(2)]
    samples = np.concatenate([pause[0], samples, pause[1]])
    if rng.random() < options.room_probability:
        response = room(noise_rng, options.sample_rate, rng.uniform(0.1, 0.4), rng.uniform(3.0, 15.0))
        samples = add_room(samples, response)
    noise = coloured_noise(noise_rng, len(samples), rng.uniform(0.0, 2.0))
    samples = add_noise(samples, noise, rng.uniform(options.snr_low, options.snr_high))
    peak = float(np.abs(samples).max())
    level = 10 ** (rng.uniform(-20.0, -1.0) / 20)
    return samples * np.float32(level / max(peak, 1e-9)), transcript, voice


def _render_shard(job: tuple[SyntheticOptions, str, int, int, str]) -> list[Utterance]:
    options, split, first, last, folder = job
    utterances = []
    for index in range(first, last):
        samples, transcript, voice = render(options, split, index)
        path = Path(folder, "wavs", split, f"{index:05d}.wav")
        soundfile.write(path, samples, options.sample_rate, subtype="PCM_16")
        duration = len(samples) / options.sample_rate
        utterances.append(Utterance(path, duration, transcript, extra={"speaker": voice}))
    return utterances


def prepare(out: str, options: Mapping[str, Any]) -> dict[str, Path]:
    """`build` with the arguments as conf/data/synthetic.yaml has them."""
    return build(Path(out), SyntheticOptions(**options))


def build(out: Path, options: SyntheticOptions, workers: int | None = None) -> dict[str, Path]:
    """Write `{train,validation,test}.jsonl` and their sound below `out`; a finished corpus is reused.

    Args:
        out: folder to write to.
        options: what to make.
        workers: processes; all cores when None. The corpus does not depend on it.

    Returns:
        the manifest of each split.

    Raises:
        ManifestError: `out` holds a corpus made with other options.
    """
    out = out.absolute()
    manifests = {split: out / f"{split}.jsonl" for split in VOICES}
    stamp = out / "corpus.json"
    if stamp.exists():
        if json.loads(stamp.read_text())["fingerprint"] == options.fingerprint():
            return manifests
        raise ManifestError(
            f"{out} holds a synthetic corpus made with other options or by another version. Delete it, or give --out "
            "another folder."
        )
    jobs = []
    for split in VOICES:
        (out / "wavs" / split).mkdir(parents=True, exist_ok=True)
        total = getattr(options, split)
        jobs += [(options, split, first, min(first + SHARD, total), str(out)) for first in range(0, total, SHARD)]
    spoken: dict[str, list[Utterance]] = {split: [] for split in VOICES}
    # Spawned, not forked: the caller may hold threads. One shard a process: see SHARD.
    with multiprocessing.get_context("spawn").Pool(workers or os.cpu_count(), maxtasksperchild=1) as pool:
        shards = pool.imap(_render_shard, jobs, chunksize=1)
        for job, shard in zip(jobs, progress(shards, "speaking", len(jobs)), strict=True):
            spoken[job[1]] += shard
    for split, utterances in spoken.items():
        write_manifest(manifests[split], utterances)
    temporary = stamp.with_suffix(".part")
    temporary.write_text(json.dumps({"fingerprint": options.fingerprint(), "options": asdict(options)}, indent=1))
    temporary.replace(stamp)
    return manifests
