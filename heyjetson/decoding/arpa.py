"""From an ARPA file to KenLM's probing format, as its `build_binary` writes it."""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from heyjetson.decoding import core
from heyjetson.decoding.probing import FIXED, LAST, MIDDLE, PROBING, SANITY, WORD, buckets, header_size
from heyjetson.decoding.spelling import WordBytes, numbers_within, pointer
from heyjetson.errors import ScorerError

MULTIPLIER = 1.5  # of buckets to entries, as in build_binary
MISSING_UNKNOWN = -100.0  # base-10 logarithm of <unk>'s probability where the file has none
BLOCK = 1 << 17  # lines read at once
UNKNOWN = WordBytes.of(["<unk>", "<UNK>"])


class Order:
    """The n-grams of an order.

    Args:
        words: [n-grams, n], in the order in which they are said.
        probability: [n-grams], base-10 logarithm.
        backoff: [n-grams], base-10 logarithm; minus zero where no longer n-gram begins so.
    """

    def __init__(self, words: np.ndarray, probability: np.ndarray, backoff: np.ndarray):
        self.words, self.probability, self.backoff = words, probability, backoff
        self.keys = hashed(words)
        self.extends = np.zeros(len(words), bool)  # whether a longer n-gram ends so
        self._sorted = np.argsort(self.keys, kind="stable")

    def find(self, words: np.ndarray) -> np.ndarray:
        """Where n-grams are, -1 for those that are not there."""
        keys = hashed(words)
        if not len(self.keys):
            return np.full(len(keys), -1)
        place = np.searchsorted(self.keys, keys, sorter=self._sorted).clip(max=len(self.keys) - 1)
        found = self._sorted[place]
        return np.where(self.keys[found] == keys, found, -1)


def hashed(words: np.ndarray) -> np.ndarray:
    """Keys of n-grams [n-grams, n], uint64: that of one word is its number."""
    words = words.astype(np.uint64)
    keys = words[:, -1].copy()
    for column in range(words.shape[1] - 2, -1, -1):
        keys = (keys * np.uint64(8978948897894561157)) ^ (
            (words[:, column] + np.uint64(1)) * np.uint64(17894857484156487943)
        )
    return keys


def to_probing(path: Path) -> np.ndarray:
    """The content of a file in KenLM's probing format, uint8.

    Args:
        path: ARPA file.

    Raises:
        ScorerError: it is not one, or cut off.
    """
    try:
        with path.open("rb") as file:
            text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)  # closed with the last array that reads it
        names, listed, orders = _read(text)
    except ValueError as error:
        raise ScorerError(f"{path} is not an ARPA language model, or it is cut off ({error}). Make it again.") from None
    for place in range(len(orders) - 2, 0, -1):
        orders[place] = _filled(orders[place], orders[place + 1])
    for shorter, order in pairwise(orders):
        _link(shorter, order)
    return _written(names, listed, orders)


def _line(text: mmap.mmap) -> bytes:
    """The next line that is not empty."""
    while line := text.readline():
        if line := line.strip():
            return line
    raise ValueError("it ends too soon")


def _read(text: mmap.mmap) -> tuple[WordBytes, int, list[Order]]:
    """Words by their numbers, how many the file lists (<unk> may be missing), and n-grams by their order."""
    if _line(text) != b"\\data\\":
        raise ValueError("it does not begin with \\data\\")
    counts: list[int] = []
    while (line := _line(text)).startswith(b"ngram "):
        order, count = line[len(b"ngram ") :].split(b"=")
        counts.append(int(count))
        if int(order) != len(counts):
            raise ValueError("its orders are not counted one by one")
    if not 2 <= len(counts) <= core.LONGEST:
        raise ValueError(f"its order is {len(counts)}")
    content = np.frombuffer(text, np.uint8)
    names, single, vocabulary = _words(text, content, line, counts[0])
    orders = [single]
    for n in range(2, len(counts) + 1):
        blocks = [block[1:] for block in _blocks(text, content, _line(text), n, counts[n - 1], vocabulary[0])]
        if n == len(counts) and any(backoff.any() for *_, backoff in blocks):
            raise ValueError("the longest n-grams have backoffs")
        nothing = (np.zeros((0, n), np.uint32), *np.zeros((2, 0), np.float32))
        orders.append(Order(*map(np.concatenate, zip(nothing, *blocks, strict=True))))
    if _line(text) != b"\\end\\":
        raise ValueError("\\end\\ is missing")
    return names, counts[0], orders


def _words(
    text: mmap.mmap, content: np.ndarray, title: bytes, count: int
) -> tuple[WordBytes, Order, tuple[core.Ngram, np.ndarray]]:
    """The 1-grams: their words, weights, and a vocabulary that numbers them."""
    blocks = list(_blocks(text, content, title, 1, count, None))
    places, _, probability, backoff = map(np.concatenate, zip(*blocks, strict=True))
    content = content[: places[-1, 5]]
    words = WordBytes.within(content, places[:, 4], places[:, 5])
    keys = hashes(words)
    unknown = np.isin(keys, hashes(UNKNOWN))
    pair = np.array([[MISSING_UNKNOWN], [0.0]], np.float32)
    if unknown.any():
        pair = np.stack([probability[unknown][-1:], backoff[unknown][-1:]])
    known = places[~unknown]
    names = WordBytes.within(content, known[:, 4], known[:, 5])
    weights = np.concatenate([pair, np.stack([probability, backoff])[:, ~unknown]], axis=1)
    numbers = np.arange(weights.shape[1], dtype=np.uint32)
    size = buckets(count, MULTIPLIER)
    table = _table(keys[~unknown], size, WORD, [numbers[1:]])
    view = core.Ngram(words=len(numbers), vocabulary=table.ctypes.data, vocabulary_buckets=size)
    return names, Order(numbers[:, None], *weights), (view, table)


