"""What a race makes of its runs: budgets, intervals, the table between its marks, the picture."""

import json
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from omegaconf import OmegaConf

from benchmarks.race import LADDER, budget_overrides, chosen_entries, finished, overrides_of, require_same
from benchmarks.race_results import MARKS, Training, family, figure, result, table, verdict, write
from experiments.errors import ConfigError
from tests.heyjetson.tensorrt_fake import make_bundle


@pytest.mark.parametrize(
    ("budget", "first"),
    [
        ("90s", "trainer.max_time=00:00:01:30"),
        ("6min", "trainer.max_time=00:00:06:00"),
        ("1.5h", "trainer.max_time=00:01:30:00"),
        ("2000steps", "trainer.max_time=null"),
    ],
)
def test_budgets(compose_config, budget, first):
    overrides = budget_overrides(budget)
    assert overrides[0] == first
    compose_config(*overrides)


@pytest.mark.parametrize("budget", ["6", "six minutes", "-1min", ""])
def test_a_budget_that_is_none_is_a_sentence(budget):
    with pytest.raises(ConfigError, match="6min"):
        budget_overrides(budget)


def test_entries_are_the_files_of_the_ladder():
    everyone = chosen_entries(OmegaConf.create({"entries": "all"}))
    assert everyone == sorted(path.stem for path in LADDER.glob("*.yaml"))
    assert chosen_entries(OmegaConf.create({"entries": ["hey_jetson_small"]})) == ["hey_jetson_small"]
    with pytest.raises(ConfigError, match="hey_jetson_smal.*hey_jetson_small"):
        chosen_entries(OmegaConf.create({"entries": ["hey_jetson_smal"]}))
    kinds = {name: family(name) for name in everyone}
    assert kinds["nemo_quartznet"] == "nemo" and kinds["hey_jetson"] == "ours"
    assert kinds["model_05"] == "model" and kinds["model_05_improved"] == "improved"


@pytest.fixture
def race(tmp_path):
    """Two entries, one of them trained twice, as runs leave them; the second makes twice as many errors."""
    generator = np.random.default_rng(0)
    bundle = make_bundle(tmp_path / "bundle").folder
    trainings = []
    for name, seed, rate in (("hey_jetson_small", 1, 0.1), ("hey_jetson_small", 2, 0.1), ("nemo_quartznet", 1, 0.2)):
        folder = tmp_path / f"{name}-{seed}" / "run"
        folder.mkdir(parents=True)
        (folder / "bundle").symlink_to(bundle)
        tests = {}
        for test in ("seen", "unseen"):
            errors = generator.binomial(5, rate / (2 if test == "seen" else 1), 200)
            rows = [{"audio": f"{i}.wav", "word_errors": int(count), "words": 5} for i, count in enumerate(errors)]
            (folder / f"test_{test}.json").write_text(json.dumps({"utterance_results": rows}))
            tests[test] = {"wer": errors.sum() / 1000}
        metrics = {"parameters": 1_000_000, "steps": 100 * seed, "seconds": 60.0, "test": tests}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        trainings.append(Training(name, seed, folder))
    return trainings


def test_results(race, tmp_path):
    ours, theirs = result(race[:2], 0.5), result(race[2:], 0.5)
    assert ours.steps == 150 and ours.minutes == 1.0 and ours.real_time_factor > 0
    pooled = sum(one.rates()["unseen"] for one in race[:2]) / 2
    assert ours.tests["unseen"].rate == pytest.approx(pooled)
    assert ours.tests["unseen"].low < pooled < ours.tests["unseen"].high
    said = verdict([theirs, ours])
    assert "hey_jetson_small has" in said and "a difference of -" in said and "; significant" in said

    text = table([theirs, ours], "python benchmarks/race.py")
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert "hey_jetson_small" in rows[0] and "nemo_quartznet" in rows[1]  # the best first
    picture = figure([theirs, ours], tmp_path / "picture")
    words = "".join(ElementTree.parse(picture).getroot().itertext())
    assert "hey_jetson_small" in words and "unseen" in words

    results = tmp_path / "RESULTS.md"
    results.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    write(text, results)
    write(text, results)
    written = results.read_text()
    assert written.startswith("before\n") and written.endswith("after\n") and "old" not in written
    assert written.count("hey_jetson_small has") == 1
    results.write_text("no marks")
    with pytest.raises(ValueError, match="marks|lines"):
        write(text, results)
    assert results.read_text() == "no marks"


def test_trainings_of_another_race_are_not_shown_under_this_command(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["race.py", "data=digits", "data.source=here"])
    given = {"out": str(tmp_path), "budget": "6min", "threads": 1, "clock": "wall", "overrides": ["augment=none"]}
    cfg = OmegaConf.create(given)
    run = tmp_path / "hey_jetson" / "now"
    (run / ".hydra").mkdir(parents=True)
    (run / "metrics.json").write_text("{}")
    where = [f"runs={tmp_path}", "name=hey_jetson"]
    OmegaConf.save([*overrides_of(cfg, "hey_jetson", 1), *where], run / ".hydra" / "overrides.yaml")
    require_same(cfg, "hey_jetson", 1)  # a race that was stopped goes on
    require_same(cfg, "hey_jetson", 2)
    for change in ({"budget": "1h"}, {"overrides": []}, {"clock": "processor"}):
        with pytest.raises(ConfigError, match="trained for another race: .* out=runs/OTHER"):
            require_same(OmegaConf.create(given | change), "hey_jetson", 1)
    monkeypatch.setattr(sys, "argv", ["race.py", "data=an4"])
    with pytest.raises(ConfigError, match="data.source=here, data=an4, data=digits are not in both"):
        require_same(cfg, "hey_jetson", 1)


def test_a_run_without_metrics_is_not_finished(race, tmp_path):
    folder = race[0].folder.parent
    assert finished(folder) == race[0].folder
    (race[0].folder / "metrics.json").unlink()
    assert finished(folder) is None
