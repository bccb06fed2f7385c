"""The likeliest way through the frames of a recording for the utterances of its transcript: exact, in little memory.

The lattice is that of CTC (Graves et al., 2006) with two allowances of CTC segmentation (Kürzinger et al., 2020):

- before the first utterance, between two (a frame at least) and after the last lies a **gap**, which takes any sound:
  silence, as the blank or the space, for what the model gives these; any other, as what the model thinks it is, for
  `unspoken` a frame;
- an utterance may be **left out**, for `unread` a character, and is then not found in the recording.

All utterances compete over the whole recording at once, without windows or anchors. Two things make that cheap, and
neither changes what is found:

- No emission adds anything, once what all paths have in common is taken out. So the best path never falls below its
  own final score, and states that fall below a *bound* can go, if the final score then is not below the bound; else
  the bound is lowered. A recording that goes with its text costs a narrow band along the text, one that does not
  more, at the worst all T x N.
- Scores are kept for some frames alone. The way back is found from the last frame to the first, a stretch between two
  kept frames at a time, over the few characters that can have been said in it. That these few were enough is checked
  against the kept score, and else they are made more. Memory is that of `KEPT` bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

KEPT = 256  # frames whose scores are kept
NEVER = np.float32(-np.inf)
CHECKED = 32  # frames between looks at what is below the bound
GAP = -1  # in a path: no character


@dataclass(frozen=True)
class Costs:
    """What the allowances cost, in nats.

    Args:
        unspoken: a frame of sound that the text does not have. Less lets the path pass over sound where the model hears
            other than the text, more makes the utterances around it take it in.
        unread: a character of an utterance that the sound does not have. Less gives up utterances the model
            hears badly, more presses text that nobody spoke into the sound of its neighbours.
    """

    unspoken: float = 0.2
    unread: float = 6.0


@dataclass(frozen=True)
class Emissions:
    """What a model gives for a recording, ready for the lattice.

    Args:
        log_probs: [T, V + 1] of the model.
        blank_id: column of the blank.
        space_id: column of the space; None where the model has none.
        unspoken: see `Costs`.
    """

    log_probs: np.ndarray
    blank_id: int
    space_id: int | None
    unspoken: float

    @property
    def silence(self) -> np.ndarray:
        """Of each frame [T], the log-probability that nothing is said."""
        blank = self.log_probs[:, self.blank_id]
        return blank if self.space_id is None else np.maximum(blank, self.log_probs[:, self.space_id])

    @property
    def other(self) -> np.ndarray:
        """Of each frame [T], what passing over it costs."""
        return self.log_probs.max(axis=1) - np.float32(self.unspoken)

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Emissions without what all paths have in common, the best of each frame: [T, V + 1], and of a gap [T].

        Sums over an hour stay small by it, and float32 is enough.
        """
        best = self.log_probs.max(axis=1)
        rows = (self.log_probs - best[:, None]).astype(np.float32)
        return rows, (np.maximum(self.silence, self.other) - best).astype(np.float32)


@dataclass(frozen=True)
class BestPath:
    """A way through the frames.

    Args:
        characters: [T], the number in the text of the character each frame belongs to; GAP in a gap.
        spoken: [T], whether a frame is one of its character; else it is a blank before it or in a gap.
        score: its log-probability beside that of the best outputs of all frames, what was left out paid for.
    """

    characters: np.ndarray
    spoken: np.ndarray
    score: float


State = tuple[int, bool]  # number of a character, and whether it is the character or the blank before it


@dataclass
class Band:
    """Scores of the characters from `low` on and of the blanks before and behind them; all others are out.

    Args:
        low: first character.
        blank: [n + 1].
        character: [n].
    """

    low: int
    blank: np.ndarray
    character: np.ndarray

    def part(self, low: int, high: int) -> Band:
        """The same scores for the characters `low` to before `high`, in arrays of their own."""
        return Band(low, _part(self.blank, low - self.low, high + 1 - self.low),
                    _part(self.character, low - self.low, high - self.low))  # fmt: skip

    def at(self, state: State) -> np.floating:
        """The score of a state."""
        scores, index = self.character if state[1] else self.blank, state[0] - self.low
        return scores[index] if 0 <= index < len(scores) else NEVER


def _part(scores: np.ndarray, low: int, high: int) -> np.ndarray:
    part = np.full(high - low, NEVER)
    inside = scores[max(low, 0) : max(high, 0)]
    part[max(-low, 0) : max(-low, 0) + len(inside)] = inside
    return part


