"""Prefix beam search over CTC outputs, frame by frame (Graves and Jaitly, 2014; Hannun et al., 2014).

Each entry of the beam is one text. Its probability is the sum over all ways of saying it, in two parts: those that end
in a blank and those that end in its last character. Beside the sums the likeliest single way is followed, which gives
the times and the confidence of each character. All entries are advanced at once with numpy; `compiled` does the same in
C where the library is there, many times as fast, and this one serves elsewhere.

flashlight's compiled decoders are the model for it, but cannot serve here: what their `prune` settles may differ from
what the texts it keeps began with, and a language model of one's own, as hot words are, costs them a call into Python
for every character of every text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from heyjetson.calibration import Calibration
from heyjetson.clock import Clock
from heyjetson.decoding.beam_options import BeamOptions
from heyjetson.decoding.hypothesis import Hypothesis, Word
from heyjetson.decoding.words import WordBuilder, pause_frames, require_frames
from heyjetson.errors import DecoderError
from heyjetson.loudness import Loudness

if TYPE_CHECKING:
    from heyjetson.decoding.fusion import FusionGraph
    from heyjetson.decoding.priors import Priors

COMMIT_EVERY = 32  # frames
BLANK, LABEL = 0, 1  # the two ways a text can end
Beam = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # mass, path, peak, place
Last = tuple[np.ndarray, np.ndarray, np.ndarray]  # peak, place, whether the path ends in the label


class BeamDecoder:
    """Decodes one utterance after another.

    Args:
        labels: V characters.
        blank_id: column of the blank.
        frame_seconds: seconds between rows.
        guide: what a text may go on with.
        options: width of the search.
        n_best: readings that `finish` returns at most.
        calibration: of the model's word times; None leaves them raw.
        priors: that outputs are divided by; None for none.
    """

    def __init__(
        self,
        labels: Sequence[str],
        blank_id: int,
        frame_seconds: float,
        guide: FusionGraph,
        options: BeamOptions,
        n_best: int = 1,
        calibration: Calibration | None = None,
        priors: Priors | None = None,
    ):
        self.labels = [*labels, " "]  # the last one stands for the space where no label does
        self.columns = [column for column in range(len(labels) + 1) if column != blank_id] + [blank_id]
        self.frame_seconds = frame_seconds
        self.guide = guide
        self.options = options
        self.n_best = n_best
        self.calibration = calibration
        self.priors = priors
        self.reset()

    def reset(self, offset: float = 0.0, sound: Loudness | None = None) -> None:
        """Begin an utterance; see `Decoder`."""
        self._begin(offset, sound)
        # Texts as a tree: number of a text -> (that without the last character, the character, length).
        self._texts: dict[int, tuple[int, int, int]] = {0: (-1, self.guide.space, 0)}
        self._longer: dict[tuple[int, int], int] = {}
        self._settled = 0  # the text that all others begin with and that is in the words already
        # Characters that others followed: number -> (the one before, length of text, first frame, end, peak).
        self._spoken: dict[int, tuple[int, int, int, int, float]] = {}
        self._made = 0
        self._settled_end = 0  # frame
        # The beam, N entries.
        self._text = np.zeros(1, np.int64)
        self._before = np.full(1, -1, np.int64)
        self._last = np.full(1, self.guide.space, np.int64)
        self._state = np.full(1, self.guide.start(), np.int64)
        self._bonus = np.zeros(1)
        self._mass = np.array([[-np.inf], [0.0]])  # [2, N], log of the sum over all ways
        self._path = np.array([[-np.inf], [0.0]])  # [2, N], of the likeliest way
        self._peak = np.zeros((2, 1))  # of the last character on it
        self._place = np.full((3, 2, 1), -1, np.int64)  # its first frame, its end, the spoken one before it

    def _begin(self, offset: float, sound: Loudness | None) -> None:
        apart = " " in self.labels[:-1] and not self.guide.modelled
        self._built = WordBuilder(Clock(self.frame_seconds, offset, self.calibration, sound), apart)
        # Frames that end a word for hot words, too; 0 where none do.
        self._pause = pause_frames(self.frame_seconds) if apart and self.guide.boosted else 0
        self._frames = 0
        self._finished = False

    def feed(self, log_probs: np.ndarray) -> None:
        """Take the next frames, [T, V + 1].

        Raises:
            DecoderError: they are none, or not numbers, or the utterance is finished.
        """
        require_frames(log_probs, len(self.columns), self._finished)
        rows = np.maximum(log_probs[:, self.columns].astype(np.float64), -1e4)
        if not np.isfinite(rows).all():
            raise DecoderError(
                "The log-probabilities hold values that are not numbers, or infinite ones. Check what computes them."
            )
        self._run(self.priors.divide(rows) if self.priors else rows)

    def _run(self, rows: np.ndarray) -> None:
        for row in rows:
            self._step(row)
            self._frames += 1
            if self._frames % COMMIT_EVERY == 0:
                self._settle()

    def _step(self, row: np.ndarray) -> None:
        """One frame: log-probabilities [V + 1], the blank last."""
        mass, path = np.logaddexp(*self._mass), self._path.max(axis=0)
        old = (self._peak, self._place, self._path[LABEL] > self._path[BLANK])
        stay = self._stay(row, mass, path)
        labels = np.flatnonzero(row[:-1] > self.options.label_threshold)
        if len(labels) == 0:
            self._mass, self._path, self._peak, self._place = stay
            return
        again = self._last[:, None] == labels  # the same character twice needs a blank between
        reach = np.where(again, self._mass[BLANK][:, None], mass[:, None]) + row[labels]
        reach_path = np.where(again, self._path[BLANK][:, None], path[:, None]) + row[labels]
        state, kept_bonus = self._join(row, labels, stay, reach, reach_path, old)

        score = np.logaddexp(*stay[0]) + kept_bonus + self.guide.potential(state)
        limit = score.max() - self.options.beam_threshold
        size = self.options.beam_size
        if len(score) >= size:
            limit = max(limit, np.partition(score, -size)[-size])
        # What cannot come into the beam even with the most that may be added needs no language model.
        origin, via = np.nonzero(reach + self._bonus[:, None] >= limit - self.guide.most)
        gains, targets = self._advance(origin, labels[via], *old)
        bonus = self._bonus[origin] + gains
        score = np.concatenate([score, reach[origin, via] + bonus + self.guide.potential(targets)])
        chosen = np.flatnonzero(score > score.max() - self.options.beam_threshold)
        if len(chosen) > size:
            # Of equal ones those that were made first: the kept stand before the new, both in their order.
            chosen = np.sort(chosen[np.argsort(-score[chosen], kind="stable")[:size]])
        kept = chosen[chosen < len(self._text)]
        taken = chosen[len(kept) :] - len(self._text)
        origin, via = origin[taken], via[taken]
        self._state = np.concatenate([state[kept], targets[taken]])
        self._bonus = np.concatenate([kept_bonus[kept], bonus[taken]])
        nothing = np.full(len(taken), -np.inf)
        self._mass = np.concatenate([stay[0][:, kept], [nothing, reach[origin, via]]], axis=1)
        self._path = np.concatenate([stay[1][:, kept], [nothing, reach_path[origin, via]]], axis=1)
        self._peak = np.concatenate([stay[2][:, kept], np.tile(row[labels[via]], (2, 1))], axis=1)
        pairs = zip(origin.tolist(), again[origin, via].tolist(), strict=True)
        spoken = [self._speak(i, repeated, *old) for i, repeated in pairs]
        fresh = np.array([[self._frames] * len(spoken), [self._frames + 1] * len(spoken), spoken], np.int64)
        self._place = np.concatenate([stay[3][:, :, kept], np.stack([fresh, fresh], axis=1)], axis=2)
        new = [self._lengthen(i, k) for i, k in zip(self._text[origin].tolist(), labels[via].tolist(), strict=True)]
        self._before = np.concatenate([self._before[kept], self._text[origin]])
        self._text = np.concatenate([self._text[kept], np.array(new, np.int64)])
        self._last = np.concatenate([self._last[kept], labels[via]])

    def _stay(self, row: np.ndarray, mass: np.ndarray, path: np.ndarray) -> Beam:
        """All texts after a frame that adds no character to them: mass, path, peak and place."""
        blank, letter = row[-1], row[self._last]
        space = row[self.guide.space] if self.guide.space < len(row) - 1 else -np.inf
        at_edge = self._last == self.guide.space  # a space after a space, or before all, is silence
        from_label = self._path[LABEL] > self._path[BLANK]
        sums = [
            np.where(at_edge, -np.inf, mass + blank),
            np.where(at_edge, mass + np.logaddexp(blank, space), self._mass[LABEL] + letter),
        ]
        paths = [
            np.where(at_edge, -np.inf, path + blank),
            np.where(at_edge, path + max(blank, space), self._path[LABEL] + letter),
        ]
        peaks = [np.where(from_label, self._peak[LABEL], self._peak[BLANK]), np.maximum(self._peak[LABEL], letter)]
        places = [np.where(from_label, self._place[:, LABEL], self._place[:, BLANK]), self._place[:, LABEL]]
        place = np.stack(places, axis=1)
        place[1, LABEL] = self._frames + 1
        return np.stack(sums), np.stack(paths), np.stack(peaks), place

    def _join(
        self, row: np.ndarray, labels: np.ndarray, stay: Beam, reach: np.ndarray, reach_path: np.ndarray, old: Last
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where a text and one character more is in the beam already, add to it what comes from the shorter text.

        Returns the states and the bonus of all texts: where pauses end words, the likeliest way says which words.
        """
        mass, path, peak, place = stay
        order = np.argsort(self._text)
        source = order[np.searchsorted(self._text, self._before, sorter=order).clip(max=len(order) - 1)]
        column = np.full(len(row), -1)
        column[labels] = np.arange(len(labels))
        both = np.flatnonzero((self._text[source] == self._before) & (column[self._last] >= 0))
        origin, via = source[both], column[self._last[both]]
        mass[LABEL, both] = np.logaddexp(mass[LABEL, both], reach[origin, via])
        better = reach_path[origin, via] > path[LABEL, both]
        likeliest = better & (reach_path[origin, via] > path[BLANK, both])
        for j, i, k in zip(both[better].tolist(), origin[better].tolist(), via[better].tolist(), strict=True):
            path[LABEL, j] = reach_path[i, k]
            peak[LABEL, j] = row[labels[k]]
            place[:, LABEL, j] = self._frames, self._frames + 1, self._speak(i, bool(self._last[i] == labels[k]), *old)
        reach[origin, via] = -np.inf
        if not self._pause or not likeliest.any():
            return self._state, self._bonus
        state, bonus = self._state.copy(), self._bonus.copy()
        origin, via, both = origin[likeliest], via[likeliest], both[likeliest]
        gains, state[both] = self._advance(origin, labels[via], *old)
        bonus[both] = self._bonus[origin] + gains
        return state, bonus

    def _advance(
        self, origin: np.ndarray, labels: np.ndarray, _: np.ndarray, place: np.ndarray, from_label: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What characters add to entries and the states after them; behind a pause a space comes first."""
        states, gains, last = self._state[origin], np.zeros(len(origin)), self._last[origin]
        if self._pause:
            way = np.where(from_label[origin] & (last != labels), LABEL, BLANK)
            long = self._frames - place[1, way, origin] >= self._pause
            paused = np.flatnonzero(long & (last != self.guide.space) & (labels != self.guide.space))
            gains[paused], states[paused] = self.guide.advance(states[paused], np.full_like(paused, self.guide.space))
        more, targets = self.guide.advance(states, labels)
        return gains + more, targets

    def _lengthen(self, text: int, label: int) -> int:
        """The number of a text with one more character."""
        number = self._longer.get((text, label))
        if number is None:
            self._made += 1
            number = self._longer[text, label] = self._made
            self._texts[number] = (text, label, self._texts[text][2] + 1)
        return number

    def _speak(self, i: int, after_blank: bool, peak: np.ndarray, place: np.ndarray, from_label: np.ndarray) -> int:
        """Note the last character of entry `i` as it stood before this frame, since another character follows it."""
        if self._text[i] == self._settled:
            return -1
        way = LABEL if from_label[i] and not after_blank else BLANK
        begin, end, before = place[:, way, i].tolist()
        self._made += 1
        self._spoken[self._made] = (before, self._texts[int(self._text[i])][2], begin, end, float(peak[way, i]))
        return self._made

    def _ranked(self) -> np.ndarray:
        """Score of each entry, with what it may still bring."""
        return np.logaddexp(*self._mass) + self._bonus + self.guide.potential(self._state)

    def held(self) -> int:
        """Texts and spoken characters that are kept."""
        return len(self._texts) + len(self._longer) + len(self._spoken)

    def _gains(self) -> np.ndarray:
        """What the end of the utterance adds to each entry."""
        return np.array([self.guide.finish(state) for state in self._state.tolist()])

    def _best(self) -> int:
        """The entry of the highest score, of equal ones the oldest."""
        return int(self._ranked().argmax())

    def _shorter(self, text: int) -> Iterator[int]:
        """A text and all that it begins with, down to the settled one."""
        while text != self._settled:
            yield text
            text = self._texts[text][0]

    def _characters(self, i: int) -> list[tuple[str, int, int, float]]:
        """What entry `i` has after the settled text: characters, first frames, ends, log-probabilities."""
        way = self._way(i)
        begin, end, before = self._place[:, way, i].tolist()
        peak = float(self._peak[way, i])
        characters = []
        for text in self._shorter(int(self._text[i])):
            characters.append((self.labels[self._texts[text][1]], begin, end, peak))
            before, _, begin, end, peak = self._spoken.get(before, (-1, 0, 0, 0, 0.0))
        # Where the text had to be settled early, the likeliest way may say the next character before its end.
        floor = self._settled_end
        for place in range(len(characters) - 1, -1, -1):
            character, begin, end, peak = characters[place]
            begin = max(begin, floor)
            floor = max(end, begin)
            characters[place] = (character, begin, floor, peak)
        return characters[::-1]

    def _settle(self) -> None:
        """Write down what all ways of saying all texts agree on, and forget what none needs; bounds memory."""
        best = self._best()
        begins = [begin for _, begin, _, _ in self._characters(best)]
        ripe = int(np.searchsorted(begins, self._frames - self.options.longest_open))
        if ripe:  # texts that begin otherwise are given up
            text = self._path_to(best)[ripe - 1]
            self._keep(np.array([text in self._shorter(other) for other in self._text.tolist()]))
            best = self._best()
        numbers, shared = list(self._way_back(int(self._place[2, self._way(best), best])))[::-1], 0
        if numbers:
            places = {number: place for place, number in enumerate(numbers, 1)}
            before = np.unique(self._place[2]).tolist()
            shared = min(next((places[n] for n in self._way_back(number) if n in places), 0) for number in before)
        if settled := self._path_to(best)[: max(ripe, shared)]:
            for character in self._characters(best)[: len(settled)]:
                self._built.add(*character)
                self._settled_end = character[2]
            self._settled = settled[-1]
        self._forget()
        self._state = self.guide.compact(self._state)

    def _way(self, i: int) -> int:
        """The likelier end of entry `i`."""
        return int(self._path[LABEL, i] > self._path[BLANK, i])

    def _way_back(self, number: int) -> Iterator[int]:
        """A spoken character and all before it, down to the settled text."""
        while number in self._spoken and self._spoken[number][1] > self._texts[self._settled][2]:
            yield number
            number = self._spoken[number][0]

    def _path_to(self, i: int) -> list[int]:
        """The texts from the settled one, left out, to that of entry `i`."""
        return list(self._shorter(int(self._text[i])))[::-1]

    def _keep(self, chosen: np.ndarray) -> None:
        """Drop all other entries; `chosen` is a mask."""
        self._text, self._before, self._last = self._text[chosen], self._before[chosen], self._last[chosen]
        self._state, self._bonus = self._state[chosen], self._bonus[chosen]
        self._mass, self._path, self._peak = self._mass[:, chosen], self._path[:, chosen], self._peak[:, chosen]
        self._place = self._place[:, :, chosen]

    def _forget(self) -> None:
        """Drop the texts and spoken characters that no entry comes from."""
        needed = {self._settled}
        for text in self._text.tolist():
            for shorter in self._shorter(text):
                if shorter in needed:
                    break
                needed.add(shorter)
        self._texts = {text: self._texts[text] for text in needed}
        self._longer = {key: text for key, text in self._longer.items() if text in needed and key[0] in needed}
        spoken: set[int] = set()
        for number in np.unique(self._place[2]).tolist():
            for earlier in self._way_back(number):
                if earlier in spoken:
                    break
                spoken.add(earlier)
        self._spoken = {number: self._spoken[number] for number in spoken}

    def words(self) -> list[Word]:
        """The likeliest words so far; the last ones may still change.

        What the language model thinks of the last word counts only when the word is complete.
        """
        if self._finished:
            return self._final[0].words
        return self._built.followed_by(self._characters(self._best())).all()

    def finish(self) -> list[Hypothesis]:
        """End the utterance: its readings, the likeliest first. Only `reset` may follow.

        Raises:
            DecoderError: it is finished already.
        """
        require_frames(np.zeros((0, len(self.columns))), len(self.columns), self._finished)
        self._final, self._finished = self.ending(), True
        return self._final

    def ending(self) -> list[Hypothesis]:
        """What `finish` would give; more may follow."""
        mass = np.logaddexp(*self._mass)
        scores = mass + self._bonus + self._gains()
        if not (scores > -np.inf).any():  # every text ends within a word that is none: that word is left out
            best = self._best()
            words = self._built.followed_by(self._characters(best)).ended(self._frames, complete=False)
            return [self._hypothesis(words, float((mass + self._bonus)[best]))]
        # With a space at its end or without, it is the same text.
        groups: dict[int, list[int]] = {}
        for i in np.flatnonzero(scores > -np.inf).tolist():
            groups.setdefault(int(self._before[i] if self._last[i] == self.guide.space else self._text[i]), []).append(
                i
            )
        totals = {text: float(np.logaddexp.reduce(scores[members])) for text, members in groups.items()}
        ranked = sorted(totals, key=lambda text: -totals[text])[: self.n_best]
        found = []
        for text in ranked:
            likeliest = max(groups[text], key=lambda i: self._path[:, i].max())
            words = self._built.followed_by(self._characters(likeliest)).ended(self._frames)
            found.append(self._hypothesis(words, totals[text]))
        return found

    @staticmethod
    def _hypothesis(words: list[Word], score: float) -> Hypothesis:
        return Hypothesis(" ".join(word.text for word in words), words, score)
