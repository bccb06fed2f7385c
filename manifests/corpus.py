"""From the recordings of a dataset to wav files and manifests: what all datasets share."""

from __future__ import annotations

import functools
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from heyjetson.audio.channels import channel_number
from heyjetson.printing import quoted
from manifests.convert import CutError, Segments, convert, inside, length, require_channels
from manifests.cuts import cut_name, length_notes
from manifests.lines import ManifestError, Utterance, require_sizes, write_manifest
from manifests.notes import Notes
from manifests.overlap import joined, twins
from manifests.progress import threaded
from manifests.show import from_here
from manifests.text import Normaliser, TextOptions, options_from

SHOWN = 8
SKIPPED, NOTED = "skipped.txt", "noted.txt"
UNREADABLE = "unreadable recordings"
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
        lasts: seconds of the whole recording, where the dataset says how many.
    """

    audio: Path
    text: str
    splits: tuple[str, ...]
    name: str
    extra: dict[str, Any] = field(default_factory=dict)
    offset: float | None = None
    duration: float | None = None
    lasts: float | None = None

    def shown(self) -> str:
        """Its path and its segment, for messages."""
        path = quoted(str(self.audio))
        if self.offset is None:
            return path
        end = "its end" if self.duration is None else f"{self.offset + self.duration:.2f} s"
        return f"{path} ({self.offset:.2f} s to {end})"


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
        channels: of recordings that have several: mix, first, second or the number of one.
    """

    sample_rate: int = 16000
    text: TextOptions = field(default_factory=TextOptions)
    in_place: bool = False
    validation: float = 0.05
    test: float = 0.05
    workers: int | None = None
    channels: str = "mix"

    def __post_init__(self) -> None:
        require_channels(self.channels)
        require_sizes(self.sample_rate)
        if not (min(self.validation, self.test) >= 0 and self.validation + self.test < 1):
            raise ManifestError(
                f"The shares of validation and test must be at least 0 and add up to less than 1, found "
                f"{self.validation:g} and {self.test:g}: 0.05 is a twentieth."
            )

    @staticmethod
    def from_config(given: Mapping[str, Any]) -> CorpusOptions:
        """Options as `options` in conf/data/recordings.yaml has them.

        Raises:
            ManifestError: a key is unknown, or a value is not of its kind.
        """
        return CorpusOptions(**{**given, "text": options_from(given["text"])})


@dataclass
class Summary:
    """What came of a dataset.

    Args:
        manifests: path of each split.
        counts: utterances in each split.
        hours: of each split.
        faults: recordings left out, each with the reason.
        kinds: how many for each reason.
        text: what normalisation changed and refused, a line for each rule.
        sound: what was noted of recordings that are used, a line for each kind.
        source: what was understood of the dataset, a line each.
        shared: what is there under two names, and whether two splits have it, a line each.
    """

    manifests: dict[str, Path]
    counts: Counter[str]
    hours: dict[str, float]
    faults: list[str]
    kinds: Counter[str]
    text: list[str]
    sound: list[str] = field(default_factory=list)
    source: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)

    def notes(self) -> Iterator[str]:
        """How the dataset was read, what was changed in texts, noted of the sound, left out and why, a line each."""
        yield from self.source
        for line in self.text:
            yield f"text: {line}"
        for line in self.sound:
            yield f"sound: {line}"
        if self.sound:
            yield f"sound: all of these recordings are listed in {self._beside(NOTED)}"
        yield from self.shared
        if self.faults:
            counts = ", ".join(f"{kind}: {count}" for kind, count in self.kinds.most_common())
            yield f"recordings left out: {len(self.faults)} ({counts}); all are listed in {self._beside(SKIPPED)}:"
            yield from (f"  {fault}" for fault in self.faults[:SHOWN])

    def _beside(self, name: str) -> Path:
        return from_here(next(iter(self.manifests.values())).with_name(name))


def share(key: str, seed: str = "") -> float:
    """A number in [0, 1) that depends on nothing but the key: the same split on any machine, in any order."""
    name = f"{seed}/{key}".encode(errors="surrogatepass")  # file names need not be UTF-8
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big") / 2**64


