"""Texts whose lines are broken at a width, as books are: a sentence goes on in the next line."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, pairwise
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
    return [sentence for _, sentence in numbered_sentences(path)[0]]


def numbered_sentences(path: Path) -> tuple[list[tuple[int, str]], bool]:
    """As `sentence_lines`, each with the number of the line that it begins in, and whether lines are wrapped."""
    lines = [line.rstrip() for line in text_of(path).split("\n")]
    if not wrapped(lines):
        return [(number, line) for number, line in enumerate(lines, 1) if line], False
    return [sentence for paragraph in _paragraphs(lines) for sentence in _sentences(*paragraph)], True


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


def _paragraphs(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The number of the first line of each, and its lines."""
    paragraph: list[str] = []
    for number, line in enumerate([*lines, ""], 1):
        if line:
            paragraph.append(line.strip())
        elif paragraph:
            yield number - len(paragraph), paragraph
            paragraph = []


def _sentences(first: int, paragraph: list[str]) -> Iterator[tuple[int, str]]:
    """The sentences of a paragraph, each with the number of the line that it begins in."""
    begins = [0, *accumulate(len(line) + 1 for line in paragraph)]  # of the lines, in the paragraph
    text, at = " ".join(paragraph), 0
    for border in [*ENDS.finditer(text), None]:
        end, after = border.span() if border else (len(text), len(text))
        yield first + bisect_right(begins, at) - 1, text[at:end]
        at = after
