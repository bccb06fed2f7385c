"""The checksum that a flac carries: MD5 over its samples (RFC 9639, 8.2), a judge of what a decoder made of it."""

from __future__ import annotations

import hashlib

import numpy as np

EXACT = 24  # bits of a sample that a float32 holds
BLOCK = 1 << 14  # frames that stay in a cache


class Checksum:
    """Of samples as they are decoded, all of them, in order.

    Args:
        wanted: what the file says.
        bits: of its samples.
    """

    def __init__(self, wanted: bytes, bits: int):
        self._wanted, self._bits = wanted, bits
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, values: np.ndarray) -> None:
        """Take samples [S, C]: integers that fill their type, or float32 of at most `EXACT` bits with full scale 1."""
        for begin in range(0, len(values), BLOCK):
            block = values[begin : begin + BLOCK]
            if block.dtype == np.float32:
                size = 2 if self._bits <= 16 else 4
                block = (block * np.float32(2 ** (8 * size - 1))).astype(f"<i{size}")
            self._md5.update(raw(block, self._bits).data)

    @property
    def agrees(self) -> bool:
        """Are they the samples that the file was made of?"""
        return self._md5.digest() == self._wanted


def raw(values: np.ndarray, bits: int) -> np.ndarray:
    """Integers [S, C] that fill their type, as the checksum takes them: the lowest bytes of each, interleaved.

    >>> raw(np.array([[256, -512]], np.int16), 8).tobytes()
    b'\\x01\\xfe'
    """
    size, kept = values.dtype.itemsize, -(-bits // 8)
    low = values >> (8 * size - bits) if bits < 8 * size else values
    low = np.ascontiguousarray(low, f"<i{size}")
    return low if kept == size else np.ascontiguousarray(low.view(np.uint8).reshape(-1, size)[:, :kept])
