"""A scorer of a stranger unpacks to what it says, and names no file outside the cache."""

import json
import zipfile

import pytest

from heyjetson.decoding.scorer import LEXICON, RECORD, Scorer
from heyjetson.errors import ScorerError
from tests.heyjetson.test_scorer import LABELS, MODEL, cache, change, scorer  # noqa: F401  (fixtures)


@pytest.mark.parametrize("digest", ["../../escape", "0" * 63, "G" * 64, "0" * 64 + "\n", ""])
@pytest.mark.parametrize("name", [MODEL, LEXICON])
def test_a_hash_is_one(scorer, cache, name, digest):  # noqa: F811
    with zipfile.ZipFile(scorer) as archive:
        files = json.loads(archive.read(RECORD))["files"]
    files[name]["sha256"] = digest
    change(scorer, files=files)
    before = sorted(cache.parent.rglob("*"))
    with pytest.raises(ScorerError, match=f"is damaged: the hash of {name} in {RECORD} is none"):
        Scorer.open(scorer, LABELS)
    assert sorted(cache.parent.rglob("*")) == before


def test_a_part_has_the_size_that_is_said(scorer):  # noqa: F811
    with zipfile.ZipFile(scorer) as archive:
        files = json.loads(archive.read(RECORD))["files"]
    files[MODEL]["bytes"] += 1
    change(scorer, files=files)
    with pytest.raises(ScorerError, match=rf"{MODEL} has \d+ bytes, not those of"):
        Scorer.open(scorer, LABELS)


def test_what_is_compressed_is_not_unpacked(scorer, tmp_path):  # noqa: F811
    with zipfile.ZipFile(scorer) as archive, zipfile.ZipFile(tmp_path / "a", "w", zipfile.ZIP_DEFLATED) as made:
        for name in archive.namelist():
            made.writestr(name, archive.read(name) + b" " * 1_000_000)
    with pytest.raises(ScorerError, match="is compressed, which no part of a scorer is"):
        Scorer.open(tmp_path / "a", LABELS)


def test_a_record_without_end_is_not_read(scorer):  # noqa: F811
    change(scorer, note=" " * (17 << 20))
    with pytest.raises(ScorerError, match=f"{RECORD} has 18 MB"):
        Scorer.open(scorer, LABELS)
