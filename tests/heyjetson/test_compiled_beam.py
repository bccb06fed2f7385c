"""The compiled beam search: the same as the numpy one, without faults of memory, and noticed when it is stale."""

import resource
import shutil
import subprocess
import sys
import textwrap
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyjetson.decoding import automaton, core
from heyjetson.decoding.beam import BeamDecoder, BeamOptions
from heyjetson.decoding.compiled import CompiledBeamDecoder
from heyjetson.decoding.core import build
from heyjetson.decoding.factory import make_decoder
from heyjetson.decoding.fusion import FusionGraph
from heyjetson.decoding.guide import Guide
from heyjetson.errors import DecoderError
from tests.heyjetson.test_beam import BLANK, HOT, LABELS, outputs

TOLERANCE = 1e-9  # of scores and log-probabilities: log1p(exp()) of two libraries
needs_core = pytest.mark.skipif(core.library() is None, reason="the compiled search is not built")
needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="there is no C compiler")
ROOT = Path(__file__).parents[2]


def pair(scorer, hot_words, n_best, options, labels=LABELS, blank=BLANK):
    for kind, guide in ((BeamDecoder, FusionGraph), (CompiledBeamDecoder, Guide)):
        asked = guide(labels, scorer, hot_words, options.alpha, options.beta)
        yield kind(labels, blank, 0.04, asked, options, n_best)


def same(ours, theirs):
    assert [one.text for one in ours] == [one.text for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one.score == pytest.approx(other.score, rel=TOLERANCE, abs=TOLERANCE)
        same_words(one.words, other.words)


def same_words(ours, theirs):
    times = [[(word.text, word.start, word.end) for word in words] for words in (ours, theirs)]
    assert times[0] == times[1]
    assert [word.confidence for word in ours] == pytest.approx([word.confidence for word in theirs], abs=TOLERANCE)


@needs_core
@pytest.mark.parametrize("unit", [None, "word", "character"])
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    frames=st.integers(1, 200),
    sharpness=st.sampled_from([0.0, 0.5, 2.0, 6.0]),
    hot_words=st.sampled_from([None, HOT, {"abba": 9.0}]),
    n_best=st.integers(1, 6),
    size=st.sampled_from([1, 2, 5, 64]),
    threshold=st.sampled_from([2.0, 16.0]),
    longest_open=st.sampled_from([1, 40, 250]),
    weights=st.sampled_from([(None, None), (0.0, 0.0), (2.0, -1.0), (0.3, 4.0)]),
    cuts=st.lists(st.integers(0, 200), max_size=6),
)
def test_both_find_the_same(
    make_scorer, unit, seed, frames, sharpness, hot_words, n_best, size, threshold, longest_open, weights, cuts
):
    options = BeamOptions(size, threshold, -9.0, longest_open, *weights)
    log_probs = outputs(frames, seed, sharpness=sharpness)
    log_probs[:: 7 + seed % 5, :BLANK] = -30.0  # frames in which only the blank is tried
    plain, compiled = pair(make_scorer(unit, LABELS) if unit else None, hot_words, n_best, options)
    plain.feed(log_probs)
    for begin, end in pairwise([0, *sorted({cut for cut in cuts if 0 < cut < frames}), frames]):
        compiled.feed(log_probs[begin:end])
        compiled.words()
    same_words(compiled.words(), plain.words())
    same(compiled.finish(), plain.finish())


@needs_core
def test_both_break_ties_alike():
    rows = np.log(np.full((40, 4), 0.25))
    for size in (1, 3, 8):
        plain, compiled = pair(None, {"a": 0.0}, 5, BeamOptions(beam_size=size))
        plain.feed(rows)
        compiled.feed(rows)
        same(compiled.finish(), plain.finish())


@needs_core
def test_both_without_a_space():
    log_probs = outputs(60, 3)
    plain, compiled = pair(None, {"ab": 2.0}, 4, BeamOptions(), ["a", "b", "c"], 1)
    plain.feed(log_probs)
    compiled.feed(log_probs)
    same(compiled.finish(), plain.finish())


