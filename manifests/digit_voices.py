"""Strings of digits by real speakers and by synthetic voices: what a few speakers lack in voices, these give in part.

The recordings are those of the Free Spoken Digit Dataset (manifests/fsdd.py), and so are the tests, string for string.
A synthetic speaker is a drawn voice of an engine at a drawn pitch; it says each digit alone, as the real ones did, and
its words are cut as tightly and have no more of the spectrum than theirs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from heyjetson.audio import resample
from manifests.acoustics import add_noise, coloured_noise
from manifests.fsdd import (
    TAKES,
    DigitOptions,
    Part,
    download,
    find_recordings,
    finish,
    listing,
    made_before,
    recorded_parts,
    write_strings,
)
from manifests.sentences import DIGITS
from manifests.voices.base import Request
from manifests.voices.registry import engine_of, found
from manifests.voices.speaking import SAMPLE_RATE, SHARD, spoken

VERSION = 1
RATE = 8000  # hertz of the dataset's recordings
EDGE = 40.0  # decibels under a word's loudest 10 ms, below which it is cut off
MARGIN = 0.02  # seconds that are kept around it
CLEANEST, NOISIEST = 50.0, 20.0  # decibels of a synthetic word over the noise it is recorded in
# Of each engine; a voice is several speakers, at other pitches. Kokoro's ten words take half a minute of a core.
SPEAKERS = {"kokoro": 24, "espeak": 60, "piper": 24, "flite": 24}
JITTER = 0.1  # by which the speed of a speaker's words differs, both ways


@dataclass(frozen=True)
class VoiceOptions(DigitOptions):
    """What defines the strings; see `DigitOptions` for those of the recordings.

    Args:
        spoken: strings of the training set by synthetic voices.
        spoken_validation: of the validation set, by voices that are not in the training set.
        voices: engines, `NAME` or `NAME:FOLDER`; `installed` stands for all that are.
        speakers: how many are drawn of each engine, by its name; an eighth as many for validation.
    """

    spoken: int = 6000
    spoken_validation: int = 120
    voices: Sequence[str] = ("installed",)
    speakers: Mapping[str, int] = field(default_factory=lambda: dict(SPEAKERS))


def prepare(source: str | None, out: str, options: Mapping[str, Any]) -> dict[str, Path]:
    """`build` with the arguments as conf/data/digits_voices.yaml has them; a null source is the public download."""
    folder = Path(source) if source else download(Path(out).parent / "fsdd-source")
    made_of = {**options, "voices": tuple(options["voices"]), "speakers": dict(options["speakers"])}
    return build(folder, Path(out), VoiceOptions(**made_of))


def draw_speaker(spec: str, part: str, number: int, seed: int) -> list[Request]:
    """What a synthetic speaker is asked for: each digit, 0 to 9, in one voice and at one pitch.

    Args:
        spec: engine, `NAME` or `NAME:FOLDER`.
        part: whose voices: `train`, `validation` or `test`.
        number: of the speaker.
        seed: of everything drawn.
    """
    engine = engine_of(spec)
    rng = random.Random(f"{seed}/{part}/{number}")
    speaker = engine.draw(DIGITS[0], part, rng)
    requests = []
    for digit in DIGITS:
        take = engine.draw(digit, part, rng)  # an ending and a variation of its own
        speed = round(speaker.speed * rng.uniform(1 - JITTER, 1 + JITTER), 3)
        requests.append(replace(take, voice=speaker.voice, pitch=speaker.pitch, speed=speed))
    return requests


def speak(
    specs: Sequence[str], speakers: Mapping[str, int], part: str, seed: int, cache: Path, workers: int | None = None
) -> dict[tuple[str, int], list[np.ndarray]]:
    """Digits of synthetic speakers by (name, digit): [S] float32 at 16 kHz, cut tightly.

    Args:
        specs: engines.
        speakers: of each, by its name; none of one that is not named.
        part: whose voices; engines that have none for it are left out.
        seed: of everything drawn.
        cache: folder where what was spoken is kept, and looked for first.
        workers: processes; all cores when None.

    Raises:
        ManifestError: an engine fails.
    """
    words: dict[tuple[str, int], list[np.ndarray]] = {}
    for spec in (one for one in specs if engine_of(one).voices(part)):
        count = speakers.get(spec.partition(":")[0], 0)
        drawn = [draw_speaker(spec, part, number, seed) for number in range(count)]
        each = max(SHARD // len(DIGITS), 1)  # speakers of a shard
        shards = [
            (spec, [request for speaker in drawn[first : first + each] for request in speaker])
            for first in range(0, count, each)
        ]
        takes = (take for shard in spoken(shards, cache, f"digits by {spec}", workers) for take in shard)
        for place, take in enumerate(takes):
            number, digit = divmod(place, len(DIGITS))
            if len(take.samples):
                word = as_recorded(take.samples, np.random.default_rng([seed, number, digit]))
                words[f"{take.engine} {take.request.voice} {number}", digit] = [word]
    return words


def as_recorded(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A synthetic word [S] as the dataset has words: without the quiet around it, without what 8 kHz cannot hold, and
    with a microphone's noise beneath it."""
    narrow = resample(samples, SAMPLE_RATE, RATE)
    step = RATE // 100
    power = np.square(np.pad(narrow, (0, -len(narrow) % step)).reshape(-1, step)).mean(axis=1)
    loud = np.flatnonzero(power >= power.max() * 10 ** (-EDGE / 10))
    margin = round(MARGIN * RATE)
    word = narrow[max(loud[0] * step - margin, 0) : (loud[-1] + 1) * step + margin]
    word = add_noise(word, coloured_noise(rng, len(word), rng.uniform(0.0, 2.0)), rng.uniform(NOISIEST, CLEANEST))
    return resample(word, RATE, SAMPLE_RATE)


