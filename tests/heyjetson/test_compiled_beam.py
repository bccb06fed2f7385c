"""The compiled beam search: the same as the numpy one, without faults of memory, and noticed when it is stale."""

import queue
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

from heyjetson.decoding import automaton, core, kept
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


def pair(scorer, hot_words, n_best, options, labels=LABELS, blank=BLANK, frame_seconds=0.04):
    for kind, guide in ((BeamDecoder, FusionGraph), (CompiledBeamDecoder, Guide)):
        asked = guide(labels, scorer, hot_words, options.alpha, options.beta)
        yield kind(labels, blank, frame_seconds, asked, options, n_best)


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
    frame_seconds=st.sampled_from([0.04, 0.25]),  # the latter has many pauses
)
def test_both_find_the_same(
    make_scorer,
    unit,
    seed,
    frames,
    sharpness,
    hot_words,
    n_best,
    size,
    threshold,
    longest_open,
    weights,
    cuts,
    frame_seconds,
):
    options = BeamOptions(size, threshold, -9.0, longest_open, *weights)
    log_probs = outputs(frames, seed, sharpness=sharpness)
    log_probs[:: 7 + seed % 5, :BLANK] = -30.0  # frames in which only the blank is tried
    plain, compiled = pair(
        make_scorer(unit, LABELS) if unit else None, hot_words, n_best, options, frame_seconds=frame_seconds
    )
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


def shared_part(guide):
    return guide.parts if isinstance(guide, Guide) else guide.tables


@pytest.mark.parametrize("kind", [FusionGraph, pytest.param(Guide, marks=needs_core)])
def test_streams_share_whatever_their_weights(make_scorer, kind):
    scorer = make_scorer("word", LABELS)
    one, other = kind(LABELS, scorer, HOT, 0.5, 1.0), kind(LABELS, scorer, dict(HOT), 2.0, -1.0)
    assert shared_part(one) is shared_part(other)
    assert shared_part(kind(LABELS, scorer, {"a": 1.0})) is not shared_part(one)
    for number in range(kept.KEPT):
        kind(LABELS, scorer, {"b": float(number)})
    assert shared_part(kind(LABELS, scorer, HOT)) is not shared_part(one)  # bounded: the oldest went


