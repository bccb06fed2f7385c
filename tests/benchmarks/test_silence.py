"""What benchmarks/silence.py adds to clips, and the table it makes of it."""

import numpy as np
import pytest

from benchmarks.silence import FILLS, ROWS, filler, placed, table

RATE = 16000


@pytest.mark.parametrize(("name", "level"), [(name, level) for name, (level, _) in FILLS.items()])
def test_fillers_have_their_level_and_are_the_same_again(name, level):
    made = filler(name, RATE, 1)(2.0)
    assert made.dtype == np.float32 and len(made) == 2 * RATE
    assert np.array_equal(made, filler(name, RATE, 1)(2.0))
    with np.errstate(divide="ignore"):
        assert 10 * np.log10(np.mean(np.square(made, dtype=np.float64))) == pytest.approx(level, abs=0.01)


def test_clips_stay_whole_wherever_the_silence_is():
    clips = [(np.full(size, 0.5, np.float32), said) for size, said in ((900, "one"), (700, "two"), (500, "three"))]
    sizes = {}
    for row in ROWS:
        made = placed(clips, row, filler("zeros", RATE, 0))
        sizes[row] = [len(sound) for sound, _ in made]
        kept = [int((sound != 0).sum()) for sound, _ in made]
        assert (kept, [said for _, said in made]) == (
            ([1600], ["one two"]) if "two" in row else ([900, 700, 500], ["one", "two", "three"])
        )
    half = RATE // 2
    assert list(sizes.values()) == [
        [900, 700, 500],
        [900 + half, 700 + half, 500 + half],
        [900 + half, 700 + half, 500 + half],
        [900 + RATE, 700 + RATE, 500 + RATE],
        [1600],
        [1600 + 2 * RATE],
    ]
    before, behind = (placed(clips, row, filler("zeros", RATE, 0))[0][0] for row in ROWS[1:3])
    assert not before[:half].any() and before[half] and behind[0] and not behind[-half:].any()


def test_a_table_has_a_row_for_each_place(bundle, corpus):
    lines = table(bundle, corpus / "test.jsonl", 2, 1).splitlines()
    assert len(lines) == 2 + len(ROWS) and all(line.count("|") == 2 + len(FILLS) for line in lines)
    assert "times" in lines[-1] and "times" not in lines[2]
