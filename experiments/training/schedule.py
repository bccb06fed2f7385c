"""A learning-rate schedule that knows the clock: it ends when the budget ends, be it steps or minutes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nemo.core.config.schedulers import SchedulerParams
from nemo.core.optim.lr_scheduler import register_scheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


@dataclass
class BudgetAnnealingParams(SchedulerParams):
    """Arguments of `BudgetAnnealing`, for NeMo's registry."""

    warmup_ratio: float = 0.05
    min_lr: float = 0.0
    max_steps: int | None = None


class BudgetAnnealing(LRScheduler):
    """Linear warm-up, then half a cosine down to `min_lr` at the end of the budget.

    A schedule in steps is cut short when `trainer.max_time` ends the run, and the last, low rates are where much of the
    accuracy comes from. The model sets `budget_used` before each step to the share of the steps or of the time that is
    gone, whichever is larger; left alone, the schedule counts steps.

    Args:
        optimizer: whose rate is set.
        warmup_ratio: share of the budget for the linear rise.
        min_lr: last rate of the fastest parameter group, or its own rate where that is lower; slower ones end as much
            lower.
        max_steps: steps in the budget.
        last_epoch: step to continue from, -1 for the start.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_ratio: float = 0.05,
        min_lr: float = 0.0,
        max_steps: int | None = None,
        last_epoch: int = -1,
    ):
        self.warmup_ratio = warmup_ratio
        self.min_lr = min_lr
        self.max_steps = max_steps
        self.budget_used: float | None = None
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rate of each parameter group at this point of the budget."""
        used = self.budget_used
        if used is None:
            used = self.last_epoch / self.max_steps if self.max_steps else 0.0
        used = min(max(used, 0.0), 1.0)
        if used < self.warmup_ratio:
            # Never zero: the first step must move.
            return [rate * max(used / self.warmup_ratio, 0.01) for rate in self.base_lrs]
        along = (used - self.warmup_ratio) / max(1.0 - self.warmup_ratio, 1e-9)
        share = 0.5 * (1.0 + math.cos(math.pi * along))
        least = min(self.min_lr / max(self.base_lrs), 1.0)  # never above the rate that was asked for
        return [rate * (least + (1.0 - least) * share) for rate in self.base_lrs]

    def follow(self, used: float) -> None:
        """Set the rates of this point of the budget, without a step."""
        self.budget_used = used
        self._last_lr = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate


register_scheduler("BudgetAnnealing", BudgetAnnealing, BudgetAnnealingParams)
