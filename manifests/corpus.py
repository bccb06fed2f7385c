"""From the recordings of a dataset to wav files and manifests: what all datasets share."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from manifests.convert import convert, duration
from manifests.lines import ManifestError, Utterance, write_manifest
from manifests.progress import threaded
from manifests.show import from_here
from manifests.text import Normaliser, TextOptions, options_from

SHOWN = 8
SKIPPED = "skipped.txt"
SPLITS = ("train", "validation", "test")  # in the order they are shown in, before others


@dataclass(frozen=True)
class Recording:
    """One utterance of a dataset, before anything is done to it.

    Args:
        audio: where it lies.
        text: its transcript as the dataset has it.
        splits: manifests it belongs to, `train` for example.
        name: path of its wav below `wavs/`, without suffix; unique in the dataset.
        extra: other keys for its manifest line (speaker, ...).
        offset: seconds of the recording before the utterance, which then is a segment; None where it is all of it.
        duration: seconds of the segment; to the end of the recording when None.
    """

    audio: Path
    text: str
    splits: tuple[str, ...]
    name: str
    extra: dict[str, Any] = field(default_factory=dict)
    offset: float | None = None
    duration: float | None = None


@dataclass(frozen=True)
class CorpusOptions:
    """How a dataset is made into manifests.

    Args:
        sample_rate: hertz of the wav files.
        text: which steps transcripts go through.
        in_place: list recordings where they lie instead of converting them.
        validation: share of `train` kept for validation, where the dataset has none of its own.
        test: share of `train` kept for testing, where the dataset has none of its own.
        workers: threads; all cores when None.
    """

    sample_rate: int = 16000
    text: TextOptions = field(default_factory=TextOptions)
    in_place: bool = False
    validation: float = 0.05
    test: float = 0.05
    workers: int | None = None

    @staticmethod
    def from_config(given: Mapping[str, Any]) -> CorpusOptions:
        """Options as `options` in conf/data/recordings.yaml has them.

        Raises:
            ManifestError: a key is unknown, or a value is not of its kind.
        """
        return CorpusOptions(**{**given, "text": options_from(given["text"])})


@dataclass
class Made:
    """What came of a dataset.

    Args:
        manifests: path of each split.
        counts: utterances in each split.
        hours: of each split.
        faults: recordings left out, each with the reason.
        kinds: how many for each reason.
        text: what normalisation changed and refused, a line for each rule.
    """

    manifests: dict[str, Path]
    counts: Counter[str]
    hours: dict[str, float]
    faults: list[str]
    kinds: Counter[str]
    text: list[str]

    def notes(self) -> Iterator[str]:
        """What normalisation changed, and what was left out and why, a line each."""
        for line in self.text:
            yield f"text: {line}"
        if self.faults:
            counts = ", ".join(f"{count} {kind}" for kind, count in self.kinds.most_common())
            listed = from_here(next(iter(self.manifests.values())).with_name(SKIPPED))
            yield f"{len(self.faults)} recordings were left out ({counts}); all are listed in {listed}:"
            yield from (f"  {fault}" for fault in self.faults[:SHOWN])


def share(key: str, seed: str = "") -> float:
    """A number in [0, 1) that depends on nothing but the key: the same split on any machine, in any order."""
    name = f"{seed}/{key}".encode(errors="surrogatepass")  # file names need not be UTF-8
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") / 2**64


def hold_out(recordings: list[Recording], options: CorpusOptions) -> list[Recording]:
    """Move a share of `train` to `validation` and `test` where there are none, and out of all other splits.

    Speakers are moved as a whole where there are ten, else recordings by their names.

    Args:
        recordings: of one dataset.
        options: the shares; each gets one speaker or recording at least, as long as one is left to train on.

    Raises:
        ManifestError: the shares leave nothing to train on.
    """
    parts = {"validation": options.validation, "test": options.test}
    if not (min(parts.values()) >= 0 and sum(parts.values()) < 1):
        raise ManifestError(
            f"The shares of validation and test must be at least 0 and add up to less than 1, found "
            f"{options.validation:g} and {options.test:g}: 0.05 is a twentieth."
        )
    present = {split for recording in recordings for split in recording.splits}
    trained = [recording for recording in recordings if "train" in recording.splits]
    by_speaker = len({recording.extra.get("speaker") for recording in trained} - {None, ""}) >= 10

    def key(recording: Recording) -> str:
        return str(by_speaker and recording.extra.get("speaker") or recording.name)

    places = sorted((share(one), one) for one in {key(recording) for recording in trained})
    moved: dict[str, str] = {}
    start = 0.0
    for name, part in parts.items():
        if part == 0 or any(split.startswith(name) for split in present):
            continue
        left = [(place, one) for place, one in places if one not in moved]
        held = [one for place, one in left if start <= place < start + part] or [one for _, one in left[:1]]
        moved.update(dict.fromkeys(held if len(held) < len(left) else held[1:], name))
        start += part
    return [
        replace(recording, splits=(moved[key(recording)],))
        if "train" in recording.splits and key(recording) in moved
        else recording
        for recording in recordings
    ]


def build(recordings: Iterable[Recording], out: Path, options: CorpusOptions) -> Made:
    """Convert, normalise, and write `{split}.jsonl` below `out`; what is finished already is kept.

    A recording that cannot be used is left out, counted, and named in `skipped.txt`.

    Args:
        recordings: of one dataset.
        out: folder to write to.
        options: how.

    Raises:
        ManifestError: there is no recording, two have one name, none could be used, or `out` cannot be written to.
    """
    out = out.absolute()
    found = hold_out(list(recordings), options)
    if not found:
        raise ManifestError("The dataset holds no recordings. Is this the right folder?")
    _refuse_clashes(found)
    if not options.in_place:
        _refuse_own_sources(found, out / "wavs")
    normaliser = Normaliser(options.text)

    def sound(recording: Recording) -> tuple[Path, float] | str:
        try:
            if (shown := _shown(recording.audio)) != str(recording.audio):
                return f"{shown}: the name is not UTF-8. Rename it."
            if options.in_place:
                return recording.audio.absolute(), duration(recording.audio)
            target = out / "wavs" / f"{recording.name}.wav"
            return target, convert(recording.audio, target, options.sample_rate)
        except ManifestError as error:
            return str(error)
        except OSError as error:  # a full disk is no fault of the recordings
            raise ManifestError(
                f"{error.filename or out} cannot be written ({error.strerror or error}). Make room or give another "
                "--out; the same command goes on from here."
            ) from None
        except Exception as error:  # of a quarter of a million files one may do what no other does
            return f"{recording.audio} cannot be converted ({type(error).__name__}: {error})."

    out.mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[Utterance]] = {}
    faults: list[str] = []
    kinds: Counter[str] = Counter()
    converted = threaded(sound, found, "converting", options.workers)
    for recording, made in zip(found, converted, strict=True):
        text, refused = normaliser(recording.text)
        if isinstance(made, str):
            kinds["unreadable recordings"] += 1
            faults.append(made)
        elif refused:
            kinds[refused.counted] += 1
            faults.append(f"{recording.audio}: {refused.of(recording.text)}")
        elif not text:
            kinds["empty transcripts"] += 1
            faults.append(f"{recording.audio}: the transcript is empty or missing.")
        else:
            path, seconds = made
            utterance = Utterance(path, seconds, text, extra=recording.extra)
            for split in recording.splits:
                lines.setdefault(split, []).append(utterance)
    _list_skipped(out / SKIPPED, faults)
    if not lines:
        listed = "\n".join(f"  {fault}" for fault in faults[:SHOWN])
        raise ManifestError(f"None of {len(found)} recordings could be used; {out / SKIPPED} lists all:\n{listed}")
    lines = dict(sorted(lines.items(), key=lambda item: (SPLITS.index(item[0]) if item[0] in SPLITS else len(SPLITS))))
    manifests = {split: out / f"{split}.jsonl" for split in lines}
    for split, utterances in lines.items():
        write_manifest(manifests[split], utterances)
    counts = Counter({split: len(utterances) for split, utterances in lines.items()})
    hours = {split: sum(one.duration for one in utterances) / 3600 for split, utterances in lines.items()}
    return Made(manifests, counts, hours, faults, kinds, list(normaliser.report()))


def _refuse_clashes(recordings: list[Recording]) -> None:
    named: dict[str, Recording] = {}
    for recording in recordings:
        first = named.setdefault(recording.name, recording)
        if first is not recording:
            raise ManifestError(
                f"{first.audio} and {recording.audio} would both be called {recording.name}: list each recording once, "
                "or rename one."
            )
        if os.path.isabs(recording.name) or ".." in recording.name.split("/"):
            raise ManifestError(f"The name {recording.name!r} leads out of the folder that is written to. Correct it.")


def _refuse_own_sources(recordings: list[Recording], wavs: Path) -> None:
    target = os.path.realpath(wavs)
    for folder in {recording.audio.parent for recording in recordings}:
        if Path(os.path.realpath(folder)).is_relative_to(target):
            raise ManifestError(
                f"{folder} holds recordings, but the converted ones would be written there. Give another --out, or "
                "--in-place."
            )


def _shown(path: Path) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode()


def _list_skipped(path: Path, faults: list[str]) -> None:
    if faults:
        path.write_text("\n".join(faults) + "\n", encoding="utf-8", errors="backslashreplace")
    else:
        path.unlink(missing_ok=True)
