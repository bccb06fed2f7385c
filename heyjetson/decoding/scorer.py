"""The scorer: one file with a language model, its words, its weights and the labels it was made for."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import struct
import tempfile
import threading
import weakref
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from heyjetson.decoding import core
from heyjetson.decoding.priors import Priors
from heyjetson.decoding.pronunciations import Pronunciations
from heyjetson.decoding.spelling import read_word_list
from heyjetson.errors import ScorerError
from heyjetson.user_cache import user_cache

if TYPE_CHECKING:
    from heyjetson.decoding.ngram import Lexicon, Ngram
    from heyjetson.decoding.probing import ProbingModel
    from heyjetson.decoding.spelling import SpellingTrie

FORMAT = 2  # what has no priors is written as 1, which older readers know
LARGEST_RECORD = 16 << 20  # bytes of scorer.json
RECORD = "scorer.json"
LEXICON = "lexicon.txt"
PRONUNCIATIONS = "pronunciations.txt"  # of a model of sounds, whose words are pronunciations
MODELS = ("lm.arpa", "lm.binary")
MAPPED = ".probing"  # what an ARPA file of the cache is turned into
UNITS = ("word", "character")
SPACE = "<space>"  # the space in a character model, whose tokens stand between spaces
ORDERS = range(2, 7)  # KenLM is compiled for six tokens at most
_REQUIRED: dict[str, type | tuple[type, ...]] = {
    "unit": str,
    "order": int,
    "alpha": (int, float),
    "beta": (int, float),
    "beam_size": int,
    "labels": list,
    "labels_sha256": str,
    "model": str,
    "files": dict,
}


def labels_hash(labels: Sequence[str]) -> str:
    """SHA-256 of the labels in their order, hexadecimal."""
    return hashlib.sha256(json.dumps(list(labels), ensure_ascii=False).encode()).hexdigest()


def character_tokens(labels: Sequence[str]) -> list[str]:
    """What a character model calls the labels."""
    return [SPACE if label == " " else label for label in labels]


def write_scorer(
    out: Path,
    model: Path,
    *,
    unit: str,
    order: int,
    labels: Sequence[str],
    words: Mapping[str, float] | None = None,
    alpha: float = 0.5,
    beta: float = 0.0,
    beam_size: int = 64,
    sources: Iterable[Mapping[str, str]] = (),
    pronunciations: Pronunciations | None = None,
    priors: Priors | None = None,
) -> None:
    """Write a scorer, all or nothing.

    Args:
        out: the file.
        model: ARPA file, or KenLM binary where its name does not end with `.arpa`.
        unit: `word` or `character`.
        order: of the model.
        labels: of the models that it is for.
        words: of a word model, with their natural-log probabilities without a context.
        alpha: weight of the language model.
        beta: added for each word.
        beam_size: texts kept after each frame.
        sources: what the model was made from: name and SHA-256 of each.
        pronunciations: where the words are pronunciations, what is written for them.
        priors: that the model's outputs are divided by; None for none.
    """
    name = MODELS[0] if model.suffix == ".arpa" else MODELS[1]
    lexicon = "".join(f"{word}\t{score:.4f}\n" for word, score in sorted((words or {}).items())).encode()
    with model.open("rb") as file:
        digest = _hash(file)
    texts = {LEXICON: lexicon}
    if pronunciations:
        texts[PRONUNCIATIONS] = pronunciations.text().encode()
    files = {name: {"sha256": digest, "bytes": model.stat().st_size}}
    files |= {each: {"sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)} for each, text in texts.items()}
    record = {
        "format": FORMAT if priors else 1,
        "unit": unit,
        "order": order,
        "alpha": alpha,
        "beta": beta,
        "beam_size": beam_size,
        "labels": list(labels),
        "labels_sha256": labels_hash(labels),
        "model": name,
        "files": files,
        "sources": [dict(source) for source in sources],
    }
    if priors:
        record |= {"prior_scale": priors.scale, "priors": list(priors.log)}
    part = out.with_name(out.name + ".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(RECORD), json.dumps(record, indent=1, ensure_ascii=False))
        for each, text in texts.items():
            archive.writestr(zipfile.ZipInfo(each), text)
        with model.open("rb") as source, archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as target:
            shutil.copyfileobj(source, target, 1 << 20)
    with part.open("rb+") as file:  # on the disk before it takes its place
        os.fsync(file.fileno())
    part.replace(out)


def _hash(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


class Scorer:
    """An opened scorer, for any number of streams.

    Args:
        path: the file.
        labels: of the model whose outputs are decoded.

    Attributes:
        unit: `word` or `character`.
        order: tokens an n-gram has.
        alpha: weight of the language model.
        beta: added for each word.
        beam_size: texts that the weights were tuned for.
        record: all of scorer.json.
        pronunciations: where the words are pronunciations, what is written for them; else None.
        priors: that the model's outputs are divided by; None for none.

    Raises:
        ScorerError: it is missing, damaged, made for other labels, or of a newer format.
        DecoderError: flashlight-text is needed and not installed: by the numpy search, and for KenLM's tries.
    """

    def __init__(self, path: str | os.PathLike[str], labels: Sequence[str]):
        self.path = Path(path)
        if not self.path.is_file():
            raise ScorerError(
                f"There is no scorer {self.path}. Make one with `python -m experiments.lm pack`, or correct the path."
            )
        try:
            with zipfile.ZipFile(self.path) as archive:
                self.record = self._read_record(archive)
                self._check_labels(labels)
                words, scores = read_word_list(self._text(archive, LEXICON))
                self.pronunciations = self._read_pronunciations(archive)
                self.model = self._unpack(archive)
        except zipfile.BadZipFile as error:
            with self.path.open("rb") as file:
                cut = file.read(4) == b"PK\x03\x04"
            if cut:
                raise ScorerError(f"The scorer {self.path} is cut off or damaged ({error}). Copy it again.") from None
            raise ScorerError(
                f"{self.path} is not a scorer. A language model becomes one with `python -m experiments.lm pack`."
            ) from None
        except (OSError, EOFError, ValueError, LookupError, RuntimeError, struct.error, zlib.error) as error:
            raise ScorerError(f"The scorer {self.path} cannot be read ({error}). Copy it again.") from None
        self.unit: str = self.record["unit"]
        self.order: int = self.record["order"]
        self.alpha = float(self.record["alpha"])
        self.beta = float(self.record["beta"])
        self.beam_size: int = self.record["beam_size"]
        self.priors = self._priors(len(labels) + 1)
        self._words, self._scores = words, scores
        self._labels = list(labels)
        self._lock = threading.RLock()
        if not core.library() or not self.mapped:
            _ = self.ngram  # say now what is wrong

    @classmethod
    def open(cls, path: str | os.PathLike[str], labels: Sequence[str]) -> Scorer:
        """Open a scorer; see the class."""
        return cls(path, labels)

    def priors_at(self, scale: float | None) -> Priors | None:
        """The priors as they are, or with another scale."""
        return self.priors if scale is None or self.priors is None else replace(self.priors, scale=scale)

    def _damaged(self, what: str) -> ScorerError:
        return ScorerError(f"The scorer {self.path} is damaged: {what}. Copy it again, or pack it anew.")

    def _read_record(self, archive: zipfile.ZipFile) -> dict[str, Any]:
        if RECORD not in archive.namelist():
            raise ScorerError(
                f"{self.path} is not a scorer: it holds no {RECORD}. Make one with `python -m experiments.lm pack`."
            )
        for entry in archive.infolist():  # as they are packed; what unpacks to more may unpack to anything
            if entry.compress_type != zipfile.ZIP_STORED:
                raise self._damaged(f"{entry.filename[:80]} is compressed, which no part of a scorer is")
        if (size := archive.getinfo(RECORD).file_size) > LARGEST_RECORD:
            raise self._damaged(f"{RECORD} has {size / 1e6:,.0f} MB")
        record = json.loads(archive.read(RECORD))
        if not isinstance(record, dict) or not isinstance(record.get("format"), int):
            raise self._damaged(f"{RECORD} names no format")
        if record["format"] > FORMAT:
            raise ScorerError(
                f"The scorer {self.path} has format {record['format']}, this heyjetson reads up to {FORMAT}. "
                "Upgrade heyjetson, or pack the scorer again."
            )
        for key, kind in _REQUIRED.items():
            if not isinstance(record.get(key), kind):
                raise self._damaged(f"the key {key!r} of {RECORD} is missing or of the wrong type")
        if record["unit"] not in UNITS or record["order"] not in ORDERS or record["model"] not in MODELS:
            raise self._damaged(f"{RECORD} names an unknown unit, order or model")
        if not 0 <= record["alpha"] < math.inf or not math.isfinite(record["beta"]) or record["beam_size"] < 1:
            raise self._damaged(f"the weights in {RECORD} are no weights")
        optional = [PRONUNCIATIONS] if PRONUNCIATIONS in record["files"] else []
        for name in (record["model"], LEXICON, *optional):
            entry = record["files"].get(name)
            named = isinstance(entry, dict) and isinstance(entry.get("sha256"), str)
            if not named or name not in archive.namelist():
                raise self._damaged(f"{name} is missing")
            if not re.fullmatch("[0-9a-f]{64}", entry["sha256"]):  # it becomes the name of a file
                raise self._damaged(f"the hash of {name} in {RECORD} is none")
            if entry.get("bytes") != archive.getinfo(name).file_size:
                raise self._damaged(f"{name} has {archive.getinfo(name).file_size} bytes, not those of {RECORD}")
        return record

    def _priors(self, outputs: int) -> Priors | None:
        if "priors" not in self.record:
            return None
        try:
            priors = Priors(tuple(map(float, self.record["priors"])), float(self.record["prior_scale"]))
        except (LookupError, TypeError, ValueError) as error:
            raise self._damaged(f"the priors in {RECORD} are none ({error})") from None
        if len(priors.log) != outputs:
            raise self._damaged(f"{RECORD} has {len(priors.log)} priors for {outputs} outputs")
        return priors

    def _check_labels(self, labels: Sequence[str]) -> None:
        if self.record["labels_sha256"] == labels_hash(labels):
            return
        mine = "".join(map(str, self.record["labels"]))
        raise ScorerError(
            f"The scorer {self.path} was made for the labels {mine!r}, the model writes {''.join(labels)!r}. Pack it "
            "again for this model: python -m experiments.lm pack --labels-from BUNDLE."
        )

    def _text(self, archive: zipfile.ZipFile, name: str) -> bytes:
        raw = archive.read(name)
        if hashlib.sha256(raw).hexdigest() != self.record["files"][name]["sha256"]:
            raise self._damaged(f"{name} does not match its hash")
        return raw

    def _read_pronunciations(self, archive: zipfile.ZipFile) -> Pronunciations | None:
        if PRONUNCIATIONS not in self.record["files"]:
            return None
        return Pronunciations.parse(self._text(archive, PRONUNCIATIONS).decode())

    def _unpack(self, archive: zipfile.ZipFile) -> Path:
        """Where the model lies as a file of its own, as KenLM needs it: in the cache, else in a temporary folder."""
        name = self.record["model"]
        digest = self.record["files"][name]["sha256"]
        folders = []
        try:
            folders.append(user_cache())
            folders[0].mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):  # a read-only home, or none
            folders.clear()
        for folder in folders:
            target = folder / f"{digest}{Path(name).suffix}"
            if target.is_file() and target.stat().st_size == self.record["files"][name].get("bytes"):
                return target
            try:
                return self._copy(archive, name, digest, target)
            except OSError:
                continue
        try:
            temporary = Path(tempfile.mkdtemp(prefix="heyjetson-"))
            weakref.finalize(self, shutil.rmtree, temporary, ignore_errors=True)
            return self._copy(archive, name, digest, temporary / name)
        except OSError as error:
            raise ScorerError(
                f"The language model of {self.path} finds no room on the disk ({error}): it needs "
                f"{archive.getinfo(name).file_size / 1e6:.0f} MB in ~/.cache/heyjetson or in TMPDIR. Free some."
            ) from None

    def _copy(self, archive: zipfile.ZipFile, name: str, digest: str, target: Path) -> Path:
        """Copy a file out of the archive, all or nothing."""
        handle, part = tempfile.mkstemp(dir=target.parent, prefix=target.name)
        try:
            hashed = hashlib.sha256()
            with archive.open(name) as source, os.fdopen(handle, "wb") as out:
                while block := source.read(1 << 20):
                    hashed.update(block)
                    out.write(block)
                out.flush()
                os.fsync(out.fileno())  # later it is known by its size
            if hashed.hexdigest() != digest:
                raise self._damaged(f"{name} does not match its hash")
            os.replace(part, target)
        finally:
            Path(part).unlink(missing_ok=True)
        return target

    @cached_property
    def tokens(self) -> list[str]:
        """What the language model knows, by the numbers that the numpy search gives them."""
        return self._words.strings() if self.unit == "word" else character_tokens(self._labels)

    @cached_property
    def ngram(self) -> Ngram:
        """The model as the numpy search asks it; loaded where it is first wanted."""
        from heyjetson.decoding.ngram import Ngram

        with self._lock:
            return Ngram(self.model, self.tokens, self.order)

    @cached_property
    def mapped(self) -> ProbingModel | None:
        """The model as the compiled search asks it; None of a trie, which it cannot read."""
        from heyjetson.decoding.probing import ProbingModel

        with self._lock:
            if self.model.suffix != ".arpa":
                return ProbingModel.open(self.model)
            return self._converted()

    def _converted(self) -> ProbingModel | None:
        """An ARPA file in KenLM's probing format: beside it once, for later."""
        from heyjetson.decoding.arpa import to_probing
        from heyjetson.decoding.probing import ProbingModel

        target = self.model.with_suffix(MAPPED)
        try:
            if target.is_file() and (known := ProbingModel.open(target)):
                return known
        except (ScorerError, OSError):
            pass  # made anew
        content = to_probing(self.model)
        try:
            handle, part = tempfile.mkstemp(dir=target.parent, prefix=target.name)
            try:
                with os.fdopen(handle, "wb") as out:
                    content.tofile(out)
                os.replace(part, target)
            finally:
                Path(part).unlink(missing_ok=True)
        except OSError:  # no room: it stays in memory
            return ProbingModel(content, self.model)
        return ProbingModel.open(target)

    @cached_property
    def trie(self) -> SpellingTrie:
        """The words of a word model by their letters, for the compiled search."""
        from heyjetson.decoding.spelling import SpellingTrie

        assert self.mapped is not None  # who asks looked
        with self._lock:
            return SpellingTrie(self._words, self.mapped.numbers_of(self._words), self._scores, self._labels)

    def lexicon(self, extra: Iterable[str] = ()) -> Lexicon | None:
        """The words of a word model, with others that it shall write, too; None of a character model."""
        if self.unit != "word":
            return None
        from heyjetson.decoding.ngram import Lexicon

        (unknown,) = self.ngram.unigrams([self.ngram.unknown])
        return Lexicon(self.tokens, self._scores, extra, float(unknown))
