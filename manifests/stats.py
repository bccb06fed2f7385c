"""What is in a manifest: durations, text, speakers, and the sound of a sample. `python -m manifests stats`."""

from __future__ import annotations

import heapq
import os
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from manifests.corpus import share
from manifests.distribution import Distribution
from manifests.hearing import Sound, hear
from manifests.lines import ManifestError, Utterance, parse_line, text_lines
from manifests.progress import progress
from manifests.show import short, sign, span, visible

WORDS, EXTREMES, LARGEST = 20, 5, 20


@dataclass(frozen=True)
class Stats:
    """What `measure` found; all but `sound` is of the whole manifest.

    Args:
        manifest: what was measured.
        utterances: lines.
        hours: of all recordings, by the manifest's durations.
        durations: seconds.
        words, characters: totals; spaces are characters.
        empty: utterances with no text.
        distinct_words: how many words there are.
        words_once: words said once only.
        common_words, rare_words: the most and the least frequent, with their counts.
        character_counts: each character with its count, most frequent first.
        rates: characters per second.
        slowest, fastest: the utterances with fewest and most characters per second: is the transcript theirs?
        speakers: how many are named; 0 when the lines have no `speaker`.
        unnamed: utterances that name no speaker.
        speaker_hours: the speakers heard longest, most first.
        smallest_speaker: the speaker heard least; None when none is named.
        sound: None when no sample was asked for.
    """

    manifest: str
    utterances: int
    hours: float
    durations: Distribution
    words: int
    characters: int
    empty: int
    distinct_words: int
    words_once: int
    common_words: list[tuple[str, int]]
    rare_words: list[tuple[str, int]]
    character_counts: dict[str, int]
    rates: Distribution
    slowest: list[Utterance]
    fastest: list[Utterance]
    speakers: int
    unnamed: int
    speaker_hours: list[tuple[str, float]]
    smallest_speaker: tuple[str, float] | None
    sound: Sound | None