def hold_out(
    recordings: list[Recording], options: CorpusOptions, first: Sequence[int] | None = None
) -> list[Recording]:
    """Move a share of `train` to `validation` and `test` where there are none, and out of all other splits.

    Speakers are moved as a whole where there are ten, else recordings by their names, with all of their segments where
    there are ten recordings. What is there under two names is moved as a whole too.

    Args:
        recordings: of one dataset.
        options: the shares; each gets one speaker or recording at least, as long as one is left to train on.
        first: for each recording the place of the first that is the same; found when None.
    """
    parts = {"validation": options.validation, "test": options.test}
    present = {split for recording in recordings for split in recording.splits}
    trained = [recording for recording in recordings if "train" in recording.splits]
    by_speaker = len({recording.extra.get("speaker") for recording in trained} - {None, ""}) >= 10

    by_file = len({recording.audio for recording in trained}) >= 10

    def own(recording: Recording) -> str:
        whole = recording.audio.name if by_file and recording.offset is not None else recording.name
        return str(by_speaker and recording.extra.get("speaker") or whole)

    groups = twins(recordings) if first is None else first
    learned = [group for group, recording in zip(groups, recordings, strict=True) if "train" in recording.splits]
    together = joined([own(recording) for recording in trained], learned)
    places = sorted((share(one), one) for one in set(together.values()))
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
        replace(recording, splits=(moved[together[own(recording)]],))
        if "train" in recording.splits and together[own(recording)] in moved
        else recording
        for recording in recordings
    ]


def build(recordings: Iterable[Recording], out: Path, options: CorpusOptions) -> Summary:
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
    found = _distinct(list(recordings))
    if not found:
        raise ManifestError("The dataset holds no recordings. Is this the right folder?")
    _refuse_clashes(found)
    if not options.in_place:
        _refuse_own_sources(found, out / "wavs")
    normaliser = Normaliser(options.text)
    out.mkdir(parents=True, exist_ok=True)
    first = twins(found)
    used: list[int] = []
    utterances: list[Utterance] = []
    faults: list[str] = []
    kinds: Counter[str] = Counter()
    notes = Notes()
    groups = _by_audio(found)
    converted = threaded(lambda group: _sounds(group, out, options), groups, "converting", options.workers)
    for place, made in enumerate(chain.from_iterable(converted)):
        recording = found[place]
        text, refused = normaliser(recording.text)
        if isinstance(made, _Fault):
            kinds[made.kind] += 1
            faults.append(made.said)
        elif refused:
            kinds[refused.counted] += 1
            faults.append(f"{recording.shown()}: {refused.of(recording.text)}")
        elif not text:
            kinds["empty transcripts"] += 1
            faults.append(f"{recording.shown()}: the transcript is empty or missing.")
        else:
            notes.add(recording.shown(), [*made.notes, *length_notes(recording.lasts, made.seconds)])
            offset = recording.offset if options.in_place else None
            utterances.append(Utterance(made.path, made.seconds, text, extra=recording.extra, offset=offset))
            used.append(place)
    write_list(out / SKIPPED, faults)
    write_list(out / NOTED, notes.listed)
    if not used:
        listed = "\n".join(f"  {fault}" for fault in faults[:SHOWN])
        raise ManifestError(f"None of {len(found)} recordings could be used; {out / SKIPPED} lists all:\n{listed}")
    # Of what can be used: what cannot would leave a split with less than its share, or with nothing.
    same = _renumbered([first[place] for place in used])
    divided = hold_out([found[place] for place in used], options, same)
    lines: dict[str, list[Utterance]] = {}
    for recording, utterance in zip(divided, utterances, strict=True):
        for split in recording.splits:
            lines.setdefault(split, []).append(utterance)
    lines = dict(sorted(lines.items(), key=lambda item: (SPLITS.index(item[0]) if item[0] in SPLITS else len(SPLITS))))
    manifests = {split: out / f"{split}.jsonl" for split in lines}
    for split, of_split in lines.items():
        write_manifest(manifests[split], of_split)
    counts = Counter({split: len(of_split) for split, of_split in lines.items()})
    hours = {split: sum(one.duration for one in of_split) / 3600 for split, of_split in lines.items()}
    said = list(normaliser.report()), list(notes.lines())
    return Summary(manifests, counts, hours, faults, kinds, *said, shared=_shared(divided, same))


