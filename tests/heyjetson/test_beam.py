"""The beam search against its definition, against flashlight's decoder, and in pieces."""

import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heyjetson.decoding.beam
from heyjetson.decoding import core
from heyjetson.decoding.beam import BeamDecoder, BeamOptions
from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.greedy import GreedyDecoder
from heyjetson.errors import DecoderError
from tests.heyjetson.kenlm_reference import KenLMReference

LABELS = list(" ab")
BLANK = 3
HOT = {"a": 1.5, "b a": 0.7, "ab": -1.0}
WIDE = BeamOptions(beam_size=10**6, beam_threshold=1e9, label_threshold=-1e9)


@pytest.fixture(autouse=True, params=["compiled", "numpy"])
def search(request, monkeypatch):
    """Every test with both."""
    if request.param == "numpy":
        monkeypatch.setenv(core.SWITCH, "numpy")
    elif core.library() is None:
        pytest.skip("the compiled search is not built")
    return request.param


def outputs(frames: int, seed: int, columns: int = 4, sharpness: float = 2.0) -> np.ndarray:
    """Random log-probabilities."""
    logits = np.random.default_rng(seed).normal(0, sharpness, (frames, columns))
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def by_definition(log_probs: np.ndarray, gain) -> dict[str, float]:
    """Score of every text: the sum over all its paths, and what is added to it."""
    found: dict[str, float] = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        kept = [label for i, label in enumerate(path) if label != BLANK and (i == 0 or path[i - 1] != label)]
        text = " ".join("".join(LABELS[label] for label in kept).split())
        score = sum(log_probs[t, label] for t, label in enumerate(path))
        found[text] = np.logaddexp(found.get(text, -np.inf), score)
    scores = {text: score + gain(text) for text, score in found.items()}
    return {text: score for text, score in scores.items() if score > -np.inf}


def hot_gain(text: str) -> float:
    words = text.split()
    return sum(
        boost * sum(words[i : i + len(phrase.split())] == phrase.split() for i in range(len(words)))
        for phrase, boost in HOT.items()
    )


def decoded(log_probs: np.ndarray, **options):
    decoder = make_decoder(LABELS, BLANK, 0.04, n_best=10**6, options=WIDE, **options)
    decoder.feed(log_probs)
    return decoder.finish()


def check(log_probs: np.ndarray, gain, **options) -> None:
    expected = by_definition(log_probs, gain)
    found = decoded(log_probs, **options)
    assert {hypothesis.text for hypothesis in found} == set(expected)
    for hypothesis in found:
        assert hypothesis.score == pytest.approx(expected[hypothesis.text], abs=1e-4)
        assert hypothesis.text == " ".join(word.text for word in hypothesis.words)
    assert [hypothesis.score for hypothesis in found] == sorted((h.score for h in found), reverse=True)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 5), st.integers(0, 10**6))
def test_without_a_language_model_it_is_the_definition(frames, seed):
    check(outputs(frames, seed), lambda text: 0.0)
    check(outputs(frames, seed), hot_gain, hot_words=HOT)


@pytest.mark.parametrize("hot", [None, HOT])
@pytest.mark.parametrize("unit", ["word", "character"])
def test_with_a_language_model_it_is_the_definition(make_scorer, language_model, unit, hot):
    scorer = make_scorer(unit, LABELS)
    reference = KenLMReference(language_model(unit), ["a", "b", "ab", "<space>"])

    def gain(text: str) -> float:
        if not text:
            return 0.0
        if unit == "word" and set(text.split()) - {"a", "b", "ab"}:
            return -math.inf
        tokens = text if unit == "word" else " ".join("<space>" if c == " " else c for c in text)
        extra = hot_gain(text) if hot else 0.0
        return 0.7 * reference.sentence(tokens.split()) * math.log(10) + 0.4 * len(text.split()) + extra

    for seed in range(12):
        check(outputs(seed % 6, seed), gain, scorer=scorer, hot_words=hot)


