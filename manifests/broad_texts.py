"""Sentences out of any text, to be spoken by synthetic voices and learnt from by a language model."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from manifests.lines import ManifestError
from manifests.text import Normaliser
from manifests.wrapped import TITLED, sentence_lines

BORDER = re.compile(TITLED + r"(?<=[.!?;])\s+|\s+[-–—]+\s+|[()\"“”]")  # where a sentence, or a part of one, ends
CLAUSE = re.compile(r"(?<=[,:])\s+")
TIMES = 5  # that a word must be written, to be no slip
SPOKEN = (3, 9)  # words of a sentence that is spoken: short ones are where CTC finds its first alignments
WRITTEN = (2, 25)  # of one that a language model learns from


@dataclass(frozen=True)
class Texts:
    """What was chosen, each sentence once.

    Args:
        written: for the language model.
        spoken: for the voices: all transcripts, and some of `written`.
    """

    written: list[str]
    spoken: list[str]


def sentences(path: Path, normalise: Normaliser) -> Iterable[str]:
    """Sentences of a text file in characters of the labels, long ones in parts; what is not understood is left out.

    Raises:
        ManifestError: the file is missing, or its encoding is another than UTF-8.
    """
    for line in sentence_lines(path):
        for part in parts(line.replace("’", "'")):
            cleaned = normalise(part)
            if cleaned.refused is None and cleaned.text:
                yield cleaned.text


def parts(line: str) -> Iterator[str]:
    """Sentences of a line and what stands in brackets and quotes, long ones in clauses."""
    for sentence in BORDER.split(line):
        yield from [sentence] if len(sentence.split()) <= WRITTEN[1] else CLAUSE.split(sentence)


def choose(
    transcripts: Sequence[str],
    files: Sequence[Path],
    apart: Collection[str] = (),
    count: int = 6000,
    seed: int = 1,
    normalise: Normaliser | None = None,
) -> Texts:
    """Choose sentences of text files whose words are common, or known from the transcripts.

    Args:
        transcripts: of the recordings that are trained on.
        files: texts of any kind, UTF-8.
        apart: sentences that are in none of both, those of validation and test: they are to stay unseen.
        count: sentences to speak, transcripts included.
        seed: of what is drawn.
        normalise: brings the texts into the labels.

    Raises:
        ManifestError: a file cannot be read, or has no sentence that can be used.
    """
    normalise = normalise or Normaliser()
    said = list(dict.fromkeys(transcripts))
    known = {word for text in said for word in text.split()}
    found: dict[str, None] = {}
    for path in files:
        read = list(sentences(path, normalise))
        times = Counter(word for text in read for word in text.split())
        taken = [
            text
            for text in read
            if WRITTEN[0] <= len(words := text.split()) <= WRITTEN[1]
            and all(times[word] >= TIMES or word in known for word in words)
        ]
        if not taken:
            raise ManifestError(
                f"{path} holds no sentence that can be used: of {WRITTEN[0]} to {WRITTEN[1]} words, each written "
                f"{TIMES} times in the file or known from the transcripts. Give a longer text."
            )
        found |= dict.fromkeys(taken)
    kept_apart = set(apart) | set(said)
    written = [text for text in found if text not in kept_apart]
    rng = random.Random(seed)
    short = [text for text in written if SPOKEN[0] <= len(text.split()) <= SPOKEN[1]]
    spoken = [*said, *rng.sample(short, min(max(count - len(said), 0), len(short)))]
    rng.shuffle(spoken)
    return Texts(written, spoken)
