"""What a comparison says: shared test sets, refusals, order, verdicts, settings that differ, the table."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from experiments.compare.columns import columns
from experiments.compare.command import main
from experiments.compare.figures import figures
from experiments.compare.keys import Differing, differing, short_keys
from experiments.compare.record import Run
from experiments.compare.runs import load
from experiments.compare.statistics import compare
from experiments.compare.summary import verdict
from experiments.compare.table import fit, show
from experiments.errors import ConfigError
from experiments.evaluation.report import summarise
from heyjetson.metrics import character_errors
from heyjetson.significance import difference, wer_interval
from tests.conftest import ROOT
from tests.experiments.compare_runs import corpus, make_bundle, make_run, rewrite, rows_of

NOWHERE = Path("/nowhere")


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    return {"seen": corpus(folder, 80, 0, sound=0), "unseen": corpus(folder, 80, 1, sound=0)}


@pytest.fixture(scope="module")
def runs(sets, tmp_path_factory) -> Path:
    """Three runs of a clear order, two of them nearly alike, and one that was stopped."""
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder / "bad", sets, 0.5, 1, {"optim.lr": 0.1})
    make_run(folder / "good", sets, 0.1, 2, {"optim.lr": 0.001, "encoder.recurrent.hidden": 32})
    make_run(folder / "near", sets, 0.11, 3, {"optim.lr": 0.001})
    make_run(folder / "stopped", sets, 0.1, 4, finished=False)
    return folder


def printed(comparison, width: int | None = None, top: int = 0) -> str:
    """The table in a terminal of a width, or as plain lines."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=width is not None, color_system=None)
    show(comparison, columns(comparison, differing(comparison.runs)), console, top)
    return out.getvalue()


def test_runs_are_ordered_by_their_errors_over_all_shared_test_sets(runs):
    found = compare(load([runs], NOWHERE))
    assert [run.name for run in found.runs] == ["good", "near", "bad", "stopped"]
    assert found.best == found.reference == 0 and found.overall[3] is None
    errors = [row for name in ("seen", "unseen") for row in rows_of(runs / "good", name)]
    pooled = sum(row["word_errors"] for row in errors) / sum(row["words"] for row in errors)
    assert found.overall[0] == pytest.approx(pooled)


def test_intervals_are_those_of_the_test_report_and_differences_those_of_the_pairs(runs):
    found = compare(load([runs], NOWHERE))
    totals = json.loads((runs / "near" / "metrics.json").read_text())["test"]["unseen"]
    rate = found.rates["unseen"][1]
    assert (rate.low, rate.high) == (totals["wer_low"], totals["wer_high"])
    good, near = rows_of(runs / "good", "unseen"), rows_of(runs / "near", "unseen")
    arrays = [np.array([row["word_errors"] for row in rows]) for rows in (good, near)]
    alone = difference(*arrays, np.array([row["words"] for row in good]))
    judged = found.tests["unseen"]
    assert judged.difference(1, 0) == alone and judged.difference(0, 1) == alone.swapped
    quick = judged.estimate(1, 0)
    assert quick.delta == pytest.approx(alone.delta) and quick.p_value == pytest.approx(alone.p_value)
    assert quick.low == pytest.approx(alone.low, abs=0.004) and quick.high == pytest.approx(alone.high, abs=0.004)


def test_the_verdict_names_the_best_its_lead_and_who_cannot_be_told_from_it(runs):
    said = verdict(compare(load([runs], NOWHERE)))
    assert said[0].startswith("good has the fewest errors: WER ") and "on seen" in said[0] and "on unseen" in said[0]
    assert "Next is near with +" in said[1] and "not significant" in said[1]
    assert said[2] == "Of 2 others, 1 cannot be told from it: near."
    against = verdict(compare(load([runs], NOWHERE), baseline="bad"))
    assert against[-1].startswith("Against the baseline bad it has -") and against[-1].endswith(": significant.")


def test_one_run_is_fine_and_so_is_none_that_has_ended(runs):
    (only,) = verdict(compare(load([runs / "good"], NOWHERE)))
    assert "is the only run with a result: WER" in only
    (none,) = verdict(compare(load([runs / "stopped"], NOWHERE)))
    assert "No run has a test result" in none
    assert "no metrics.json" in printed(compare(load([runs / "stopped"], NOWHERE)))


