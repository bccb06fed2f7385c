"""What a header promises, and what is there: the one rule that tells a whole file from one that was cut.

Programs that write into a pipe cannot go back to fill in how much they wrote: they leave a constant. Recorders fill it
in at the end, and leave 0 where they are killed. A file whose fetching or copying broke off promises what it once had,
which is a number like any other. So a promise of more than is there is

- unwritten, where it is 0 although sound follows: all of it is read, and a note says so;
- a placeholder, where it (or the size of the whole file that goes with it) lies within `NEAR` bytes of a number that
  people choose: a multiple of ten million or of 16 MiB; or less than 64 KiB off 2^31 or 2^32, or 0x7F000000: all of it
  is read; those from 2^31 - 64 KiB on are customary and need no note;
- else a cut: what is there is read, and the rest is missing. A recording has a placeholder's length by chance once in
  fifty thousand; then the note still says what was promised.
"""

from __future__ import annotations

from typing import Literal

NEAR = 96  # bytes: headers, and what is left of a block
ROUND = (10_000_000, 1 << 24)
LIMITS = (1 << 31, 1 << 32)
CUSTOM = 1 << 16
SOX = 0x7F00_0000  # sox's AIFF into a pipe

Verdict = Literal["kept", "unwritten", "placeholder", "customary", "cut"]


def judge(promise: int, there: int, whole: int | None = None) -> Verdict:
    """Compare a promise with what is there.

    Args:
        promise: bytes of sound.
        there: bytes that follow until the file ends.
        whole: what the header says of the size of the whole file, where it does.

    Returns:
        kept, or why there is less; see above.

    >>> judge(96_000, 96_000), judge(0, 96_000), judge(96_000, 48_000)
    ('kept', 'unwritten', 'cut')
    >>> judge(2_000_000_000, 96_000), judge(0xFFFF_FFFF, 96_000)
    ('placeholder', 'customary')
    """
    if promise == 0 and there:
        return "unwritten"
    if promise <= there:
        return "kept"
    said = [promise] if whole is None else [promise, whole]
    if any(-CUSTOM <= number - limit < CUSTOM for number in said for limit in LIMITS):
        return "customary"
    if any(_is_round(number) for number in said):
        return "placeholder"
    return "cut"


def _is_round(number: int) -> bool:
    if abs(number - SOX) < NEAR or number >= LIMITS[1] << 16:
        return True
    return any(number > step // 2 and min(number % step, -number % step) < NEAR for step in ROUND)