def test_flashlight_finds_the_same(make_scorer, language_model):
    from flashlight.lib.text import decoder as fl
    from flashlight.lib.text.decoder.kenlm import KenLM
    from flashlight.lib.text.dictionary import Dictionary

    words = ["a", "ab", "b"]
    trie = fl.Trie(4, 0)
    for number, word in enumerate(words):
        trie.insert([LABELS.index(character) for character in word + " "], number, 0.0)
    options = fl.LexiconDecoderOptions(
        beam_size=5000, beam_size_token=4, beam_threshold=50.0, lm_weight=0.7 * math.log(10), word_score=0.4,
        unk_score=-math.inf, sil_score=0.0, log_add=True, criterion_type=fl.CriterionType.CTC,
    )  # fmt: skip
    lm = KenLM(str(language_model("word")), Dictionary(words))
    for seed in range(20):
        log_probs = outputs(12, seed)
        ours = make_decoder(LABELS, BLANK, 0.04, scorer=make_scorer("word", LABELS), options=BeamOptions(5000, 50.0))
        ours.feed(log_probs)
        (best,) = ours.finish()
        # A last frame that can only be a space ends the last word.
        last = np.full((1, 4), -1e6)
        last[0, 0] = 0.0
        emissions = np.concatenate([log_probs, last]).astype(np.float32)
        theirs = fl.LexiconDecoder(options, trie, lm, 0, BLANK, -1, [], False).decode(emissions.ctypes.data, 13, 4)[0]
        assert best.text == " ".join(words[number] for number in theirs.words if number >= 0)
        assert best.score == pytest.approx(theirs.score, abs=1e-3)