def test_equal_runs_are_not_told_apart(sets, tmp_path):
    for name in ("one", "two"):
        make_run(tmp_path / name, sets, 0.2, seed=5)
    said = verdict(compare(load([tmp_path], NOWHERE)))
    assert "+0.00 points (+0.00 to +0.00, p = 1)" in said[1] and "not significant" in said[1]


def test_other_utterances_are_refused_unless_forced(sets, tmp_path):
    make_run(tmp_path / "a", sets, 0.1, 1)
    fewer = {"seen": sets["seen"], "unseen": sets["unseen"][:30] + corpus(tmp_path / "sound", 20, 7, sound=0)}
    make_run(tmp_path / "b", fewer, 0.3, 2)
    with pytest.raises(
        ConfigError, match="for unseen, a on 80 utterances .*, b on 50 utterances .*, 30 of them in common"
    ):
        compare(load([tmp_path], NOWHERE))
    forced = compare(load([tmp_path], NOWHERE), force=True)
    assert len(forced.tests["unseen"].keys) == 30 and len(forced.tests["seen"].keys) == 80
    assert "unseen: only the 30 utterances in common are compared (--force)." in forced.notes
    for run, name in ((0, "a"), (1, "b")):
        rows = rows_of(tmp_path / name, "unseen")[:30]
        expected = wer_interval([row["word_errors"] for row in rows], [row["words"] for row in rows])
        assert forced.rates["unseen"][run] == expected


def test_other_figures_are_of_what_the_words_are_counted_on(sets, tmp_path):
    """Of the utterances in common and of the test sets of all runs, pooled over characters and utterances."""
    make_run(tmp_path / "a", {**sets, "further": corpus(tmp_path / "sound", 40, 9, sound=0)}, 0.1, 1)
    fewer = {"seen": sets["seen"], "unseen": sets["unseen"][:30] + corpus(tmp_path / "sound", 20, 7, sound=0)}
    make_run(tmp_path / "b", fewer, 0.3, 2)
    forced = compare(load([tmp_path], NOWHERE), force=True)
    assert forced.shared.ranking == ["seen", "unseen"]
    shown = {figure.title: figure for figure in figures(forced)}
    for run in forced.runs:
        rows = rows_of(tmp_path / run.name, "seen") + rows_of(tmp_path / run.name, "unseen")[:30]
        cer = sum(row["character_errors"] for row in rows) / sum(row["characters"] for row in rows)
        assert shown["CER"].value(run) == pytest.approx(cer)
        assert shown["cosine"].value(run) == pytest.approx(np.mean([row["cosine"] for row in rows]))


def test_the_same_names_of_other_data_are_not_the_same_set(sets, tmp_path):
    make_run(tmp_path / "a", {"test": sets["seen"]}, 0.1)
    make_run(tmp_path / "b", {"test": sets["unseen"]}, 0.1)
    with pytest.raises(ConfigError, match="none of them in common"):
        compare(load([tmp_path], NOWHERE))
    forced = compare(load([tmp_path], NOWHERE), force=True)
    assert forced.best is None and not forced.tests
    assert verdict(forced) == ["The runs share no test set, so none can be called best."]


def test_the_same_utterances_under_another_name_are_the_same_set(sets, tmp_path):
    make_run(tmp_path / "a", {"voices": sets["seen"]}, 0.1, 1)
    make_run(tmp_path / "b", {"test": sets["seen"]}, 0.4, 2)
    assert list(compare(load([tmp_path], NOWHERE)).tests) == ["voices"]


def test_no_test_set_in_common_is_refused_and_a_further_one_is_noted(sets, tmp_path):
    make_run(tmp_path / "a", {"seen": sets["seen"]}, 0.1)
    make_run(tmp_path / "b", {"unseen": sets["unseen"]}, 0.1)
    with pytest.raises(ConfigError, match="share no test set: a on seen was tested, b on unseen"):
        compare(load([tmp_path], NOWHERE))
    make_run(tmp_path / "c", sets, 0.2, 3)
    found = compare(load([tmp_path / "a", tmp_path / "c"], NOWHERE))
    assert list(found.tests) == ["seen"] and "unseen was not tested by 1 of 2 runs" in found.notes[0]
    only = compare(load([tmp_path], NOWHERE), test="unseen")
    assert [run.name for run in only.runs][2] == "a" and "Not tested on unseen: a." in only.notes
    with pytest.raises(ConfigError, match="There is no test set other; the runs have: seen, unseen"):
        compare(load([tmp_path], NOWHERE), test="other")


