"""What is written down of runs, and the figures that are made of it."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from heyjetson.server.errors import RequestError
from heyjetson.server.performance import intervals
from heyjetson.server.performance.accuracy import align, comparable, plain, score
from heyjetson.server.performance.results import Outcome, Results
from heyjetson.significance import difference, wer_interval


def test_results_that_cannot_be_kept(tmp_path):
    first, second = Results(tmp_path / "a"), Results(tmp_path / "a")
    assert first.runs() == []
    assert oct(first.path.stat().st_mode)[-3:] == "600"
    with pytest.raises(RequestError, match="another server"):
        second.runs()
    first.close()
    assert second.runs() == []
    second.close()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "results.sqlite").write_bytes(b"no database " * 100)
    with pytest.raises(RequestError, match="not a database"):
        Results(tmp_path / "b").runs()
    (tmp_path / "c").mkdir()
    with sqlite3.connect(tmp_path / "c" / "results.sqlite") as database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(RequestError, match="version 9"):
        Results(tmp_path / "c").runs()
    (tmp_path / "d").write_text("a file")
    with pytest.raises(RequestError, match="cannot be written"):
        Results(tmp_path / "d").runs()


def test_an_outcome_opens_the_file_once(tmp_path, monkeypatch):
    """A run has as many as twenty thousand utterances by ten engines."""
    results = Results(tmp_path, most=10**6, free=0)
    run = results.create("tones", "model", [("model", "model", "1")], [(0, 1.0, "a", None)])
    opened = []
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **options: opened.append(1) or connect(*given, **options))
    results.record(run, "model", 0, Outcome("a"))
    assert len(opened) == 1
    assert results.everything(run)[0]["text"] == "a"
    results.close()


def test_differences_that_are_no_chance_are_found():
    numbers = np.arange(200.0)
    ones = np.ones(200)
    good = {"number": numbers, "words": 5 * ones, "word_errors": np.where(numbers % 10 == 0, 1.0, 0.0)}
    bad = {"number": numbers[50:], "words": 5 * ones[50:], "word_errors": np.where(numbers[50:] % 2 == 0, 1.0, 0.0)}
    found = intervals.difference(good, bad)
    assert found["utterances"] == 150
    assert found["wer"]["value"] == pytest.approx(15 / 750 - 75 / 750)
    assert found["wer"]["low"] < found["wer"]["value"] < found["wer"]["high"] < 0
    assert not found["chance"] and (found["better"], found["worse"], found["equal"]) == (60, 0, 90)
    assert intervals.difference(good, {name: column[:0] for name, column in bad.items()}) is None


def test_the_page_shows_what_evaluation_and_comparison_show():
    generator = np.random.default_rng(5)
    words, numbers = np.full(80, 6.0), np.arange(80.0)
    one, other = generator.binomial(6, 0.2, 80).astype(float), generator.binomial(6, 0.15, 80).astype(float)
    made = {"character_errors": one, "characters": 5 * words, "cosine": 1 - one / 6}
    shown = intervals.accuracy({"word_errors": one, "words": words, **made})["wer"]
    expected = wer_interval(one, words)
    assert (shown["value"], shown["low"], shown["high"]) == (expected.rate, expected.low, expected.high)
    pair = [{"number": numbers, "words": words, "word_errors": errors} for errors in (one, other)]
    for (first, second), errors in ((pair, (other, one)), (pair[::-1], (one, other))):
        found, truth = intervals.difference(first, second), difference(*errors, words)
        assert (found["wer"]["low"], found["wer"]["high"]) == (truth.low, truth.high)
        assert found["chance"] is not truth.significant and found["p_value"] == truth.p_value


def test_intervals_hold_the_truth_as_often_as_they_say():
    generator = np.random.default_rng(3)
    hits = 0
    for _ in range(60):
        errors = generator.binomial(8, 0.1, 120).astype(float)
        table = {"word_errors": errors, "words": np.full(120, 8.0), "cosine": 1 - errors / 8}
        wer = intervals.accuracy(table | {"character_errors": errors, "characters": np.full(120, 40.0)})["wer"]
        hits += wer["low"] <= 0.1 <= wer["high"]
    assert 52 <= hits <= 60


def test_nothing_is_nothing():
    columns = {name: np.zeros(0) for name in ("number", "seconds", "taken", "words", "word_errors")}
    columns |= {name: np.zeros(0) for name in ("characters", "character_errors", "cosine")}
    assert intervals.accuracy(columns) == intervals.speed(columns) == {}
    assert intervals.distributions(columns)["points"] == []


def test_words_are_aligned_and_texts_made_plain():
    assert align("", "") == []
    assert align("a", "") == [{"op": "delete", "reference": "a", "hypothesis": None}]
    assert align("", "a") == [{"op": "insert", "reference": None, "hypothesis": "a"}]
    assert [step["op"] for step in align("* a", "* b")] == ["equal", "substitute"]
    assert score("", "")["wer"] == 0 and score("", "a")["wer"] == 1
    assert plain("'Tis GRÜN — “it's” 3.") == "tis grün it's 3"
    assert comparable("a" * 5000, "b" * 5000) and not comparable("a" * 5001, "b" * 5000)


def test_results_of_version_1_are_read(tmp_path):
    results = Results(tmp_path)
    run = results.create("tones", "model", [("model", "model", "1")], [(0, 1.0, "a", None)], "recordings")
    results.close()
    with sqlite3.connect(results.path) as database:
        database.executescript("ALTER TABLE runs DROP COLUMN recordings; PRAGMA user_version = 1;")
    assert [(one["id"], one["recordings"]) for one in Results(tmp_path).runs()] == [(run, "")]


def test_words_of_other_scripts_are_whole():
    said, written = (plain(text) for text in ("मैं हिन्दी बोलता हूँ।", "मैं हिन्दी बोलती हूँ"))
    assert score(said, written) | {"words": 4, "word_errors": 1} == score(said, written)
    assert plain("cafe\u0301 ☀️ İzmir") == plain("café i̇zmir")
