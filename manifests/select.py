"""Split, merge, filter and sample manifests. The same input gives the same output, on any machine."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from manifests.corpus import share
from manifests.lines import ManifestError, Utterance, read_manifest
from manifests.overlap import joined, twins


def split(
    utterances: Sequence[Utterance], parts: dict[str, float], by: str = "speaker", seed: str = ""
) -> tuple[dict[str, list[Utterance]], int]:
    """Divide utterances by a hash of a key, so that adding some never moves the others.

    What is said in one recording stays together, under whatever names it comes: with it all lines of their values.

    Args:
        utterances: of one manifest.
        parts: share of each part; they must add up to 1.
        by: `speaker` or another key of the lines, all lines of one value going to one part; `hash` divides utterances.
        seed: another seed, another division.

    Returns:
        the utterances of each part, and how many are recordings that come again.

    Raises:
        ManifestError: the shares are wrong, a line lacks the key, or a part would stay empty.
    """
    if not parts or abs(sum(parts.values()) - 1) > 1e-6 or min(parts.values()) <= 0:
        raise ManifestError(f"The shares must be positive and add up to 1, found {parts}.")
    divided: dict[str, list[Utterance]] = {name: [] for name in parts}
    ends = list(zip(parts, accumulate(parts.values()), strict=True))
    ends[-1] = (ends[-1][0], 1.0)  # shares that add up to 0.9999999 leave nothing over
    keys = []
    for utterance in utterances:
        if by == "hash":
            keys.append(f"{utterance.audio.name}/{utterance.text}")
        elif by in utterance.extra:
            keys.append(str(utterance.extra[by]))
        else:
            raise ManifestError(f"Line {utterance.line} has no key {by!r}. Give --by hash, or a key all lines have.")
    first = twins(utterances)
    together = joined(keys, first)
    for utterance, key in zip(utterances, keys, strict=True):
        place = share(together[key], seed)
        divided[next(name for name, end in ends if place < end)].append(utterance)
    if empty := [name for name, lines in divided.items() if not lines]:
        values = len({str(utterance.extra.get(by)) for utterance in utterances})
        found = "" if by == "hash" else f" with {values} value{'s' * (values > 1)} of {by!r}"
        cure = "" if by == "hash" else "--by hash, "
        raise ManifestError(
            f"{', '.join(empty)} would be empty: {len(utterances)} utterances{found}. Give {cure}other shares, or "
            "another --seed."
        )
    return divided, sum(place != same for place, same in enumerate(first))


def merge(manifests: Iterable[Path]) -> tuple[list[Utterance], int]:
    """Utterances of several manifests, each recording, or each segment of one, once.

    Returns:
        the utterances in their order, and how many came again and were left out.

    Raises:
        ManifestError: one recording has two transcripts.
    """
    kept: dict[tuple[Path, float, float | None], tuple[Utterance, Path]] = {}
    again = 0
    for manifest in manifests:
        for utterance in read_manifest(manifest):
            first = kept.setdefault((utterance.audio, *utterance.segment), (utterance, manifest))
            if first[0] is utterance:
                continue
            if first[0].text != utterance.text:
                raise ManifestError(
                    f"{manifest}:{utterance.line} and {first[1]}:{first[0].line} give two transcripts for "
                    f"{utterance.audio}: {utterance.text!r:.60} and {first[0].text!r:.60}. Mend or remove one."
                )
            again += 1
    return [utterance for utterance, _ in kept.values()], again


def _is(found: Any, wanted: str) -> bool:
    """Is a value of a line the one that was typed? As text, or as JSON writes it: 1.0 is 1, and true, and null."""
    if str(found) == wanted:
        return True
    try:
        value = json.loads(wanted)
    except ValueError:
        return False
    return value == found and isinstance(value, bool) == isinstance(found, bool)


@dataclass(frozen=True)
class Condition:
    """What an utterance must be like.

    Args:
        shortest: seconds.
        longest: seconds.
        text: regular expression that must be found in the transcript.
        without: regular expression that must not be.
        where: keys and their values, as text or as JSON has them, for example (("speaker", "f1"), ("noisy", "true")).
        invert: keep what does not satisfy all this.
    """

    shortest: float = 0.0
    longest: float = float("inf")
    text: str | None = None
    without: str | None = None
    where: tuple[tuple[str, str], ...] = ()
    invert: bool = False

    def keep(self, utterances: Iterable[Utterance]) -> list[Utterance]:
        """Those that satisfy the condition.

        Raises:
            ManifestError: a regular expression is not one, or no utterance has a key of `where`.
        """
        utterances, patterns = list(utterances), []
        known = dict.fromkeys(key for utterance in utterances for key in utterance.extra)
        for key, _ in self.where:
            if utterances and key not in known:
                raise ManifestError(f"No line has the key {key!r}; there are {', '.join(known) or 'no others'}.")
        for pattern in (self.text, self.without):
            try:
                patterns.append(re.compile(pattern) if pattern is not None else None)
            except re.error as error:
                raise ManifestError(f"{pattern!r} is not a regular expression ({error}).") from None
        wanted, unwanted = patterns

        def satisfies(utterance: Utterance) -> bool:
            return (
                self.shortest <= utterance.duration <= self.longest
                and (wanted is None or wanted.search(utterance.text) is not None)
                and (unwanted is None or unwanted.search(utterance.text) is None)
                and all(_is(utterance.extra.get(key), value) for key, value in self.where)
            )

        return [utterance for utterance in utterances if satisfies(utterance) is not self.invert]


def sample(
    utterances: Sequence[Utterance], *, count: int | None = None, hours: float | None = None, seed: str = ""
) -> list[Utterance]:
    """A part of a manifest, in its order; a larger sample holds the smaller one of the same seed.

    Args:
        utterances: to draw from.
        count: how many; or
        hours: how long.
        seed: another seed, another sample.

    Raises:
        ManifestError: not exactly one of count and hours is given, or nothing is left.
    """
    if (count is None) == (hours is None):
        raise ManifestError("Give either --count or --hours.")
    drawn = in_drawn_order(utterances, seed)
    if count is not None:
        drawn = drawn[: max(count, 0)]
    else:
        seconds = 0.0
        for number, utterance in enumerate(drawn):
            seconds += utterance.duration
            if seconds > (hours or 0.0) * 3600:
                drawn = drawn[:number]
                break
    if not drawn:
        raise ManifestError("The sample is empty: ask for more.")
    return sorted(drawn, key=lambda utterance: utterance.line)


def in_drawn_order(utterances: Sequence[Utterance], seed: str = "") -> list[Utterance]:
    """Utterances in an order by their paths below the folder that all lie in: the same wherever a corpus is put.

    Args:
        utterances: of a manifest.
        seed: another one, another order.
    """
    folder = os.path.commonpath([one.audio.parent for one in utterances]) if utterances else ""

    def place(one: Utterance) -> float:
        part = one.text if one.offset is None else f"{one.offset}/{one.text}"
        return share(f"{os.path.relpath(one.audio, folder)}/{part}", seed)

    return sorted(utterances, key=place)
