"""Small language models for the decoders."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.lm.arpa import write_arpa
from experiments.lm.estimate import estimate
from experiments.lm.pack import open_model, pack
from experiments.lm.texts import tokens
from heyjetson.decoding.scorer import Scorer

SENTENCES = ["a b", "ab a", "a b b", "ab", "b a ab", "a b ab", "b", "a a b", "b ab"]


@pytest.fixture(scope="session")
def language_model(tmp_path_factory):
    """An ARPA file of a unit and an order, from a few sentences of the letters a and b."""
    folder = tmp_path_factory.mktemp("lm")

    def made(unit: str = "word", order: int = 3) -> Path:
        path = folder / f"{unit}{order}.arpa"
        if not path.exists():
            write_arpa(path, estimate([tokens(sentence, unit) for sentence in SENTENCES], order))
        return path

    return made


@pytest.fixture(scope="session")
def make_scorer(language_model, tmp_path_factory):
    """A scorer of a unit, for some labels."""
    folder = tmp_path_factory.mktemp("scorers")

    def made(unit: str, labels: list[str], alpha: float = 0.7, beta: float = 0.4) -> Scorer:
        path = folder / f"{unit}-{''.join(labels)}-{alpha}-{beta}"
        return pack(open_model(language_model(unit), labels), labels, path, alpha, beta, 64)

    return made
