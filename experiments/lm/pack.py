"""From a language model to a scorer, and a scorer into a bundle."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from experiments.lm import LmError
from experiments.lm.arpa import guess_unit, read_facts, read_pronunciations, read_vocabulary
from experiments.lm.texts import RESERVED
from heyjetson import Bundle
from heyjetson.bundle import MANIFEST, file_hash, write_manifest
from heyjetson.decoding import core
from heyjetson.decoding.arpa import to_probing
from heyjetson.decoding.ngram import Ngram
from heyjetson.decoding.priors import Priors
from heyjetson.decoding.probing import ProbingModel
from heyjetson.decoding.pronunciations import Pronunciations
from heyjetson.decoding.scorer import ORDERS, UNITS, Scorer, character_tokens, write_scorer
from manifests.lines import text_lines

SCORER = "scorer"


@dataclass(frozen=True)
class LanguageModel:
    """A language model as it will be packed.

    Args:
        path: ARPA file or KenLM binary.
        unit: `word` or `character`.
        order: longest n-gram.
        words: of a word model, with their natural-log probabilities without a context.
        left_out: words that the labels cannot write.
        sources: what it was made from.
        pronunciations: of the words, where the model is one of pronunciations.
        mapped: the model in KenLM's probing format, as a scorer holds it; None of KenLM's tries, and without the
            compiled search.
    """

    path: Path
    unit: str
    order: int
    words: Mapping[str, float]
    left_out: Sequence[str]
    sources: Sequence[Mapping[str, str]]
    mapped: np.ndarray | None = field(default=None, compare=False, repr=False)
    pronunciations: Pronunciations | None = field(default=None, compare=False, repr=False)


def open_model(
    path: Path, labels: Sequence[str], unit: str | None = None, order: int | None = None, words: Path | None = None
) -> LanguageModel:
    """Read what a scorer has to say of a language model.

    Args:
        path: ARPA file or KenLM binary.
        labels: of the model that it will be used with.
        unit: `word` or `character`; found out when None.
        order: of a trie of KenLM's, which does not tell.
        words: a word a line; of a trie of KenLM's, which does not tell, or to allow fewer.

    Raises:
        LmError: something is missing or does not fit.
        ScorerError: KenLM cannot read the file.
    """
    facts = read_facts(path)
    tokens: list[str] = []
    if path.suffix == ".arpa":
        found, tokens = read_vocabulary(path)
        order = order or found
        unit = unit or facts.get("unit") or guess_unit(tokens)
    elif not path.is_file():
        raise LmError(f"There is no language model {path}. Correct the path.")
    mapped = _mapped(path)
    if mapped and path.suffix != ".arpa":
        order, tokens = order or mapped.order, mapped.words() or []
        unit = unit or facts.get("unit") or guess_unit(tokens)
    order, unit = order or facts.get("order"), unit or facts.get("unit", "word")
    if order is None or order not in ORDERS:
        raise LmError(f"The order of {path} is {order or 'unknown'}; it must be 2 to 6. Give it with --order.")
    if unit not in UNITS:
        raise LmError(f"The unit must be {' or '.join(UNITS)}, found {unit!r}.")
    if words:
        tokens = [line.strip() for _, line in text_lines(words)]
    sources = [{"name": path.name, "sha256": file_hash(path)}]
    sources += [{"name": source["name"], "sha256": source["sha256"]} for source in facts.get("sources", [])]
    if unit == "character":
        if tokens and not set(tokens) & set(character_tokens(labels)):
            raise LmError(f"{path} holds none of the labels {''.join(labels)!r}: is it a word model? Give --unit word.")
        return LanguageModel(path, unit, order, {}, [], sources, mapped.content if mapped else None)
    fit = sorted({word for word in tokens if set(word) <= set(labels)} - set(RESERVED))
    if not fit:
        raise LmError(
            f"{path} has no word that the labels {''.join(labels)!r} can write. Give --words FILE for a KenLM binary, "
            "or make the model from texts in these characters."
        )
    scores = mapped.unigrams(mapped.numbers(fit)) if mapped else Ngram(path, fit, order).unigrams(range(len(fit)))
    left_out = sorted(set(tokens) - set(fit) - set(RESERVED))
    chosen = dict(zip(fit, scores.tolist(), strict=True))
    content = mapped.content if mapped else None
    return LanguageModel(path, unit, order, chosen, left_out, sources, content, read_pronunciations(path))


def _mapped(path: Path) -> ProbingModel | None:
    """A model as the compiled search reads it; None where it cannot."""
    if not core.library():
        return None
    if path.suffix == ".arpa":
        return ProbingModel(to_probing(path), path)
    return ProbingModel.open(path)


def pack(
    model: LanguageModel,
    labels: Sequence[str],
    out: Path,
    alpha: float,
    beta: float,
    beam_size: int,
    priors: Priors | None = None,
) -> Scorer:
    """Write a scorer and open it again.

    Args:
        model: what goes in.
        labels: of the model that it will be used with.
        out: the file.
        alpha: weight of the language model.
        beta: added for each word.
        beam_size: texts kept after each frame.
        priors: that the model's outputs are divided by; None for none.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        path = model.path
        if path.suffix == ".arpa" and model.mapped is not None:  # which is mapped; an ARPA file is read at each start
            path = Path(folder) / "lm.binary"
            model.mapped.tofile(path)
        write_scorer(
            out,
            path,
            unit=model.unit,
            order=model.order,
            labels=labels,
            words=model.words,
            alpha=alpha,
            beta=beta,
            beam_size=beam_size,
            sources=model.sources,
            pronunciations=model.pronunciations,
            priors=priors,
        )
    return Scorer.open(out, labels)


def put_into_bundle(
    bundle: Bundle,
    model: LanguageModel,
    alpha: float,
    beta: float,
    beam_size: int,
    measured: Mapping[str, Any],
    priors: Priors | None = None,
) -> None:
    """Write the scorer into a bundle and name it in the manifest.

    Args:
        bundle: where it goes.
        model: what goes in.
        alpha: weight of the language model.
        beta: added for each word.
        beam_size: texts kept after each frame.
        measured: figures for the manifest.
        priors: that the model's outputs are divided by; None for none.
    """
    pack(model, bundle.labels, bundle.folder / SCORER, alpha, beta, beam_size, priors)
    record = json.loads((bundle.folder / MANIFEST).read_text(encoding="utf-8"))
    record = {key: value for key, value in record.items() if key not in ("format", "files")}
    phones = {"phones": True} if model.pronunciations else {}
    weights = {"alpha": alpha, "beta": beta, **({"prior_scale": priors.scale} if priors else {})}
    record["scorer"] = {"unit": model.unit, "order": model.order, **phones, **weights, **measured}
    write_manifest(bundle.folder, record)
