"""Words by their letters, as the compiled search reads them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heyjetson.decoding import core

NO_LABEL = -1  # of letters that the model does not write
LONGEST_NUMBER = 32  # characters
TAB, LINE = 9, 10


def pointer(array: np.ndarray) -> ctypes.c_void_p:
    """Where an array lies; it must be kept alive."""
    return ctypes.c_void_p(array.ctypes.data)


@dataclass(frozen=True)
class WordBytes:
    """Words without a Python object for each: there may be hundreds of thousands.

    Args:
        letters: their UTF-8 bytes one after the other, uint8.
        ends: [words], the byte behind each.
    """

    letters: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, words: Sequence[str]) -> WordBytes:
        """The same of a list."""
        text = [word.encode() for word in words]
        ends = np.cumsum(np.fromiter(map(len, text), np.int64, len(text)))
        return cls(np.frombuffer(b"".join(text), np.uint8), ends)

    @classmethod
    def within(cls, content: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> WordBytes:
        """Words that lie in some text, uint8, one behind the other with something between."""
        edges = np.zeros(len(content) + 1, np.int8)
        edges[begins] += 1
        edges[ends] -= 1
        return cls(content[np.cumsum(edges[:-1], dtype=np.int8) > 0], np.cumsum(ends - begins))

    def strings(self) -> list[str]:
        """The list."""
        letters, ends = self.letters.tobytes(), self.ends.tolist()
        return [letters[begin:end].decode() for begin, end in zip([0, *ends], ends, strict=False)]

    def columns(self, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Which labels the letters are, NO_LABEL for others, int32, and the letter behind each word.

        Args:
            labels: V characters.
        """
        if ascii := not (self.letters & 0x80).any():
            characters = self.letters
        else:
            characters = np.frombuffer(self.letters.tobytes().decode().encode("utf-32-le"), np.uint32)
        codes = [ord(label) if len(label) == 1 else -1 for label in labels]
        table = np.full(max(codes) + 2, NO_LABEL, np.int32)
        table[codes] = np.arange(len(labels))
        table[-1] = NO_LABEL
        columns = table[np.minimum(characters, len(table) - 1)]
        if ascii:
            return columns, self.ends
        begins = np.concatenate([[0], np.cumsum((self.letters & 0xC0) != 0x80, dtype=np.int64)])
        return columns, begins[self.ends]


def numbers_within(content: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Numbers that are written in some text, uint8, from `begins` to `ends`, [numbers], float64; 0 where nothing is.

    Raises:
        ValueError: one is none.
    """
    widths = ends - begins
    width = int(widths.max(initial=1))
    if width > LONGEST_NUMBER:
        raise ValueError("a number is none")
    cells = np.zeros((len(begins), width), np.uint8)
    for place in range(width):
        cells[:, place] = np.where(place < widths, content[np.minimum(begins + place, len(content) - 1)], 0)
    cells[widths == 0, 0] = ord("0")
    return cells.view(f"S{width}").ravel().astype(np.float64)


def read_word_list(raw: bytes) -> tuple[WordBytes, np.ndarray]:
    """Lines of a word, a tab and a natural-log probability, and these as [words].

    Raises:
        ValueError: it holds something else.
    """
    content = np.frombuffer(raw, np.uint8)
    tabs, lines = np.flatnonzero(content == TAB), np.flatnonzero(content == LINE)
    starts = np.concatenate([[0], lines[:-1] + 1])[: len(lines)]
    if len(tabs) != len(lines) or (tabs < starts).any() or (tabs > lines).any() or (raw and raw[-1] != LINE):
        raise ValueError("the word list is none")
    return WordBytes.within(content, starts, tabs), numbers_within(content, tabs + 1, lines)


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

    def __init__(self, words: WordBytes, numbers: np.ndarray, scores: np.ndarray, labels: Sequence[str]):
        library = core.library()
        assert library is not None  # who asks looked
        letters, ends = words.columns(labels)
        longest = int(np.diff(ends, prepend=0).max(initial=0))
        numbers, scores = np.ascontiguousarray(numbers, np.int32), np.ascontiguousarray(scores, np.float64)
        depths = np.zeros(longest + 1, np.int64)
        given = (pointer(letters), pointer(ends), len(ends))
        size = library.trie_size(*given, pointer(depths))
        self.first = np.empty(size + 1, np.int32)
        self.label, self.word = np.empty((2, size), np.int32)
        self.ahead = np.empty(size)
        made = (self.first, self.label, self.word, self.ahead, *np.empty((2, longest + 1), np.int32))
        library.trie_build(*given, pointer(numbers), pointer(scores), pointer(depths), longest, *map(pointer, made))

    def number(self, word: Sequence[int]) -> int:
        """The number of a word, -1 where it is none.

        Args:
            word: its labels.
        """
        node = 0
        for label in word:
            children = self.label[self.first[node] : self.first[node + 1]]
            if not (found := np.flatnonzero(children == label)).size:
                return -1
            node = int(self.first[node] + found[0])
        return int(self.word[node])

    def view(self) -> core.Trie:
        """What the library reads; it holds addresses only."""
        return core.Trie(len(self.label), *map(pointer, (self.first, self.label, self.word, self.ahead)))
