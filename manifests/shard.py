"""Shards for storage that dislikes many small files: Lhotse Shar, which NeMo's loader streams from disk or a bucket.

A shard is a tar of recordings and a gzipped list of what is said in them. They lie in `shar/`, where Lhotse takes every
file for a shard; above, `index.json` says how much there is, and `utterances.jsonl` what, to compare other sets with.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile

from heyjetson.audio import read_sound
from heyjetson.errors import AudioError
from manifests.check import Requirements, check, require
from manifests.contents import full_contents
from manifests.convert import length
from manifests.lines import ManifestError, Utterance, read_manifest, write_manifest
from manifests.overlap import Set
from manifests.progress import progress
from manifests.select import in_drawn_order

INDEX = "index.json"
SHARDS = "shar"
LISTING = "utterances.jsonl"


@dataclass(frozen=True)
class Index:
    """What a folder of shards holds.

    Args:
        shards: how many.
        utterances: in all of them.
        hours: of sound.
        longest: seconds of the longest utterance.
        characters: all that occur in transcripts, sorted.
        sample_rates: hertz, sorted.
    """

    shards: int
    utterances: int
    hours: float
    longest: float
    characters: str
    sample_rates: list[int]


def read_index(folder: Path) -> Index:
    """The index of a folder of shards.

    Raises:
        ManifestError: there is none, or not one of this kind.
    """
    path = folder / INDEX
    try:
        return Index(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ManifestError(
            f"{folder} holds no finished shards: {INDEX} is missing. Make them with `python -m manifests shard`."
        ) from None
    except (TypeError, ValueError) as error:
        raise ManifestError(f"{path} is not an index of shards ({error}). Make the shards again.") from None


def read_listing(folder: Path, name: str) -> Set | None:
    """What a folder of shards holds, to compare with other sets; None where it was made before this was noted.

    Args:
        folder: of the shards.
        name: of the set, for messages.

    Raises:
        ManifestError: the listing is there and is not one.
    """
    path = folder / LISTING
    if not path.is_file():
        return None
    lines = read_manifest(path)
    return Set(name, path, lines, [str(line.extra.get("sound")) for line in lines])


def shard(
    manifest: Path, out: Path, shards: int, needs: Requirements, seed: str = "", on_bad_sample: str = "fail"
) -> Index:
    """Check a manifest, then write its utterances in a random order to `shards` shards; all or nothing.

    Args:
        manifest: JSON lines.
        out: folder to write to; it must not hold shards already.
        shards: how many. Make it a multiple of the number of GPUs times loader processes.
        needs: what an utterance must satisfy.
        seed: of the order.
        on_bad_sample: `fail` or `skip`.

    Raises:
        ManifestError: bad utterances, too few of them, or shards are there already.
    """
    if (out / INDEX).exists():
        raise ManifestError(f"{out} holds shards already. Delete it, or give another --out.")
    report = check(manifest, needs)
    require(report, on_bad_sample)
    drawn = in_drawn_order(report.good, seed)
    if not 1 <= shards <= len(drawn):
        raise ManifestError(f"{len(drawn)} utterances cannot fill {shards} shards; ask for 1 to {len(drawn)}.")
    partial = out.with_name(out.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / SHARDS).mkdir(parents=True)
    try:
        rates = _write(drawn, partial / SHARDS, -(-len(drawn) // shards))
        index = Index(
            shards=len(list((partial / SHARDS).glob("cuts.*.jsonl.gz"))),
            utterances=len(drawn),
            hours=round(sum(utterance.duration for utterance in drawn) / 3600, 4),
            longest=max(utterance.duration for utterance in drawn),
            characters="".join(sorted(set().union(*(utterance.text for utterance in drawn)))),
            sample_rates=sorted(rates),
        )
        sounds = full_contents([utterance.audio for utterance in drawn])
        listed = (replace(one, extra=one.extra | {"sound": sound}) for one, sound in zip(drawn, sounds, strict=True))
        write_manifest(partial / LISTING, listed)
        (partial / INDEX).write_text(json.dumps(asdict(index), indent=1), encoding="utf-8")
        if out.exists():
            out.rmdir()  # only an empty folder is replaced
        partial.replace(out)
    except OSError as error:
        raise ManifestError(f"The shards could not be written to {out} ({error.strerror or error}).") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return index


def _write(utterances: Sequence[Utterance], folder: Path, size: int) -> set[int]:
    from lhotse import MonoCut, SupervisionSegment
    from lhotse.audio import AudioSource, Recording
    from lhotse.shar.utils import to_shar_placeholder
    from lhotse.shar.writers.cut import JsonlShardWriter
    from lhotse.shar.writers.tar import TarWriter

    rates = set()
    with (
        JsonlShardWriter(f"{folder}/cuts.%06d.jsonl.gz", shard_size=size) as cuts,
        # Not Lhotse's writer of recordings, which decodes them and encodes them again.
        TarWriter(f"{folder}/recording.%06d.tar", shard_size=size) as recordings,
    ):
        for number, utterance in enumerate(progress(utterances, "sharding", len(utterances))):
            name, (suffix, data, rate) = f"{number:09d}", _encoded(utterance)
            rates.add(rate)
            samples = round(utterance.duration * rate)
            recording = Recording(name, [AudioSource("memory", [0], "")], rate, samples, samples / rate, [0])
            said = SupervisionSegment(name, name, 0.0, samples / rate, text=utterance.text)
            said.speaker = utterance.extra.get("speaker")
            placeholder = to_shar_placeholder(recording)
            cuts.write(MonoCut(name, 0.0, samples / rate, 0, [said], recording=placeholder))
            recordings.write(f"{name}{suffix}", BytesIO(data))
            described = json.dumps(placeholder.to_dict()).encode()
            recordings.write(f"{name}.json", BytesIO(described), count=False)
    return rates


def _encoded(utterance: Utterance) -> tuple[str, bytes, int]:
    """Suffix, bytes and hertz of an utterance: the file as it is, or all channels of a segment without a loss."""
    if utterance.offset is None:
        return utterance.audio.suffix or ".wav", utterance.audio.read_bytes(), length(utterance.audio).rate
    try:
        sound = read_sound(utterance.audio, offset=utterance.offset, duration=utterance.duration)
    except AudioError as error:
        raise ManifestError(str(error)) from None
    whole = np.rint(sound.samples * 32768)
    exact = np.array_equal(whole, sound.samples * 32768) and whole.min() >= -32768 and whole.max() <= 32767
    written = BytesIO()
    if exact and sound.channels <= 8:
        soundfile.write(written, whole.astype(np.int16), sound.rate, "PCM_16", format="FLAC")
        return ".flac", written.getvalue(), sound.rate
    soundfile.write(written, sound.samples, sound.rate, "FLOAT", format="WAV")
    return ".wav", written.getvalue(), sound.rate
