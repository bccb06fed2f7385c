"""KenLM's probing format (https://kheafield.com/code/kenlm/structures): language models that are mapped, not read."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heyjetson.decoding import core
from heyjetson.decoding.spelling import WordBytes, pointer
from heyjetson.errors import ScorerError

MAGIC = b"mmap lm http://kheafield.com/code format version 5\n\0\0".ljust(56, b"\0")
SANITY = MAGIC + struct.pack("<3f3IQ", 0.0, 1.0, -0.5, 1, 2**32 - 1, 0, 1)
FIXED = struct.Struct("<Bxxxfi?xxxI")  # order, multiplier, layout, whether words follow at the end, version
PROBING = 0  # the layout; the others are tries
MIDDLE, LAST, WORD = 16, 12, 12  # bytes of a bucket
LN10 = float(np.log(10.0))


def buckets(entries: int, multiplier: float) -> int:
    """How many a table of some entries has."""
    return max(entries + 1, int(np.float32(multiplier) * np.float32(entries)))


def header_size(order: int) -> int:
    """Bytes before the vocabulary."""
    return -(-(len(SANITY) + FIXED.size + 8 * order) // 8) * 8


class ProbingModel:
    """A language model that the compiled search reads where it lies.

    Args:
        content: of the file.
        name: of the file, for messages.

    Attributes:
        content: of the file.
        order: of the longest n-grams.
        view: what the library reads, an address of which is valid as long as this lives.

    Raises:
        ScorerError: it is damaged.
    """

    def __init__(self, content: np.ndarray, name: Path):
        head = content[: header_size(core.LONGEST) + 8].tobytes()
        order, multiplier, _, self._strings, _ = FIXED.unpack_from(head, len(SANITY))
        if not 2 <= order <= core.LONGEST or not 1.0 <= multiplier < 1e6 or len(content) < header_size(order):
            raise ScorerError(f"The language model {name} is damaged: it names an order of {order}. Build it again.")
        counts = struct.unpack_from(f"<{order}Q", head, len(SANITY) + FIXED.size)
        place = header_size(order)
        self.order = order
        self.view = core.Ngram(order)
        self.content = content  # kept alive
        if max(counts) < len(content):
            self.view.vocabulary_buckets = buckets(counts[0], multiplier)
            self.view.vocabulary = content.ctypes.data + place + 8
            _, self.view.words = struct.unpack_from("<II", head, place)
            place += 8 + WORD * self.view.vocabulary_buckets
            self._unigrams = place
            self.view.unigram = content.ctypes.data + place
            place += 8 * (counts[0] + 1)
            for n in range(2, order + 1):
                self.view.table[n - 2] = content.ctypes.data + place
                self.view.buckets[n - 2] = buckets(counts[n - 1], multiplier)
                place += (LAST if n == order else MIDDLE) * self.view.buckets[n - 2]
        if max(counts) >= len(content) or place > len(content) or not 0 < self.view.words <= counts[0] + 1:
            raise ScorerError(f"The language model {name} is cut off or damaged. Copy it again, or build it anew.")
        self._end = place
        self.view.begin, self.view.end = self.numbers(["<s>", "</s>"]).tolist()

    @classmethod
    def open(cls, path: Path) -> ProbingModel | None:
        """Map a file; None where it is none of this layout.

        Raises:
            ScorerError: it is damaged.
            OSError: it cannot be read.
        """
        with path.open("rb") as file:
            head = file.read(len(SANITY) + FIXED.size)
        if len(head) < len(SANITY) + FIXED.size or not head.startswith(SANITY):
            return None
        _, _, layout, _, version = FIXED.unpack_from(head, len(SANITY))
        if layout != PROBING or version != 0:
            return None
        return cls(np.memmap(path, np.uint8, "r"), path)

    def numbers(self, words: Sequence[str]) -> np.ndarray:
        """What the model calls words, [words], int32; 0 where it does not know one."""
        return self.numbers_of(WordBytes.of(words))

    def numbers_of(self, words: WordBytes) -> np.ndarray:
        """The same of many words."""
        out = np.zeros(len(words.ends), np.int32)
        given = (pointer(words.letters), pointer(words.ends), len(words.ends))
        self._library().ngram_numbers(ctypes.byref(self.view), *given, pointer(out))
        return out

    def words(self) -> list[str] | None:
        """All words in the order of their numbers; None where the file does not tell them."""
        if not self._strings:
            return None
        return [word.decode() for word in self.content[self._end :].tobytes().split(b"\0")[: self.view.words]]

    def unigrams(self, numbers: np.ndarray) -> np.ndarray:
        """Natural-log probability of each word without a context."""
        pairs = np.frombuffer(self.content, np.float32, 2 * self.view.words, self._unigrams)
        return -np.abs(pairs[::2][numbers]).astype(np.float64) * LN10

    def scores(self, numbers: np.ndarray) -> np.ndarray:
        """Natural-log probability of each word of a sentence, [words], after those before it."""
        context, library = core.Context(), self._library()
        numbers, out = np.ascontiguousarray(numbers, np.uint32), np.zeros(len(numbers), np.float32)
        library.ngram_start(ctypes.byref(self.view), ctypes.byref(context))
        library.ngram_scores(
            ctypes.byref(self.view), ctypes.byref(context), numbers.ctypes.data, len(numbers), out.ctypes.data
        )
        return out.astype(np.float64) * LN10

    @staticmethod
    def _library() -> ctypes.PyDLL:
        library = core.loaded()
        return library
