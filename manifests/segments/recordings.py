"""Recordings with files of labels, paired by name, become utterances; what cannot be one is left out and named."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from heyjetson.audio import is_recording
from manifests.convert import duration, files
from manifests.corpus import Recording
from manifests.cuts import cut_name
from manifests.found import Found
from manifests.lines import ManifestError, require_file
from manifests.segments.audacity import audacity, is_audacity
from manifests.segments.nist import ctm, stm
from manifests.segments.segment import Labels, Segment
from manifests.segments.subtitles import subrip, vtt
from manifests.segments.textgrid import textgrid
from manifests.show import from_here
from manifests.tables import SPLITS

OVERSHOOT = 0.5  # seconds that labels may go on after the recording, or begin before it: they are cut to it


@dataclass(frozen=True)
class SegmentOptions:
    """How labels become utterances.

    Args:
        format: one of `FORMATS`; by the file's suffix when None.
        tier: of a TextGrid; see `textgrid`.
        pause: seconds between two words that part utterances, where labels are of words.
        pad: seconds added before and after each segment, as far as nobody else speaks there.
        shortest: seconds; shorter segments are left out.
        longest: seconds; longer segments are left out.
        overlap: seconds that two segments may share; what overlaps more is left out, for each holds words of the other.
        split: where all go; by folders named train, dev, test, else `train`, when None.
    """

    format: str | None = None
    tier: str | None = None
    pause: float = 0.5
    pad: float = 0.0
    shortest: float = 0.1
    longest: float = 20.0
    overlap: float = 0.1
    split: str | None = None


FORMATS: dict[str, Callable[[Path, SegmentOptions], Labels]] = {
    "srt": lambda path, _: subrip(path),
    "vtt": lambda path, _: vtt(path),
    "textgrid": lambda path, given: textgrid(path, given.tier, given.pause, given.longest - 2 * given.pad),
    "audacity": lambda path, _: audacity(path),
    "ctm": lambda path, given: ctm(path, given.pause, given.longest - 2 * given.pad),
    "stm": lambda path, _: stm(path),
}


def recordings(sound: Path, labels: Path | None, options: SegmentOptions) -> Found:
    """Utterances of a recording and its labels, or of all pairs in a folder.

    Args:
        sound: a recording, or a folder of recordings.
        labels: a file of labels, or a folder of them; beside the recordings when None.
        options: how.

    Raises:
        ManifestError: a file is missing or cannot be read, nothing pairs, or it is not clear which pairs.
    """
    if not (options.shortest >= 0 and options.longest > options.shortest and options.pad >= 0 and options.overlap >= 0):
        raise ManifestError("--pad, --overlap and --shortest must be 0 s or more, --longest more than --shortest.")
    found, notes = Found(), defaultdict[str, list[int]](list)
    pairs = 0
    for audio, name, split, segments, said in _pairs(sound, labels, options, found):
        pairs += 1
        for note, count in said.items():
            notes[note].append(count)
        _utterances(audio, name, options.split or split, segments, options, found)
    for note, counts in notes.items():
        touched = f": {sum(counts):,}" if any(counts) else ""
        found.notes.append(f"labels: {note}{touched}{f' in {len(counts):,} files' if pairs > 1 else ''}")
    return found


def _pairs(
    sound: Path, labels: Path | None, options: SegmentOptions, found: Found
) -> Iterator[tuple[Path, str, str, list[Segment], Counter[str]]]:
    """Each recording with its name, its split, what its labels hold and what is to be said of them."""
    if sound.is_dir() and (labels is None or labels.is_dir()):
        yield from _by_name(sound, labels or sound, options, found)
        return
    if labels is None:
        labels = _beside(sound)
    read = _read(labels, options)
    if sound.is_dir():
        heard = _heard(sound)
        by_stem: dict[str, list[str]] = defaultdict(list)
        for name in heard:
            by_stem[name.rpartition("/")[2]].append(name)
        for recording, segments in read.segments.items():
            names = by_stem.get(recording or labels.stem, [])
            if len(names) > 1:
                raise ManifestError(f"{heard[names[0]]} and {heard[names[1]]} have one name: which is {recording}?")
            if not names:
                for one in segments:
                    found.leave_out("labels without a recording", f"{one.where}: {sound} has no {recording}.")
                continue
            yield heard[names[0]], names[0], _split(names[0]), segments, read.notes
        return
    require_file(sound, "recording")
    yield sound, sound.stem, "train", _of(read, labels, sound.stem), read.notes


def _beside(sound: Path) -> Path:
    """The labels of a recording that lie beside it."""
    require_file(sound, "recording")
    found = [path for path in sorted(sound.parent.iterdir()) if path.stem == sound.stem and _format(path)]
    if len(found) != 1:
        listed = f" there are {' and '.join(path.name for path in found)}" if found else " none lie beside it"
        raise ManifestError(f"Which labels of {sound}?{listed}. Give the file after it.")
    return found[0]


def _by_name(
    sound: Path, labels: Path, options: SegmentOptions, found: Found
) -> Iterator[tuple[Path, str, str, list[Segment], Counter[str]]]:
    heard = _heard(sound)
    paired: dict[str, Path] = {}
    for path in files(labels):
        if (kind := _format(path)) is None or kind != (options.format or kind):
            continue
        name = str(path.relative_to(labels).with_suffix(""))
        if name not in heard and name.rpartition(".")[0] in heard:
            name = name.rpartition(".")[0]  # talk.en.srt
        if name not in heard:
            reason = f"{path}: no recording in {sound} is named after it."
            found.leave_out("labels without a recording", reason)
        elif name in paired:
            raise ManifestError(
                f"{paired[name]} and {path} are both labels of {heard[name].name}: which is meant? Choose with "
                "--format, or move one of them elsewhere."
            )
        else:
            paired[name] = path
    if not paired:
        suffixes = ".srt, .vtt, .TextGrid, .ctm, .stm or Audacity's .txt"
        raise ManifestError(f"{labels} holds no labels ({suffixes}) named after a recording in {sound}.")
    for name, audio in heard.items():
        if name not in paired:
            found.leave_out("recordings without labels", f"{audio}: no labels are named after it.")
            continue
        read = _read(paired[name], options)
        yield audio, name, _split(name), _of(read, paired[name], audio.stem), read.notes


def _heard(folder: Path) -> dict[str, Path]:
    heard: dict[str, Path] = {}
    for path in files(folder):
        if is_recording(path):
            first = heard.setdefault(str(path.relative_to(folder).with_suffix("")), path)
            if first != path:
                raise ManifestError(f"{first} and {path} have one name: which is meant? Move one of them elsewhere.")
    if not heard:
        raise ManifestError(f"{folder} holds no recordings.")
    return heard


def _split(name: str) -> str:
    folder, below, _ = name.partition("/")
    return SPLITS.get(folder.lower(), "train") if below else "train"


def _format(path: Path) -> str | None:
    suffix = path.suffix.lower().removeprefix(".")
    if suffix in FORMATS and suffix != "audacity":
        return suffix
    return "audacity" if suffix in ("txt", "lab", "labels", "tsv") and path.is_file() and is_audacity(path) else None


def _read(path: Path, options: SegmentOptions) -> Labels:
    kind = options.format or _format(path)
    if kind is None:
        require_file(path)
        raise ManifestError(f"{path}: what kind of labels? Give --format {'|'.join(FORMATS)}.")
    return FORMATS[kind](path, options)


def _of(labels: Labels, path: Path, stem: str) -> list[Segment]:
    """Segments of one recording; of the only one whatever it is called."""
    if stem in labels.segments:
        return labels.segments[stem]
    if len(labels.segments) == 1:
        return next(iter(labels.segments.values()))
    raise ManifestError(
        f"{path} has labels of {', '.join(labels.segments):.200}, but none of {stem}. Rename the recording, or give "
        "the folder of them all."
    )


def _utterances(
    audio: Path, name: str, split: str, segments: Sequence[Segment], options: SegmentOptions, found: Found
) -> None:
    """Add the segments of one recording that can be utterances."""
    try:
        length = duration(audio)
    except ManifestError as error:
        found.leave_out("unreadable recordings", str(error))
        return

    def without(segment: Segment, kind: str, reason: str) -> None:
        said = f": {segment.text:.60}" if segment.text else "."
        found.leave_out(kind, f"{segment.where}: {segment.start:.2f} to {segment.end:.2f} s {reason}{said}")

    timed, early, late = [], 0, 0
    for segment in segments:
        if segment.passed_over:
            without(segment, segment.passed_over, f"is left out ({segment.passed_over})")
        elif segment.end < segment.start:
            without(segment, "backward segments", "ends before it starts")
        elif segment.end == segment.start:
            without(segment, "segments of no length", "has no length")
        elif not (0 < segment.end <= length + OVERSHOOT and -OVERSHOOT <= segment.start < length):
            without(segment, "segments outside their recording", f"is outside {audio.name}, which lasts {length:.2f} s")
        elif not segment.text:
            without(segment, "segments without text", "has no text")
        else:
            early += segment.start < 0
            late += segment.end > length
            timed.append(replace(segment, start=max(segment.start, 0.0), end=min(segment.end, length)))
    for count, what in ((early, "begin up to {:g} s before"), (late, "end up to {:g} s after")):
        if count:
            cut = f"{count} of {len(segments)} segments {what.format(OVERSHOOT)} the sound, and are cut there"
            found.notes.append(f"{from_here(audio)}: {cut}")
    timed.sort(key=lambda one: (one.start, one.end))
    doubled = _overlapping(timed, options.overlap)
    before = 0.0
    for number, segment in enumerate(timed):
        after = timed[number + 1].start if number + 1 < len(timed) else length
        start = min(segment.start, max(segment.start - options.pad, before))
        end = max(segment.end, min(segment.end + options.pad, after))
        before = max(before, segment.end)
        if number in doubled:
            without(segment, "overlapping segments", "overlaps another")
        elif segment.end - segment.start < options.shortest:
            without(segment, f"segments shorter than {options.shortest:g} s", "is short")
        elif end - start > options.longest + 1e-6:
            without(segment, f"segments longer than {options.longest:g} s", "is long")
        else:
            start, lasting = round(start, 4), round(end - start, 4)
            extra = {"speaker": segment.speaker} if segment.speaker else {}
            found.recordings.append(
                Recording(audio, segment.text, (split,), cut_name(name, start, lasting), extra, start, lasting)
            )


def _overlapping(segments: Sequence[Segment], allowed: float) -> set[int]:
    """Places of segments, in order of their starts, that share more than so many seconds with another."""
    doubled: set[int] = set()
    last = 0
    for number in range(1, len(segments)):
        if min(segments[last].end, segments[number].end) - segments[number].start > allowed + 1e-6:
            doubled |= {last, number}
        if segments[number].end > segments[last].end:
            last = number
    return doubled
