"""Pools from folders and voices, and clips written to files for whoever wants to hear or to keep them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from heyjetson.audio import is_recording
from manifests.convert import files
from manifests.lines import ManifestError
from manifests.progress import progress
from manifests.rooms import drawn_rooms, read_rooms
from manifests.trigger.clips import ClipOptions, Clips, Pools
from manifests.trigger.sounds import SAMPLE_RATE, Backgrounds, Sound, folder_of, read_backgrounds, read_words
from manifests.trigger.spoken import SpokenOptions, spoken_near_misses, spoken_word


@dataclass(frozen=True)
class Sources:
    """Where pools come from.

    Args:
        words: to detect.
        positives: folder of takes, with a folder for each word if there are several.
        negatives: folders of takes of what sounds alike.
        backgrounds: folders and manifests, with weights or without.
        spoken: whether synthetic voices speak, beside the recordings.
        spoken_share: share of the draws of a word that are by synthetic voices, where there are recordings as well;
            None draws each take alike.
        noises: folders of noise; a part of it, as of all recordings.
        rooms: folders of impulse responses.
        drawn_rooms: rooms that pyroomacoustics draws.
        part: `train`, `validation` or `test`, of recordings and of voices; all recordings and the voices of `train`
            when None.
        cache: folder of what was spoken.
    """

    words: Sequence[str]
    positives: Path | None = None
    negatives: Sequence[Path] = ()
    backgrounds: Sequence[str] | Mapping[str, float] = ()
    noises: Sequence[str] = ()
    rooms: Sequence[str] = ()
    drawn_rooms: int = 0
    spoken: bool = True
    spoken_share: float | None = None
    part: str | None = None
    cache: Path = Path("data/spoken")


@dataclass(frozen=True)
class Baked:
    """What `bake` wrote.

    Args:
        manifest: its `clips.jsonl`.
        words: placed in all clips.
        left_out: takes that found no place.
    """

    manifest: Path
    words: int
    left_out: int


def gather(sources: Sources, options: SpokenOptions | None = None) -> tuple[Pools, list[str]]:
    """Pools, and what was left out of them and why, a sentence each.

    Args:
        sources: where from.
        options: how words are spoken; the voices are those of `sources.part`.

    Raises:
        ManifestError: a source is missing or empty, nothing of it can be used, or there is none for a word.
    """
    if not sources.words or len(set(sources.words)) < len(sources.words):
        raise ManifestError(f"The words to detect must be given, each once, found {list(sources.words)}.")
    if sources.positives is None and not sources.spoken:
        raise ManifestError("There are no takes: give a folder of recordings (--positives), or let voices speak.")
    if sources.positives is not None:
        _require_folders(sources.positives, sources.words)
    if sources.spoken_share is not None and not 0 < sources.spoken_share < 1:
        raise ManifestError(f"spoken_share must lie between 0 and 1, found {sources.spoken_share}.")
    options = options or SpokenOptions(part=sources.part or "train")
    words: dict[str, list[Sound]] = {word: [] for word in sources.words}
    faults: list[str] = []
    for word in words:
        recorded: list[Sound] = []
        if sources.positives is not None:
            recorded, left_out = read_words(sources.positives, word, sources.part)
            faults += left_out
        spoken = spoken_word(word, sources.cache, options) if sources.spoken else []
        words[word] = _mixed(recorded, spoken, sources.spoken_share)
    negatives = spoken_near_misses(sources.words, sources.cache, options) if sources.spoken else []
    for folder in sources.negatives:
        read, left_out = read_words(folder, "", sources.part)
        negatives += read
        faults += left_out
    backgrounds = Backgrounds([], [], [])
    if sources.backgrounds:
        backgrounds = read_backgrounds(sources.backgrounds, sources.part, sources.words)
        faults += backgrounds.faults
    noises = Backgrounds([], [], [])
    if sources.noises:
        noises = read_backgrounds(sources.noises, sources.part)
        faults += noises.faults
    responses = [response for folder in sources.rooms for response in read_rooms(folder)]
    if sources.drawn_rooms:
        responses += drawn_rooms(sources.drawn_rooms, options.seed)
    return Pools(words, negatives, backgrounds, noises=noises, responses=responses), faults


def _mixed(recorded: list[Sound], spoken: list[Sound], share: float | None) -> list[Sound]:
    """Both, the recorded ones so often that a draw is of a spoken one as seldom as it shall be."""
    if not recorded or not spoken or share is None:
        return recorded + spoken
    return recorded * max(round(len(spoken) * (1 - share) / share / len(recorded)), 1) + spoken


def _require_folders(positives: Path, words: Sequence[str]) -> None:
    """Refuse recordings of which it is not known what is said in them: those of one word would be taken for another."""
    for word in words:
        if not positives.is_dir() or folder_of(positives, word) != positives:
            continue
        if len(words) > 1:
            raise ManifestError(
                f"The folder {positives} has no folder {word!r}: with several words each needs one of its own name."
            )
        below = (path.relative_to(positives).parts for path in files(positives) if is_recording(path))
        others = sorted({parts[0] for parts in below if len(parts) > 1})
        if others:
            raise ManifestError(
                f"The folder {positives} has no folder {word!r}, for recordings of it. Its folders are "
                f"{', '.join(others)}: correct the word, or give the folder in which its recordings lie."
            )


def bake(pools: Pools, out: Path, count: int, options: ClipOptions | None = None, seed: int = 1) -> Baked:
    """Write clips as `clips/NUMBER.wav`, and `clips.jsonl` with where their words are, in seconds.

    Args:
        pools: what they are made of.
        out: folder to write to.
        count: how many.
        options: what they sound like.
        seed: of everything drawn.

    Raises:
        ManifestError: there is nothing to write, or no place to write it to.
    """
    if count < 1:
        raise ManifestError(f"There must be one clip at least, found {count}.")
    clips = Clips(pools, options, seed)
    manifest = out / "clips.jsonl"
    temporary = manifest.with_name(manifest.name + ".part")
    words = left_out = 0
    try:
        (out / "clips").mkdir(parents=True, exist_ok=True)
        manifest.unlink(missing_ok=True)  # what it lists is about to be written over
        with temporary.open("w", encoding="utf-8") as lines:
            for index in progress(range(count), "baking", count):
                clip = clips.clip(index)
                path = Path("clips", f"{index:06d}.wav")
                soundfile.write(out / path, clip.samples, SAMPLE_RATE, subtype="PCM_16")
                places = [{"word": one.word, "start": _time(one.start), "end": _time(one.end)} for one in clip.words]
                record = {"audio_filepath": str(path), "duration": _time(len(clip.samples)), "words": places}
                lines.write(json.dumps(record, ensure_ascii=False) + "\n")
                words += len(clip.words)
                left_out += len(clip.left_out)
        temporary.replace(manifest)
    except OSError as error:
        raise ManifestError(f"{error.filename or out} cannot be written ({error.strerror or error}).") from None
    except soundfile.LibsndfileError as error:
        raise ManifestError(f"Clips cannot be written to {out} ({error.error_string.rstrip('.')}).") from None
    return Baked(manifest, words, left_out)


def _time(samples: int) -> float:
    return round(samples / SAMPLE_RATE, 4)
