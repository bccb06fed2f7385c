"""Models of several texts: each part by itself, their mixture by KenLM, and what the command makes of them."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.lm.__main__ import main
from experiments.lm.arpa import write_arpa
from experiments.lm.estimate import BEGIN, UNKNOWN, count, estimate
from experiments.lm.mixture import FEWEST, PRIOR, best_weights, interpolated, mixture, probabilities
from experiments.lm.perplexity import perplexity
from tests.heyjetson.kenlm_reference import KenLMReference

SENTENCES = st.lists(st.lists(st.sampled_from("a b c d".split()), min_size=1, max_size=6), min_size=4, max_size=25)
VERBS, THINGS, ROOMS = (
    ["open", "close", "check", "clean", "paint"],
    ["door", "window", "lamp", "desk"],
    ["hall", "attic", "cellar", "shed", "yard"],
)
COMMANDS = [f"{verb} the {thing} in the {room}" for verb, thing, room in itertools.product(VERBS, THINGS, ROOMS)]
TALES = [
    f"the {old} {who} {did} the {thing} {when}"
    for old, who, did, thing, when in itertools.product(
        ["old", "tired", "young"], ["king", "miller"], ["sold", "saw", "lost", "painted"], THINGS, ["once", "again"]
    )
]


def halves(sentences):
    """Models of the even and of the odd sentences over the n-grams of all."""
    counted = count([*sentences, list("abcd")], 3)
    even = np.arange(len(sentences) + 1) % 2 == 0
    return [counted.model(even), counted.model(~even)]


@settings(deadline=None, max_examples=40)
@given(SENTENCES)
def test_a_part_by_itself_is_what_its_sentences_alone_make(sentences):
    words = list("abcd")
    counted = count([*sentences, words, [*words, *words]], 3)
    part = np.arange(len(sentences) + 2) < len(sentences) + 1
    alone = estimate([*sentences, words], 3)
    assert counted.vocabulary == alone.vocabulary
    assert probabilities(counted.model(part), sentences) == pytest.approx(probabilities(alone, sentences), rel=1e-12)


@settings(deadline=None, max_examples=25)
@given(SENTENCES, st.floats(0, 1))
def test_kenlm_reads_a_mixture_and_every_context_sums_to_one(tmp_path_factory, sentences, share):
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    models = halves(sentences)
    model = interpolated(models, np.array([share, 1 - share]))
    write_arpa(path, model)
    read = KenLMReference(path, model.vocabulary)
    choices = [word for word in model.vocabulary if word != "<s>"]
    said = [*sentences[:4], ["a"], ["d", "nothing", "b"], ["c"] * 6]
    for words in said:
        state, scores = read.begin(), []
        for word in [*words, "</s>"]:
            assert sum(10 ** read.follow(state, choice)[0] for choice in choices) == pytest.approx(1.0, abs=1e-5)
            score, state = read.follow(state, word)
            if word in model.vocabulary:
                scores.append(10**score)
        assert probabilities(model, [words]) == pytest.approx(scores, rel=1e-4)
    for order in zip(*(one.orders for one in models), model.orders, strict=True):
        first, second, mixed = (one.probability for one in order)
        assert mixed == pytest.approx(share * first + (1 - share) * second, abs=1e-12)
    numbers = {"<unk>": UNKNOWN, "<s>": BEGIN}
    assert {name: model.vocabulary.index(name) for name in numbers} == numbers


@settings(deadline=None, max_examples=25)
@given(SENTENCES, SENTENCES)
def test_no_other_weights_foresee_the_sentences_better(sentences, unseen):
    models = halves(sentences)
    given_by = np.stack([probabilities(model, unseen) for model in models])
    found = best_weights(models, unseen)
    assert found.sum() == pytest.approx(1.0) and (found > 0).all()

    def likelihood(weights):
        return np.log(weights @ given_by).sum() + PRIOR * np.log(weights).sum()

    for share in np.linspace(0.01, 0.99, 50):
        assert likelihood(np.array([share, 1 - share])) <= likelihood(found) + 1e-6


def test_few_commands_are_not_lost_among_many_tales(tmp_path):
    seen, unseen = COMMANDS[::2] + COMMANDS[1::4], [sentence.split() for sentence in COMMANDS[3::4]]
    split = [sentence.split() for sentence in [*seen, *TALES]]
    mixed, weights = mixture(split, np.repeat([0, 1], [len(seen), len(TALES)]), 3)
    values = []
    for name, model in (("mixed", mixed), ("together", estimate(split, 3))):
        write_arpa(tmp_path / name, model)
        values.append(perplexity(tmp_path / name, 3, model.vocabulary[3:], unseen).value)
    assert values[0] < 0.9 * values[1]
    assert weights[1] > 0.5 and weights.sum() == pytest.approx(1.0)


def test_where_nothing_tells_how_much_each_counts_all_count_together():
    split = [sentence.split() for sentence in [*COMMANDS[: FEWEST - 1] * 3, *TALES]]
    whole = estimate(split, 3)
    for transcripts in ((FEWEST - 1) * 3, 0, len(split)):  # too few different ones; none; nothing else
        source = (np.arange(len(split)) >= transcripts).astype(int)
        model, weights = mixture(split, source, 3)
        assert weights[0] == 1.0 and weights[1:].sum() == 0.0
        for one, other in zip(model.orders, whole.orders, strict=True):
            assert np.array_equal(one.probability, other.probability)


def test_the_command_says_how_much_each_text_counts(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [{"audio_filepath": f"{text}.wav", "duration": 1.0, "text": text} for text in COMMANDS]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "tales.txt").write_text("\n".join(TALES))
    assert main(["train", "train.jsonl", "--text", "tales.txt", "--out", "lm.arpa"]) == 0
    shown = capsys.readouterr().out
    record = json.loads((tmp_path / "lm.arpa.json").read_text())
    assert "mixture     " in shown and f"transcripts {record['mixture']['transcripts']:.2f}" in shown
    assert sum(record["mixture"].values()) == pytest.approx(1.0, abs=0.002)
    assert main(["train", "train.jsonl", "--out", "lm.arpa"]) == 0
    assert "mixture" not in capsys.readouterr().out and "mixture" not in json.loads(
        (tmp_path / "lm.arpa.json").read_text()
    )
