"""Estimation against its definition and against KenLM; packing and tuning by their commands."""

import itertools
import json
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.lm import LmError, benchmark
from experiments.lm.__main__ import main
from experiments.lm.arpa import read_vocabulary, write_arpa
from experiments.lm.estimate import FALLBACK, SPECIAL, discounts, estimate
from experiments.lm.pack import open_model, pack
from experiments.lm.perplexity import perplexity
from experiments.lm.tune import Emissions, Output, Recorder, decode, emissions, tune
from heyjetson import Bundle, Engine
from heyjetson.bundle import write_manifest
from heyjetson.decoding import core
from heyjetson.decoding.arpa import to_probing
from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.greedy import GreedyDecoder
from heyjetson.decoding.scorer import Scorer
from manifests import read_manifest
from manifests.text import LABELS
from tests.heyjetson.kenlm_reference import KenLMReference

ROOMS = ["kitchen", "bedroom", "bathroom", "hall", "garden"]
THINGS = ["light", "lamp", "heater", "radio", "door", "window"]
COMMANDS = [
    f"{verb} the {thing} in the {room}"
    for verb, thing, room in itertools.product(["turn on", "turn off", "open", "close", "check"], THINGS, ROOMS)
]


def probabilities(model) -> dict[tuple[str, ...], float]:
    """Every n-gram of a model by its words."""
    found, names = {}, [()]
    for n, order in enumerate(model.orders, 1):
        contexts = [()] * len(order.token) if n == 1 else [names[row] for row in order.context.tolist()]
        names = [(*context, model.vocabulary[token]) for context, token in zip(contexts, order.token, strict=True)]
        found |= dict(zip(names, order.probability.tolist(), strict=True))
    return found


def by_definition(sentences, order):
    """The same estimate, written as its formulas."""
    padded = [["<s>", *sentence, "</s>"] for sentence in sentences]
    raw = {n: Counter(tuple(s[i : i + n]) for s in padded for i in range(len(s) - n + 1)) for n in range(1, order + 1)}
    adjusted = dict(raw)
    for n in range(1, order):
        before = defaultdict(set)
        for gram in raw[n + 1]:
            before[gram[1:]].add(gram[0])
        adjusted[n] = {gram: c if gram[0] == "<s>" else len(before[gram]) for gram, c in raw[n].items()}
    adjusted[1].pop(("<s>",))
    taken = {n: discounts(np.array(list(counts.values())))[0] for n, counts in adjusted.items()}
    vocabulary = {word for sentence in padded for word in sentence} - {"<s>"} | {"<unk>"}

    def probability(gram):
        if not gram:
            return 1 / len(vocabulary)
        counts, n = adjusted[len(gram)], len(gram)
        followers = {g: c for g, c in counts.items() if g[:-1] == gram[:-1]}
        lower = probability(gram[1:])
        if not followers:
            return lower
        total = sum(followers.values())
        off = {g: taken[n][min(c, 3) - 1] for g, c in followers.items()}
        own = counts[gram] - off[gram] if gram in counts else 0
        return own / total + sum(off.values()) / total * lower

    return probability, vocabulary


SENTENCES = st.lists(st.lists(st.sampled_from("a b c d".split()), min_size=1, max_size=6), min_size=2, max_size=25)


@settings(deadline=None, max_examples=40)
@given(SENTENCES, st.integers(2, 3))
def test_estimates_are_the_formulas(sentences, order):
    model = estimate(sentences, order)
    probability, vocabulary = by_definition(sentences, order)
    assert set(model.vocabulary) - {"<s>"} == vocabulary
    for gram, value in probabilities(model).items():
        if gram != ("<s>",):
            assert value == pytest.approx(probability(gram), abs=1e-12), gram


@settings(deadline=None, max_examples=15)
@given(SENTENCES, st.integers(2, 5))
def test_kenlm_reads_it_and_every_context_sums_to_one(tmp_path_factory, sentences, order):
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    model = estimate(sentences, min(order, max(map(len, sentences)) + 2))
    write_arpa(path, model)
    read = KenLMReference(path, model.vocabulary)
    assert read_vocabulary(path) == (len(model.orders), model.vocabulary[3:])
    known = probabilities(model)
    for words in [*sentences[:4], ["a"], ["d", "nothing", "b"], ["c"] * 6]:
        state = read.begin()
        history = ("<s>",)
        for word in [*words, "</s>"]:
            choices = [w for w in model.vocabulary if w != "<s>"]
            total = sum(10 ** read.follow(state, choice)[0] for choice in choices)
            assert total == pytest.approx(1.0, abs=1e-5)
            score, after = read.follow(state, word)
            gram = (*history, word)[-len(model.orders) :]
            if gram in known:
                assert 10**score == pytest.approx(known[gram], rel=1e-5)
            history, state = (*history, word), after