@pytest.mark.parametrize("search", ["numpy", pytest.param("compiled", marks=needs_core)])
@pytest.mark.parametrize("limit", [20, 10**9])
def test_streams_in_threads_find_what_one_alone_finds(make_scorer, monkeypatch, limit, search):
    monkeypatch.setenv(core.SWITCH, search)
    monkeypatch.setattr("heyjetson.decoding.automaton.LIMIT", limit)
    scorer = make_scorer("character", LABELS)
    expected, found = {}, {}

    def decode(into, seed):
        decoder = make_decoder(LABELS, BLANK, 0.04, scorer=scorer, hot_words=HOT, n_best=3)
        decoder.feed(outputs(150, seed, sharpness=1.0))
        into[seed] = decoder.finish()

    for seed in range(6):
        decode(expected, seed)
        kept._of_scorer.clear()
    threads = [threading.Thread(target=decode, args=(found, seed)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_tables_are_read_while_another_thread_lets_them_grow(make_scorer, monkeypatch):
    """Of numpy: at every step of the growing, another thread reads all that it knew before."""
    graph = FusionGraph(LABELS, make_scorer("character", LABELS), HOT, 0.7, 0.4)
    states, labels = (grid.ravel() for grid in np.meshgrid(np.arange(8), np.arange(3), indexing="ij"))
    for state, label in zip(states, labels, strict=True):
        graph.advance(np.array([state]), np.array([label]))
    gains, targets = graph.advance(states, labels)
    expected = gains, targets, graph.potential(targets)
    turns, answers = queue.Queue(), queue.Queue()
    replaced = []

    def read() -> None:
        while turns.get():
            gains, targets = graph.advance(states, labels)
            answers.put((gains, targets, graph.potential(targets)))

    def replace(tables, name, value) -> None:
        object.__setattr__(tables, name, value)
        if name in ("score", "target", "arrive", "ahead", "promise"):
            replaced.append(name)
            turns.put(True)
            for found, known in zip(answers.get(timeout=60), expected, strict=True):
                np.testing.assert_array_equal(found, known)

    reader = threading.Thread(target=read)
    reader.start()
    monkeypatch.setattr(automaton.Tables, "__setattr__", replace, raising=False)
    try:
        size = len(graph.tables.arrive)
        for number in range(size + 1):
            graph.tables.number((automaton.SPELLING, (number,), 0))
    finally:
        turns.put(False)
        reader.join()
    assert len(graph.tables.arrive) > size
    assert len(replaced) % 5 == 0 and replaced


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
def test_a_library_older_than_its_sources_is_noticed(tmp_path):
    folder = tmp_path / "sources"
    folder.mkdir()
    for source in build.FOLDER.glob("*.[ch]"):
        shutil.copy(source, folder)
    library = build.build(tmp_path / "libbeam.so", folder=folder)
    assert core.load(library, folder).beam_source().decode() == core.source_hash(folder) == build.source_hash(folder)
    assert core.load(library, tmp_path)  # a wheel may leave the sources out
    header = folder / "search.h"
    header.write_text(header.read_text() + "\n")
    with pytest.raises(OSError, match="older"):
        core.load(library, folder)
    with pytest.raises(OSError, match="not built"):
        core.load(tmp_path / "none.so")


def test_numpy_serves_where_it_is_asked_for(monkeypatch):
    monkeypatch.setenv(core.SWITCH, "numpy")
    assert type(make_decoder(LABELS, BLANK, 0.04, n_best=2)) is BeamDecoder
    assert core.describe().startswith("numpy")


PROGRAM = """
    import ctypes, sys, threading
    from pathlib import Path
    import numpy as np
    from heyjetson.decoding import core
    ctypes.PyDLL = ctypes.CDLL  # gives the interpreter's lock back: two streams search at once
    loaded = core.load(Path(sys.argv[1]))
    core.found = lambda: (loaded, "")
    core.library = lambda: loaded
    from heyjetson.decoding.beam import BeamOptions
    from heyjetson.decoding.factory import make_decoder
    from heyjetson.decoding.scorer import Scorer
    labels = list(" ab")
    scorers = [None, *(Scorer.open(path, labels) for path in sys.argv[2:])]
    done = []

    def decode(first):
        for seed in range(first, first + 9):
            rng = np.random.default_rng(seed)
            options = BeamOptions([1, 3, 64][seed % 3], [2.0, 16.0][seed % 2], -9.0, [1, 40, 250][seed % 3])
            hot_words = {"a b": 2.0, "bbb": -1.0}
            decoder = make_decoder(labels, 3, 0.04, scorer=scorers[seed % len(scorers)], hot_words=hot_words, n_best=4,
                                   options=options)
            for turn in range(2):
                decoder.reset()
                for length in rng.integers(1, 60, 4):
                    logits = rng.normal(0, 0.5 + seed % 4, (length, 4))
                    decoder.feed(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))
                    decoder.words()
                decoder.finish()
            done.append(type(getattr(decoder, "on", decoder)).__name__)

    threads = [threading.Thread(target=decode, args=(first,)) for first in (0, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(done), *set(done))
"""


@needs_core
@needs_compiler
@pytest.mark.parametrize(("sanitizer", "flag"), [("libasan.so", "address,undefined"), ("libtsan.so", "thread")])
def test_sanitizers_find_nothing(tmp_path, make_scorer, sanitizer, flag):
    """Faults of memory, undefined behaviour and races, of two streams that share a language model."""
    asked = [*build.compiler(), f"-print-file-name={sanitizer}"]
    preloaded = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    if not Path(preloaded).is_absolute():
        pytest.skip(f"the compiler has no {sanitizer}")
    library = build.build(tmp_path / "libbeam.so", [f"-fsanitize={flag}", "-fno-sanitize-recover=all", "-g"])
    options = {"ASAN_OPTIONS": "detect_leaks=0", "TSAN_OPTIONS": "exitcode=66 ignore_noninstrumented_modules=1"}
    environment = {"LD_PRELOAD": preloaded, "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", **options}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "XDG_CACHE_HOME": str(tmp_path)}
    scorers = [str(make_scorer(unit, list(" ab")).path) for unit in ("word", "character")]
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(library), *scorers],
        env=environment, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if "unexpected memory mapping" in result.stderr:
        pytest.skip("this kernel's address layout is not one that the sanitizer knows")
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["18", "CompiledBeamDecoder"]


@needs_core
@pytest.mark.parametrize("unit", ["word", "character"])
def test_what_streams_share_is_never_written(make_scorer, unit, tmp_path):
    """All of it lies in pages that cannot be written: a write would end the process."""
    code = """
        import sys
        from pathlib import Path
        import numpy as np
        from heyjetson.decoding.factory import make_decoder
        from heyjetson.decoding.scorer import Scorer
        labels = list(" ab")
        hot_words = {"a b": 2.0, "bbb": 1.0}
        scorer = Scorer.open(sys.argv[1], labels)

        def lock(holder, names):
            for name in names:
                array = getattr(holder, name)
                file = Path(sys.argv[2]) / str(len(list(Path(sys.argv[2]).iterdir())))
                file.write_bytes(array.tobytes())
                setattr(holder, name, np.memmap(file, array.dtype, "r", shape=array.shape))

        parts = make_decoder(labels, 3, 0.04, scorer=scorer, hot_words=hot_words).on.guide.parts
        lock(parts.hot_words, ["follow", "boost", "lookahead_score"])
        for trie in filter(None, (parts.words, parts.extra)):
            lock(trie, ["first", "label", "word", "ahead"])
        if parts.tokens is not None:
            lock(parts, ["tokens"])
        assert isinstance(scorer.mapped.content, np.memmap) and not scorer.mapped.content.flags.writeable
        decoder = make_decoder(labels, 3, 0.04, scorer=scorer, hot_words=hot_words)
        assert decoder.on.guide.parts is parts
        decoder.feed(np.log(np.random.default_rng(0).dirichlet([1.0] * 4, 200)))
        print(len(decoder.finish()[0].words) > 0)
    """
    asked = [sys.executable, "-c", textwrap.dedent(code), str(make_scorer(unit, list(" ab")).path), str(tmp_path)]
    result = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    assert (result.returncode, result.stdout.strip()) == (0, "True"), result.stderr
