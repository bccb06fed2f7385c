"""Kaldi's data directories, as its recipes, icefall's and ESPnet's make them (kaldi-asr.org/doc/data_prep.html).

Layout: `wav.scp` (ID PATH) and `text` (UTTERANCE WORDS …), with them `segments` (UTTERANCE RECORDING START END),
`utt2spk` or `spk2utt`, `spk2gender`, `reco2dur`. A folder that holds several of them has one for each set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.corpus import Recording, Summary
from manifests.cuts import seconds
from manifests.found import Found
from manifests.kaldi_sound import Scripts
from manifests.lines import ManifestError, text_lines
from manifests.prepared import prepare as prepared
from manifests.show import from_here
from manifests.tables import SPLITS

KNOWN = {**SPLITS, "tr": "train", "cv": "validation", "dt": "validation", "eval": "test", "et": "test"}
OVERSHOOT = 0.5  # seconds a segment may end after its recording, as Kaldi's extract-segments has it: it ends with it


@dataclass(frozen=True)
class KaldiOptions:
    """What of a Kaldi folder is taken, and how its wav.scp is read.

    Args:
        sets: names of data directories, each with the split it becomes where its name does not say it; all when empty.
        root: folder that paths are relative to; found out when None.
        allow_commands: run entries of wav.scp that are commands.
    """

    sets: tuple[tuple[str, str | None], ...] = ()
    root: Path | None = None
    allow_commands: bool = False

    @property
    def identity(self) -> str:
        """What was chosen, for a finished corpus to be compared by."""
        sets = ",".join(sorted(f"{name}:{split}" if split else name for name, split in self.sets))
        return " ".join(filter(None, ("kaldi", sets, "with commands" if self.allow_commands else "")))


@dataclass(frozen=True)
class _Part:
    """The sound of an utterance: a recording, or offset and duration in it (to its end when None)."""

    where: str
    recording: str
    offset: float | None = None
    duration: float | None = None
    fault: str = ""


def prepare(
    source: str | None,
    out: str,
    sets: str | Sequence[str] | None,
    root: str | None,
    allow_commands: bool,
    options: Mapping[str, Any],
) -> Summary:
    """Manifests below `out`, made once, with the arguments as conf/data/kaldi.yaml has them."""
    given = sets if isinstance(sets, str) else ",".join(sets or ())
    chosen = KaldiOptions(choose(given), Path(root) if root else None, allow_commands)

    def find(folder: Path | None, made: Path) -> Found:
        if folder is None:
            raise ManifestError("Which folder? Give Kaldi's data directory, or a folder with several, as data.source.")
        return recordings(folder, made, chosen)

    return prepared(chosen.identity, source, out, options, find)


def choose(sets: str) -> tuple[tuple[str, str | None], ...]:
    """Sets from a comma-separated list like `train,dev93,si_et_05:test`.

    Raises:
        ManifestError: a split is unknown.
    """
    chosen = []
    for name, _, split in (one.strip().partition(":") for one in sets.split(",") if one.strip()):
        if split and split.strip().lower() not in SPLITS:
            raise ManifestError(f"Unknown split {split!r} of the set {name!r}; known are {', '.join(SPLITS)}.")
        chosen.append((name.strip(), SPLITS[split.strip().lower()] if split else None))
    return tuple(chosen)


def recordings(source: Path, out: Path, options: KaldiOptions) -> Found:
    """Utterances of a data directory, or of all those in a folder, and what of them cannot be one.

    Args:
        source: a data directory, or a folder with several in it or in its `data`.
        out: folder for the sound that commands and archives hold, below `source` in it.
        options: which sets, and how.

    Raises:
        ManifestError: there is none, a set's split cannot be told, a file cannot be read as Kaldi would, an ID stands
            twice, paths lead nowhere, or an entry is a command and may not be run.
    """
    found = Found()
    sets = _sets(source, options, found)
    scripts = Scripts(out / "source", options.allow_commands)
    shared = {split for split in sets.values() if list(sets.values()).count(split) > 1}
    first: dict[tuple[str, str], Path] = {}
    for folder, split in sets.items():
        alone = folder.absolute() == source.absolute()
        own = (folder.name,) if split in shared and folder.name.lower() not in SPLITS else ()
        before = len(found.recordings)
        for utterance, one in _utterances(folder, source, options, scripts, found).items():
            if (other := first.setdefault((split, utterance), folder)) != folder:
                raise ManifestError(
                    f"{other} and {folder} both hold the utterance {utterance}, and both become {split}: choose the "
                    f"sets with --sets (data.sets in train.py), for example --sets {other.name}."
                )
            name = utterance if alone else f"{folder.name}/{utterance}"
            found.recordings.append(
                Recording(one.audio, one.text, (*own, split), name, one.extra, one.offset, one.duration)
            )
        count = len(found.recordings) - before
        found.notes.append(f"{from_here(folder)}: {count:,} utterances for {split}{scripts.said(folder)}")
    scripts.fetch(found)
    return found


def _sets(source: Path, options: KaldiOptions, found: Found) -> dict[Path, str]:
    """Data directories and the splits they become."""
    if not source.is_dir():
        wrong = f"{source} is no folder" if source.exists() else f"The folder {source} does not exist"
        raise ManifestError(f"{wrong}. Give Kaldi's data directory, or one with several.")
    if (source / "wav.scp").is_file() and not options.sets:
        return {source: _split(source.absolute().name) or "train"}
    below = {
        folder.name: folder
        for place in (source / "data", source)
        if place.is_dir()
        for folder in sorted(place.iterdir())
        if (folder / "wav.scp").is_file()
    }
    if not below:
        raise ManifestError(
            f"{source} holds no data directory of Kaldi's: expected wav.scp and text in it, or in folders like train, "
            "dev and test below it."
        )
    if unknown := [name for name, _ in options.sets if name not in below]:
        raise ManifestError(f"{source} holds no set {', '.join(unknown)}; there are {', '.join(below)}.")
    sets = {}
    for name, given in options.sets or [(name, None) for name in below]:
        if not options.sets and not (below[name] / "text").is_file():
            found.notes.append(f"{from_here(below[name])}: passed over, for it has no file text")
            continue
        split = given or _split(name)
        if split is None:  # not into train: it may be what is to be tested on
            raise ManifestError(
                f"Which split is {below[name]}? Choose the sets with --sets (data.sets in train.py), for example "
                f"--sets {','.join(one if _split(one) else f'{one}:test' for one in below)}."
            )
        sets[below[name]] = split
    return sets


def _split(name: str) -> str | None:
    """By the first word of a set's name: train_si284, dev93, test-other, eval2000."""
    word = re.match("[a-z]*", name.lower())
    return KNOWN.get(word[0]) if word else None