def test_discounts():
    counts = np.repeat([1, 2, 3, 4, 7], [100, 40, 20, 12, 9])
    share = 100 / 180
    expected = (1 - 2 * share * 0.4, 2 - 3 * share * 0.5, 3 - 4 * share * 0.6)
    assert discounts(counts) == (pytest.approx(expected), False)
    assert discounts(np.array([1, 1, 2])) == (FALLBACK, True)
    assert discounts(np.repeat([1, 2, 3, 4], [1, 1, 50, 1])) == (FALLBACK, True)  # a negative one


def test_a_model_foresees_its_own_kind(tmp_path):
    words = [sentence.split() for sentence in COMMANDS]
    seen, unseen = words[::2], words[1::2]
    values = []
    for order in (2, 3, 4):
        path = tmp_path / f"{order}.arpa"
        model = estimate(seen, order)
        write_arpa(path, model)
        measured = perplexity(path, order, model.vocabulary[3:], unseen)
        assert (measured.unknown, measured.tokens) == (0, sum(map(len, unseen)))
        reference = KenLMReference(path, model.vocabulary)
        log10 = sum(reference.sentence(sentence) for sentence in unseen)
        assert measured.value == pytest.approx(10 ** (-log10 / (measured.tokens + len(unseen))), rel=1e-4)
        values.append(measured.value)
    assert 1 < values[1] < values[0] < len(model.vocabulary)
    rare = perplexity(path, 4, model.vocabulary[3:], [["open", "sesame"]])
    assert rare.unknown == 1


def test_impossible_estimates():
    with pytest.raises(LmError, match="hold no word"):
        estimate([[]], 3)
    with pytest.raises(LmError, match="No sentence has 2 words.*lower --order"):
        estimate([["a"]], 6)
    assert estimate([["a"], ["<unk>"]], 2).vocabulary == [*SPECIAL, "a"]


def noisy(text: str, rng: np.random.Generator, noise: float = 1.7) -> np.ndarray:
    """Log-probabilities that say a text, blurred: sure of the blanks, less so of the characters."""
    path = [LABELS.index(character) for character in text for character in character]
    columns = [column for label in path for column in (label, len(LABELS))] + [len(LABELS)]
    logits = rng.normal(0, noise, (len(columns), len(LABELS) + 1))
    logits[np.arange(len(columns)), columns] += 4.0
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


