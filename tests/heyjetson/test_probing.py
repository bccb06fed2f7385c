"""KenLM's probing format: what is written is what KenLM reads, and what is read is what KenLM finds."""

import math
import os
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.lm.arpa import write_arpa
from experiments.lm.estimate import estimate
from heyjetson.decoding import core
from heyjetson.decoding.arpa import to_probing
from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.probing import FIXED, SANITY, ProbingModel
from heyjetson.decoding.scorer import Scorer, write_scorer
from heyjetson.decoding.spelling import SpellingTrie, WordBytes, read_word_list
from heyjetson.errors import ScorerError
from tests.heyjetson.kenlm_reference import KenLMReference

pytestmark = pytest.mark.skipif(core.library() is None, reason="the compiled search is not built")
WORDS = ["a", "b", "cc", "ddd", "longer than", "größer"]
LETTERS = list(" ab")


def drawn_arpa(path: Path, order: int, seed: int, unknown: bool, pruned: bool) -> list[str]:
    """A model of drawn n-grams. Pruned: n-grams are missing that longer ones end with, as SRILM leaves them out."""
    rng = random.Random(seed)
    words = [word.replace(" ", "") for word in WORDS[: rng.randint(2, len(WORDS))]]
    grams = [[("<s>",), ("</s>",), *([("<unk>",)] if unknown else []), *((word,) for word in words)]]
    for n in range(2, order + 1):
        contexts = [gram for gram in grams[-1] if gram[-1] != "</s>" and "<unk>" not in gram]
        last = [*words, "</s>"] if n == order else words
        possible = [(*gram, word) for gram in contexts for word in last]
        chosen = set(rng.sample(possible, min(len(possible), rng.randint(1, 12))))
        if not pruned and len(grams) > 1:
            chosen = {gram for gram in chosen if gram[1:] in grams[-1]}
        grams.append(sorted(chosen) or [possible[0]])
    with path.open("w", encoding="utf-8") as out:
        out.write("\n\\data\\\n" + "".join(f"ngram {n}={len(part)}\n" for n, part in enumerate(grams, 1)))
        for n, part in enumerate(grams, 1):
            out.write(f"\n\\{n}-grams:\n")
            for gram in part:
                backoff = rng.choice(["", "\t0", f"\t{-rng.random():.5f}", f"\t{rng.random() / 9:.4g}"])
                out.write(f"{-rng.random() * 3:.6g}\t{' '.join(gram)}{backoff if n < order else ''}\n")
        out.write("\n\\end\\\n")
    return words


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 6), st.integers(0, 10**6), st.booleans(), st.booleans())
def test_it_is_what_kenlm_makes_of_an_arpa_file(tmp_path_factory, order, seed, unknown, pruned):
    folder = tmp_path_factory.mktemp("probing")
    arpa, binary = folder / "lm.arpa", folder / "lm.binary"
    words = drawn_arpa(arpa, order, seed, unknown, pruned)
    to_probing(arpa).tofile(binary)
    ours = ProbingModel.open(binary)
    assert ours.order == order
    assert set(words) <= set(ours.words()) and ours.words()[0] == "<unk>"
    read = KenLMReference(binary, words)
    try:
        text = KenLMReference(arpa, words)
    except RuntimeError as error:  # KenLM's own tables have less room for what is missing
        assert pruned or "ProbingSizeException" in str(error)
        text = read
    rng = random.Random(seed)
    for _ in range(8):
        said = [rng.choice([*words, "strange"]) for _ in range(rng.randint(0, 9))]
        expected, states = [], (text.begin(), read.begin())
        for word in [*said, "</s>"]:
            score, text_state = text.follow(states[0], word)
            assert read.follow(states[1], word)[0] == score
            states = text_state, read.follow(states[1], word)[1]
            expected.append(score * math.log(10))
        assert ours.scores(ours.numbers([*said, "</s>"])).tolist() == expected


def test_what_is_no_arpa_file_is_refused(tmp_path):
    good = tmp_path / "good.arpa"
    drawn_arpa(good, 3, 1, True, False)
    text = good.read_text(encoding="utf-8")
    assert len(to_probing(good))
    lines = text.splitlines()
    broken = {
        "cut off": "\n".join(lines[:-3]),
        "not an ARPA": "hello",
        "cannot mmap": "",
        "ends too soon": "\\data\\\n",
        "not as many": text.replace("ngram 2=", "ngram 2=9"),
        "its order is 1": "\\data\\\nngram 1=1\n\n\\1-grams:\n-1\ta\n\n\\end\\\n",
        "a weight of the": text.replace("\\2-grams:\n-", "\\2-grams:\n"),
        "beginning of every 3-gram": text.replace(lines[-3], "-1\t<unk> a </s>"),
    }
    for reason, content in broken.items():
        bad = tmp_path / "bad.arpa"
        bad.write_text(content, encoding="utf-8")
        with pytest.raises(ScorerError, match=reason):
            to_probing(bad)


