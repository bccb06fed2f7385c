"""From an ARPA file to KenLM's probing format, as its `build_binary` writes it."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np

from heyjetson.decoding import core
from heyjetson.decoding.probing import FIXED, LAST, MIDDLE, PROBING, SANITY, WORD, buckets, header_size
from heyjetson.errors import ScorerError

MULTIPLIER = 1.5  # of buckets to entries, as in build_binary
MISSING_UNKNOWN = -100.0  # base-10 logarithm of <unk>'s probability where the file has none
BLOCK = 1 << 17  # lines read at once
UNKNOWN = (b"<unk>", b"<UNK>")


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
        with path.open("rb") as lines:
            names, listed, orders = _read(lines)
    except (ValueError, IndexError, StopIteration) as error:
        raise ScorerError(
            f"{path} is not an ARPA language model, or it is cut off ({str(error) or 'it ends too soon'}). "
            "Make it again."
        ) from None
    for place in range(len(orders) - 2, 0, -1):
        orders[place] = _filled(orders[place], orders[place + 1])
    for shorter, order in pairwise(orders):
        _link(shorter, order)
    return _written(names, listed, orders)


def _read(lines: BinaryIO) -> tuple[list[bytes], int, list[Order]]:
    """Words by their numbers, how many the file lists (<unk> may be missing), and n-grams by their order."""
    stripped = (line.strip() for line in lines)
    if next(line for line in stripped if line) != b"\\data\\":
        raise ValueError("it does not begin with \\data\\")
    counts = []
    for line in stripped:
        if not line.startswith(b"ngram "):
            break
        n_gram, number = line[len(b"ngram ") :].split(b"=")
        counts.append(int(number))
        if int(n_gram) != len(counts):
            raise ValueError("its orders are not counted one by one")
    if not 2 <= len(counts) <= core.LONGEST:
        raise ValueError(f"its order is {len(counts)}")
    rows = _rows(stripped, 1, counts[0], len(counts))
    names, pairs = [UNKNOWN[0]], [(MISSING_UNKNOWN, 0.0)]
    for columns, probability, backoff in rows:
        for name, *pair in zip(columns[0], probability.tolist(), backoff.tolist(), strict=True):
            if name in UNKNOWN:
                pairs[0] = (pair[0], pair[1])
            else:
                names.append(name)
                pairs.append((pair[0], pair[1]))
    single = np.array(pairs, np.float32)
    orders = [Order(np.arange(len(names), dtype=np.uint32)[:, None], single[:, 0], single[:, 1])]
    numbers = {name: number for number, name in enumerate(names)}
    for n, count in enumerate(counts[1:], 2):
        parts = [
            (np.array([[numbers.get(word, 0) for word in column] for column in columns], np.uint32).T, *weights)
            for columns, *weights in _rows(stripped, n, count, len(counts))
        ] or [(np.zeros((0, n), np.uint32), *np.zeros((2, 0), np.float32))]
        orders.append(Order(*map(np.concatenate, zip(*parts, strict=True))))
    if next(line for line in stripped if line) != b"\\end\\":
        raise ValueError("\\end\\ is missing")
    return names, counts[0], orders


def _rows(
    lines: Iterator[bytes], n: int, count: int, order: int
) -> Iterator[tuple[list[tuple[bytes, ...]], np.ndarray, np.ndarray]]:
    """The n-grams of an order in blocks: its words [n] of [block], probabilities and backoffs."""
    title = b"\\%d-grams:" % n
    if next(line for line in lines if line and not line.startswith(b"ngram")) != title:
        raise ValueError(f"{title.decode()} is not where it should be")
    while count:
        rows = [line.split() for line in islice(lines, min(count, BLOCK))]
        count -= len(rows)
        if not rows or not {len(row) for row in rows} <= {n + 1, n + 2} or (n == order and len(rows[0]) > n + 2):
            raise ValueError(f"the {n}-grams are not as many as it says, or one has a wrong number of words")
        probability = np.array([float(row[0]) for row in rows], np.float32)
        backoff = np.array([float(row[n + 1]) if len(row) > n + 1 else 0.0 for row in rows], np.float32)
        if not np.isfinite(backoff).all() or not (probability <= 0).all() or (n == order and backoff.any()):
            raise ValueError(f"a weight of the {n}-grams is none")
        backoff[backoff == 0] = -0.0
        yield list(zip(*(row[1 : n + 1] for row in rows), strict=True)), probability, backoff


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


def _written(names: list[bytes], listed: int, orders: list[Order]) -> np.ndarray:
    library, _ = core.found()
    assert library is not None  # who asks looked
    counts = [listed, *(len(order.keys) for order in orders[1:])]
    header = SANITY + FIXED.pack(len(orders), MULTIPLIER, PROBING, True, 0) + struct.pack(f"<{len(counts)}Q", *counts)
    parts = [np.frombuffer(header.ljust(header_size(len(orders)), b"\0") + struct.pack("<II", 0, len(names)), np.uint8)]
    letters = np.frombuffer(b"".join(names[1:]) or b"\0", np.uint8)
    ends = np.cumsum(np.fromiter(map(len, names[1:]), np.int64, len(names) - 1))
    keys = np.zeros(len(ends), np.uint64)
    library.ngram_hashes(letters.ctypes.data, ends.ctypes.data, len(ends), keys.ctypes.data)
    numbers = np.arange(1, len(names), dtype=np.uint32)
    parts.append(_table(library, keys, buckets(counts[0], MULTIPLIER), WORD, [numbers]))
    for n, order in enumerate(orders, 1):
        # A plus says that a longer n-gram ends so.
        weights = [np.copysign(order.probability, np.where(order.extends, 1.0, -1.0).astype(np.float32))]
        if n < len(orders):
            weights.append(order.backoff)
        if n == 1:
            unigrams = np.zeros((listed + 1, 2), np.float32)
            unigrams[: len(names)] = np.stack(weights, 1)
            parts.append(unigrams.view(np.uint8).ravel())
        else:
            width = LAST if n == len(orders) else MIDDLE
            parts.append(_table(library, order.keys, buckets(counts[n - 1], MULTIPLIER), width, weights))
    parts.append(np.frombuffer(b"\0".join([*names, b""]), np.uint8))
    return np.concatenate(parts)


def _table(library: ctypes.PyDLL, keys: np.ndarray, size: int, width: int, values: list[np.ndarray]) -> np.ndarray:
    """A table of keys and values of four bytes each."""
    table, places = np.zeros((size, width), np.uint8), np.zeros(len(keys), np.int64)
    keys = np.ascontiguousarray(keys)
    library.ngram_insert(table.ctypes.data, size, width, keys.ctypes.data, len(keys), places.ctypes.data)
    for column, value in enumerate(values):
        begin = 8 + 4 * column
        table[places, begin : begin + 4] = np.ascontiguousarray(value)[:, None].view(np.uint8)
    return table.ravel()