def _utterances(
    folder: Path, source: Path, options: KaldiOptions, scripts: Scripts, found: Found
) -> dict[str, Recording]:
    """Utterances of one data directory; what is not one is left out."""
    texts, wavs, speakers = _table(folder / "text", empty=True), _table(folder / "wav.scp"), _speakers(folder)
    genders = _table(folder / "spk2gender") if (folder / "spk2gender").is_file() else {}
    if (folder / "segments").is_file():
        sound, parts = "segments", _segments(folder)
        cut = {part.recording for part in parts.values()}
        for recording in [name for name in wavs if name not in cut]:
            reason = f"{wavs[recording][0]}: {recording} is not in {folder / 'segments'}."
            found.leave_out("recordings without segments", reason)
    else:
        sound, parts = "wav.scp", {name: _Part(where, name) for name, (where, _) in wavs.items()}
    used = {}
    for utterance, (where, text) in texts.items():
        part = parts.get(utterance)
        if part is None:
            found.leave_out("utterances without sound", f"{where}: {utterance} is not in {folder / sound}.")
        elif part.fault:
            found.leave_out("segments that cannot be", part.fault)
        elif part.recording not in wavs:
            reason = f"{part.where}: {part.recording} is not in {folder / 'wav.scp'}."
            found.leave_out("utterances without sound", reason)
        else:
            used[utterance] = (text, part)
    for utterance in [name for name in parts if name not in texts]:
        reason = f"{parts[utterance].where}: {utterance} is not in {folder / 'text'}."
        found.leave_out("sound without a transcript", reason)
    needed = {part.recording: wavs[part.recording] for _, part in used.values()}
    audio = scripts.paths(folder, needed, _bases(folder, source, options.root))
    made = {}
    for utterance, (text, part) in used.items():
        extra = {"speaker": speakers[utterance]} if utterance in speakers else {}
        if extra and (gender := genders.get(extra["speaker"])):
            extra["gender"] = gender[1]
        made[utterance] = Recording(audio[part.recording], text, (), utterance, extra, part.offset, part.duration)
    if speakers and (missing := [utterance for utterance in made if utterance not in speakers]):
        found.notes.append(f"{from_here(folder)}: {len(missing):,} utterances have no speaker, {missing[0]} for one")
    return made


