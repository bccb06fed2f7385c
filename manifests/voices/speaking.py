"""Many takes at once: drawn, spoken in parallel, kept by what was asked for, and reused."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import random
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing.pool import IMapIterator
from pathlib import Path

import numpy as np
import soxr

from manifests.lines import ManifestError
from manifests.progress import progress
from manifests.voices.base import Engine, Request
from manifests.voices.registry import engine_of

SAMPLE_RATE = 16000
# Requests that one fresh process speaks: espeak-ng's state carries over from one to the next, so that what is said
# depends on what was said before. They are fixed, and not what a core happens to get.
SHARD = 40
LONGEST = 1200.0  # seconds for a shard; an engine that hangs in a worker is given up
SILENCE = 1e-3  # peak
VERSION = 2  # raised when the same requests would give other sound


@dataclass(frozen=True)
class Said:
    """A take.

    Args:
        request: what the engine was asked for: the text with an ending, for the melody.
        engine: who said it.
        samples: [S] float32 at 16 kHz; empty where it could not be said.
        text: without that ending.
    """

    request: Request
    engine: str
    samples: np.ndarray
    text: str

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.text} ({self.engine} {self.request.voice})"


def drawn(
    specs: Sequence[str], texts: Sequence[str], count: int, part: str, seed: int
) -> dict[str, list[tuple[int, Request]]]:
    """Requests of each engine, with their places: engines have their shares, texts come in turn, voices are drawn.

    The first of many are the same as when fewer are asked for, so that what is kept can be used again.

    Args:
        specs: `NAME` or `NAME:FOLDER`.
        texts: to say.
        count: takes.
        part: whose voices: `train`, `validation` or `test`; where no engine has any of that part, those of `train`.
        seed: of everything drawn.
    """
    engines = {spec: engine_of(spec) for spec in specs}
    able = {spec: engine for spec, engine in engines.items() if engine.voices(part)} or engines
    voices_part = {spec: part if engine.voices(part) else "train" for spec, engine in able.items()}
    requests: dict[str, list[tuple[int, Request]]] = {spec: [] for spec in able}
    for number in range(count):
        text = texts[number % len(texts)]
        rng = random.Random(f"{seed}/{part}/{number}/{text}")
        willing = [spec for spec in able if able[spec].says(text)]
        if not willing:
            continue
        spec = rng.choices(willing, [able[spec].weight for spec in willing])[0]
        requests[spec].append((number, able[spec].draw(text, voices_part[spec], rng)))
    return requests


def takes(
    specs: Sequence[str],
    texts: Sequence[str],
    count: int,
    cache: str | os.PathLike[str],
    part: str = "train",
    seed: int = 1,
    title: str = "",
    workers: int | None = None,
    every: bool = True,
) -> list[Said]:
    """Takes of texts, in the order in which they were drawn; those that no engine could say are left out.

    Args:
        specs: engines; see `drawn`.
        texts: to say.
        count: takes.
        cache: folder; what was said lies there and is read.
        part: whose voices.
        seed: of everything drawn.
        title: of the progress.
        workers: processes; all cores when None. The sound does not depend on it.
        every: whether each text must be heard.

    Raises:
        ManifestError: the folder cannot be written to, an engine fails, or a text is silent in all of its takes.
    """
    requests = drawn(specs, texts, count, part, seed)
    shards = [
        (spec, [request for _, request in placed[first : first + SHARD]])
        for spec, placed in requests.items()
        for first in range(0, len(placed), SHARD)
    ]
    places = [number for placed in requests.values() for number, _ in placed]
    said = [one for shard in spoken(shards, Path(cache), title or texts[0], workers) for one in shard]
    in_order = sorted(zip(places, said, strict=True), key=lambda one: one[0])
    heard = [replace(one, text=texts[place % len(texts)]) for place, one in in_order if len(one.samples)]
    asked = {texts[place % len(texts)] for place in places} or set(texts)
    silent = sorted(asked - {one.text for one in heard})
    if silent and (every or not heard):
        raise ManifestError(
            f"No voice can speak {silent[0]!r}: all its takes by {', '.join(specs)} are silent. Write it as it sounds, "
            "or give recordings."
        )
    return heard


def spoken(
    shards: Sequence[tuple[str, list[Request]]], cache: Path, title: str, workers: int | None = None
) -> Iterator[list[Said]]:
    """Each shard's takes, from the cache or spoken now."""
    paths = [cache / f"{spec.partition(':')[0]}-{fingerprint(spec, requests)}.npz" for spec, requests in shards]
    absent = [number for number, path in enumerate(paths) if read(path) is None]
    if absent:
        _make(cache)
        jobs = [(*shards[number], str(paths[number])) for number in absent]
        # Spawned, not forked: the caller may hold threads. One shard a process: see SHARD.
        with multiprocessing.get_context("spawn").Pool(
            min(workers or os.cpu_count() or 1, len(jobs)), maxtasksperchild=1
        ) as pool:
            for _ in progress(
                _in_time(pool.imap(speak_shard, jobs, chunksize=1), jobs), f"speaking {title}", len(jobs)
            ):
                pass
    for path, (spec, requests) in zip(paths, shards, strict=True):
        kept = read(path)
        if kept is None:
            raise ManifestError(f"{path} was written and cannot be read. Is the disk full?")
        name = spec.partition(":")[0]
        yield [Said(one, name, samples, one.text) for one, samples in zip(requests, kept, strict=True)]


