"""W&B's early termination as an Optuna pruner.

Optuna's own HyperbandPruner deals trials out to several brackets that do not compete. W&B compares all of them at fixed
iterations, which is another thing in a sweep of few trials; the same file is to stop the same trials here and there.
"""

from __future__ import annotations

import math
from typing import Any

from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from experiments.sweep.settling import spoilt
from experiments.sweep.storage import kept


class WandbHyperband(BasePruner):
    """Stop a trial whose best value is behind the best 1/eta of all trials at an iteration of the schedule.

    An iteration is one logging of the metric, counted from 1.

    Args:
        settings: `early_terminate` of the sweep: min_iter or max_iter with s, eta, strict.
    """

    def __init__(self, settings: dict[str, Any]):
        self.eta = float(settings.get("eta", 3))
        self.strict = bool(settings.get("strict", False))
        self.first = settings.get("min_iter")
        self.last = settings.get("max_iter")
        self.count = settings.get("s")

    def bands(self, reached: int) -> list[int]:
        """The iterations up to `reached` at which trials are compared.

        >>> WandbHyperband({"min_iter": 3, "eta": 2}).bands(13)
        [3, 6, 12]
        >>> WandbHyperband({"max_iter": 27, "s": 2, "eta": 3}).bands(27)
        [3, 9]
        """
        found: list[int] = []
        if self.last and self.count:
            band = self.last / self.eta
            while band >= 1 and len(found) < self.count:
                found.insert(0, int(band))
                band /= self.eta
        else:
            band = float(self.first or 1)
            while int(band) <= reached:
                found.append(int(band))
                band *= self.eta
        return [band for band in found if band <= reached]

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Shall the trial be stopped? Asked after each report."""
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        curve = _curve(trial, sign)
        if not curve or not (bands := self.bands(len(curve))):
            return False
        others = [other for other in kept(study) if other.number != trial.number and not spoilt(other)]
        curves = [_curve(other, sign) for other in others] + [curve]
        reached = sorted(other[bands[-1] - 1] for other in curves if len(other) >= bands[-1])
        threshold = reached[int(len(reached) / self.eta)]
        return (curve[bands[-1] - 1] if self.strict else min(curve)) > threshold


def _curve(trial: FrozenTrial, sign: float) -> list[float]:
    return [sign * value for _, value in sorted(trial.intermediate_values.items()) if math.isfinite(value)]