@pytest.mark.parametrize("unit", [None, "word", "character"])
def test_pieces_give_the_whole(make_scorer, unit):
    scorer = make_scorer(unit, LABELS) if unit else None
    options = BeamOptions(beam_size=12, longest_open=24)  # texts are settled twice, and some of them early

    @settings(deadline=None, max_examples=12)
    @given(st.lists(st.integers(0, 72), max_size=12), st.integers(0, 10**6), st.booleans())
    def holds(cuts, seed, hot):
        log_probs = outputs(72, seed)
        hot_words = HOT if hot else None
        whole = make_decoder(LABELS, BLANK, 0.04, scorer=scorer, hot_words=hot_words, n_best=3, options=options)
        whole.feed(log_probs)
        partial = whole.words()
        pieces = make_decoder(LABELS, BLANK, 0.04, scorer=scorer, hot_words=hot_words, n_best=3, options=options)
        for offset in (1.0, 0.0):  # an utterance before leaves nothing behind
            pieces.reset(offset)
            for part in np.split(log_probs, sorted(cuts)):
                pieces.feed(part)
                pieces.words()
            again = pieces.words()
            final = pieces.finish()
        assert again == partial
        assert final == whole.finish()

    holds()


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 10**6), st.sampled_from([0.04, 0.25]))
def test_settling_changes_nothing(seed, frame_seconds):
    log_probs = outputs(70, seed)
    results = []
    for every in (1, 10, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(heyjetson.decoding.beam, "COMMIT_EVERY", every)
            options = BeamOptions(beam_size=16)
            decoder = make_decoder(LABELS, BLANK, frame_seconds, n_best=5, hot_words=HOT, options=options)
            decoder.feed(log_probs)
            results.append((decoder.words(), decoder.finish()))
    assert results[0] == results[1] == results[2]


def test_sure_outputs_give_the_words_of_greedy():
    path = "__aa_ab  _bb__a" * 8
    rows = np.full((len(path), 4), 0.001)
    for row, character in zip(rows, path, strict=True):
        row[BLANK if character == "_" else LABELS.index(character)] = 0.997
    log_probs = np.log(rows)
    greedy, beam = GreedyDecoder(LABELS, BLANK, 0.04), make_decoder(LABELS, BLANK, 0.04, n_best=2)
    for decoder in (greedy, beam):
        decoder.reset(7.0)
        decoder.feed(log_probs)
    assert beam.words() == greedy.words()
    assert beam.finish()[0].words == greedy.finish()[0].words


def test_a_hot_word_turns_the_choice_and_nothing_else():
    rows = np.full((7, 4), 0.01)
    for row, (label, share) in zip(rows, [(1, 0.9), (0, 0.9), (1, 0.9), (2, 0.35), (0, 0.9), (2, 0.9), (3, 0.9)],
                                   strict=True):  # fmt: skip
        row[label] = share
    rows[3, BLANK] = 0.6
    log_probs = np.log(rows)

    def best(**options):
        decoder = make_decoder(LABELS, BLANK, 0.04, n_best=100, **options)
        decoder.feed(log_probs)
        return {hypothesis.text: hypothesis.score for hypothesis in decoder.finish()}

    plain, hot = best(), best(hot_words={"ab": 3.0})
    assert next(iter(plain)) == "a a b"
    assert next(iter(hot)) == "a ab b"
    assert hot["a ab b"] == pytest.approx(plain["a ab b"] + 3.0)
    assert hot["a a b"] == pytest.approx(plain["a a b"])  # the outlook of the broken match is given back


def test_hot_words_outside_the_word_list_are_written(make_scorer):
    scorer = make_scorer("word", LABELS)
    rows = np.full((6, 4), 0.01)
    for row, label in zip(rows, [1, 2, 1, 2, 0, 1], strict=True):
        row[label] = 0.97
    for hot_words, expected in ((None, "a ab"), ({"abab": 3.0}, "abab a")):
        decoder = make_decoder(LABELS, BLANK, 0.04, scorer=scorer, hot_words=hot_words)
        decoder.feed(np.log(rows))
        (best,) = decoder.finish()
        assert (best.text == expected) == (hot_words is not None)
        assert set(best.text.split()) <= {"a", "b", "ab", "abab"}


def test_an_unfinished_word_is_left_out(make_scorer):
    options = BeamOptions(beam_size=1)
    decoder = make_decoder(
        LABELS, BLANK, 0.04, scorer=make_scorer("word", LABELS), hot_words={"abba": 9.0}, options=options
    )
    log_probs = np.full((3, 4), -50.0)
    log_probs[[0, 1, 2], [1, 2, 2]] = 0.0
    log_probs = np.insert(log_probs, 2, [-50.0, -50.0, -50.0, 0.0], axis=0)
    decoder.feed(log_probs)
    assert [word.text for word in decoder.words()] == ["abb"]
    (best,) = decoder.finish()
    assert best.text == ""
    assert decoder.words() == []


@pytest.mark.parametrize("unit", [None, "word", "character"])
@pytest.mark.parametrize("sharpness", [0.0, 0.5, 3.0])
def test_memory_is_bounded(search, make_scorer, unit, sharpness, monkeypatch):
    monkeypatch.setattr("heyjetson.decoding.automaton.LIMIT", 500)
    decoder = make_decoder(
        LABELS, BLANK, 0.04, scorer=make_scorer(unit, LABELS) if unit else None, hot_words=HOT,
        options=BeamOptions(beam_size=8, longest_open=64),
    )  # fmt: skip
    search_itself = decoder.on if unit else decoder
    assert isinstance(search_itself, BeamDecoder)
    sizes = []
    for block in range(4):
        decoder.feed(outputs(160, block, sharpness=sharpness))
        decoder.feed(np.log(np.tile([0.001, 0.001, 0.001, 0.997], (160, 1))))  # silence
        sizes.append(search_itself.held())
        if search == "numpy":  # the compiled one keeps nothing else that grows
            sizes[-1] += len(search_itself.guide.tables.states)
            if search_itself.guide.tables.ngram:
                sizes[-1] += len(search_itself.guide.tables.ngram._states)
    assert max(sizes) < 200  # one that is left a frame would be 320 more after each block
    assert len(decoder.words()) > 5 or sharpness < 1
    times = [time for word in decoder.words() for time in (word.start, word.end)]
    assert times == sorted(times)


def test_the_table_may_be_forgotten_at_any_time(make_scorer, monkeypatch):
    scorer = make_scorer("word", LABELS)
    results = []
    for limit in (0, 10**9):
        monkeypatch.setattr("heyjetson.decoding.automaton.LIMIT", limit)
        decoder = make_decoder(LABELS, BLANK, 0.04, scorer=scorer, hot_words=HOT, n_best=3)
        decoder.feed(outputs(200, 5))
        results.append(decoder.finish())
    assert results[0] == results[1]


def test_impossible_outputs_and_bad_options():
    decoder = make_decoder(LABELS, BLANK, 0.04, n_best=2)
    with np.errstate(all="raise"):
        decoder.feed(np.full((4, 4), -np.inf))
        decoder.feed(np.log(np.array([[0.25] * 4])).repeat(5, axis=0))
    assert math.isfinite(decoder.finish()[0].score)
    with pytest.raises(DecoderError, match="reset"):
        decoder.finish()
    with pytest.raises(DecoderError, match="above 0"):
        BeamOptions(beam_size=0)
    with pytest.raises(DecoderError, match="cannot write: '!'"):
        make_decoder(LABELS, BLANK, 0.04, hot_words={"a!": 1.0})


def test_labels_without_a_space():
    decoder = make_decoder(["a", "b"], 2, 0.04, hot_words={"ab": 5.0})
    decoder.feed(np.log(np.array([[0.9, 0.05, 0.05], [0.1, 0.3, 0.6]])))
    assert decoder.finish()[0].text == "ab"


def test_hot_words_and_n_best_need_no_library():
    import subprocess

    code = (
        "import sys\nfrom heyjetson.decoding.factory import make_decoder\n"
        "make_decoder(list(' ab'), 3, 0.04, hot_words={'a': 1.0}, n_best=2)\n"
        "assert not {'flashlight', 'kenlm', 'torch', 'optuna'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
