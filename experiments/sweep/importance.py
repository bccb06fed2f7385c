"""How much each parameter matters to the metric, from so many trials on that it can be said."""

from __future__ import annotations

from optuna.importance import get_param_importances
from optuna.study import Study, create_study

from experiments.sweep.claims import value_of
from experiments.sweep.definition import Definition
from experiments.sweep.storage import kept

LEAST = 20  # trials; of 10, a parameter without effect gets about a quarter, by PED-ANOVA and by f-ANOVA
TOO_FEW = f"with fewer than {LEAST} even a parameter without effect seems to have a quarter of it"


def importances(study: Study, definition: Definition) -> str:
    """The share of each parameter, the largest first, or why none is given.

    By Optuna's PED-ANOVA (Watanabe et al., 2023), over trials that have a value: one that died or diverged has none.

    Args:
        study: of the sweep.
        definition: of the sweep.
    """
    trials = [trial for trial in kept(study) if value_of(trial) is not None]
    if len(trials) < LEAST:
        return f"not shown: {len(trials)} finished trials; {TOO_FEW}"
    finished = create_study(direction=study.direction)
    finished.add_trials(trials)
    found = get_param_importances(finished)
    total = sum(found.values())
    if not total:
        return f"not shown: the {len(trials)} finished trials do not differ"
    names = {parameter.drawn or parameter.name: parameter.name for parameter in definition.parameters}
    shares = [f"{names.get(key, key)} {share / total:.0%}" for key, share in found.items()]
    return f"{', '.join(shares)} ({len(trials)} finished trials, PED-ANOVA)"
