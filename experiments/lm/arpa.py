"""The ARPA format: what KenLM and others read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from experiments.lm import LmError
from experiments.lm.estimate import NEVER, Model
from experiments.lm.texts import RESERVED, Source
from heyjetson.decoding.pronunciations import Pronunciations
from heyjetson.decoding.scorer import ORDERS, SPACE
from manifests.progress import progress
from manifests.whole import whole_file


def write_arpa(path: Path, model: Model) -> None:
    """Write a model, all or nothing."""
    names = [(word,) for word in model.vocabulary]
    with whole_file(path) as part, part.open("w", encoding="utf-8") as out:
        out.write("\\data\\\n")
        for n, order in enumerate(model.orders, 1):
            out.write(f"ngram {n}={len(order.token)}\n")
        for n, order in enumerate(model.orders, 1):
            if n > 1:
                words = model.vocabulary
                pairs = zip(order.context.tolist(), order.token.tolist(), strict=True)
                names = [(*names[context], words[token]) for context, token in pairs]
            assert order.probability is not None
            with np.errstate(divide="ignore"):
                logs = np.maximum(np.log10(order.probability), NEVER).tolist()
                backoffs = np.log10(model.backoff(n)).tolist()
            out.write(f"\n\\{n}-grams:\n")
            last = n == len(model.orders)
            rows = zip(names, logs, backoffs, strict=True)
            for name, log, backoff in progress(rows, f"writing {n}-grams", len(names)):
                out.write(f"{log:.7g}\t{' '.join(name)}" + ("\n" if last else f"\t{backoff:.7g}\n"))
        out.write("\n\\end\\\n")


def read_vocabulary(path: Path) -> tuple[int, list[str]]:
    """Order and tokens of an ARPA file, <s>, </s> and <unk> left out.

    Raises:
        LmError: it is missing or no ARPA file.
    """
    if not path.is_file():
        raise LmError(f"There is no language model {path}. Make one with `python -m experiments.lm train`.")
    order, section = 0, ""
    tokens: list[str] = []
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                line = line.rstrip("\n")
                if line.startswith("\\"):
                    if section == "\\1-grams:":
                        return order, [token for token in tokens if token not in RESERVED]
                    section = line
                elif section == "\\data\\" and line.startswith("ngram "):
                    order = max(order, int(line[len("ngram ") :].split("=")[0]))
                elif section == "\\1-grams:" and line:
                    tokens.append(line.split("\t")[1])
                elif not section and line:
                    break
    except (UnicodeDecodeError, IndexError, ValueError):
        pass
    raise LmError(f"{path} is not an ARPA language model, or it is cut off. Make it again.")


def guess_unit(tokens: Sequence[str]) -> str:
    """Whether the tokens are words or characters."""
    return "character" if SPACE in tokens else "word"


def facts_file(path: Path) -> Path:
    """Where it is written what a model was made from."""
    return path.with_name(path.name + ".json")


def pronunciations_file(path: Path) -> Path:
    """Where it is written how the words of a model are pronounced; it is there where the model is one of these."""
    return path.with_name(path.name + ".pronunciations")


def write_facts(
    path: Path,
    unit: str,
    order: int,
    sources: Sequence[Source],
    mixture: Mapping[str, float] | None = None,
    said: Pronunciations | None = None,
) -> None:
    """Write beside a model what it was made from, how much each of several texts counts, and how its words are
    pronounced where it is one of sounds."""
    file = pronunciations_file(path)
    if said is None:
        file.unlink(missing_ok=True)  # of a model of the same name, before
    else:
        file.write_text(said.text(), encoding="utf-8")
    record = {"unit": unit, "order": order, "phones": bool(said), "sources": [asdict(source) for source in sources]}
    if mixture:
        record["mixture"] = dict(mixture)
    facts_file(path).write_text(json.dumps(record, indent=1) + "\n")


def read_pronunciations(path: Path) -> Pronunciations | None:
    """How the words of a model are pronounced; None where it is one of words as they are written.

    Raises:
        LmError: the file beside it is broken.
    """
    file = pronunciations_file(path)
    if not file.is_file():
        if read_facts(path).get("phones"):
            raise LmError(f"{path} is a model of pronunciations, and {file.name} is not beside it. Copy it, too.")
        return None
    try:
        return Pronunciations.parse(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LmError(f"{file} is broken ({error}). Make the model again.") from None


def read_facts(path: Path) -> dict[str, Any]:
    """What a model was made from; nothing where that is not known.

    Raises:
        LmError: the file beside it is broken.
    """
    file = facts_file(path)
    if not file.is_file():
        return {}
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LmError(f"{file} is broken ({error}). Remove it, or make the model again.") from None
    known = isinstance(record, dict) and record.get("order") in ORDERS and isinstance(record.get("sources"), list)
    if not known:
        raise LmError(f"{file} is broken. Remove it, or make the model again.")
    return record
