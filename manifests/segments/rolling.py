"""Rolling captions, as YouTube's: each cue shows the last line of the one before again, above what is new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

Cue = tuple[float, float, str]

_TOUCHING = 0.05  # seconds between two cues of which the second goes on with the first
_FEWEST = 2  # cues that go on and have a line of their own, from which captions can be seen to roll
_SHARE = 0.8  # of the cues that go on: elsewhere a line that is said twice is all that looks so


class New(NamedTuple):
    """What a cue has that the one before did not show.

    Args:
        content: with its tags; empty where it only holds what was shown.
        carried: lines that were shown before.
        doubtful: whether a line that repeats may be shown again or said again.
    """

    content: str
    carried: int = 0
    doubtful: bool = False


def unrolled(cues: Sequence[Cue], plain: Callable[[str], str]) -> list[New]:
    """What each cue has that the one before did not show; all of it, where captions do not roll.

    A line that is said twice stands twice in a cue that rolls, once carried over and once as new, and so stays.

    Args:
        cues: start and end in seconds, and content, in the order of the file.
        plain: a line as it is read, without tags.
    """
    lines = [[line for line in content.split("\n") if plain(line)] for _, _, content in cues]
    shown = [[plain(line) for line in one] for one in lines]
    fits = [[], *(_fits(before, now) for before, now in zip(shown, shown[1:], strict=False))]
    follow = [
        at for at in range(1, len(cues))
        if shown[at - 1] and shown[at] and abs(cues[at][0] - cues[at - 1][1]) <= _TOUCHING
    ]  # fmt: skip
    rolling = [at for at in follow if fits[at]]
    new = [New(content) for _, _, content in cues]
    growing = [at for at in rolling if len(shown[at]) > fits[at][0]]  # the others may be lines that are said again
    if len(growing) < _FEWEST or len(rolling) < _SHARE * len(follow):
        return new
    for at, one in enumerate(lines):
        pause = at not in follow
        if fits[at] and not (pause and len(one) == 1):  # a line alone after a pause is said again
            new[at] = New("\n".join(one[fits[at][0] :]), fits[at][0], pause or len(fits[at]) > 1)
    return new


def _fits(before: Sequence[str], now: Sequence[str]) -> list[int]:
    """How many of the last lines of one cue another may begin with."""
    return [count for count in range(1, min(len(before), len(now)) + 1) if before[-count:] == now[:count]]