def _in_time(results: IMapIterator, jobs: Sequence[tuple[str, list[Request], str]]) -> Iterator[None]:
    for spec, *_ in jobs:
        try:
            yield results.next(LONGEST)
        except multiprocessing.TimeoutError:
            raise ManifestError(
                f"The voice {spec!r} said nothing for {LONGEST / 60:.0f} minutes: it hangs. Leave it out of voices=[…]."
            ) from None


def fingerprint(spec: str, requests: Sequence[Request]) -> str:
    """Sixteen digits that change whenever the sound would."""
    engine = engine_of(spec)
    described = json.dumps([VERSION, spec, engine.version, [asdict(one) for one in requests]], sort_keys=True)
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def speak_shard(job: tuple[str, list[Request], str]) -> None:
    """Speak some requests in this process, which is to be a fresh one, and keep them as one file."""
    spec, requests, path = job
    engine: Engine = engine_of(spec)
    said = []
    with contextlib.redirect_stdout(sys.stderr):
        for request in requests:
            try:
                samples, rate = engine.speak(request)
            except (OSError, RuntimeError, ValueError) as error:
                raise ManifestError(f"The voice {spec!r} cannot say {request.text!r} ({error}).") from None
            if not len(samples) or not float(np.abs(samples).max()) >= SILENCE:
                said.append(np.zeros(0, np.int16))
                continue
            heard = soxr.resample(samples, rate, SAMPLE_RATE)
            heard *= 0.5 / max(float(np.abs(heard).max()), 1e-9)  # engines have levels of their own
            said.append(np.rint(heard * 32767).astype(np.int16))
    write(Path(path), said)


def write(path: Path, said: Sequence[np.ndarray]) -> None:
    """One file for all of them; it has its name only when it is whole."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as out:
            np.savez(out, samples=np.concatenate(said), lengths=np.array([len(one) for one in said]))
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ManifestError(f"{path} cannot be written ({error.strerror or error}). Give another folder.") from None


def read(path: Path) -> list[np.ndarray] | None:
    """Samples [S] float32 of each; None where the file is not there or damaged: they are spoken anew."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            samples, lengths = kept["samples"], kept["lengths"]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None
    pieces = np.split(samples, np.cumsum(lengths)[:-1])
    return [piece.astype(np.float32) / np.float32(32767) for piece in pieces]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ManifestError(f"The folder {folder} cannot be made ({error.strerror}). Give another one.") from None