@pytest.fixture
def workshop(tmp_path, monkeypatch):
    """A bundle whose model hears blurred commands, and manifests of commands."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    record = {"kind": "ctc", "sample_rate": 16000, "window": 320, "hop": 160, "subsampling_factor": 4,
              "labels": list(LABELS), "blank_id": len(LABELS), "longest_seconds": 20.0}  # fmt: skip
    write_manifest(folder, record)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(COMMANDS))
    for name, part in (("train", order[:100]), ("validation", order[100:])):
        lines = [{"audio_filepath": f"{i}.wav", "duration": 1.0, "text": COMMANDS[i]} for i in part]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    for number in order:  # its level is its number
        soundfile.write(tmp_path / f"{number}.wav", np.full(160, (number + 1) / 1024), 16000)

    class Hearing:
        def __init__(self, bundle: Bundle):
            self.bundle = bundle

        def transcribe(self, samples: np.ndarray, rate: int, decoder: Recorder) -> None:
            number = round(float(samples[0]) * 1024) - 1
            decoder.reset(0.0)
            decoder.feed(noisy(COMMANDS[number], np.random.default_rng(number)))
            decoder.finish()

    monkeypatch.setattr("heyjetson.Engine", Hearing)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("unit", ["word", "character"])
def test_from_transcripts_to_a_bundle_with_fewer_errors(workshop, capsys, unit):
    assert main(f"train train.jsonl --unit {unit} --order 4 --held-out validation.jsonl --out lm.arpa".split()) == 0
    shown = capsys.readouterr().out
    assert "100 sentences" in shown and "perplexity" in shown and "0.00% unknown" in shown
    assert main("tune bundle validation.jsonl --lm lm.arpa --trials 5 --beam 16 --utterances 20".split()) == 0
    shown = capsys.readouterr().out
    assert "greedy" in shown and "with the language model" in shown
    bundle = Bundle("bundle")
    named = bundle.manifest["scorer"]
    assert (named["unit"], named["order"]) == (unit, 4)
    assert named["wer"] < 0.5 * named["greedy_wer"]
    assert bundle.scorer is not None and "scorer" in bundle.manifest["files"]
    scorer = Scorer.open(bundle.scorer, bundle.labels)
    assert (scorer.alpha, scorer.beta, scorer.beam_size) == (named["alpha"], named["beta"], 16)
    assert [source["name"] for source in scorer.record["sources"]] == ["lm.arpa", "train.jsonl"]
    decoder = make_decoder(bundle.labels, bundle.blank_id, bundle.frame_seconds, scorer=scorer)
    decoder.feed(noisy("turn on the lamp in the hall", np.random.default_rng(0), noise=1.0))
    assert decoder.finish()[0].text == "turn on the lamp in the hall"


def test_a_model_that_does_not_help_is_not_taken(workshop, capsys):
    Path("other.txt").write_text("some quite other words\n" * 3 + "nothing that is said here\n")
    assert main("train --text other.txt --order 2 --out other.arpa".split()) == 0
    before = Path("bundle/manifest.json").read_text()
    assert main("tune bundle validation.jsonl --lm other.arpa --trials 2 --utterances 5".split()) == 1
    assert "does not lower the word error rate" in capsys.readouterr().err
    assert Path("bundle/manifest.json").read_text() == before and not Path("bundle/scorer").exists()


def test_text_files_are_normalised_and_packed(workshop, capsys):
    Path("book.txt").write_text("Turn it ON, at 5!\n\nПривет\nO'Brien's café\n", encoding="utf-8")
    assert main("train --text book.txt --order 2 --out lm.arpa".split()) == 0
    assert "2 sentences" in capsys.readouterr().out
    assert read_vocabulary(Path("lm.arpa"))[1] == ["at", "cafe", "five", "it", "o'brien's", "on", "turn"]
    assert main("pack --lm lm.arpa --labels-from bundle --out new/scorer --alpha 0.3".split()) == 0
    assert "7 words" in capsys.readouterr().out
    assert Scorer.open("new/scorer", list(LABELS)).alpha == 0.3
    if core.library():  # KenLM's binary says what is in it
        to_probing(Path("lm.arpa")).tofile("lm.binary")
        assert main("pack --lm lm.binary --labels-from bundle --out binary".split()) == 0
        assert "word model of order 2, 7 words" in capsys.readouterr().out
        mine, theirs = (Scorer.open(path, list(LABELS)) for path in ("new/scorer", "binary"))
        assert mine.tokens == theirs.tokens and (mine.mapped.content == theirs.mapped.content).all()


def test_words_that_cannot_be_written_are_left_out(workshop, capsys):
    Path("lm.arpa").write_text(
        "\\data\\\nngram 1=5\nngram 2=1\n\n\\1-grams:\n-1\t<unk>\n-1\t<s>\t0\n-1\t</s>\n-1\tgo\t0\n-1\tGO4\t0\n"
        "\n\\2-grams:\n-0.5\tgo GO4\n\n\\end\\\n"
    )
    model = open_model(Path("lm.arpa"), list(LABELS))
    assert (list(model.words), model.left_out, model.order) == (["go"], ["GO4"], 2)
    assert model.words["go"] == pytest.approx(-math.log(10))
    assert main("pack --lm lm.arpa --labels-from bundle --out scorer".split()) == 0
    assert "GO4" in capsys.readouterr().out
    Path("words.txt").write_text("go\nstay\n")
    chosen = open_model(Path("lm.arpa"), list(LABELS), words=Path("words.txt"))
    assert list(chosen.words) == ["go", "stay"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train --out lm.arpa", "nothing to learn from"),
        ("train none.jsonl --out lm.arpa", "does not exist"),
        ("train --text strange.txt --out lm.arpa", "No sentence is left of 1 lines"),
        ("pack --lm none.arpa --labels-from bundle --out s", "There is no language model"),
        ("pack --lm none.binary --labels-from bundle --out s", "There is no language model"),
        ("pack --lm strange.arpa --labels-from bundle --out s", "is not an ARPA language model"),
        ("pack --lm strange.txt --labels-from bundle --out s", "The order of strange.txt is unknown"),
        ("pack --lm strange.txt --order 3 --labels-from bundle --out s", "has no word that the labels"),
        ("pack --lm none.arpa --labels-from none --out s", "is not a bundle"),
        ("tune bundle none.jsonl --lm none.arpa", "does not exist"),
    ],
)
def test_mistakes_are_named(workshop, capsys, command, message):
    Path("strange.txt").write_text("Привет\n", encoding="utf-8")
    Path("strange.arpa").write_text("Привет\n", encoding="utf-8")
    assert main(command.split()) == 1
    assert message in capsys.readouterr().err


def test_what_is_tuned_on_is_what_the_bundle_says(bundle, corpus):
    engine = Engine(Bundle(bundle))
    utterances = read_manifest(corpus / "test.jsonl")[:3]
    decoder = GreedyDecoder(engine.bundle.labels, engine.bundle.blank_id, engine.bundle.frame_seconds)
    for utterance, spoken in zip(utterances, emissions(engine, utterances), strict=True):
        assert spoken.reference == utterance.text
        assert decode(decoder, spoken) == engine.transcribe_file(utterance.audio).text
        assert spoken.pieces[0].shape[1] == len(engine.bundle.labels) + 1


def test_the_benchmark_needs_no_model(workshop, capsys):
    Path("few.jsonl").write_text("".join(Path("train.jsonl").read_text().splitlines(True)[:3]))
    assert main("train train.jsonl --order 2 --out lm.arpa".split()) == 0
    assert benchmark.main("few.jsonl --lm lm.arpa".split()) == 0
    assert "beam 100, word model of order 2" in capsys.readouterr().out
    assert benchmark.main(["none.jsonl"]) == 1


def test_there_must_be_words_to_tune_on(workshop):
    with pytest.raises(LmError, match="no transcript with a word"):
        tune([Emissions("", [])], Path("none"), Output(list(LABELS), len(LABELS), 0.04), 8, 1)


def test_what_a_model_leaves_out_is_found_by_its_priors(workshop):
    """Too sure of its blanks, it drops words until its outputs are divided by how often it gives them."""
    assert main("train train.jsonl --order 3 --out lm.arpa".split()) == 0
    labels, blank = list(LABELS), len(LABELS)
    rng, spoken = np.random.default_rng(5), []
    for utterance in read_manifest(Path("validation.jsonl"))[:30]:
        rows = noisy(utterance.text, rng)
        rows[:, blank] += 5.0
        rows -= np.log(np.exp(rows).sum(axis=1, keepdims=True))
        spoken.append(Emissions(utterance.text, [rows]))
    pack(open_model(Path("lm.arpa"), labels), labels, Path("scorer"), 0.5, 0.0, 16)
    asked = (spoken, Path("scorer"), Output(labels, blank, 0.04), 16, 12)
    without, found = tune(*asked, with_priors=False), tune(*asked)
    assert without.priors is None and found.priors and found.priors.scale > 0.1
    assert found.after.words.rate < 0.9 * without.after.words.rate
    assert tune(*asked) == found


def test_priors_that_lower_nothing_are_left_out(workshop):
    assert main("train train.jsonl --order 3 --out lm.arpa".split()) == 0
    labels, rng = list(LABELS), np.random.default_rng(5)
    pack(open_model(Path("lm.arpa"), labels), labels, Path("scorer"), 0.5, 0.0, 16)
    sure = [Emissions(line.text, [noisy(line.text, rng, 0.1)]) for line in read_manifest(Path("validation.jsonl"))[:9]]
    found = tune(sure, Path("scorer"), Output(labels, len(labels), 0.04), 16, 4)
    assert found.priors is None and found.after.words.rate == 0


@pytest.mark.parametrize("command", ["", "train", "pack", "tune"])
def test_help_has_examples(capsys, command):
    with pytest.raises(SystemExit, match="0"):
        main([*command.split(), "--help"])
    assert f"examples:\n  python -m experiments.lm {command}" in capsys.readouterr().out
