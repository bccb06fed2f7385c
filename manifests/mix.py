"""The library behind `python -m manifests mix`: noise and rooms baked into the recordings of a manifest.

Each clip depends on the seed, the utterance's place in the manifest and the number of the copy, not on the threads.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import soundfile

from heyjetson.audio import is_recording, measure, read_sound, resample
from heyjetson.errors import AudioError
from manifests.acoustics import add_noise, add_room, coloured_noise, room
from manifests.convert import decode
from manifests.convert import length as length_of
from manifests.corpus import write_list
from manifests.lines import ManifestError, Utterance, read_manifest, write_manifest
from manifests.progress import progress

WINDOW = 4096  # clips in flight: a quarter of a million futures would take a gigabyte
TRIES = 20  # draws of a noise or a room, when those before could not be used
SILENCE = 1e-5  # root mean square; there is no ratio to what cannot be heard
DIRECT = 0.0025  # seconds around the strongest sample that count as the direct sound (Zahorik, 2002)
VERSION = 2  # raised when the same options would give other sound
T = TypeVar("T")


@dataclass(frozen=True)
class MixOptions:
    """What is added to the recordings.

    Args:
        noise: folder with recordings of noise, or one recording; synthetic coloured noise when None.
        rir: folder with room impulse responses, or one; synthetic rooms when None.
        snr_low: signal-to-noise ratio of the noisiest clip, decibels over the whole clip, its room included.
        snr_high: of the cleanest of the clips with noise.
        room_probability: share of the clips heard in a room.
        noise_probability: share of the clips with noise.
        copies: how many clips become of each utterance.
        seed: of everything random, at least 0.
        channels: of recordings of speech that have several; see `heyjetson.audio.to_mono`.

    Raises:
        ManifestError: a value cannot be; the message names it.
    """

    noise: Path | None = None
    rir: Path | None = None
    snr_low: float = 0.0
    snr_high: float = 20.0
    room_probability: float = 0.5
    noise_probability: float = 1.0
    copies: int = 1
    seed: int = 1
    channels: str = "mix"

    def __post_init__(self) -> None:
        for name in ("room_probability", "noise_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ManifestError(f"{name} is a share: it must be between 0 and 1, found {getattr(self, name)}.")
        if not -math.inf < self.snr_low <= self.snr_high < math.inf:
            raise ManifestError(f"The SNR goes from low to high, as 0:20 does; found {self.snr_low}:{self.snr_high}.")
        if self.copies < 1 or self.seed < 0:
            raise ManifestError(f"copies must be at least 1 and seed at least 0, found {self.copies} and {self.seed}.")


def mix(manifest: Path, out: Path, options: MixOptions, workers: int | None = None) -> Path:
    """Write noisy copies of the recordings of a manifest below `out`, and a manifest of them; a finished one is reused.

    A line keeps its text and other keys and gains `snr` (decibels), `noise` and `rir` (file names, or what was made),
    null where the clip has none. A recording that cannot be used is left out; in place of a noise or a room that cannot
    be read another is drawn. `skipped` names all of these.

    Args:
        manifest: JSON lines.
        out: folder to write `wavs/NAME/*.wav` and `NAME.jsonl` to, NAME being the manifest's.
        options: what to add.
        workers: threads; all cores when None. The sound does not depend on it.

    Returns:
        the new manifest.

    Raises:
        ManifestError: there is no manifest, noise or room, no recording can be used, or `out` holds something else.
    """
    out, manifest = Path(out).absolute(), Path(manifest)
    utterances = read_manifest(manifest)
    target = out / f"{manifest.stem}.jsonl"
    stamp = target.with_suffix(".mix.json")
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        noises = _Sounds(Path(options.noise), "noise", pool) if options.noise else None
        rooms = _Sounds(Path(options.rir), "room", pool) if options.rir else None
        fingerprint = _fingerprint(utterances, options, noises, rooms)
        if _finished(target, stamp, fingerprint):
            return target
        mixer = _Mixer(out / "wavs" / manifest.stem, options, noises, rooms)
        mixer.folder.mkdir(parents=True, exist_ok=True)
        stamp.write_text(json.dumps({"fingerprint": fingerprint} | asdict(options), default=str, indent=1))
        jobs = [(one, index, copy) for index, one in enumerate(utterances) for copy in range(options.copies)]
        made = list(progress(_each(pool, mixer, jobs), f"mixing {manifest.name}", len(jobs)))
    clips = [clip for clip in made if isinstance(clip, Utterance)]
    faults = list(dict.fromkeys(fault for fault in made if isinstance(fault, str)))  # once, whatever the copies
    for sounds in (noises, rooms):
        faults += sorted(sounds.faults) if sounds else []
    if not clips:
        listed = "\n  ".join(faults[:8])
        raise ManifestError(f"None of the {len(utterances)} recordings in {manifest} could be mixed:\n  {listed}")
    write_list(target.with_suffix(".skipped.txt"), faults)
    write_manifest(target, clips)
    return target


def skipped(manifest: Path) -> list[str]:
    """What `mix` could not use when it wrote a manifest: a sentence for each recording, noise and room."""
    path = Path(manifest).with_suffix(".skipped.txt")
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def noise_piece(path: Path, rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Cut noise from a random place of a recording; one that is too short is repeated.

    Args:
        path: of the recording.
        rng: the source of chance.
        samples: length of the piece.
        sample_rate: hertz of the piece.

    Returns:
        [samples] float32, the first channel.

    Raises:
        AudioError: it cannot be read, holds nothing, or what are not numbers.
    """
    length = measure(path)
    frames, wanted = round(length.seconds * length.rate), math.ceil(samples * length.rate / sample_rate) + 1
    start = int(rng.integers(frames - wanted + 1)) if frames > wanted else 0
    duration = wanted / length.rate if frames > wanted else None
    found = _first_channel(path, sample_rate, start / length.rate, duration)
    if len(found) < samples:
        found = np.resize(np.roll(found, -int(rng.integers(len(found)))), samples)
    return found[:samples]


