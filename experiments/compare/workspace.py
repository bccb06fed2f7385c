"""The comparison as a saved view of a W&B project: curves, settings, accuracy against cost, tables."""

from __future__ import annotations

from typing import Any

from experiments.compare.keys import Differing
from experiments.compare.statistics import Comparison

PROJECT = "hey-jetson"  # of conf/logger/wandb.yaml
NAME = "Comparison of runs"
STEP = "trainer/global_step"
TABLES = ("predictions", "training_data")


def build(entity: str, project: str, comparison: Comparison, keys: list[Differing]) -> Any:
    """The view, not yet saved.

    Args:
        entity: user or team.
        project: of the runs.
        comparison: its test sets decide what is plotted.
        keys: that differ between the runs.
    """
    import wandb_workspaces.reports.v2 as blocks
    import wandb_workspaces.workspaces as spaces

    from experiments.sweep.importance import LEAST, TOO_FEW

    tests = list(comparison.rates)
    errors = [f"test/{name}/wer" for name in tests] or ["val_wer"]
    config = [key for key in keys if "." in key.key or key.key == "seed"]  # choices of groups are not logged
    column = blocks.ParallelCoordinatesPlotColumn
    axes = [column(blocks.Config(key.key), key.name, log=key.logarithmic) for key in config]
    axes += [column(blocks.SummaryMetric(name)) for name in errors]
    costs: dict[str, Any] = {"parameters": blocks.Config("parameters"), "seconds": blocks.SummaryMetric("_runtime")}
    if tests:
        costs["real-time factor"] = blocks.SummaryMetric(f"test/{tests[0]}/real_time_factor")

    if (count := len(comparison.tested)) >= LEAST:
        importance: Any = blocks.ParameterImportancePlot(with_respect_to=errors[0])
    else:
        said = f"Importances of parameters are not shown: {count} runs with a result; {TOO_FEW}."
        importance = blocks.MarkdownPanel(said)

    def curve(title: str, key: str, x: str = STEP, smoothing: float | None = None) -> Any:
        return blocks.LinePlot(title=title, x=x, y=[key], smoothing_factor=smoothing)

    sections: dict[str, list[Any]] = {
        "Learning curves": [
            curve("validation WER", "val_wer"),
            curve("validation WER over time", "val_wer", "RelativeTime(Wall)"),
            curve("validation loss", "val_loss"),
            curve("training loss", "train_loss", smoothing=0.6),
            curve("learning rate", "learning_rate"),
        ],
        "Settings": [
            blocks.ParallelCoordinatesPlot(title="settings and errors", columns=axes),
            importance,
        ],
        "Accuracy against cost": [
            *(blocks.BarPlot(title=name, metrics=[name]) for name in errors),
            *(
                blocks.ScatterPlot(title=f"{name} against {cost}", x=x, y=blocks.SummaryMetric(name))
                for name in errors
                for cost, x in costs.items()
            ),
        ],
        "What differs": [blocks.RunComparer(diff_only="split")],
        "Tables": [blocks.WeavePanelSummaryTable(table_name=name) for name in TABLES],
    }
    return spaces.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=[spaces.Section(name=name, panels=panels, is_open=True) for name, panels in sections.items()],
    )


def save(project: str | None, comparison: Comparison, keys: list[Differing]) -> str:
    """Save the view.

    Args:
        project: `entity/project` or `project`; the project of conf/logger/wandb.yaml when None.
        comparison: of the runs.
        keys: that differ between them.

    Returns:
        its address.

    Raises:
        ConfigError: there is no account, no connection, or no such project.
    """
    from experiments.compare.online import guard, new_api, require_key

    require_key("A workspace")
    entity, _, name = (project or PROJECT).rpartition("/")
    with guard(f"The workspace of {name} cannot be saved"):
        view = build(entity or new_api().default_entity, name, comparison, keys)
        view.save()
        return str(view.url)
