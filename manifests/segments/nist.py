"""NIST's CTM (a word a line) and STM (a segment a line), as sclite reads them (github.com/usnistgov/SCTK)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from manifests.cuts import seconds
from manifests.lines import ManifestError, text_of
from manifests.segments.segment import Labels, Segment
from manifests.segments.words import SILENCE, utterances

NOT_SAID = {"non-lex", "misc", "noise"}  # types of a CTM that are no words
_CATEGORIES = re.compile(r"<(?:[^<>\s]*,[^<>\s]*|NA)>\s*", re.I)  # <o,f0,male>; <NA> is TED-LIUM's
_ALTERNATIVES = re.compile(r"\{[^{}]*\s/\s[^{}]*\}")


def ctm(path: Path, pause: float = 0.5, longest: float = 20.0) -> Labels:
    """Segments of a .ctm file: its words, joined.

    Args:
        path: of the file; its lines are RECORDING CHANNEL START DURATION WORD [CONFIDENCE [TYPE [SPEAKER]]].
        pause: see `words.utterances`.
        longest: see `words.utterances`.

    Raises:
        ManifestError: a line is none, holds alternatives, or a recording has several channels.
    """
    words: dict[str, list[Segment]] = {}
    channels: dict[str, tuple[str, str]] = {}
    notes: Counter[str] = Counter()
    for where, line in _lines(path):
        fields = line.split()
        if len(fields) < 5:
            raise ManifestError(f"{where}: expected `RECORDING CHANNEL START DURATION WORD`, found {line!r:.80}.")
        recording, channel, start, length, word = fields[:5]
        if word.upper().startswith("<ALT"):
            raise ManifestError(f"{where}: alternatives ({word}): which is said? Keep one of them.")
        _one_channel(channels, recording, channel, where)
        spoken = words.setdefault(recording, [])
        kind = fields[6].lower() if len(fields) > 6 else "lex"
        if word.lower() in SILENCE or kind in NOT_SAID:
            notes["entries for silence or noise passed over"] += 1
            continue
        begun = seconds(start, where, "the start")
        ended = begun + seconds(length, where, "the duration")
        speaker = fields[7] if len(fields) > 7 and fields[7].lower() not in ("null", "unknown", "<na>") else None
        spoken.append(Segment(begun, round(ended, 6), word, where, speaker))
    joined = {recording: utterances(spoken, pause, longest) for recording, spoken in words.items()}
    notes[f"words joined at pauses of {pause:g} s"] = 0
    return Labels(joined, notes)


def stm(path: Path) -> Labels:
    """Segments of a .stm file: RECORDING CHANNEL SPEAKER START END [<LABELS>] TEXT.

    Raises:
        ManifestError: a line is none, or a recording has several channels.
    """
    segments: dict[str, list[Segment]] = {}
    channels: dict[str, tuple[str, str]] = {}
    for where, line in _lines(path):
        fields = line.split(None, 5)
        if len(fields) < 5:
            raise ManifestError(f"{where}: expected `RECORDING CHANNEL SPEAKER START END TEXT`, found {line!r:.80}.")
        recording, channel, speaker, start, end = fields[:5]
        _one_channel(channels, recording, channel, where)
        text = fields[5].strip() if len(fields) > 5 else ""
        if labels := _CATEGORIES.match(text):
            text = text[labels.end() :]
        passed_over = ""
        if text.lower() == "ignore_time_segment_in_scoring" or speaker.lower() == "inter_segment_gap":
            passed_over = "segments not to be scored"
        elif _ALTERNATIVES.search(text):
            passed_over = "segments with alternatives"
        begun, ended = seconds(start, where, "the start"), seconds(end, where, "the end")
        segments.setdefault(recording, []).append(Segment(begun, ended, text, where, speaker, passed_over))
    return Labels(segments)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    empty = True
    for number, line in enumerate(text_of(path).split("\n"), 1):
        if line.strip() and not line.startswith(";;"):
            empty = False
            yield f"{path}:{number}", line
    if empty:
        raise ManifestError(f"{path} holds no lines but comments.")


def _one_channel(channels: dict[str, tuple[str, str]], recording: str, channel: str, where: str) -> None:
    first, line = channels.setdefault(recording, (channel, where))
    if first != channel:
        raise ManifestError(
            f"{where}: channel {channel} of {recording}, but {line} has channel {first}. Write each channel to a file "
            "of its own, with labels of its own."
        )
