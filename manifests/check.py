"""What training needs of a manifest: `python -m manifests check`, and the preflight of train.py."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from heyjetson.audio import read_sound
from heyjetson.audio.files import name_of
from heyjetson.errors import AudioError, SegmentError
from manifests.convert import duration, is_silent, require_channels
from manifests.cuts import disagree
from manifests.lines import ManifestError, Utterance, read_manifest
from manifests.notes import Notes
from manifests.progress import progress, threaded
from manifests.show import LONGEST_PATH, short
from manifests.text import Normaliser, TextOptions

SHOWN = 8
UNREADABLE = "unreadable files"


@dataclass(frozen=True)
class Requirements:
    """What an utterance must satisfy.

    Args:
        labels: characters the model can write.
        shortest: seconds; the front-end's window.
        longest: seconds.
        frames: output frames of the model for a duration in seconds; None leaves out the CTC check.
        decode: read every recording to its end; otherwise only the manifest and the file's presence are checked.
        channels: of recordings that have several, as training reads them; see `heyjetson.audio.to_mono`.
    """

    labels: Sequence[str]
    shortest: float = 0.025
    longest: float = 20.0
    frames: Callable[[float], int] | None = None
    decode: bool = True
    channels: str = "mix"

    def __post_init__(self) -> None:
        require_channels(self.channels)


@dataclass
class Report:
    """What a check found.

    Args:
        manifest: what was checked.
        good: utterances without a fault.
        faults: one sentence for each bad utterance, with file and line.
        kinds: how many faults of each kind.
        notes: what was noted of the sound of good utterances.
        utterances: all, in the manifest's order.
    """

    manifest: Path
    good: list[Utterance] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    notes: Notes = field(default_factory=Notes)
    utterances: Sequence[Utterance] = ()

    def summary(self) -> str:
        """All kinds with their counts, and the first faults in full."""
        counts = ", ".join(f"{count} {kind}" for kind, count in self.kinds.most_common())
        shown = "\n".join(f"  {fault}" for fault in self.faults[:SHOWN])
        rest = len(self.faults) - SHOWN
        more = f"\n  … and {rest} more; `python -m manifests check {self.manifest}` lists all." if rest > 0 else ""
        total = len(self.good) + len(self.faults)
        return f"{len(self.faults)} of {total} utterances in {self.manifest} are bad ({counts}):\n{shown}{more}"


def frames_needed(text: str) -> int:
    """Fewest frames CTC can write a text in: one a character, one more between equal neighbours."""
    return len(text) + sum(a == b for a, b in zip(text, text[1:], strict=False))


@dataclass(frozen=True)
class _Finding:
    """Kind and sentence of the first thing wrong with an utterance, empty when it is good; and what was noted of it."""

    kind: str = ""
    said: str = ""
    notes: tuple[str, ...] = ()


def _examined(utterance: Utterance, needs: Requirements) -> _Finding:
    if not utterance.text.strip():
        return _Finding("empty transcripts", "the transcript is empty. Write what is said, or remove the line.")
    if strange := sorted(set(utterance.text) - set(needs.labels)):
        listed = " ".join(repr(character) for character in strange)
        return _Finding(
            "transcripts with characters outside the labels",
            f"characters outside the labels: {listed:.200}. Normalise the text (lower case, numbers as words), or add "
            "them to labels.",
        )
    if utterance.text != " ".join(utterance.text.split()):  # each space is a label, which training would teach
        return _Finding(
            "transcripts with spaces too many",
            f"spaces before, behind or side by side in {utterance.text!r:.80}: a model would learn to write each. "
            "`python -m manifests check MANIFEST --fix OUT` leaves one between two words.",
        )
    try:
        there = utterance.audio.is_file()
    except OSError as error:  # a name too long, a folder that may not be entered
        return _Finding(UNREADABLE, f"cannot be read ({error.strerror}). Correct the path, or remove the line.")
    if not there:
        return _Finding(
            "missing files", "the audio file does not exist. Correct the path; it is relative to the manifest."
        )
    heard = _heard(utterance, needs) if needs.decode else (utterance.duration, ())
    if isinstance(heard, _Finding):
        return heard
    seconds, notes = heard
    if seconds < needs.shortest:
        return _Finding(
            "too short files", f"{seconds:.3f} s is shorter than one frame of {needs.shortest:.3f} s. Remove it."
        )
    if seconds > needs.longest:
        return _Finding(
            "too long files",
            f"{seconds:.1f} s is longer than the limit of {needs.longest:.1f} s. Cut it, or raise data.longest.",
        )
    if needs.frames is not None:
        frames, needed = needs.frames(seconds), frames_needed(utterance.text)
        if frames < needed:
            return _Finding(
                "transcripts too long for their sound",
                f"the transcript needs {needed} output frames but the model gives {frames} for {seconds:.2f} s. "
                "Is the text right? Otherwise use an encoder with less stride.",
            )
    return _Finding(notes=notes)


def _heard(utterance: Utterance, needs: Requirements) -> tuple[float, tuple[str, ...]] | _Finding:
    """Seconds of an utterance that were read, and what was noted of them."""
    offset, wanted = utterance.segment
    try:
        sound = read_sound(utterance.audio, channels=needs.channels, offset=offset, duration=wanted)
    except AudioError as error:
        kind = "segments outside their files" if isinstance(error, SegmentError) else UNREADABLE
        return _Finding(kind, str(error).removeprefix(name_of(utterance.audio)).lstrip(": "))
    seconds = sound.seconds
    if sound.missing:
        return _Finding(
            "cut short files",
            f"is cut short: {seconds:.2f} s are there of {seconds + sound.missing:.2f}. Fetch it again, or remove the "
            "line.",
        )
    if disagree(utterance.duration, seconds):
        return _Finding(
            "wrong durations",
            f"the manifest says {utterance.duration:.2f} s, the file lasts {seconds:.2f} s. Correct the duration; a "
            'part of a file has an "offset" too.',
        )
    if is_silent(sound.samples):
        return _Finding("silent files", "is silent. Record it again, or remove the line.")
    return seconds, sound.notes


def check(manifest: str | os.PathLike[str], needs: Requirements) -> Report:
    """Check every utterance of a manifest; bad ones are reported, not raised.

    Args:
        manifest: JSON lines.
        needs: what to check for.

    Raises:
        ManifestError: the manifest itself cannot be read.
    """
    return _examine(Report(Path(manifest)), read_manifest(manifest), needs)


def _examine(report: Report, utterances: Sequence[Utterance], needs: Requirements) -> Report:
    report.utterances = utterances
    found: Iterable[_Finding]
    if needs.decode:
        found = threaded(lambda utterance: _examined(utterance, needs), utterances, f"checking {report.manifest.name}")
    else:  # microseconds each: threads would cost more than they save
        found = progress((_examined(one, needs) for one in utterances), "checking", len(utterances))
    for utterance, finding in zip(utterances, found, strict=True):
        if not finding.kind:
            report.good.append(utterance)
            if not finding.notes:
                continue
        where = f"{report.manifest}:{utterance.line}: {short(str(utterance.audio), LONGEST_PATH)}"
        if not finding.kind:
            report.notes.add(where, finding.notes)
        else:
            report.kinds[finding.kind] += 1
            report.faults.append(f"{where}: {finding.said}")
    return report


@dataclass
class Fixed:
    """What `fix` made of a manifest.

    Args:
        report: of the fixed utterances; its `good` ones are worth keeping.
        changes: what was fixed, a line for each kind.
    """

    report: Report
    changes: list[str]


def fix(manifest: str | os.PathLike[str], needs: Requirements, text: TextOptions) -> Fixed:
    """Normalise transcripts and correct the durations of whole recordings, then check what came of it.

    A segment keeps its offset and its duration: what they should be is not in the recording.

    Args:
        manifest: JSON lines; it is not changed.
        needs: what to check for.
        text: which steps transcripts go through.

    Raises:
        ManifestError: the manifest itself cannot be read.
    """
    normaliser = Normaliser(text)

    def seconds(utterance: Utterance) -> float:
        if utterance.offset is not None:
            return utterance.duration
        try:
            return duration(utterance.audio)
        except ManifestError:
            return utterance.duration  # the check will say what is wrong with it

    report = Report(Path(manifest))
    before = _normalised(read_manifest(manifest), normaliser, report)
    lasting = threaded(seconds, before, f"measuring {Path(manifest).name}")
    after = [replace(one, duration=lasts) for one, lasts in zip(before, lasting, strict=True)]
    corrected = sum(abs(a.duration - b.duration) > 0.01 for a, b in zip(before, after, strict=True))
    changes = list(normaliser.report()) + ([f"durations: {corrected} corrected"] if corrected else [])
    return Fixed(_examine(report, after, needs), changes)


def _normalised(utterances: Iterable[Utterance], normaliser: Normaliser, report: Report) -> list[Utterance]:
    """Utterances with their transcripts in the labels; those that are refused go to the report."""
    fit = []
    for one in utterances:
        text, refused = normaliser(one.text)
        if refused:
            report.kinds[refused.counted] += 1
            audio = short(str(one.audio), LONGEST_PATH)
            report.faults.append(f"{report.manifest}:{one.line}: {audio}: {refused.of(one.text)}")
        else:
            fit.append(replace(one, text=text))
    return fit


def require(report: Report, on_bad_sample: str) -> None:
    """Refuse or accept a report as `data.on_bad_sample` says.

    Args:
        report: of `check`.
        on_bad_sample: `fail` or `skip`.

    Raises:
        ManifestError: there are faults and the choice is `fail`, or nothing good is left.
    """
    if on_bad_sample not in ("fail", "skip"):
        raise ManifestError(f"data.on_bad_sample must be fail or skip, found {on_bad_sample!r}.")
    if report.faults and on_bad_sample == "fail":
        raise ManifestError(
            f"{report.summary()}\nMend them, or go on without them: data.on_bad_sample=skip (--on-bad-sample skip) "
            "leaves them out and says how many."
        )
    if not report.good:
        raise ManifestError(f"{report.summary()}\nNo good utterance is left.")