def _bases(folder: Path, source: Path, root: Path | None) -> list[Path]:
    """Where paths may start from: Kaldi's own is the recipe's folder, which data/train lies in."""
    if root:
        return [root.absolute()]
    folder = folder.absolute()
    return list(dict.fromkeys([folder.parent.parent, folder.parent, folder, source.absolute(), Path.cwd()]))


def _table(path: Path, empty: bool = False) -> dict[str, tuple[str, str]]:
    """`file:line` and the rest of each line by its ID.

    Raises:
        ManifestError: the file is missing, an ID stands twice, or has nothing behind it and must.
    """
    table: dict[str, tuple[str, str]] = {}
    for number, line in text_lines(path):
        name, rest = (*line.split(None, 1), "")[:2]
        where = f"{path}:{number}"
        if name in table:
            raise ManifestError(f"{where}: {name} stands in {table[name][0]} already. Remove one of them.")
        if not rest.strip() and not empty:
            raise ManifestError(f"{where}: nothing stands behind {name}. Complete the line, or remove it.")
        table[name] = (where, rest.strip())
    if not table:
        raise ManifestError(f"{path} is empty: each line must be an ID and what belongs to it.")
    return table


def _speakers(folder: Path) -> dict[str, str]:
    if (folder / "utt2spk").is_file():
        return {utterance: speaker for utterance, (_, speaker) in _table(folder / "utt2spk").items()}
    if (folder / "spk2utt").is_file():
        listed = _table(folder / "spk2utt")
        return {utterance: speaker for speaker, (_, spoken) in listed.items() for utterance in spoken.split()}
    return {}


def _segments(folder: Path) -> dict[str, _Part]:
    lengths = _table(folder / "reco2dur") if (folder / "reco2dur").is_file() else {}
    parts = {}
    for utterance, (where, rest) in _table(folder / "segments").items():
        fields = rest.split()
        if len(fields) not in (3, 4):
            raise ManifestError(f"{where}: expected `UTTERANCE RECORDING START END`, found {rest!r:.80}. Mend it.")
        if len(fields) == 4 and fields[3] != "-1":
            raise ManifestError(
                f"{where}: a segment of channel {fields[3]}. Take the channel in wav.scp (`sox FILE -t wav - remix 1 "
                "|` is the first), and remove the fifth column."
            )
        recording, start = fields[0], seconds(fields[1], where, "the start")
        end = None if fields[2] in ("-1", "-1.0") else seconds(fields[2], where, "the end")
        fault = ""
        if recording in lengths:
            length = seconds(lengths[recording][1], lengths[recording][0], "the length")
            if start >= length or (end or 0) > length + OVERSHOOT:
                fault = f"{where}: {utterance} lies outside {recording}, which lasts {length:g} s."
            elif end and end > length:
                end = None
        if end is not None and end <= start:
            fault = f"{where}: {utterance} ends at {end:g} s, before it starts at {start:g} s."
        parts[utterance] = _Part(where, recording, start, None if end is None else round(end - start, 6), fault)
    return parts