def _blocks(
    text: mmap.mmap, content: np.ndarray, title: bytes, n: int, count: int, vocabulary: core.Ngram | None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """The n-grams of an order in blocks: where they are written, their words [block, n], probabilities and backoffs."""
    if title != b"\\%d-grams:" % n:
        raise ValueError(f"the {n}-grams are not where they should be")
    library = core.loaded()
    while count:
        size = min(count, BLOCK)
        count -= size
        begin = text.tell()
        places, words = np.zeros((size, 6), np.int64), np.zeros((size, n), np.uint32)
        model = ctypes.byref(vocabulary) if vocabulary else None
        at = ctypes.c_void_p(content.ctypes.data + begin)
        read = library.arpa_lines(at, len(content) - begin, n, size, model, pointer(places), pointer(words))
        if read < 0:
            raise ValueError(f"the {n}-grams are not as many as it says, or one has a wrong number of words")
        text.seek(begin + read)
        places += begin
        probability, backoff = (
            numbers_within(content, places[:, column], places[:, column + 1]).astype(np.float32) for column in (0, 2)
        )
        if not np.isfinite(backoff).all() or not (probability <= 0).all():
            raise ValueError(f"a weight of the {n}-grams is none")
        backoff[backoff == 0] = -0.0
        yield places, words, probability, backoff


def hashes(words: WordBytes) -> np.ndarray:
    """Keys of words, [words], uint64."""
    library = core.loaded()
    keys = np.zeros(len(words.ends), np.uint64)
    library.ngram_hashes(pointer(words.letters), pointer(words.ends), len(keys), pointer(keys))
    return keys


def _filled(shorter: Order, order: Order) -> Order:
    """With the n-grams that are looked for on the way to a longer one; some programs leave them out."""
    missing = order.words[:, 1:][shorter.find(order.words[:, 1:]) < 0]
    new = np.unique(missing, axis=0)
    return Order(
        np.concatenate([shorter.words, new]),
        np.concatenate([shorter.probability, np.full(len(new), np.nan, np.float32)]),  # _link knows it
        np.concatenate([shorter.backoff, np.full(len(new), -0.0, np.float32)]),
    )


def _link(shorter: Order, order: Order) -> None:
    """Say of the shorter n-grams which others begin and end so; what was added gets its probability."""
    context, suffix = shorter.find(order.words[:, :-1]), shorter.find(order.words[:, 1:])
    added = np.isnan(order.probability)
    if (context[~added] < 0).any():
        n = order.words.shape[1]
        raise ScorerError(
            f"The beginning of every {n}-gram must be a {n - 1}-gram of the language model, too. Prune it so."
        )
    begins = context[context >= 0]
    shorter.backoff[begins[shorter.backoff[begins] == 0]] = 0.0
    backoff = np.where(context[added] < 0, np.float32(0.0), shorter.backoff[context[added]])
    order.probability[added] = shorter.probability[suffix[added]] + backoff
    shorter.extends[suffix] = True


def _written(names: WordBytes, listed: int, orders: list[Order]) -> np.ndarray:
    counts = [listed, *(len(order.keys) for order in orders[1:])]
    header = SANITY + FIXED.pack(len(orders), MULTIPLIER, PROBING, True, 0) + struct.pack(f"<{len(counts)}Q", *counts)
    words = len(orders[0].keys)
    parts = [np.frombuffer(header.ljust(header_size(len(orders)), b"\0") + struct.pack("<II", 0, words), np.uint8)]
    parts.append(_table(hashes(names), buckets(listed, MULTIPLIER), WORD, [np.arange(1, words, dtype=np.uint32)]))
    for n, order in enumerate(orders, 1):
        # A plus says that a longer n-gram ends so.
        weights = [np.copysign(order.probability, np.where(order.extends, 1.0, -1.0).astype(np.float32))]
        if n < len(orders):
            weights.append(order.backoff)
        if n == 1:
            unigrams = np.zeros((listed + 1, 2), np.float32)
            unigrams[:words] = np.stack(weights, 1)
            parts.append(unigrams.view(np.uint8).ravel())
        else:
            width = LAST if n == len(orders) else MIDDLE
            parts.append(_table(order.keys, buckets(counts[n - 1], MULTIPLIER), width, weights))
    strings = np.zeros(len(names.letters) + len(names.ends), np.uint8)  # a zero behind each
    strings[np.delete(np.arange(len(strings)), names.ends + np.arange(len(names.ends)))] = names.letters
    parts += [np.frombuffer(b"<unk>\0", np.uint8), strings]
    return np.concatenate(parts)


def _table(keys: np.ndarray, size: int, width: int, values: list[np.ndarray]) -> np.ndarray:
    """A table of keys and values of four bytes each."""
    library = core.loaded()
    table, places = np.zeros((size, width), np.uint8), np.zeros(len(keys), np.int64)
    keys = np.ascontiguousarray(keys)
    library.ngram_insert(pointer(table), size, width, pointer(keys), len(keys), pointer(places))
    for column, value in enumerate(values):
        begin = 8 + 4 * column
        table[places, begin : begin + 4] = np.ascontiguousarray(value)[:, None].view(np.uint8)
    return table.ravel()
