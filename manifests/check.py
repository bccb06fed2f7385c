"""What training needs of a manifest: `python -m manifests check`, and the preflight of train.py."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import soundfile

from manifests.convert import duration
from manifests.lines import ManifestError, Utterance, read_manifest
from manifests.progress import progress, threaded
from manifests.show import LONGEST_PATH, short
from manifests.text import Normaliser, TextOptions

SILENCE = 1e-4  # peak; 16-bit sound that never leaves its lowest three steps holds no speech
SHOWN = 8


@dataclass(frozen=True)
class Requirements:
    """What an utterance must satisfy.

    Args:
        labels: characters the model can write.
        shortest: seconds; the front-end's window.
        longest: seconds.
        frames: output frames of the model for a duration in seconds; None leaves out the CTC check.
        decode: read every recording to its end; otherwise only the manifest and the file's presence are checked.
    """

    labels: Sequence[str]
    shortest: float = 0.025
    longest: float = 20.0
    frames: Callable[[float], int] | None = None
    decode: bool = True


@dataclass
class Report:
    """What a check found.

    Args:
        manifest: what was checked.
        good: utterances without a fault.
        faults: one sentence for each bad utterance, with file and line.
        kinds: how many faults of each kind.
    """

    manifest: Path
    good: list[Utterance] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

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


def _fault(utterance: Utterance, needs: Requirements) -> tuple[str, str] | None:
    """Kind and sentence of the first thing wrong with an utterance; None when it is good."""
    if not utterance.text.strip():
        return "empty transcripts", "the transcript is empty. Write what is said, or remove the line."
    if strange := sorted(set(utterance.text) - set(needs.labels)):
        listed = " ".join(repr(character) for character in strange)
        return (
            "transcripts with characters outside the labels",
            f"characters outside the labels: {listed:.200}. Normalise the text (lower case, numbers as words), or add "
            "them to labels.",
        )
    try:
        there = utterance.audio.is_file()
    except OSError as error:  # a name too long, a folder that may not be entered
        return "unreadable files", f"cannot be read ({error.strerror}). Correct the path, or remove the line."
    if not there:
        return "missing files", "the audio file does not exist. Correct the path; it is relative to the manifest."
    seconds = utterance.duration
    if needs.decode:
        try:
            samples, rate = soundfile.read(utterance.audio, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
            reason = str(error).split(": ", 1)[-1].rstrip(".")
            return "unreadable files", f"cannot be decoded ({reason}). Fetch or convert it again, or remove the line."
        length = len(samples) / rate
        if length == 0 or not np.isfinite(samples).all():
            return (
                "unreadable files",
                "holds no samples, or samples that are not numbers. Record it again or remove it.",
            )
        if abs(length - seconds) > max(0.1, 0.02 * length):
            return (
                "wrong durations",
                f"the manifest says {seconds:.2f} s, the file lasts {length:.2f} s. Is it cut short? "
                "Otherwise correct the duration.",
            )
        if float(np.abs(samples).max()) < SILENCE:
            return "silent files", "is silent. Record it again, or remove the line."
        seconds = length
    if seconds < needs.shortest:
        return "too short files", f"{seconds:.3f} s is shorter than one frame of {needs.shortest:.3f} s. Remove it."
    if seconds > needs.longest:
        return (
            "too long files",
            f"{seconds:.1f} s is longer than the limit of {needs.longest:.1f} s. Cut it, or raise data.longest.",
        )
    if needs.frames is not None:
        frames, needed = needs.frames(seconds), frames_needed(utterance.text)
        if frames < needed:
            return (
                "transcripts too long for their sound",
                f"the transcript needs {needed} output frames but the model gives {frames} for {seconds:.2f} s. "
                "Is the text right? Otherwise use an encoder with less stride.",
            )
    return None


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
    found: Iterable[tuple[str, str] | None]
    if needs.decode:
        found = threaded(lambda utterance: _fault(utterance, needs), utterances, f"checking {report.manifest.name}")
    else:  # microseconds each: threads would cost more than they save
        found = progress((_fault(one, needs) for one in utterances), "checking", len(utterances))
    for utterance, fault in zip(utterances, found, strict=True):
        if fault is None:
            report.good.append(utterance)
        else:
            report.kinds[fault[0]] += 1
            audio = short(str(utterance.audio), LONGEST_PATH)
            report.faults.append(f"{report.manifest}:{utterance.line}: {audio}: {fault[1]}")
    return report


@dataclass
class Mended:
    """What `mend` made of a manifest.

    Args:
        report: of the mended utterances; its `good` ones are worth keeping.
        changes: what was mended, a line for each kind.
    """

    report: Report
    changes: list[str]


def mend(manifest: str | os.PathLike[str], needs: Requirements, text: TextOptions) -> Mended:
    """Normalise transcripts and correct durations, then check what came of it.

    Args:
        manifest: JSON lines; it is not changed.
        needs: what to check for.
        text: which steps transcripts go through.

    Raises:
        ManifestError: the manifest itself cannot be read.
    """
    normaliser = Normaliser(text)

    def mended(utterance: Utterance) -> Utterance:
        try:
            seconds = duration(utterance.audio)
        except ManifestError:
            seconds = utterance.duration  # the check will say what is wrong with it
        return replace(utterance, duration=seconds)

    report = Report(Path(manifest))
    before = _normalised(read_manifest(manifest), normaliser, report)
    after = [mended(utterance) for utterance in before]
    corrected = sum(abs(a.duration - b.duration) > 0.01 for a, b in zip(before, after, strict=True))
    changes = list(normaliser.report()) + ([f"durations: {corrected} corrected"] if corrected else [])
    return Mended(_examine(report, after, needs), changes)


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
