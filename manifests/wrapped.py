"""Texts whose lines are broken at a width, as books are: a sentence goes on in the next line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from manifests.lines import text_of

WIDEST = 120  # characters; longer lines are no lines of a page
FEWEST = 20  # breaks to judge by
FULL = 0.6  # share of them; books have 0.8 to 0.95, a sentence a line has less than 0.1
ENDED = 0.02, 0.5  # shares of the lines that a sentence ends in, and that end with one
SHORTER = 3  # characters that a filled line may fall short by, where two spaces end a sentence
TITLED = r"(?<!\b[A-HJ-Z]\.)(?<!\b(?:Mr|Dr|Ms|St)\.)(?<!\b(?:Mrs|Rev|Col|Gen|Hon)\.)"  # a name goes on behind them
ENDS = re.compile(TITLED + r"(?<=[.!?])[\"'”’)]*\s+")  # of sentences


def sentence_lines(path: Path) -> list[str]:
    """Lines of a text, of one that is wrapped its sentences.

    Args:
        path: UTF-8, or UTF-16 with a byte-order mark; blank lines stand between paragraphs.

    Raises:
        ManifestError: the file is missing, or its encoding is another.
    """
    lines = [line.rstrip() for line in text_of(path).split("\n")]
    if not wrapped(lines):
        return [line for line in lines if line]
    return [sentence for paragraph in _paragraphs(lines) for sentence in ENDS.split(paragraph)]


def wrapped(lines: list[str]) -> bool:
    """Whether lines end where the next word finds no room, and not where sentences do.

    Args:
        lines: without spaces behind them.
    """
    broken = [(line, after) for line, after in pairwise(lines) if line and after]
    lengths = sorted(len(line) for line in lines if line)
    if len(broken) < FEWEST or (width := lengths[int(0.98 * (len(lengths) - 1))]) > WIDEST:
        return False
    full = sum(len(line) + 1 + len(after.split()[0]) > width - SHORTER for line, after in broken)
    within = sum(ENDS.search(line + " ") is not None for line, _ in broken)
    at_end = sum(ENDS.search(line[-3:] + " ") is not None for line, _ in broken)
    least, most = (share * len(broken) for share in ENDED)
    return full >= FULL * len(broken) and within >= least and at_end <= most


def _paragraphs(lines: list[str]) -> Iterator[str]:
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if line:
            paragraph.append(line.strip())
        elif paragraph:
            yield " ".join(paragraph)
            paragraph = []