def test_totals_alone_are_ranked_without_a_claim(sets, tmp_path):
    for seed, name in enumerate("ab"):
        (make_run(tmp_path / name, {"seen": sets["seen"]}, 0.1 + seed / 5, seed) / "test_seen.json").unlink()
    found = compare(load([tmp_path], NOWHERE))
    assert found.runs[0].name == "a" and not found.tests and found.rates["seen"][0].low > 0
    assert "no utterances are known" in verdict(found)[-1]


def test_a_baseline_is_found_by_part_of_its_name(runs):
    loaded = load([runs], NOWHERE)
    assert compare(loaded, baseline="ne").reference == 1
    with pytest.raises(ConfigError, match="may be .*: write more of it"):
        compare(loaded, baseline="d")
    with pytest.raises(ConfigError, match="There is no run gut .*: good"):
        compare(loaded, baseline="gut")
    with pytest.raises(ConfigError, match="stopped has no result"):
        compare(loaded, baseline="stopped")


def test_whole_speakers_can_be_drawn_where_they_are_known(sets, runs, tmp_path):
    loaded = load([runs], NOWHERE)
    plain, grouped = compare(loaded), compare(loaded, speakers=True)
    assert grouped.tests["seen"].groups == [line.extra["speaker"] for line in sets["seen"]]
    assert grouped.rates["seen"][0].rate == plain.rates["seen"][0].rate
    assert grouped.rates["seen"][0] != plain.rates["seen"][0]
    unknown = make_run(tmp_path / "a", {"seen": sets["seen"]}, 0.1)
    report = json.loads((unknown / "test_seen.json").read_text())
    report["utterance_results"][3]["speaker"] = None
    (unknown / "test_seen.json").write_text(json.dumps(report))
    with pytest.raises(ConfigError, match="do not all name a speaker"):
        compare(load([unknown], NOWHERE), speakers=True)


def test_only_settings_that_differ_are_shown_under_short_names():
    common = {"seed": 1, "name": "x", "logger.group": "x", "model.optim.lr": 0.1, "data.sample_rate": 16000}
    common["frontend.sample_rate"] = 16000
    first = common | {"optim.lr": 0.1, "encoder": "A", "spec": None, "a.dropout": 0.1, "b.dropout": 0.1, "runs": "r"}
    second = common | {"optim.lr": 0.01, "encoder": "B", "spec": "C", "a.dropout": 0.2, "b.dropout": 0.3, "runs": "s"}
    second |= {
        "name": "y",
        "logger.group": "y",
        "model.optim.lr": 0.01,
        "only.here": 1,
        "data.sample_rate": 8000,
        "frontend.sample_rate": 8000,
    }
    runs = [
        Run("a", "", config=first, choices={"encoder": "small"}),
        Run("b", "", config=second, choices={"encoder": "big"}),
    ]
    found = {key.name: key.values for key in differing(runs)}
    assert found == {
        "sample_rate": (16000, 8000),
        "lr": (0.1, 0.01),
        "encoder": ("small", "big"),
        "spec": ("null", "C"),
        "a.dropout": (0.1, 0.2),
        "b.dropout": (0.1, 0.3),
    }
    assert [key.logarithmic for key in differing(runs)] == [False, True, False, False, False, False]
    assert differing(runs[:1]) == []


@given(st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=4).map(".".join), min_size=1, unique=True))
def test_short_keys_are_distinct_ends_of_the_keys(keys):
    names = short_keys(keys)
    assert len(set(names.values())) == len(keys)
    assert all(key == name or key.endswith("." + name) for key, name in names.items())


def test_plain_lines_hold_every_figure(runs, tmp_path, sets):
    bundle = make_bundle(tmp_path / "bundles" / "x", runs / "good", "unseen", speed=0.0042)
    text = printed(compare(load([runs], bundle.parent)))
    lines = text.splitlines()
    for title in ("run", "lr", "hidden", "WER seen", "WER unseen", "to best", "CER", "cosine", "RTF", "MB", "min"):
        assert title in lines[0]
    assert "┃" not in text and lines[1].startswith("good (best)") and "0.0042" in lines[1]
    assert lines[3].startswith("bad") and " * " in lines[3] and lines[4].startswith("stopped (no result)")
    assert "Wh" not in lines[0].split()
    rows = [row for name in sets for row in rows_of(runs / "good", name)]
    errors = sum(character_errors(row["reference"], row["hypothesis"]).count for row in rows)
    cer = float(lines[1].split("–")[-1].split()[0].rstrip("%")) / 100
    assert cer == pytest.approx(errors / sum(row["characters"] for row in rows), abs=0.005)


