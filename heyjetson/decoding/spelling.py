"""Words by their letters, as the compiled search reads them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from heyjetson.decoding import core

NO_LABEL = -1  # of letters that the model does not write


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    """Where an array lies; it must be kept alive."""
    return ctypes.c_void_p(array.ctypes.data)


class SpellingTrie:
    """A trie of words, breadth first: the children of a node follow one another, those of node 0 begin with 1.

    Args:
        words: sorted, each once.
        numbers: [words], what the language model calls them, int32.
        scores: [words], natural-log probability of each without a context.
        labels: V characters.

    Attributes:
        first: [nodes + 1], the first child of a node; its last one stands before that of the next node, int32.
        label: [nodes], the letter that leads to a node, int32.
        word: [nodes], the number of the word that ends there, or -1, int32.
        ahead: [nodes], the highest score of the words that begin so.
    """

    def __init__(self, words: Sequence[str], numbers: np.ndarray, scores: np.ndarray, labels: Sequence[str]):
        library = core.library()
        assert library is not None  # who asks looked
        characters = np.frombuffer("".join(words).encode("utf-32-le"), np.uint32)
        lengths = np.fromiter(map(len, words), np.int64, len(words))
        codes = [ord(label) if len(label) == 1 else -1 for label in labels]
        columns = np.full(max(codes) + 2, NO_LABEL, np.int32)
        columns[codes] = np.arange(len(labels))
        columns[-1] = NO_LABEL
        letters = columns[np.minimum(characters, len(columns) - 1)]
        ends, longest = np.cumsum(lengths), int(lengths.max(initial=0))
        numbers, scores = np.ascontiguousarray(numbers, np.int32), np.ascontiguousarray(scores, np.float64)
        depths = np.zeros(longest + 1, np.int64)
        given = (pointer(letters), pointer(ends), len(words))
        size = library.trie_size(*given, pointer(depths))
        self.first = np.empty(size + 1, np.int32)
        self.label, self.word = np.empty((2, size), np.int32)
        self.ahead = np.empty(size)
        made = (self.first, self.label, self.word, self.ahead, *np.empty((2, longest + 1), np.int32))
        library.trie_build(*given, pointer(numbers), pointer(scores), pointer(depths), longest, *map(pointer, made))

    def view(self) -> core.Trie:
        """What the library reads; it holds addresses only."""
        return core.Trie(len(self.label), *map(pointer, (self.first, self.label, self.word, self.ahead)))