@dataclass(frozen=True)
class _Ready:
    path: Path
    seconds: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Fault:
    kind: str
    said: str


def _by_audio(recordings: list[Recording]) -> list[list[Recording]]:
    """Segments of one recording that follow each other belong together: what has no index is decoded once for all."""
    return [list(group) for _, group in groupby(recordings, key=lambda one: (one.audio, one.offset is None))]


def _sounds(group: list[Recording], out: Path, options: CorpusOptions) -> list[_Ready | _Fault]:
    """What a manifest says of recordings of one file, converted unless they are listed in place."""
    segments = Segments(group[0].audio, options.channels, keep=len(group) > 1)
    measured = functools.cache(length)
    made: list[_Ready | _Fault] = []
    for one in group:
        try:
            if (shown := _shown(one.audio)) != str(one.audio):
                made.append(_Fault(UNREADABLE, f"{shown}: the name is not UTF-8. Rename it."))
            elif options.in_place:
                found = measured(one.audio)
                if channel_number(options.channels) > found.channels:
                    raise ManifestError(f"{one.audio} has no channel {options.channels}, it has {found.channels}.")
                seconds = inside(one.audio, found, one.offset or 0.0, one.duration)
                made.append(_Ready(one.audio.absolute(), seconds, found.notes))
            else:
                target = out / "wavs" / f"{one.name}.wav"
                done = convert(segments, target, options.sample_rate, offset=one.offset, duration=one.duration)
                made.append(_Ready(target, done.seconds, done.notes))
        except CutError as error:
            made.append(_Fault("cut short recordings", str(error)))
        except ManifestError as error:
            made.append(_Fault(UNREADABLE, str(error)))
        except OSError as error:  # a full disk is no fault of the recordings
            raise ManifestError(
                f"{error.filename or out} cannot be written ({error.strerror or error}). Make room or give another "
                "--out; the same command goes on from here."
            ) from None
        except Exception as error:  # of a quarter of a million files one may do what no other does
            made.append(_Fault(UNREADABLE, f"{one.audio} cannot be converted ({type(error).__name__}: {error})."))
    return made


def _distinct(recordings: list[Recording]) -> list[Recording]:
    """Segments of one recording that share its name get their times into theirs."""
    often = Counter(recording.name for recording in recordings if recording.offset is not None)

    def distinct(one: Recording) -> Recording:
        return replace(one, name=cut_name(one.name, one.offset, one.duration)) if often[one.name] > 1 else one

    return [distinct(recording) for recording in recordings]


def _renumbered(groups: Sequence[int]) -> list[int]:
    """For each place the first of its group.

    >>> _renumbered([7, 3, 7])
    [0, 1, 0]
    """
    first: dict[int, int] = {}
    return [first.setdefault(group, place) for place, group in enumerate(groups)]


def _shared(recordings: Sequence[Recording], first: Sequence[int]) -> list[str]:
    """What is there under two names, and what the dataset itself has in two splits."""
    again = [
        (one, recordings[place]) for one, place in zip(recordings, first, strict=True) if one is not recordings[place]
    ]
    apart = [(one, two) for one, two in again if one.splits != two.splits]
    kept = [(one, two) for one, two in again if one.splits == two.splits]
    lines = []
    if kept:
        one, two = kept[0]
        names = (one.name, two.name) if one.audio == two.audio else (one.audio.name, two.audio.name)
        lines.append(
            f"recordings that are there under another name too: {len(kept):,} ({' is '.join(names)}, for one); kept in "
            "one split"
        )
    if apart:
        one, two = apart[0]
        lines.append(
            f"recordings in two splits of the dataset: {len(apart):,} ({one.audio} of {', '.join(one.splits)} is "
            f"{two.audio} of {', '.join(two.splits)}, for one); train.py refuses such sets: take them out of one with "
            "`python -m manifests filter … --not-in FILE.jsonl`"
        )
    return lines


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


def write_list(path: Path, lines: list[str]) -> None:
    """Write a list beside the manifests, or remove it where there is nothing to list."""
    if lines:
        kept = (line.replace("\n", "\\n") for line in lines)  # names of files may have a line's end in them
        path.write_text("\n".join(kept) + "\n", encoding="utf-8", errors="backslashreplace")
    else:
        path.unlink(missing_ok=True)