def spoken_part(
    split: str, count: int, specs: Sequence[str], speakers: Mapping[str, int], options: VoiceOptions, cache: Path
) -> list[Part]:
    """The strings of a split that synthetic voices say: none where there are to be none, or no voice for the split."""
    if not count:
        return []
    words = speak(specs, speakers, split, options.seed, cache)
    names = list(dict.fromkeys(name for name, _ in words))
    weight = {spec.partition(":")[0]: engine_of(spec).weight for spec in specs}
    weights = [weight[name.split()[0]] for name in names]
    return [Part(split, count, words, names, weights, f"{split}_voices")] if names else []


def build(source: Path, out: Path, options: VoiceOptions) -> dict[str, Path]:
    """Write `{train,validation,test_seen,test_unseen}.jsonl` and their sound below `out`; reused when finished.

    Args:
        source: folder with the recordings.
        out: folder to write to; what the voices said is kept beside it, and is not spoken again for other options.
        options: what to make.

    Returns:
        the manifest of each split.

    Raises:
        ManifestError: the source is not the dataset, an engine is missing, `held_out` is no speaker to learn from, or
            `out` was made with other options or from other recordings.
    """
    out = out.absolute()
    recordings = find_recordings(source)
    parts = recorded_parts(recordings, options)
    specs = found(options.voices) if options.spoken or options.spoken_validation else []
    versions = [engine_of(spec).version for spec in specs]
    described = json.dumps([VERSION, asdict(options), specs, versions, listing(recordings)], sort_keys=True)
    if fingerprint := made_before(out, described, "strings of digits"):
        cache, few = out.parent / "digit-voices", {name: -(-count // 8) for name, count in options.speakers.items()}
        parts += spoken_part("train", options.spoken, specs, options.speakers, options, cache)
        parts += spoken_part("validation", options.spoken_validation, specs, few, options, cache)
        write_strings(out, parts, options)
        finish(out, fingerprint, options)
    return {split: out / f"{split}.jsonl" for split in TAKES}