def test_energy_has_a_column_as_soon_as_one_run_has_it(runs):
    loaded = load([runs], NOWHERE)
    loaded[0].energy = 12.5
    head, *rows = printed(compare(loaded)).splitlines()
    assert head.split()[-1] == "Wh" and any(row.endswith("12.500") for row in rows)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_terminal_of_any_width_shows_name_and_error_rate(runs, width):
    comparison = compare(load([runs], NOWHERE))
    text = printed(comparison, width)
    assert max(map(len, text.splitlines())) <= width
    table = columns(comparison, differing(comparison.runs))
    kept, left_out = fit(table, width)
    assert [column.title for column in kept][0] == "run" and any("WER" in column.title for column in kept)
    assert len(kept) + len(left_out) == len(table)
    assert ("Left out for want of width" in text) == bool(left_out)


def test_of_many_runs_the_best_are_printed(runs):
    text = printed(compare(load([runs], NOWHERE)), top=2)
    assert "good" in text and "\nbad" not in text and "2 more runs; --top 0 lists all." in text


def test_a_tie_in_all_but_one_utterance_is_counted_right(sets, tmp_path):
    lines = sets["seen"]
    for name in ("a", "b"):
        run = make_run(tmp_path / name, {"seen": lines}, 0.0)
        rewrite(run, "seen", lines, [line.text for line in lines[:-1]] + [lines[-1].text if name == "a" else ""])
    found = compare(load([tmp_path], NOWHERE))
    words = sum(len(line.text.split()) for line in lines)
    assert found.differences[1].delta == pytest.approx(len(lines[-1].text.split()) / words)
    assert found.rates["seen"][0].high == pytest.approx(3 / words, rel=0.02)


def test_the_command_prints_and_refuses_in_sentences(runs, tmp_path, capsys):
    main([str(runs), "--test", "seen"])
    assert "good has the fewest errors" in capsys.readouterr().out
    for arguments, said in (
        ([str(tmp_path / "none")], "does not exist"),
        ([str(tmp_path)], "There is no run in"),
        ([str(runs), "--html", str(tmp_path)], "is a folder"),
        ([str(runs), "--baseline", "nobody"], "There is no run nobody"),
    ):
        with pytest.raises(SystemExit, match="1"):
            main(arguments)
        assert said in capsys.readouterr().err


def test_compare_py_runs_from_the_shell_and_shows_its_help(runs):
    command = [sys.executable, "compare.py"]
    shown = subprocess.run([*command, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0 and "examples:" in shown.stdout and "--baseline" in shown.stdout
    done = subprocess.run([*command, str(runs)], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "good (best)" in done.stdout, done.stderr


def test_an_axis_is_logarithmic_where_that_spreads_its_values():
    def logarithmic(*values):
        return Differing("key", "key", values).logarithmic

    assert logarithmic(0.0001, 0.001, 0.01) and logarithmic(1e-4, 3e-4, 1e-3, 3e-3) and logarithmic(0.001, 0.1)
    assert not logarithmic(*np.linspace(0.001, 0.5, 20))  # uniform, one of them small
    assert not logarithmic(0.0, 0.1) and not logarithmic(32, 64, 128) and not logarithmic("a", "b", 3)


def test_the_table_of_a_test_shows_the_interval(sets, runs, capsys):
    totals = json.loads((runs / "good" / "metrics.json").read_text())["test"]
    summarise(totals)
    shown = capsys.readouterr().out
    for name in sets:
        interval = wer_interval(
            *([row[key] for row in rows_of(runs / "good", name)] for key in ("word_errors", "words"))
        )
        assert (totals[name]["wer_low"], totals[name]["wer_high"]) == (interval.low, interval.high)
        assert f"{interval.low * 100:.2f}–{interval.high * 100:.2f}" in shown


def test_the_example_of_the_page_runs(runs, capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/compare.md").read_text(), re.MULTILINE | re.DOTALL)
    space = {
        "errors": np.array([1, 0, 2]),
        "errors_a": np.array([1, 0, 2]),
        "errors_b": np.zeros(3),
        "words": np.full(3, 4),
    }
    exec(code.replace("runs/digits", str(runs)), space)
    *said, interval, p_value = capsys.readouterr().out.splitlines()
    assert said == verdict(compare(load([runs], NOWHERE))) and 0 <= float(p_value) <= 1 and interval