class _Top:
    """The utterances with the highest keys, without keeping the others."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.heap: list[tuple[float, int, Utterance]] = []

    def offer(self, key: float, utterance: Utterance) -> None:
        entry = (key, -utterance.line, utterance)  # lines differ, so utterances are never compared
        if len(self.heap) < self.size:
            heapq.heappush(self.heap, entry)
        elif self.size and entry > self.heap[0]:
            heapq.heapreplace(self.heap, entry)

    def items(self) -> list[Utterance]:
        return [utterance for _, _, utterance in sorted(self.heap, reverse=True)]


@dataclass
class _Tally:
    """Running counts over the lines."""

    sample: _Top
    slowest: _Top = field(default_factory=lambda: _Top(EXTREMES))
    fastest: _Top = field(default_factory=lambda: _Top(EXTREMES))
    durations: array[float] = field(default_factory=lambda: array("d"))
    rates: array[float] = field(default_factory=lambda: array("d"))
    words: Counter[str] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)
    speakers: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    empty: int = 0
    unnamed: int = 0

    def add(self, utterance: Utterance, place: float) -> None:
        text, rate = utterance.text, len(utterance.text) / utterance.duration
        self.durations.append(utterance.duration)
        self.rates.append(rate)
        self.words.update(text.split())
        self.characters.update(text)
        self.empty += not text.strip()
        speaker = utterance.extra.get("speaker")
        if speaker in (None, ""):
            self.unnamed += 1
        else:
            self.speakers[str(speaker)] += utterance.duration / 3600
        self.slowest.offer(-rate, utterance)
        self.fastest.offer(rate, utterance)
        self.sample.offer(-place, utterance)


def measure(manifest: str | os.PathLike[str], sound: int = 500, workers: int | None = None) -> Stats:
    """Measure a manifest: its lines all, its recordings by a sample that is the same each time.

    Args:
        manifest: JSON lines.
        sound: recordings to listen to, all when there are fewer, none when 0.
        workers: threads that listen; all cores when None.

    Raises:
        ManifestError: the manifest is missing, empty or has a bad line, or `sound` is negative.
    """
    if sound < 0:
        raise ManifestError(f"The number of recordings to listen to must be 0 or more, found {sound}.")
    path = Path(manifest)
    folder = path.parent.absolute()
    tally = _Tally(_Top(sound))
    for number, raw in progress(text_lines(path), f"reading {path.name}", _count_lines(path)):
        utterance = parse_line(raw, f"{path}:{number}", folder, number)
        # By the path below the folder the sample stays the same when the corpus is moved or its lines are reordered.
        key = ascii(str(utterance.audio).removeprefix(str(folder)))
        key += "" if utterance.offset is None else f"@{utterance.offset}"
        tally.add(utterance, share(key) if sound else 0.0)
    if not tally.durations:
        raise ManifestError(f"The manifest {path} is empty: it must hold at least one utterance.")
    chosen = sorted(tally.sample.items(), key=lambda utterance: utterance.line)
    heard = hear(chosen, f"listening to {path.name}", workers) if sound else None
    return _stats(str(path), tally, heard)


def table(stats: Stats) -> Group:
    """The figures for a terminal, one screen: `rich.console.Console().print(table(stats))`."""
    grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    grid.add_column(style="bold")
    grid.add_column()
    for name, value in _rows(stats):
        grid.add_row(name, Text(value))
    odd = Table(box=None, pad_edge=False)
    for name in ("line", "char/s", "seconds"):
        odd.add_column(name, justify="right")
    odd.add_column("text")
    for one in (*stats.slowest[:3], *reversed(stats.fastest[:3])):
        odd.add_row(str(one.line), f"{speed(one):.1f}", f"{one.duration:.1f}", Text(short(one.text, 50)))
    title = Text("\nDo transcript and sound belong together? The slowest and the fastest", style="bold")
    return Group(Text(visible(stats.manifest), style="bold"), grid, title, odd)


def speed(utterance: Utterance) -> float:
    """Characters per second."""
    return len(utterance.text) / utterance.duration


def _rows(stats: Stats) -> Iterator[tuple[str, str]]:
    letters = [(sign(one), count) for one, count in stats.character_counts.items()]
    listed = " ".join(letter for letter, _ in letters[:60])
    yield "size", f"{stats.utterances:,} utterances, {span(stats.hours)}"
    yield "seconds", _spread(stats.durations)
    yield "", _bars(stats.durations)
    yield "words", f"{stats.words:,}; {stats.distinct_words:,} distinct, of which {stats.words_once:,} are said once"
    yield "  most", _counted(stats.common_words[:8])
    yield "  least", _counted(stats.rare_words[:8])
    yield "characters", f"{stats.characters:,}; {len(letters)} distinct: {listed}"
    yield "  least", _counted(letters[:-7:-1])
    yield "  a second", _spread(stats.rates)
    yield "", _bars(stats.rates)
    if stats.empty:
        yield "no text", f"{stats.empty:,} utterances"
    yield "speakers", _speakers(stats)
    if stats.sound:
        yield from _sound_rows(stats.sound)


def _speakers(stats: Stats) -> str:
    if not stats.smallest_speaker:
        return 'none named (no line has "speaker")'
    (most, hours), (least, fewest) = stats.speaker_hours[0], stats.smallest_speaker
    unnamed = f"; {stats.unnamed:,} utterances name none" if stats.unnamed else ""
    return f"{stats.speakers:,}; most {short(most, 20)} {span(hours)}, least {short(least, 20)} {span(fewest)}{unnamed}"


def _sound_rows(sound: Sound) -> Iterator[tuple[str, str]]:
    read = sound.sampled - sound.unreadable
    yield "sound", f"of {sound.sampled:,} recordings, {sound.unreadable:,} unreadable"
    for fault in sound.faults[:2]:
        yield "", visible(fault)
    if sound.unreadable > 2:
        yield "", f"and {sound.unreadable - 2:,} more: python -m manifests check names them all"
    if not read:
        return
    rates = _counted((f"{rate} Hz", count) for rate, count in sound.sample_rates.items())
    channels = _counted((f"{count} channel{'s' * (count > 1)}", many) for count, many in sound.channels.items())
    yield "  format", f"{rates}; {channels}"
    yield "  SNR, dB", _spread(sound.snr) if sound.snr else "not estimated: no recording long enough"
    if sound.snr:
        yield "", _bars(sound.snr)
    clipped = f"{sound.clipped:,} ({sound.clipped / read:.1%})"
    yield "  level", f"clipped {clipped}, silent {sound.silent:,}, quiet {sound.quiet:,}"


def _counted(pairs: Iterable[tuple[str, int]]) -> str:
    return " · ".join(f"{short(name, 20)} {count:,}" for name, count in pairs)


def _spread(of: Distribution) -> str:
    named = (("mean", of.mean), ("median", of.median), ("1 %", of.p1), ("95 %", of.p95), ("99 %", of.p99))
    return f"{of.min:.1f} to {of.max:.1f}, " + ", ".join(f"{name} {value:.1f}" for name, value in named)


def _bars(of: Distribution) -> str:
    top = max(of.counts)
    drawn = "".join(" ▁▂▃▄▅▆▇█"[-(-8 * count // top)] for count in of.counts)  # rounded up: one value is seen too
    return f"{of.edges[0]:.1f} {drawn} {of.edges[-1]:.1f}"


def _count_lines(path: Path) -> int:
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b""))


def _stats(manifest: str, tally: _Tally, sound: Sound | None) -> Stats:
    durations = np.frombuffer(tally.durations)
    hours = sorted(tally.speakers.items(), key=lambda item: (-item[1], item[0]))
    by_count = [(word, -count) for count, word in sorted((-count, word) for word, count in tally.words.items())]
    return Stats(
        manifest=manifest,
        utterances=len(durations),
        hours=float(durations.sum()) / 3600,
        durations=Distribution.of(durations),
        words=tally.words.total(),
        characters=tally.characters.total(),
        empty=tally.empty,
        distinct_words=len(by_count),
        words_once=sum(count == 1 for _, count in by_count),
        common_words=by_count[:WORDS],
        rare_words=by_count[: -WORDS - 1 : -1],
        character_counts=dict(sorted(tally.characters.items(), key=lambda item: (-item[1], item[0]))),
        rates=Distribution.of(np.frombuffer(tally.rates)),
        slowest=tally.slowest.items(),
        fastest=tally.fastest.items(),
        speakers=len(hours),
        unnamed=tally.unnamed,
        speaker_hours=hours[:LARGEST],
        smallest_speaker=hours[-1] if hours else None,
        sound=sound,
    )
