"""What benchmarks/people.py compares, and the tables it makes of it."""

import json
from pathlib import Path

import pytest

from benchmarks import people
from benchmarks.people import by_whisper, differences, groups_of, kinds, rates, unseen
from benchmarks.whisper import NAME, in_words
from experiments.evaluation.report import make_row
from manifests import ManifestError, Utterance, write_manifest
from manifests.text import Normaliser

SAID = [("ann", "we call it bear"), ("ann", "zero three five one"), ("bob", "he has two dogs"), ("cem", "try it on")]


@pytest.fixture
def utterances():
    return [Utterance(Path(f"/{n}.wav"), 2.0, text, extra={"speaker": who}) for n, (who, text) in enumerate(SAID)]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (" We call it bear.", "we call it bear"),
        ("0351", "zero three five one"),
        ("0-3-5-1.", "zero three five one"),
        ("He's got 12 dogs, right?", "he's got twelve dogs right"),
        ("It costs $5.", "it costs five dollars"),
        ("", ""),
    ],
)
def test_what_whisper_writes_becomes_words(written, words):
    assert in_words(written, Normaliser()) == words


@pytest.mark.parametrize("written", ["8 7 0", "870.", "8-7, 0", "87, zero", "Eight, seven. 0!", "8.70", "$8,7:0"])
def test_figures_of_digit_strings_are_single_digits(written):
    assert in_words(written, Normaliser(), single=True) == "eight seven zero"


def test_sentences_that_were_seen_are_left_out(utterances, tmp_path):
    write_manifest(tmp_path / "train.jsonl", utterances[:2])
    assert unseen(utterances, [tmp_path / "train.jsonl"]) == utterances[2:]
    with pytest.raises(ManifestError, match="nothing to measure"):
        unseen(utterances[:2], [tmp_path / "train.jsonl"])


def test_groups_are_read_and_a_wrong_line_is_named(tmp_path):
    path = tmp_path / "spk2group"
    path.write_text("ann child\nbob adult\n")
    assert groups_of(path) == {"ann": "child", "bob": "adult"} and groups_of(None) == {}
    path.write_text("ann child\nbob\n")
    with pytest.raises(ManifestError, match=r"spk2group:2: expected `SPEAKER GROUP`"):
        groups_of(path)
    with pytest.raises(ManifestError, match="Correct --groups"):
        groups_of(tmp_path / "none")


def test_what_whisper_wrote_is_not_heard_again(utterances, tmp_path, monkeypatch):
    monkeypatch.setattr(people.whisper, "open_whisper", lambda: pytest.fail("it was opened"))
    kept = tmp_path / "whisper.json"
    kept.write_text(json.dumps({f"{line.audio}@0": line.text.upper() for line in utterances}))
    assert sum(row.word_errors for row in by_whisper(utterances, kept)) == 0


def test_tables_have_a_row_for_each_system_and_a_column_for_each_group(utterances):
    good = [make_row(line, line.text) for line in utterances]
    bad = [make_row(line, f"{line.text} no") for line in utterances[:3]] + [make_row(utterances[3], "try")]
    systems = {"ours, greedy": good, NAME: bad}
    lines = rates(systems, {"ann": "child", "bob": "adult"})
    assert [cell.strip() for cell in lines[0].split("|")[2:-1]] == ["WER, all", "WER, adult", "WER, child", "CER, all"]
    assert lines[3].startswith(f"| {NAME} | 33.33%") and lines[2].split("|")[2].strip().startswith("0.00%")
    assert "| 0.0% | 13.3% | 20.0% |" in kinds(systems)[3]
    assert "| ours, greedy | -33.3 |" in differences(systems, NAME)[2]


def test_of_one_speaker_utterances_are_drawn(utterances):
    alone = [make_row(line, line.text if number else "no") for number, line in enumerate(utterances[:2])]
    assert people.speakers_of(alone) is None
    assert people.speakers_of([make_row(line, "no") for line in utterances]) == ["ann", "ann", "bob", "cem"]
    systems = {"ours, greedy": alone, NAME: [make_row(line, line.text) for line in utterances[:2]]}
    assert "50.00% (0.00 to 100.00)" in rates(systems, {})[2]
