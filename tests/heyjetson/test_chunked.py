"""Recordings that are longer than a graph takes."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from heyjetson.chunked import GUARD, chunks, joined, seam

GRID, CONTEXT = 64, 3  # samples of a frame, and frames on either side that one depends on


@given(st.integers(1, 90000), st.integers(1, 6000), st.integers(1, 2000))
def test_chunks_are_the_recording(samples, longest, overlap):
    found = chunks(samples, longest, overlap, GRID)
    begins = [begin for begin, _ in found]
    assert begins == sorted(set(begins))
    assert found[0][0] == 0
    assert found[-1][1] == samples
    assert all(0 < end - begin <= longest and begin % GRID == 0 for begin, end in found) or longest < GRID
    if longest >= 2 * GRID:  # a shorter one has no room to share
        shared = min(overlap, longest // 4)
        ends = [end for _, end in found]
        assert all(end - begin >= min(shared, longest - GRID) for end, begin in zip(ends, begins[1:], strict=False))


def spoken(frames: int, rng: np.random.Generator) -> np.ndarray:
    """Letters of three labels with blanks between them, [T, 4]."""
    labels = np.where(rng.random(frames) < 0.5, 3, rng.integers(0, 3, frames))
    return np.log(0.94 * np.eye(4)[labels] + 0.015).astype(np.float32)


@given(st.integers(40, 400), st.integers(30, 60), st.integers(0, 1 << 20))
@example(88, 50, 0)  # three chunks that share frames
@example(92, 50, 0)
def test_a_model_that_sees_less_than_a_quarter_of_what_is_shared_reads_the_whole(frames, longest, seed):
    """Frames within its context of a chunk's ends are wrong; none of them comes through."""
    rng = np.random.default_rng(seed)
    whole = spoken(frames, rng)

    def parts():
        for begin, end in chunks(frames * GRID, longest * GRID, 14 * GRID, GRID):
            part = whole[begin // GRID : end // GRID].copy()
            part[: CONTEXT * (begin > 0)] = np.log([0.97, 0.01, 0.01, 0.01])
            part[len(part) - CONTEXT * (end < frames * GRID) :] = np.log([0.97, 0.01, 0.01, 0.01])
            yield begin // GRID, part

    overlap = min(14, longest // 4)
    if int(GUARD * overlap) < CONTEXT:
        return
    found = list(joined(parts(), 3))
    assert [first for first, _ in found] == np.cumsum([0] + [len(part) for _, part in found[:-1]]).tolist()
    assert np.array_equal(np.concatenate([part for _, part in found]), whole)


def test_a_seam_lies_where_both_are_sure_of_a_blank():
    """A letter that the two write a frame apart is neither lost nor written twice."""
    left, right = np.full((2, 20), -9.0)
    left[[8, 9, 10, 11, 14, 15]] = -0.01
    right[[9, 10, 11, 12, 13, 14, 15]] = -0.01
    assert seam(left, right) in (10, 11)
    left[:], right[:] = -0.01, -0.01
    assert seam(left, right) == 10
    assert 0 <= seam(left[:1], right[:1]) <= 1
    assert seam(left[:0], right[:0]) == 0