@pytest.mark.parametrize(
    ("kind", "guide"), [(BeamDecoder, FusionGraph), pytest.param(CompiledBeamDecoder, Guide, marks=needs_core)]
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused(kind, guide, value):
    decoder = kind(LABELS, BLANK, 0.04, guide(LABELS, None, HOT), BeamOptions(), 2)
    with pytest.raises(DecoderError, match="not numbers"):
        decoder.feed(np.full((3, 4), value))


def test_streams_share_the_tables_whatever_their_weights(make_scorer):
    scorer = make_scorer("word", LABELS)
    one, other = FusionGraph(LABELS, scorer, HOT, 0.5, 1.0), FusionGraph(LABELS, scorer, dict(HOT), 2.0, -1.0)
    assert one.tables is other.tables
    assert FusionGraph(LABELS, scorer, {"a": 1.0}).tables is not one.tables
    for number in range(automaton.KEPT):
        FusionGraph(LABELS, scorer, {"b": float(number)})
    assert FusionGraph(LABELS, scorer, HOT).tables is not one.tables  # bounded: the oldest went


@pytest.mark.parametrize("limit", [20, 10**9])
def test_streams_in_threads_find_what_one_alone_finds(make_scorer, monkeypatch, limit):
    monkeypatch.setattr("heyjetson.decoding.automaton.LIMIT", limit)
    scorer = make_scorer("character", LABELS)
    expected, found = {}, {}

    def decode(into, seed):
        decoder = make_decoder(LABELS, BLANK, 0.04, scorer=scorer, hot_words=HOT, n_best=3)
        decoder.feed(outputs(150, seed, sharpness=1.0))
        into[seed] = decoder.finish()

    for seed in range(6):
        decode(expected, seed)
        automaton._of_scorer.clear()
    threads = [threading.Thread(target=decode, args=(found, seed)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


@needs_core
def test_many_streams_leave_no_memory_behind():
    log_probs = outputs(40, 0)

    def streams(count):
        for _ in range(count):
            decoder = make_decoder(LABELS, BLANK, 0.04, hot_words=HOT, n_best=2)
            decoder.feed(log_probs)
            decoder.finish()

    streams(200)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    streams(2000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1024  # KiB; a leak of one beam each is 20 MB


@needs_compiler
def test_a_library_older_than_its_source_is_noticed(tmp_path, monkeypatch):
    source = tmp_path / "beam.c"
    shutil.copy(build.SOURCE, source)
    monkeypatch.setattr(build, "SOURCE", source)
    monkeypatch.setattr(core, "SOURCE", source)
    library = build.build(tmp_path / "libbeam.so")
    assert core.load(library).beam_source().decode() == core.source_hash()
    source.write_text(source.read_text() + "\n")
    with pytest.raises(OSError, match="older"):
        core.load(library)
    with pytest.raises(OSError, match="not built"):
        core.load(tmp_path / "none.so")


def test_numpy_serves_where_it_is_asked_for(monkeypatch):
    monkeypatch.setenv(core.SWITCH, "numpy")
    assert type(make_decoder(LABELS, BLANK, 0.04, n_best=2)) is BeamDecoder
    assert core.describe().startswith("numpy")


@needs_compiler
def test_sanitizers_find_nothing(tmp_path):
    """Address and undefined behaviour, on what the other tests decode, too."""
    sanitizer = subprocess.run(
        [*build.compiler(), "-print-file-name=libasan.so"], capture_output=True, text=True
    ).stdout.strip()
    if not Path(sanitizer).is_absolute():
        pytest.skip("the compiler has no address sanitizer")
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g"]
    library = build.build(tmp_path / "libbeam.so", flags)
    code = f"""
        from pathlib import Path
        import numpy as np
        from heyjetson.decoding import core
        loaded = core.load(Path({str(library)!r}))
        core.library = lambda: loaded
        from heyjetson.decoding.beam import BeamOptions
        from heyjetson.decoding.factory import make_decoder
        for seed in range(12):
            rng = np.random.default_rng(seed)
            options = BeamOptions([1, 3, 64][seed % 3], [2.0, 16.0][seed % 2], -9.0, [1, 40, 250][seed % 3])
            decoder = make_decoder(list(" ab"), 3, 0.04, hot_words={{"a b": 2.0, "b": -1.0}}, n_best=4, options=options)
            for turn in range(2):
                decoder.reset()
                for length in rng.integers(1, 60, 4):
                    logits = rng.normal(0, 0.5 + seed % 4, (length, 4))
                    decoder.feed(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))
                    decoder.words()
                decoder.finish()
        print(type(decoder).__name__)
    """
    environment = {"LD_PRELOAD": sanitizer, "ASAN_OPTIONS": "detect_leaks=0", "PATH": "/usr/bin:/bin"}
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "CompiledBeamDecoder"