def test_damaged_headers_are_refused(tmp_path):
    arpa, file = tmp_path / "lm.arpa", tmp_path / "lm.binary"
    drawn_arpa(arpa, 3, 5, True, False)
    content = to_probing(arpa).tobytes()
    counts = len(SANITY) + FIXED.size
    for place, value in ((len(SANITY), b"\x09"), (counts, struct.pack("<Q", 2**63)), (counts + 8, b"\xff\xff\xff")):
        file.write_bytes(content[:place] + value + content[place + len(value) :])
        with pytest.raises(ScorerError, match="damaged"):
            ProbingModel.open(file)
    file.write_bytes(content[:300])
    with pytest.raises(ScorerError, match="cut off"):
        ProbingModel.open(file)
    for other in (b"", content[:40], content.replace(b"version 5", b"version 4")):
        file.write_bytes(other)
        assert ProbingModel.open(file) is None
    trie = bytearray(content)
    FIXED.pack_into(trie, len(SANITY), 3, 1.5, 2, True, 1)
    file.write_bytes(trie)
    assert ProbingModel.open(file) is None


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.floats(0, 1), st.integers(0, 255))
def test_damaged_tables_end_no_process(tmp_path_factory, seed, place, value):
    folder = tmp_path_factory.mktemp("damaged")
    words = drawn_arpa(folder / "lm.arpa", 3, seed, True, False)
    content = to_probing(folder / "lm.arpa")
    first = len(SANITY) + FIXED.size + 24
    content[first + int(place * (len(content) - first - 1)) :][:8] = value
    try:
        model = ProbingModel(content, folder)
    except ScorerError:
        return
    assert np.isfinite(model.scores(model.numbers([*words, *words, "</s>"]))).all()


def test_an_arpa_file_in_a_scorer_is_turned_once(tmp_path, monkeypatch, language_model):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = {"a": -1.0, "ab": -2.0, "b": -1.5}
    write_scorer(tmp_path / "scorer", language_model("word"), unit="word", order=3, labels=LETTERS, words=words)
    Scorer.open(tmp_path / "scorer", LETTERS)
    folder = tmp_path / "cache" / "heyjetson"
    assert sorted(path.suffix for path in folder.iterdir()) == [".arpa", ".probing"]
    monkeypatch.setattr("heyjetson.decoding.arpa.to_probing", None)
    assert isinstance(Scorer.open(tmp_path / "scorer", LETTERS).mapped.content, np.memmap)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (made,) = folder.glob("*.probing")
    made.write_bytes(made.read_bytes()[:200])
    assert Scorer.open(tmp_path / "scorer", LETTERS).mapped.order == 3
    made.unlink()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("No space left on device")))
    opened = Scorer.open(tmp_path / "scorer", LETTERS)
    assert not list(folder.glob("*.probing*"))
    decoder = make_decoder(LETTERS, 3, 0.04, scorer=opened)
    decoder.feed(np.log(np.array([[0.05, 0.85, 0.05, 0.05]] * 3)))
    assert decoder.finish()[0].text == "a"


@settings(deadline=None, max_examples=60)
@given(st.sets(st.text("abcß!", max_size=7), max_size=30), st.integers(0, 10**6))
def test_a_trie_spells_its_words(words, seed):
    words, labels = sorted(words), list(" abcß")
    scores = np.random.default_rng(seed).normal(size=len(words))
    trie = SpellingTrie(WordBytes.of(words), np.arange(len(words)), scores, labels)
    for beginning in {word[:end] for word in words for end in range(len(word) + 1)}:
        node = 0
        for letter in beginning:
            column = labels.index(letter) if letter in labels else -1
            children = range(trie.first[node], trie.first[node + 1])
            (node,) = (child for child in children if trie.label[child] == column)
        assert trie.word[node] == (words.index(beginning) if beginning in words else -1)
        assert trie.ahead[node] == max(
            score for word, score in zip(words, scores, strict=True) if word.startswith(beginning)
        )
        if set(beginning) <= set(labels):
            found = trie.number([labels.index(letter) for letter in beginning])
            assert found == trie.word[node] if beginning else True
    lines = "".join(f"{word}\t{score:.4f}\n" for word, score in zip(words, scores, strict=True))
    read, values = read_word_list(lines.encode())
    assert read.strings() == words
    assert values.tolist() == [float(f"{score:.4f}") for score in scores]
    prefixes = {word[:end] for word in words for end in range(len(word) + 1)}
    assert len(trie.label) == len(prefixes | {""})


def test_an_estimated_model_has_the_same_scores_in_both(tmp_path):
    arpa, binary = tmp_path / "lm.arpa", tmp_path / "lm.binary"
    sentences = [["turn", "on", "the", "light"], ["turn", "off", "the", "radio"], ["the", "light"]]
    write_arpa(arpa, estimate(sentences, 3))
    to_probing(arpa).tofile(binary)
    model, reference = ProbingModel.open(binary), KenLMReference(binary, ["turn", "on", "the", "light"])
    said = ["turn", "on", "the", "light"]
    assert model.scores(model.numbers([*said, "</s>"])).sum() == pytest.approx(reference.sentence(said) * math.log(10))
    assert model.unigrams(model.numbers(["turn"]))[0] < 0