def _first_channel(path: Path, sample_rate: int, offset: float = 0.0, duration: float | None = None) -> np.ndarray:
    sound = read_sound(path, channels="first", offset=offset, duration=duration)
    return resample(sound.samples, sound.rate, sample_rate)


def room_response(path: Path, sample_rate: int) -> tuple[np.ndarray, int]:
    """Read a room impulse response; what is heard in it keeps the level of the direct sound.

    Args:
        path: of the recording.
        sample_rate: hertz of the sound to be heard in the room.

    Returns:
        response: [K] float32, the first channel; its direct sound has unit energy.
        lead: samples before the direct sound's peak, by which what is heard has to be advanced.

    Raises:
        AudioError: it cannot be read, or holds what are not numbers.
        ManifestError: it is silent.
    """
    response = _first_channel(path, sample_rate)
    if not response.any():
        raise ManifestError(f"{path} is silent.")
    peak, around = int(np.abs(response).argmax()), round(DIRECT * sample_rate)
    response = response[max(peak - around, 0) :]
    lead = min(peak, around)
    level = math.copysign(float(np.sqrt(np.sum(response[: lead + around + 1] ** 2))), response[lead])
    return response / np.float32(level), lead


class _Sounds:
    """Recorded noises or rooms to draw from; the order is that of their names, the same on any machine."""

    def __init__(self, where: Path, kind: str, pool: ThreadPoolExecutor):
        paths, folder = [where], where.parent
        if where.is_dir():
            paths, folder = sorted(path for path in where.rglob("*") if is_recording(path)), where
        found = list(zip(paths, pool.map(_header, paths), strict=True))
        self.kind = kind
        self.faults = {header for _path, header in found if isinstance(header, str)}
        self.sounds = [
            (path, path.relative_to(folder).as_posix(), header) for path, header in found if not isinstance(header, str)
        ]
        if not self.sounds:
            reason = min(self.faults, default=f"{where} holds no recordings.")
            raise ManifestError(f"There is no {kind} to mix in: {reason} Give --noise or --rir a folder that has some.")

    def draw(self, rng: np.random.Generator, read: Callable[[Path], T | None]) -> tuple[T, str]:
        """What `read` makes of a random recording, and its name; the next is drawn where it makes nothing."""
        for _ in range(TRIES):
            path, name, _header = self.sounds[int(rng.integers(len(self.sounds)))]
            try:
                sound = read(path)
            except (AudioError, ManifestError) as error:
                self.faults.add(str(error) if str(path) in str(error) else f"{path}: {error}")
            else:
                if sound is not None:
                    return sound, name
        raise ManifestError(f"{TRIES} draws of a {self.kind} in a row were silent or could not be read.")