class Lattice:
    """The states of some utterances: before each character a blank, before the first of an utterance a gap.

    State `blank[i]` precedes character i; `blank[N]` is the gap behind the last utterance.

    Args:
        utterances: labels of each, none of them empty.
        emissions: of the recording.
        costs: of the allowances.
    """

    def __init__(self, utterances: Sequence[Sequence[int]], emissions: Emissions, costs: Costs):
        lengths = np.array([len(labels) for labels in utterances], np.int64)
        if len(lengths) == 0 or lengths.min() < 1:
            raise ValueError("There must be utterances, each with at least one character.")
        self.labels = np.concatenate([np.asarray(labels, np.intp) for labels in utterances])
        self.gaps = np.concatenate([[0], np.cumsum(lengths)])  # the gap before each utterance, and behind the last
        self.unread = float(costs.unread)
        self.skips = np.concatenate([[0.0], np.cumsum(lengths * self.unread)])
        # A character may follow the one before it without a blank, but not its like, nor from another utterance.
        self.barrier = np.zeros(len(self.labels), np.float32)
        self.barrier[1:][self.labels[1:] == self.labels[:-1]] = NEVER
        self.barrier[self.gaps[:-1]] = NEVER
        self.rows, self.gap_row = emissions.rows()
        self.blank_row = self.rows[:, emissions.blank_id]

    def begin(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores of the blanks [N + 1] and characters [N] before the first frame."""
        blank = np.full(len(self.labels) + 1, NEVER)
        blank[0] = 0
        self._leave_out(blank, self.gaps, self.skips)
        return blank, np.full(len(self.labels), NEVER)

    def end(self, band: Band) -> tuple[float, State]:
        """The best score behind the last frame and the state it ends in: the last gap, or the end of an utterance."""
        high = band.low + len(band.character)
        ends = self.gaps[1:]
        number = np.flatnonzero((ends > band.low) & (ends <= high))
        scores = band.character[ends[number] - 1 - band.low] - (self.skips[-1] - self.skips[1:][number])
        best = float(band.at((len(self.labels), False)))
        if len(scores) and scores.max() > best:
            return float(scores.max()), (int(ends[number[scores.argmax()]]) - 1, True)
        return best, (len(self.labels), False)

    @staticmethod
    def _leave_out(blank: np.ndarray, gaps: np.ndarray, skips: np.ndarray) -> np.ndarray:
        """From each gap to all behind it; returns which gaps were better reached so."""
        before = blank[gaps].astype(np.float64)
        reached = np.maximum.accumulate(before + skips)[:-1] - skips[1:]
        after = before[1:]
        better = reached > after
        np.copyto(after, reached, where=better)
        blank[gaps[1:]] = after
        return better


class Sweep:
    """Carries scores of the characters `low` to before `high` from frame to frame.

    Args:
        lattice: whose.
        low: first character.
        high: behind the last one.
    """

    def __init__(self, lattice: Lattice, low: int, high: int):
        self.lattice = lattice
        self.labels = lattice.labels[low:high]
        self.barrier = lattice.barrier[low + 1 : high]
        inside = slice(*np.searchsorted(lattice.gaps, [low, high + 1]))
        self.gaps, self.skips = lattice.gaps[inside] - low, lattice.skips[inside]
        self.advanced = np.empty(high - low, np.float32)
        self.emitted = np.empty(high - low, np.float32)

    def step(self, frame: int, blank: np.ndarray, character: np.ndarray) -> np.ndarray:
        """Take a frame into the scores of blanks [N + 1] and characters [N], in place.

        Returns:
            which gaps but the first were reached by leaving an utterance out.
        """
        advanced = self.advanced
        advanced[:1] = NEVER
        np.add(character[:-1], self.barrier, out=advanced[1:])
        np.maximum(advanced, blank[:-1], out=advanced)
        np.maximum(blank[1:], character, out=blank[1:])
        np.maximum(character, advanced, out=character)
        np.take(self.lattice.rows[frame], self.labels, out=self.emitted, mode="clip")
        character += self.emitted
        at_gaps = blank[self.gaps] + self.lattice.gap_row[frame]
        blank += self.lattice.blank_row[frame]
        blank[self.gaps] = at_gaps
        return Lattice._leave_out(blank, self.gaps, self.skips)


def align(
    utterances: Sequence[Sequence[int]],
    emissions: Emissions,
    costs: Costs,
    kept: int = KEPT,
    bound: float | None = None,
) -> BestPath:
    """The best path.

    Args:
        utterances: labels of each, none of them empty.
        emissions: of the recording, at least one frame.
        costs: of the allowances.
        kept: frames whose scores are kept; more take memory, fewer time.
        bound: below 0, the first to be tried; by the length of the recording when None.
    """
    lattice = Lattice(utterances, emissions, costs)
    frames = len(lattice.rows)
    stretch = max(-(-frames // kept), 1)
    bound = bound or -(50 + 0.01 * frames)
    while True:
        rows = _forward(lattice, stretch, bound)
        score, state = lattice.end(rows[-1])
        if score >= bound:
            break
        bound *= 4
    found, spoken = np.full(frames, GAP, np.int64), np.zeros(frames, bool)
    while len(rows) > 1:
        goal = rows.pop().at(state)
        first = (len(rows) - 1) * stretch
        part = slice(first, min(first + stretch, frames))
        state = _back(lattice, rows[-1], part, state, goal, found[part], spoken[part])
    return BestPath(found, spoken, score)


def _forward(lattice: Lattice, stretch: int, bound: float) -> list[Band]:
    """Scores before the first frame and after each stretch, of states that no path needs to leave the bound for."""
    frames, count, unread = len(lattice.rows), len(lattice.labels), lattice.unread
    band = _alive(Band(0, *lattice.begin()), bound)
    rows = [band]
    for first in range(0, frames, stretch):
        last = min(first + stretch, frames)
        for begin in range(first, last, CHECKED):
            end = min(begin + CHECKED, last)
            high = band.low + len(band.character)
            if unread > 0 and len(band.blank):
                # As far as utterances can be left out from here, and as characters can follow each other.
                credit = np.maximum(band.blank - bound, 0) / unread
                credit[1:] = np.maximum(credit[1:], (np.maximum(band.character - bound, 0)) / unread)
                high = band.low + int((np.arange(len(credit)) + credit).max()) + 1
            high = min(high + end - begin, count) if unread > 0 else count
            band = band.part(band.low, max(high, band.low))
            sweep = Sweep(lattice, band.low, band.low + len(band.character))
            for frame in range(begin, end):
                sweep.step(frame, band.blank, band.character)
            band = _alive(band, bound)
        rows.append(band)
    return rows


def _alive(band: Band, bound: float) -> Band:
    """The band without what lies below the bound at either end."""
    blank, character = np.flatnonzero(band.blank >= bound), np.flatnonzero(band.character >= bound)
    if not len(blank) and not len(character):
        return Band(band.low, np.full(1, NEVER), np.zeros(0, np.float32))
    low = min(found[0] for found in (blank, character) if len(found))
    high = max([*(blank[-1:]), *(character[-1:] + 1)])
    return band.part(band.low + int(low), band.low + int(high))


def _back(
    lattice: Lattice,
    row: Band,
    part: slice,
    end: State,
    goal: np.floating,
    found: np.ndarray,
    spoken: np.ndarray,
) -> State:
    """Find a stretch of the path.

    Args:
        lattice: whose.
        row: scores before the stretch.
        part: its frames.
        end: state after its last frame.
        goal: the score of that state.
        found, spoken: of the path; its frames of the stretch are filled in.

    Returns:
        state before its first frame.
    """
    high, width = end[0] + int(end[1]), part.stop - part.start + 1
    while True:
        low = max(high - width, 0)
        sweep = Sweep(lattice, low, high)
        band = row.part(low, high)
        blank, character = band.blank, band.character
        history = [(blank.copy(), character.copy(), np.zeros(0, bool))]
        for frame in range(part.start, part.stop):
            left_out = sweep.step(frame, blank, character)
            history.append((blank.copy(), character.copy(), left_out))
        if low == 0 or (character if end[1] else blank)[end[0] - low] == goal:
            break
        width *= 2  # utterances were left out, and the path comes from before them
    at, is_character = end[0] - low, end[1]
    for frame in range(len(history) - 2, -1, -1):
        (blank, character, _), left_out = history[frame], history[frame + 1][2]
        if not is_character and len(gap := np.flatnonzero(sweep.gaps == at)):
            arrived = np.concatenate([[True], ~left_out[: gap[0]]])  # the first gap, and those reached by a frame
            at = int(sweep.gaps[np.flatnonzero(arrived)[-1]])
        is_gap = not is_character and bool((sweep.gaps == at).any())
        found[frame], spoken[frame] = GAP if is_gap else at + low, is_character
        if is_character:
            # From itself, from the blank before it, or from the character before that.
            ways = [character[at], blank[at], NEVER]
            if at and sweep.barrier[at - 1] == 0:
                ways[2] = character[at - 1]
            way = int(np.argmax(ways))
            at, is_character = at - int(way == 2), way != 1
        elif at and character[at - 1] > blank[at]:
            at, is_character = at - 1, True
    return at + low, is_character
