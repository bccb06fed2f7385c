"""W&B projects and workspaces, as far as they go without a server."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.compare import wandb_runs
from experiments.compare.command import main
from experiments.compare.keys import differing
from experiments.compare.online import load_project
from experiments.compare.statistics import compare
from experiments.compare.workspace import build
from experiments.errors import ConfigError
from experiments.sweep import importance
from tests.experiments.compare_runs import corpus, make_run


class Stored:
    """A run as `wandb.Api` gives it: only the calls that reading it needs."""

    def __init__(self, name: str, wer: float | None, job: str = "train"):
        self.name, self.job_type, self.state = name, job, "finished" if wer else "crashed"
        self.url = f"https://wandb.example/me/p/runs/{name}"
        self.config = {"optim": {"lr": 0.1 if wer else 0.2}, "parameters": 5000, "cfg": {"noise": name}}
        self.summary = {"_runtime": 90.0, "val_wer": 0.3}
        if wer:
            figures = {"wer": wer, "wer_low": wer - 0.1, "wer_high": wer + 0.1, "utterances": 10, "words": 50}
            self.summary |= {f"test/test/{key}": value for key, value in figures.items()}
        self.rows = [
            {"trainer/global_step": 20, "_runtime": 5, "epoch": 0, "train_loss": 9.0, "learning_rate": 0.1},
            {
                "trainer/global_step": 40,
                "_runtime": 9,
                "epoch": 0,
                "val_wer": 0.5,
                "val_cer": 0.2,
                "val_loss": math.nan,
            },
        ]

    def scan_history(self, keys):
        return [row for row in self.rows if set(keys) <= row.keys()]

    def history(self, stream, pandas):
        assert (stream, pandas) == ("system", False)
        return [{"_timestamp": 1000.0 + second, "system.gpu.0.powerWatts": 120.0} for second in (0, 30)]


def api(*runs: Stored) -> SimpleNamespace:
    return SimpleNamespace(runs=lambda project: iter(runs))


def test_a_project_is_read_without_its_exports():
    first, second = load_project("me/p", api(Stored("a", 0.25), Stored("b", None), Stored("x", 0.1, "export")))
    assert (first.kind, first.place) == ("online", "https://wandb.example/me/p/runs/a")
    assert first.results["test"].totals["wer"] == 0.25 and first.config["optim.lr"] == 0.1
    assert [point["step"] for point in first.curve] == [21, 41] and "val_loss" not in first.curve[1]
    assert first.metrics == {"parameters": 5000, "steps": 41, "seconds": 90, "validation_wer": 0.5}
    assert first.energy == pytest.approx(1.0)
    assert "W&B says crashed" in second.note
    assert [key.key for key in differing([first, second])] == ["optim.lr"]
    rate = compare([first, second]).rates["test"][0]
    assert (rate.low, rate.high) == (0.15, 0.35)


def test_runs_that_failed_have_no_figures(monkeypatch):
    failed = Stored("f", None)
    failed.state = "failed"
    (online,) = load_project("me/p", api(failed))
    kept = [{"type": "history", "history": {"item": {"val_wer": 0.01, "trainer/global_step": 9}}}]
    for status, dead in ((1, True), (143, False), (0, False)):
        logged = [*kept, {"type": "exit", "exit": {"exit_code": status}}]
        monkeypatch.setattr(wandb_runs, "records", lambda folder, found=logged: found)
        offline = wandb_runs.load_offline(Path("offline-run-1"))
        assert (offline.note.startswith("died"), offline.curve == []) == (dead, dead)
    assert online.note == "died: W&B says failed"
    assert online.curve == [] and "validation_wer" not in online.metrics


def test_what_the_server_says_against_it_is_a_sentence():
    from wandb.errors import CommError

    def refuses(error: Exception) -> SimpleNamespace:
        def runs(project: str) -> list[Stored]:
            raise error

        return SimpleNamespace(runs=runs)

    for error in (CommError("no route"), ValueError("Could not find project p")):
        with pytest.raises(ConfigError, match="The W&B project me/p cannot be read: (no route|Could not find)"):
            load_project("me/p", refuses(error))
    with pytest.raises(ConfigError, match="has no runs"):
        load_project("me/p", api())


@pytest.mark.parametrize("arguments", [["--project", "me/p"], ["--workspace"]])
def test_without_an_account_it_is_a_sentence(arguments, monkeypatch, capsys):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(SystemExit, match="1"):
        main(arguments)
    assert "needs a W&B account: set WANDB_API_KEY" in capsys.readouterr().err


def test_the_workspace_has_panels_for_the_same_plots(tmp_path, monkeypatch):
    tests = {"seen": corpus(tmp_path / "sound", 6, sound=0)}
    for seed, lr in enumerate((0.001, 0.1)):
        make_run(tmp_path / "runs" / f"r{seed}", tests, 0.2, seed, {"optim.lr": lr}, encoder=f"e{seed}")
    comparison = compare(_loaded(tmp_path / "runs"))
    view = build("me", "p", comparison, differing(comparison.runs))
    assert (view.entity, view.project) == ("me", "p")
    sections = view._to_model().spec.section.panel_bank_config.sections
    panels = {section.name: section.panels for section in sections if section.panels}
    kinds = {name: [panel.view_type for panel in found] for name, found in panels.items()}
    assert kinds["Learning curves"] == ["Run History Line Plot"] * 5
    assert kinds["Settings"] == ["Parallel Coordinates Plot", "Markdown Panel"]
    assert kinds["Accuracy against cost"] == ["Bar Chart", *["Scatter Plot"] * 3]
    assert kinds["What differs"] == ["Run Comparer"] and kinds["Tables"] == ["Weave", "Weave"]
    assert "2 runs with a result; with fewer than 20" in str(panels["Settings"][1].config)
    monkeypatch.setattr(importance, "LEAST", 2)
    enough = build("me", "p", comparison, differing(comparison.runs))
    assert "Parameter Importance" in str(enough._to_model().spec.section.panel_bank_config)
    axes = panels["Settings"][0].config.columns
    assert [(axis.accessor, axis.log) for axis in axes] == [
        ("config:optim.value.lr", True),
        ("summary:test/seen/wer", None),
    ]
    spots = {panel.config.x_axis for panel in panels["Accuracy against cost"][1:]}
    assert spots == {"config:parameters.value", "summary:_runtime", "summary:test/seen/real_time_factor"}
    assert "predictions" in str(panels["Tables"][0].config)


def _loaded(folder: Path):
    from experiments.compare.runs import load

    return load([folder], Path("/nowhere"))