@dataclass(frozen=True)
class _Mixer:
    """Makes single clips; no clip leaves anything for another."""

    folder: Path
    options: MixOptions
    noises: _Sounds | None
    rooms: _Sounds | None

    def __call__(self, utterance: Utterance, index: int, copy: int) -> Utterance | str:
        """Write one clip; a sentence instead where that cannot be done."""
        rng = np.random.default_rng([self.options.seed, index, copy])
        try:
            sound = decode(utterance.audio, self.options.channels, *utterance.segment)
            clean, rate = sound.samples, sound.rate
            if not _audible(clean):
                return f"{utterance.audio} is silent."
            samples, extra = self.surround(clean, rate, rng)
        except ManifestError as error:
            return str(error)
        samples = samples / np.float32(max(float(np.abs(samples).max()), 1.0))
        path = self.folder / f"{utterance.audio.stem[:80]}-{index:06d}-{copy}.wav"
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")  # a kill leaves no half of a wav behind
        soundfile.write(unfinished, samples, rate, subtype="PCM_16", format="WAV")
        unfinished.replace(path)
        return replace(utterance, audio=path, duration=len(samples) / rate, offset=None, extra=utterance.extra | extra)

    def surround(self, clean: np.ndarray, rate: int, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
        """A clip [S] in its room and its noise, and what the manifest says of them."""
        options = self.options
        in_room, in_noise = rng.random() < options.room_probability, rng.random() < options.noise_probability
        snr = round(rng.uniform(options.snr_low, options.snr_high), 1)
        samples, said = clean, dict[str, Any](snr=snr if in_noise else None, noise=None, rir=None)
        if in_room:
            samples, said["rir"] = self._in_room(samples, rate, rng)
        if in_noise:
            noise, said["noise"] = self._noise(len(samples), rate, rng)
            samples = add_noise(samples, noise, snr)
        return samples, said

    def _in_room(self, samples: np.ndarray, rate: int, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        if self.rooms:
            (response, lead), name = self.rooms.draw(rng, partial(room_response, sample_rate=rate))
            return add_room(np.pad(samples, (0, lead)), response)[lead:], name
        seconds = rng.uniform(0.1, 0.5)
        return add_room(samples, room(rng, rate, seconds, rng.uniform(0.0, 15.0))), f"drawn: {seconds:.2f} s"

    def _noise(self, samples: int, rate: int, rng: np.random.Generator) -> tuple[np.ndarray, str]:
        def read(path: Path) -> np.ndarray | None:
            piece = noise_piece(path, rng, samples, rate)
            return piece if _audible(piece) else None

        if self.noises:
            return self.noises.draw(rng, read)
        slope = rng.uniform(0.0, 2.0)
        return coloured_noise(rng, samples, slope), f"drawn: 1/f^{slope:.1f}"


def _audible(samples: np.ndarray) -> bool:
    return len(samples) > 0 and SILENCE < float(np.sqrt(np.mean(samples**2))) < math.inf


def _header(path: Path) -> tuple[int, int] | str:
    """Frames and hertz; a sentence where there are none."""
    try:
        length = length_of(path)
    except ManifestError as error:
        return str(error)
    return (round(length.seconds * length.rate), length.rate)


def _each(pool: ThreadPoolExecutor, mixer: _Mixer, jobs: list[tuple[Utterance, int, int]]) -> Iterator[Utterance | str]:
    for start in range(0, len(jobs), WINDOW):
        yield from pool.map(lambda job: mixer(*job), jobs[start : start + WINDOW])


def _fingerprint(utterances: list[Utterance], options: MixOptions, *folders: _Sounds | None) -> str:
    """Twelve hexadecimal digits that change whenever the mix would."""
    chosen = replace(options, noise=None, rir=None)
    sounds = [[found[1:] for found in folder.sounds] if folder else None for folder in folders]
    sources = [(one.audio.name, one.offset, one.duration, one.text, one.extra) for one in utterances]
    described = json.dumps([VERSION, asdict(chosen), sources, sounds])
    return hashlib.sha256(described.encode()).hexdigest()[:12]


def _finished(target: Path, stamp: Path, fingerprint: str) -> bool:
    if not target.exists():
        return False
    if not stamp.exists() or json.loads(stamp.read_text(encoding="utf-8")).get("fingerprint") != fingerprint:
        raise ManifestError(f"{target} is not this mix: it was made in another way. Delete it, or give another --out.")
    return all(utterance.audio.exists() for utterance in read_manifest(target))
