"""Pieces that wait for a step: nothing is lost, and what is no number is told at once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from heyjetson.waiting import Waiting


@given(st.lists(st.lists(st.integers(-32768, 32767), max_size=9), max_size=9), st.integers(0, 40))
def test_what_waits_is_what_came(pieces, room):
    waiting, heard = Waiting(), []
    for piece in pieces:
        samples = np.array(piece, np.int16)
        waiting.room = waiting.room or room
        if waiting.keeps(samples):
            samples[:] = 0  # whoever records uses the array again
        else:
            heard += waiting.joined(samples).tolist()
    heard += [number for held in waiting.take() for number in held.tolist()]
    assert heard == [number for piece in pieces for number in piece]
    assert waiting.room == 0 and waiting.take() == []


def test_only_16_bits_of_one_channel_wait():
    waiting = Waiting()
    waiting.room = 100
    for samples in (np.zeros(3, np.float32), np.zeros((3, 1), np.int16), np.zeros(100, np.int16), [0, 1]):
        assert not waiting.keeps(samples)
    assert waiting.keeps(np.zeros(99, np.int16)) and waiting.room == 1
    floats = np.zeros(5, np.float32)
    assert waiting.joined(floats) is floats and len(waiting.take()[0]) == 99
