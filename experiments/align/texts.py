"""From the transcript of a long recording to utterances in the model's characters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from experiments.errors import ConfigError
from manifests.lines import text_lines
from manifests.text import Normaliser, TextOptions

LONGEST = 200  # characters of a line that is an utterance; at 15 a second that is 13 seconds
# The end of a sentence: what closes it, then a space, then what may begin one.
_SENTENCE = re.compile(r"""(?<=[.?!…])(["'”’)\]]*)\s+(?=["'“‘(\[]*[\w¿¡])""")
_CLAUSE = re.compile(r"(?<=[,;:—–])\s+")
# A full stop behind these ends no sentence; behind a single letter neither.
_SHORT = re.compile(
    r"(?:^|[\s(\[\"'“‘])(?:[^\W\d_]|(?:[^\W\d_]\.)+[^\W\d_]|mrs?|ms|dr|prof|st|jr|sr|rev|hon|gen|col|capt|lt|sgt|maj|gov|pres|"
    r"vs|no|nos|vol|fig|pp?|cf|mt|ft|e\.g|i\.e|approx|dept|est)\.$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Utterance:
    """What is said in one segment.

    Args:
        where: `file:line`.
        original: as the transcript has it.
        text: in the model's characters.
    """

    where: str
    original: str
    text: str


@dataclass(frozen=True)
class Transcript:
    """What is said in a recording.

    Args:
        utterances: in their order.
        unsayable: `file:line: reason` of each piece of text that cannot be written in the model's characters. Its sound
            belongs to no utterance.
    """

    utterances: list[Utterance]
    unsayable: list[str]


def read_transcript(path: Path, normaliser: Normaliser, longest: int = LONGEST) -> Transcript:
    """Read a transcript: a line is an utterance, a line of more than `longest` characters is cut into sentences.

    Args:
        path: UTF-8 text.
        normaliser: see `normaliser_for`; it counts what it did.
        longest: characters.

    Raises:
        ManifestError: the file is missing or not UTF-8.
        ConfigError: nothing of it can be said.
    """
    utterances: list[Utterance] = []
    unsayable: list[str] = []
    for number, line in text_lines(path):
        for piece in cut(line, longest):
            where, (text, refused) = f"{path}:{number}", normaliser(piece)
            if refused:
                unsayable.append(f"{where}: {refused.of(piece)}")
            elif not text:
                unsayable.append(f"{where}: nothing in it is said: {piece!r:.80}")
            else:
                utterances.append(Utterance(where, piece, text))
    if not utterances:
        shown = "\n".join(f"  {fault}" for fault in unsayable[:8])
        raise ConfigError(
            f"{path} holds no text that the model can write. Write what is said in words.\n{shown}".rstrip()
        )
    return Transcript(utterances, unsayable)


def normaliser_for(labels: list[str], language: str = "en") -> Normaliser:
    """The one normaliser, set to what a model writes.

    Args:
        labels: characters of the model.
        language: of the numbers in the text.

    Raises:
        ManifestError: numbers of the language are not known.
    """
    known = "".join(labels)
    return Normaliser(
        TextOptions(labels=known, language=language, accents=known.isascii(), case=known == known.lower())
    )


def cut(line: str, longest: int = LONGEST) -> Iterator[str]:
    """A line, or where it is long its sentences; a long sentence is cut behind commas and their like.

    >>> list(cut("Mr. Poe came at 3.15. He left! Why, so soon? Nobody asked him, nobody ever did.", 30))
    ['Mr. Poe came at 3.15.', 'He left!', 'Why, so soon?', 'Nobody asked him,', 'nobody ever did.']
    """
    line = " ".join(line.split())
    if len(line) <= longest:
        yield line
        return
    for sentence in _sentences(line):
        if len(sentence) <= longest:
            yield sentence
        else:
            yield from _clauses(sentence, longest)


def _sentences(line: str) -> Iterator[str]:
    begin = 0
    for match in _SENTENCE.finditer(line):
        if not _SHORT.search(line[begin : match.start()]):
            yield line[begin : match.end(1)]
            begin = match.end()
    yield line[begin:]


def _clauses(sentence: str, longest: int) -> Iterator[str]:
    """As few pieces as there can be of at most `longest` characters, as far as there are commas."""
    piece = ""
    for clause in _CLAUSE.split(sentence):
        if piece and len(piece) + 1 + len(clause) > longest:
            yield piece
            piece = ""
        piece = f"{piece} {clause}" if piece else clause
    yield piece
