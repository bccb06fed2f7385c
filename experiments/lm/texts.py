"""Sentences for a language model, from transcripts and from plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.lm import LmError
from heyjetson.bundle import file_hash
from heyjetson.decoding.pronunciations import Pronunciations
from heyjetson.decoding.scorer import SPACE
from manifests import ManifestError, read_manifest
from manifests.phones import sounds
from manifests.progress import progress
from manifests.text import LABELS, Normaliser, TextOptions
from manifests.wrapped import sentence_lines

RESERVED = ("<s>", "</s>", "<unk>")


@dataclass(frozen=True)
class Source:
    """A file that sentences came from.

    Args:
        name: of the file.
        sha256: of the file.
        sentences: taken from it.
    """

    name: str
    sha256: str
    sentences: int


def read_texts(
    manifests: Iterable[Path], texts: Iterable[Path], labels: str = LABELS, language: str = "en"
) -> tuple[list[str], list[Source], int]:
    """Sentences of manifests and text files.

    Args:
        manifests: whose transcripts are taken as they are.
        texts: UTF-8, a sentence a line, or wrapped as books are; they are normalised as transcripts are.
        labels: characters that a sentence may have.
        language: of numbers in the texts, as num2words calls it.

    Returns:
        sentences, where they came from, and how many lines were left out: of other characters, or not understood.

    Raises:
        ManifestError: a file is missing or broken.
        LmError: no sentence is left.
    """
    normalise = Normaliser(TextOptions(labels, language, accents=labels.isascii(), case=labels == labels.lower()))
    sentences: list[str] = []
    sources: list[Source] = []
    left_out = 0
    for path in manifests:
        found = [line.text for line in read_manifest(path)]
        left_out += _take(path, found, labels, sentences, sources)
    for path in texts:
        lines = sentence_lines(path)
        cleaned = [normalise(line) for line in progress(lines, f"reading {path.name}", len(lines))]
        fit = [text for text, refused in cleaned if not refused]
        left_out += len(cleaned) - len(fit) + _take(path, fit, labels, sentences, sources)
    if not sentences:
        raise LmError(
            f"No sentence is left of {left_out} lines: all have characters outside {labels!r}, or markup or numbers "
            "that are not understood. Give --labels with the characters of your model."
        )
    return sentences, sources, left_out


def _take(path: Path, found: list[str], labels: str, sentences: list[str], sources: list[Source]) -> int:
    """Add what fits the labels; returns how many lines do not."""
    fit = [text for text in found if set(text) <= set(labels)]
    kept = [text for text in fit if text.strip()]
    sentences += kept
    sources.append(Source(path.name, file_hash(path), len(kept)))
    return len(found) - len(fit)


def as_pronounced(sentences: Sequence[str]) -> tuple[list[str], list[int]]:
    """Sentences as their words are pronounced, for models that write sounds.

    Args:
        sentences: in English, in letters.

    Returns:
        sentences of pronunciations, and the numbers of those that they are of; those with a word that cannot be said
            are left out.
    """
    said: list[str] = []
    kept: list[int] = []
    for number, sentence in enumerate(progress(sentences, "pronouncing", len(sentences))):
        try:
            said.append(sounds(sentence))
        except ManifestError:
            continue
        kept.append(number)
    return said, kept


def pronunciations(sentences: Sequence[str]) -> Pronunciations:
    """How the words of sentences are pronounced, all of which can be said."""
    return Pronunciations.of(sentences, {word: sounds(word) for word in {w for s in sentences for w in s.split()}})


def tokens(sentence: str, unit: str) -> list[str]:
    """What a sentence is made of.

    Args:
        sentence: characters of the labels.
        unit: `word` or `character`.

    >>> tokens("go on", "character")
    ['g', 'o', '<space>', 'o', 'n']
    """
    if unit == "character":
        return [SPACE if character == " " else character for character in sentence]
    return [word for word in sentence.split() if word not in RESERVED]
