"""The lattice against every path there is, in as few kept scores as may be."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.align.lattice import GAP, Costs, Emissions, align


class Rules:
    """What a path may do and what it costs, by the definition: frame by frame, in plain Python."""

    def __init__(self, utterances, emissions, costs):
        self.utterances, self.emissions, self.costs = utterances, emissions, costs
        self.labels = [label for utterance in utterances for label in utterance]
        self.owner = [number for number, utterance in enumerate(utterances) for _ in utterance]
        self.begins = [self.owner.index(number) for number in range(len(utterances))]
        self.ends = [begin - 1 for begin in self.begins[1:]] + [len(self.labels) - 1]
        self.states = [(GAP, False), *((n, spoken) for n in range(len(self.labels)) for spoken in (False, True))]
        self.best = emissions.log_probs.max(axis=1)

    def follows(self, before, state, last):
        """Whether a state may come after another; `last` is the last character that was said, or None."""
        character, spoken = state
        if character == GAP:
            return before[0] == GAP or (before[1] and before[0] in self.ends)
        if before[0] == GAP:
            return spoken and character in self.begins and (last is None or character > last)
        if state == before:
            return True
        if character == before[0]:
            return spoken
        doubled = spoken and self.labels[character] == self.labels[before[0]]
        return character == before[0] + 1 and before[1] and character not in self.begins and not doubled

    def cost(self, frame, state):
        row, (character, spoken) = self.emissions.log_probs[frame] - self.best[frame], state
        if character == GAP:
            return max(row[self.emissions.blank_id], row[self.emissions.space_id], -self.emissions.unspoken)
        return row[self.labels[character] if spoken else self.emissions.blank_id]

    def score(self, path):
        """Of a path; None where it is not one."""
        before, last = (GAP, False), None
        for state in path:
            if not self.follows(before, state, last):
                return None
            before, last = state, state[0] if state[1] else last
        if before[0] != GAP and not (before[1] and before[0] in self.ends):
            return None
        said = {self.owner[character] for character, _ in path if character != GAP}
        left_out = sum(len(one) for number, one in enumerate(self.utterances) if number not in said)
        return sum(self.cost(frame, state) for frame, state in enumerate(path)) - self.costs.unread * left_out

    def paths(self, path=(), last=None):
        """All that begin so."""
        if len(path) == len(self.best):
            yield path
            return
        for state in self.states:
            if self.follows(path[-1] if path else (GAP, False), state, last):
                yield from self.paths((*path, state), state[0] if state[1] else last)

    def best_of_all(self):
        return max(score for path in self.paths() if (score := self.score(path)) is not None)


def steps(path):
    return list(zip(path.characters.tolist(), path.spoken.tolist(), strict=True))


def made(seed, frames, peaked, unspoken):
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((frames, 4)) * peaked
    return Emissions((logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32), 3, 0, unspoken)


few = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=3), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(
    few.filter(lambda u: sum(map(len, u)) <= 3),
    st.integers(1, 5),
    st.integers(0, 9999),
    st.sampled_from([0.5, 3]),
    st.sampled_from([0.05, 1.0]),
    st.sampled_from([0.2, 2.0, 9.0]),
    st.integers(1, 6),
    st.sampled_from([-0.1, -2, -99]),
)
def test_no_path_is_better(utterances, frames, seed, peaked, unspoken, unread, kept, bound):
    emissions, costs = made(seed, frames, peaked, unspoken), Costs(unspoken, unread)
    path = align(utterances, emissions, costs, kept, bound)
    rules = Rules(utterances, emissions, costs)
    own = rules.score(steps(path))
    assert own is not None
    assert abs(own - path.score) < 1e-4
    assert abs(path.score - rules.best_of_all()) < 1e-4


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=12),
    st.integers(1, 60),
    st.integers(0, 9999),
    st.sampled_from([0.0, 0.2, 1.0, 4.0]),
    st.integers(1, 70),
    st.sampled_from([-1, -40]),
)
def test_few_kept_scores_and_a_bound_change_nothing(utterances, frames, seed, unread, kept, bound):
    emissions, costs = made(seed, frames, 2.0, 0.2), Costs(0.2, unread)
    whole, path = align(utterances, emissions, costs, 1, -1e9), align(utterances, emissions, costs, kept, bound)
    assert whole.score == path.score
    for way in (whole, path):  # of two like utterances either may be left out, so the ways need not be the same
        assert abs(Rules(utterances, emissions, costs).score(steps(way)) - whole.score) < 1e-3


def test_text_is_found_behind_any_silence():
    """Aligners that look at windows of the frames lose it where 8,000 of them are silent."""
    silence, said = 9000, [1, 2, 1]
    rows = np.full((2 * (silence + 5), 4), -12.0, np.float32)
    rows[:, 3] = 0.0
    wanted = []
    for begin in (silence, 2 * silence + 5):
        for place, label in enumerate(said):
            rows[begin + 2 * place, [label, 3]] = 0.0, -12.0
            wanted.append(begin + 2 * place)
    path = align([said, said], Emissions(rows, 3, 0, 0.2), Costs(0.2, 2.0))
    spoken = path.spoken & (path.characters != GAP)
    assert np.flatnonzero(spoken).tolist() == wanted
    assert path.characters[wanted].tolist() == list(range(6))
