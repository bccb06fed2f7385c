"""Sets that share recordings: a model is measured too well on what it was trained on.

Two utterances are the same where their files hold the same sound (see `contents`) and, of segments, where at least half
of the shorter one lies in the other. Two different segments of one recording are a weaker relation, and so is a speaker
who says one sentence in two sets: both are counted, and neither is refused.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, combinations, islice
from pathlib import Path
from typing import Protocol

from manifests.contents import contents
from manifests.lines import Utterance
from manifests.show import LONGEST_PATH, short

Span = tuple[float, float]  # seconds

EXAMPLES = 3
SAME = 0.5  # of the shorter segment; padded segments of a recording touch their neighbours


class Spoken(Protocol):
    """An utterance of a manifest, or a recording of a dataset."""

    @property
    def audio(self) -> Path: ...
    @property
    def offset(self) -> float | None: ...
    @property
    def duration(self) -> float | None: ...


@dataclass(frozen=True)
class Set:
    """Utterances that are used for one thing.

    Args:
        name: of the set, for messages.
        place: its manifest, for messages.
        utterances: what it holds.
        sounds: the name of each utterance's sound, where it is known without the file; see `contents.full_contents`.
    """

    name: str
    place: Path
    utterances: Sequence[Utterance]
    sounds: Sequence[str] | None = None

    def line(self, utterance: Utterance) -> str:
        """Where an utterance stands, and its recording."""
        part = "" if utterance.offset is None else f" from {utterance.offset:.2f} s"
        return f"{self.place}:{utterance.line} ({short(utterance.audio.name, LONGEST_PATH)}{part})"


@dataclass
class Shared:
    """What the second of two sets has in common with the first.

    Args:
        first: one set.
        second: the other.
        same: for each utterance of the second that is one of the first: that one, and itself.
        segments: utterances of the second that are other segments of recordings in the first.
        repeated: utterances of the second whose sentence the same speaker says in the first, in another recording.
        sentences: different transcripts that both have.
        speakers: speakers that both have.
    """

    first: Set
    second: Set
    same: list[tuple[Utterance, Utterance]] = field(default_factory=list)
    segments: int = 0
    repeated: int = 0
    sentences: int = 0
    speakers: int = 0

    def fault(self) -> str:
        """What is wrong with the two sets, with the first utterances; empty where they share none."""
        if not self.same:
            return ""
        if self.first.place.absolute() == self.second.place.absolute():
            return f"{self.first.name} and {self.second.name} are one file: {self.second.place}"
        other = sum(one.text != two.text for one, two in self.same)
        lines = [
            f"{len(self.same):,} of {len(self.second.utterances):,} utterances of {self.second.name} are in "
            f"{self.first.name} too{f', {other:,} of them with another transcript' if other else ''}:"
        ]
        lines += [f"  {self.second.line(two)} is {self.first.line(one)}" for one, two in self.same[:EXAMPLES]]
        return "\n".join(lines + [f"  … and {len(self.same) - EXAMPLES:,} more"] * (len(self.same) > EXAMPLES))

    def note(self) -> str:
        """What else they share, in a line; empty where it is nothing that makes a result look better."""
        found = [
            f"{count:,} utterances of {self.second.name} {what} {self.first.name}"
            for count, what in (
                (self.segments, "are other parts of recordings in"),
                (self.repeated, "are sentences that the same speaker says in"),
            )
            if count
        ]
        return "; ".join(found)

    def information(self) -> str:
        """Speakers and sentences that both have, which a corpus of commands always shares."""
        return (
            f"{self.first.name} and {self.second.name} have in common: sentences {self.sentences:,}, speakers "
            f"{self.speakers:,}"
        )


@dataclass
class Repeats:
    """Utterances that come again within a set.

    Args:
        of: the set.
        count: utterances that are another one of the set.
        other: of those, with another transcript.
        example: two that are the same.
    """

    of: Set
    count: int = 0
    other: int = 0
    example: tuple[Utterance, Utterance] | None = None

    def note(self) -> str:
        """What comes again, in a line; empty where nothing does."""
        if self.example is None:
            return ""
        one, two = self.example
        text = f", {self.other:,} of them with another transcript" if self.other else ""
        return (
            f"{self.count:,} utterances of {self.of.name} repeat a recording that stands before{text}: "
            f"{self.of.line(two)} is {self.of.line(one)}, for one"
        )


@dataclass
class Comparison:
    """What several sets have in common.

    Args:
        repeats: of each set.
        shared: of each pair.
    """

    repeats: list[Repeats]
    shared: list[Shared]

    def faults(self) -> list[str]:
        """A text for each pair that shares recordings."""
        return [fault for pair in self.shared if (fault := pair.fault())]

    def notes(self) -> list[str]:
        """A line for each set and pair with something to know."""
        return [note for one in [*map(Repeats.note, self.repeats), *map(Shared.note, self.shared)] if (note := one)]


def compare(sets: Sequence[Set], pairs: Iterable[tuple[int, int]] | None = None) -> Comparison:
    """Compare sets with themselves and with each other. Files that cannot be read are passed over.

    Args:
        sets: with different names.
        pairs: which of them to compare, by their places; all when None.
    """
    known = {sound for one in sets for sound in one.sounds or ()}
    found = iter(contents((line.audio for one in sets if one.sounds is None for line in one.utterances), known))
    named = [list(islice(found, len(one.utterances))) if one.sounds is None else one.sounds for one in sets]
    by_sound = [_places(sounds) for sounds in named]
    repeats = [_repeats(one, places) for one, places in zip(sets, by_sound, strict=True)]
    chosen = combinations(range(len(sets)), 2) if pairs is None else pairs
    shared = [_shared(sets[first], sets[second], by_sound[first], by_sound[second]) for first, second in chosen]
    return Comparison(repeats, shared)


def twins(spoken: Sequence[Spoken]) -> list[int]:
    """For each utterance the place of the first that is the same: its own where there is none before it."""
    first = list(range(len(spoken)))
    for places in _places(contents(one.audio for one in spoken)).values():
        if len(places) < 2:
            continue
        for place, same in _first(places, [_span(spoken[place]) for place in places]).items():
            first[place] = same
    return first


def joined(keys: Sequence[str], groups: Sequence[int]) -> dict[str, str]:
    """For each key the least of those that must stay together, since they have an utterance in common.

    Args:
        keys: what each utterance would be divided by.
        groups: equal for utterances that are the same, as `twins` gives them.
    """
    parent = {key: key for key in keys}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = key = parent[parent[key]]
        return key

    of_group: dict[int, str] = {}
    for key, group in zip(keys, groups, strict=True):
        one, two = sorted((root(key), root(of_group.setdefault(group, key))))
        parent[two] = one
    return {key: root(key) for key in parent}


def without(utterances: Sequence[Utterance], others: Sequence[Utterance]) -> list[Utterance]:
    """Utterances that are none of the others."""
    sets = Set("", Path(), others), Set("", Path(), utterances)
    (shared,) = compare(sets).shared
    gone = {id(utterance) for _, utterance in shared.same}
    return [utterance for utterance in utterances if id(utterance) not in gone]


def _span(one: Spoken) -> Span:
    if one.offset is None:
        return 0.0, math.inf
    return one.offset, math.inf if one.duration is None else one.offset + one.duration


def _places(sounds: Sequence[str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = defaultdict(list)
    for place, sound in enumerate(sounds):
        places[sound].append(place)
    return places


def _are_same(one: Span, two: Span) -> bool:
    common = min(one[1], two[1]) - max(one[0], two[0])
    return common > 0 and common >= SAME * min(one[1] - one[0], two[1] - two[0])


def _first(places: Sequence[int], spans: Sequence[Span]) -> dict[int, int]:
    """For each place of one recording's utterances the first that is the same, directly or through others."""
    by_span: dict[Span, int] = {}
    parent = {place: by_span.setdefault(span, place) for place, span in zip(places, spans, strict=True)}

    def root(place: int) -> int:
        while parent[place] != place:
            place = parent[place]
        return place

    open_: list[Span] = []
    for span in sorted(by_span):
        open_ = [other for other in open_ if other[1] > span[0]]
        for other in open_:
            if _are_same(other, span):
                one, two = sorted((root(by_span[other]), root(by_span[span])))
                parent[two] = one
        open_.append(span)
    return {place: root(place) for place in places}


