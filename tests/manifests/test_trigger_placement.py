"""Places are drawn so that it always ends, nothing overlaps, and what could be placed is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.trigger.placement import place


def check(lengths, size, margin, rng):
    """The properties of one placement."""
    placement = place(lengths, size, rng, margin)
    assert len(placement.starts) == len(lengths)
    assert placement.left_out == [number for number, start in enumerate(placement.starts) if start is None]
    taken = sorted(
        (start, start + length)
        for start, length in zip(placement.starts, lengths, strict=True)
        if start is not None
    )  # fmt: skip
    assert all(start >= 0 and end <= size for start, end in taken)
    assert all(start - end >= margin for (_, end), (start, _) in zip(taken, taken[1:], strict=False))
    # What was left out fits in none of the gaps that there are now, or there were when it was its turn and are smaller.
    for number in placement.left_out:
        before = sorted(
            (start, start + length)
            for start, length in zip(placement.starts[:number], lengths[:number], strict=True)
            if start is not None
        )  # fmt: skip
        edges = [-margin, *(edge for piece in before for edge in piece), size + margin]
        gaps = [edges[at + 1] - edges[at] - 2 * margin for at in range(0, len(edges), 2)]
        assert max(gaps) < lengths[number]
    return placement


def test_thousands_of_random_clips():
    rng = np.random.default_rng(1)
    left_out = 0
    for _ in range(4000):
        size = int(rng.integers(1, 2000))
        # From crumbs to words longer than the clip, and more of them than it can hold.
        lengths = rng.integers(1, max(int(size * rng.choice([0.1, 0.3, 1.3])), 2), rng.integers(0, 12)).tolist()
        left_out += len(check(lengths, size, int(rng.integers(0, max(size // 4, 1))), rng).left_out)
    assert left_out > 2000


@given(st.lists(st.integers(1, 60), max_size=8), st.integers(0, 100), st.integers(0, 30), st.integers(0, 2**32 - 1))
@settings(max_examples=200, deadline=None)
def test_any_clip(lengths, size, margin, seed):
    check(lengths, size, margin, np.random.default_rng(seed))


def test_a_clip_that_is_exactly_full():
    placement = place([10] * 10, 10, np.random.default_rng(0))
    assert placement.starts == [0] + [None] * 9
    assert all(sorted(place([5, 5], 10, np.random.default_rng(seed)).starts, key=str) for seed in range(20))


def test_every_free_place_is_as_likely():
    rng = np.random.default_rng(0)
    first = np.bincount([place([3], 12, rng).starts[0] for _ in range(20_000)], minlength=10)
    assert first.min() > 1800 and first.max() < 2200
    # With 4…6 taken, a piece of 3 fits at 0, 1, 7, 8 and 9.
    second = [
        other for start, other in (place([3, 3], 12, rng).starts for _ in range(30_000)) if start == 4
    ]  # fmt: skip
    counts = np.bincount(second, minlength=10)[[0, 1, 7, 8, 9]]
    assert counts.sum() == len(second) and counts.min() > 0.8 * counts.max()


@pytest.mark.parametrize(("lengths", "margin"), [([0], 0), ([-3], 0), ([3], -1)])
def test_lengths_that_cannot_be_are_refused(lengths, margin):
    with pytest.raises(ValueError, match="must be"):
        place(lengths, 10, np.random.default_rng(0), margin)
