"""Praat's TextGrid, long or short, as Praat, ELAN and the Montreal Forced Aligner write it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from praatio.utilities.errors import ParsingError
from praatio.utilities.textgrid_io import parseTextgridStr

from manifests.lines import ManifestError, text_of
from manifests.segments.segment import Labels, Segment
from manifests.segments.words import SILENCE, utterances

INTERVALS = "IntervalTier"
# Tiers are named after what they hold, or after who speaks.
WORDS = {"word", "words", "wrd", "ort-mau"}
PHONES = {"phone", "phones", "phoneme", "phonemes", "phon", "phn", "segment", "segments", "syllable", "syllables",
          "mau", "mas", "kan-mau"}  # fmt: skip
LEVELS = WORDS | PHONES | {
    "sentence", "sentences", "utterance", "utterances", "text", "transcript", "transcription", "speech", "ort",
    "orthography", "label", "labels", "ipu", "ipus", "phrase", "phrases", "turn", "turns",
}  # fmt: skip
_SIZE = re.compile(
    r'"(?:IntervalTier|TextTier)"\s+(?:name ?= ?)?"(?:[^"]|"")*"\s+(?:xmin ?= ?)?\S+\s+(?:xmax ?= ?)?\S+\s+'
    r"(?:(?:intervals|points): size ?= ?)?(\d+)"
)
_EXPONENT = re.compile(r"^(\s*(?:(?:xmin|xmax|number) ?= ?)?)(-?\d+(?:\.\d+)?[eE][-+]?\d+)(\s*)$", re.M)


def textgrid(path: Path, tier: str | None = None, pause: float = 0.5, longest: float = 20.0) -> Labels:
    """Segments of a tier; intervals without text are pauses.

    Args:
        path: of the file.
        tier: which, or several with commas between, each a speaker; when None the first with text that does not
            hold phones. A tier of words is joined to utterances.
        pause: see `words.utterances`.
        longest: see `words.utterances`.

    Raises:
        ManifestError: the file is no TextGrid or is cut short, or there is no such tier.
    """
    tiers = _tiers(path)
    spoken = [one for one in tiers if one["class"] == INTERVALS and any(text for *_, text in one["entries"])]
    if tier:
        chosen = [_named(path, tiers, name.strip()) for name in tier.split(",")]
    else:
        chosen = [one for one in spoken if _level(one["name"]) not in PHONES][:1]
        if not chosen:
            listed = ", ".join(repr(one["name"]) for one in tiers)
            raise ManifestError(f"{path}: no tier of intervals holds words; there are {listed}. Choose with --tier.")
    labels = Labels({"": []})
    others = [one["name"] for one in spoken if one not in chosen]
    for one in chosen:
        name = one["name"]
        whose = _speaker(name)
        said = [entry for entry in one["entries"] if entry[-1]]
        spoken_of = [entry for entry in said if entry[-1].lower() not in SILENCE]
        if len(said) > len(spoken_of):
            labels.notes["intervals for silence passed over"] += len(said) - len(spoken_of)
        segments = [
            Segment(float(start), float(end), text, f"{path}: tier {name}, {float(start):.2f} s", whose)
            for start, end, text in spoken_of
        ]
        words = _level(name) in WORDS
        joined = f", words joined at pauses of {pause:g} s" if words else ""
        also = f" (there are also {', '.join(others)}: --tier)" if others and not tier else ""
        labels.notes[f"tier {name}{joined}{also}"] = 0
        labels.segments[""] += utterances(segments, pause, longest) if words else segments
    return labels


def _tiers(path: Path) -> list[dict[str, Any]]:
    text = text_of(path)
    # praatio knows no exponents, which Praat writes for times near 0, and loses the sign of a number.
    plain = _EXPONENT.sub(lambda found: f"{found[1]}{float(found[2]):.9f}{found[3]}", text)
    if not plain.endswith("\n"):
        plain += "\n"  # the last label of a short one is lost else
    try:
        tiers = parseTextgridStr(plain, includeEmptyIntervals=True)["tiers"]
        for tier in tiers:
            tier["entries"] = [(*times, " ".join(label.split())) for *times, label in tier["entries"]]
            for *times, _ in tier["entries"]:
                [float(time) for time in times]
    except (ParsingError, ValueError, IndexError, KeyError, TypeError, AttributeError):
        cure = "Open it in Praat and save it again."
        raise ManifestError(f"{path}: cannot be read as a TextGrid of Praat. {cure}") from None
    sizes = [int(size) for size in _SIZE.findall(plain)]
    if len(sizes) != len(tiers) and not plain.lstrip().startswith("{"):
        raise ManifestError(f"{path}: {len(sizes)} tiers begin, {len(tiers)} could be read. Save it again in Praat.")
    for size, tier in zip(sizes, tiers, strict=False):
        if size != len(tier["entries"]):
            raise ManifestError(
                f"{path}: the tier {tier['name']} has {len(tier['entries'])} of {size} intervals: the file was cut "
                "short, or changed by hand. Fetch it again, or save it again in Praat."
            )
    if doubled := [name for name, count in Counter(tier["name"] for tier in tiers).items() if count > 1]:
        raise ManifestError(f"{path}: several tiers are named {doubled[0]}. Rename them in Praat.")
    return tiers


def _named(path: Path, tiers: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for tier in tiers:
        if tier["name"] == name:
            if tier["class"] != INTERVALS:
                raise ManifestError(f"{path}: the tier {name} holds points, not intervals. Choose another --tier.")
            return tier
    listed = ", ".join(repr(tier["name"]) for tier in tiers)
    raise ManifestError(f"{path}: there is no tier {name!r}; there are {listed}.")


def _level(name: str) -> str:
    """What a tier holds; the aligner's tiers are called `anna - words`."""
    return name.rpartition(" - ")[2].strip().lower()


def _speaker(name: str) -> str | None:
    if name.strip().lower() in LEVELS:
        return None
    return name.rpartition(" - ")[0].strip() if " - " in name and _level(name) in LEVELS else name.strip() or None
