"""What a sweep found: the table, the best command, what to look at next."""

from __future__ import annotations

from pathlib import Path

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments.sweep.claims import OVERRIDES, RUN, SECONDS, value_of, values_of
from experiments.sweep.commands import configuration, shown
from experiments.sweep.definition import Definition, Metric
from experiments.sweep.importance import importances
from experiments.sweep.settling import DIVERGED, INTERRUPTED, KIND, REASON, spoilt
from experiments.sweep.storage import kept, without_password
from experiments.sweep.trial import LOG, final_figures

STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "stopped early",
    TrialState.FAIL: "died",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "to be continued",
}


def reached(trial: FrozenTrial, metric: Metric) -> float | None:
    """The best value of a trial, finished or not; None of one that died or diverged, whatever it had logged before."""
    if trial.state == TrialState.COMPLETE or spoilt(trial):
        return value_of(trial)
    values = list(trial.intermediate_values.values())
    return metric.best(values) if values else None


def ranked(study: Study, metric: Metric) -> list[FrozenTrial]:
    """Finished trials, the best first; those stopped early, the rest, and at last those that died or diverged."""
    order = list(STATES)

    def place(trial: FrozenTrial) -> tuple[int, float, int]:
        value = reached(trial, metric)
        signed = float("inf") if value is None else (-value if metric.maximize else value)
        return len(order) if spoilt(trial) else order.index(trial.state), signed, trial.number

    return sorted(kept(study), key=place)


def state_of(trial: FrozenTrial) -> str:
    """How a trial stands, in the words of the table."""
    if not spoilt(trial):
        return STATES[trial.state]
    if DIVERGED in trial.user_attrs:
        return DIVERGED
    kind = trial.user_attrs.get(KIND)
    return f"died: {kind}" if kind else "died"


def best_trial(study: Study, metric: Metric) -> FrozenTrial | None:
    """The best finished trial."""
    first = next(iter(ranked(study, metric)), None)
    return first if first and value_of(first) is not None else None


def short_names(names: list[str]) -> dict[str, str]:
    """The ends of dotted keys, as long as they must be to differ.

    >>> short_names(["optim.lr", "encoder.dropout", "attention.dropout"])
    {'optim.lr': 'lr', 'encoder.dropout': 'encoder.dropout', 'attention.dropout': 'attention.dropout'}
    """
    ends = {name: name.split(".") for name in names}
    found = {}
    for name, parts in ends.items():
        for length in range(1, len(parts) + 1):
            end = parts[-length:]
            if sum(other[-length:] == end for other in ends.values()) == 1:
                break
        found[name] = ".".join(end)
    return found


def show_ranking(study: Study, definition: Definition, folder: Path, storage: str) -> None:
    """Print the table of trials, why some died, the best command, and what opens the storage.

    Args:
        study: of the sweep.
        definition: of the sweep.
        folder: of the sweep.
        storage: its address.
    """
    console = Console(highlight=False, soft_wrap=True)
    trials = ranked(study, definition.metric)
    table = ranking_table(trials, definition, folder, columns=True)
    wide = Console(width=1000)
    if console.is_terminal and wide.measure(table).maximum > console.width:
        console.print(ranking_table(trials, definition, folder, columns=False))
    else:
        wide.print(table)
    for trial in trials[::-1]:
        run = trial.user_attrs.get(RUN, str(trial.number))
        if reasons := trial.user_attrs.get(INTERRUPTED, []):
            often = f" {len(reasons)} times" if len(reasons) > 1 else ""
            said = f"was ended by the machine{often} and tried again, at last: {reasons[-1]}"
            console.print(f"{run} {said}", markup=False)
        if spoilt(trial):
            end = DIVERGED if DIVERGED in trial.user_attrs else "died"
            reason = trial.user_attrs.get(REASON, "its process was lost")
            console.print(f"{run} {end}, {reason}\n  its output: {folder / run / LOG}", markup=False)
    best = best_trial(study, definition.metric)
    if best is None:
        console.print("No trial has finished.")
    else:
        value = f"{definition.metric.name} {definition.metric.shown(best.value or 0.0)}"
        console.print(f"\nThe best is {best.user_attrs[RUN]}, {value}; to repeat it, limits included:")
        console.print(f"  {shown(definition, values_of(definition, best.params))}\n", markup=False)
    console.print(f"importance {importances(study, definition)}", markup=False)
    console.print(f"dashboard  optuna-dashboard {without_password(storage)}", markup=False)
    if configuration(definition) == "train":
        console.print(f"compare    python compare.py {folder}", markup=False)


def ranking_table(trials: list[FrozenTrial], definition: Definition, folder: Path, columns: bool) -> Table:
    """The table of trials.

    Args:
        trials: in the order of the rows.
        definition: of the sweep.
        folder: of the sweep.
        columns: one for each parameter that differs, for wide screens; else all in one.
    """
    texts = [trial.user_attrs.get(OVERRIDES, {}) for trial in trials]
    varied = [p.name for p in definition.parameters if len({given.get(p.name) for given in texts if given}) > 1]
    names = short_names(varied)
    table = Table()
    for title in ("trial", definition.metric.name, "test WER", "minutes", "state"):
        table.add_column(title, no_wrap=True)
    for title in names.values() if columns else ("values",):
        table.add_column(escape(title))
    for trial, given in zip(trials, texts, strict=True):
        value, run = reached(trial, definition.metric), trial.user_attrs.get(RUN, "")
        figures = final_figures(folder / run) if run and not spoilt(trial) else {}
        tests = [figure for name, figure in figures.items() if name.startswith("test/") and name.endswith("/wer")]
        values = {names[name]: _compact(given.get(name, "")) for name in varied}
        table.add_row(
            run or str(trial.number),
            "" if value is None else definition.metric.shown(value),
            f"{tests[0]:.1%}" if tests else "",
            f"{trial.user_attrs.get(SECONDS, 0.0) / 60:.1f}",
            state_of(trial),
            *map(escape, values.values() if columns else [" ".join(f"{name}={text}" for name, text in values.items())]),
        )
    return table


def _compact(text: str) -> str:
    """A value of a parameter; of floats, three digits."""
    try:
        return f"{float(text):.3g}" if "." in text or "e" in text else text
    except ValueError:
        return text