def _repeats(one: Set, by_sound: Mapping[str, Sequence[int]]) -> Repeats:
    found = Repeats(one)
    for places in by_sound.values():
        if len(places) < 2:
            continue
        for place, same in _first(places, [_span(one.utterances[place]) for place in places]).items():
            if place != same:
                pair = one.utterances[same], one.utterances[place]
                found.count += 1
                found.other += pair[0].text != pair[1].text
                found.example = found.example or pair
    return found


def _shared(
    first: Set, second: Set, sounds: Mapping[str, Sequence[int]], others: Mapping[str, Sequence[int]]
) -> Shared:
    found = Shared(first, second)
    same: dict[int, int] = {}
    for sound, places in others.items():
        if sound not in sounds:
            continue
        at_span: dict[Span, int] = {}
        for place in sounds[sound]:
            at_span.setdefault(_span(first.utterances[place]), place)
        spans = sorted(at_span)
        starts = [span[0] for span in spans]
        ends = list(accumulate((span[1] for span in spans), max))
        for place in places:
            span = _span(second.utterances[place])
            at = bisect_left(starts, span[1]) - 1
            while at >= 0 and ends[at] > span[0]:
                if _are_same(spans[at], span):
                    same[place] = at_span[spans[at]]
                    break
                at -= 1
            else:
                found.segments += 1
    found.same = [(first.utterances[same[place]], second.utterances[place]) for place in sorted(same)]
    said = {(speaker, line.text) for line in first.utterances if (speaker := _speaker(line))}
    found.repeated = sum(
        (_speaker(line), line.text) in said for place, line in enumerate(second.utterances) if place not in same
    )
    found.sentences = len({line.text for line in first.utterances} & {line.text for line in second.utterances})
    speakers = [{_speaker(line) for line in one.utterances} - {""} for one in (first, second)]
    found.speakers = len(speakers[0] & speakers[1])
    return found


def _speaker(utterance: Utterance) -> str:
    return "" if (speaker := utterance.extra.get("speaker")) is None else str(speaker)
